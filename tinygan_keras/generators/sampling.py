"""Labelled images from a trained student: choosing classes by number or name, drawing, writing."""

import difflib
from pathlib import Path

import numpy as np
from PIL import Image

from ..classes.folder_labels import sample_file_name
from ..errors import InputError
from ..latents import sample_latents
from ..pictures.files import save_png
from ..pictures.grids import progress_strip
from .loaded import DEFAULT_TRUNCATION
from .loading import generate_images


def sample_classes(generator, classes, per_class: int, seed=0, truncation=None):
    """Draws images class by class.

    Args:
        generator: A `LoadedGenerator`.
        classes: Numbers or names, as strings; none for all classes.
        per_class: Images of each class.
        seed: Seed of the latents.
        truncation: In (0, 1]; None for the generator's own, or 0.5.

    Returns:
        Images uint8 `[N, S, S, 3]` and labels int32 `[N]`.

    Raises:
        ValueError: there is no such class.
    """
    labels = class_numbers(classes, generator).repeat(per_class)
    truncation = truncation or generator.truncation or DEFAULT_TRUNCATION
    latents = sample_latents(len(labels), generator.latent_dim, truncation, seed)
    return generate_images(generator.draw, latents, labels), labels


def class_numbers(classes, generator) -> np.ndarray:
    """Returns the numbers int32 of classes given by number or name; of all classes if none is given.

    Raises:
        ValueError: there is no such class, or it can't be known what all classes are.
    """
    count, names = generator.num_classes, generator.class_names or ()
    if not classes and count is None:
        raise InputError(
            "Got no labels, and this model doesn't say how many classes it has. Expected numbers, such "
            "as --labels=0,1,2. Or give the run folder instead of the exported model."
        )
    if not classes:
        return np.arange(count, dtype="int32")
    return np.array([_class_number(text.strip(), count, names) for text in classes], "int32")


def _class_number(text, count, names):
    by_name = {name.lower(): number for number, name in enumerate(names)}
    if text.lower() in by_name:
        return by_name[text.lower()]
    if text.isdecimal() and (count is None or int(text) < count):
        return int(text)
    expected = f"a number from 0 to {count - 1}" if count else "a number"
    nearest = difflib.get_close_matches(text.lower(), by_name, n=1)
    mend = f" Did you mean {names[by_name[nearest[0]]]!r}?" if nearest else ""
    if names:
        expected += f" or a class name, such as {names[0]!r}"
    raise InputError(f"Got label {text!r}. Expected {expected}.{mend}")


def write_images(images, labels, path, class_names=None) -> Path:
    """Writes one picture with a row per class (`path` ends in .png), or a folder of single images.

    Args:
        images: uint8 `[N, S, S, 3]`.
        labels: Int `[N]`, the same number of images for each.
        path: Where to.
        class_names: Name per label; numbers if None.

    Returns:
        The path.
    """
    path = Path(path)
    names = {label: class_names[label] if class_names else str(label) for label in labels}
    if path.suffix == ".png":
        rows = [images[labels == label] for label in names]
        save_png(progress_strip(rows, [name.split(",")[0] for name in names.values()]), path)
        return path
    path.mkdir(parents=True, exist_ok=True)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(path / sample_file_name(index, label, names[label]))
    return path
