"""All the pictures of one generator: what it draws, whether it has learned a space, whether it copies.

Scope: inputs, files, and one entry per picture. What a picture needs and shows is `pages.py`. What
can't be drawn is said with its reason, never left out in silence.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...classes.selection import class_numbers
from ...data.image_source import open_images
from ...errors import InputError, UnusableFileError
from ...evaluation.extractors.loading import load_extractor
from ...evaluation.generated_labels import SEED
from ...generators.opening import open_generator
from ...latents import resolve_truncation
from ..files import save_png
from .images import AlbumImages, found_teacher
from .pages import GRID_IMAGES, MAPS, PAGES

_CLASSES = 10  # drawn of many, unless told which


class Entry(NamedTuple):
    """One picture of an album: its file, or None with the reason why it wasn't drawn."""

    name: str
    path: Path | None
    text: str


def draw_album(
    generator,
    folder,
    teacher="auto",
    extractor=None,
    real=None,
    classes=(),
    per_class: int = 100,
    map_method: str = "pca",
    truncation: float | None = None,
    seed: int = SEED,
    report: Callable | None = None,
    progress=False,
) -> list[Entry]:
    """Draws every picture that the inputs allow into a folder.

    | file | needs |
    |---|---|
    | `class_grid.png` | - ; shows the teacher above the student if there is one |
    | `interpolation_z.png` | - |
    | `interpolation_class.png` | two classes, and a generator that can mix classes |
    | `neighbours.png` | extractor and real images |
    | `feature_map.png` | extractor, and real images or a teacher |

    Args:
        generator: A path for `open_generator`, or a `Generator`.
        folder: Where to; made if missing.
        teacher: What the student was distilled from, likewise; None for none; "auto" for the one in
            the run's configuration if it is on this machine.
        extractor: A `FeatureExtractor`, or a name for `load_extractor`; None for none.
        real: An image source, or a name for `open_images`; None for none.
        classes: Numbers or names as strings; none: all, or ten spread over them.
        per_class: Images drawn of each class for neighbours and map.
        map_method: "pca" or "tsne".
        truncation: In (0, 1]; None for the generator's own, or 0.5.
        seed: Seed of the latents. Equal seeds give equal pictures.
        report: Called with every `Entry` as soon as it is there.
        progress: Show progress bars.

    Returns:
        An `Entry` per picture, drawn or not.

    Raises:
        ValueError: no such class or map; the number of classes is unknown; teacher, extractor or real
            images don't fit the generator.
        FileNotFoundError, NotADirectoryError: what is named isn't there, or `folder` is a file.

    Example:
        for entry in draw_album("runs/mine", "pictures", real="fashion_mnist"):
            print(entry.path, entry.text)
    """
    if map_method not in MAPS:
        raise InputError(f"Got the map {map_method!r}. Expected one of {', '.join(MAPS)}.")
    if per_class < 2:
        raise InputError(
            f"Got per_class={per_class}. Expected at least 2, the ends of an interpolation."
        )
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UnusableFileError(f"Got {str(folder)!r}, a file. Expected a folder for the pictures.")
    generator = _opened(generator, lambda path: open_generator(path, truncation))
    chosen = _chosen(classes, generator)
    extractor, real = _opened(extractor, load_extractor), _opened(real, open_images)
    if extractor is not None:  # refused before anything is drawn
        for source in (generator, *([real] if real is not None else [])):
            extractor.protocol(source.image_size)
    images = AlbumImages(
        generator,
        found_teacher(generator) if teacher == "auto" else teacher,
        extractor,
        real,
        chosen,
        per_class if extractor else min(per_class, GRID_IMAGES),
        resolve_truncation(truncation, generator),
        seed,
        progress,
    )
    entries = []
    for name, draw in PAGES.items():
        picture, text = draw(images, map_method)
        path = None if picture is None else save_png(picture, folder / name)
        entries.append(Entry(name, path, text))
        if report:
            report(entries[-1])
    return entries


def _opened(thing, load):
    return load(thing) if isinstance(thing, (str, os.PathLike)) else thing


def _chosen(classes, generator) -> np.ndarray:
    if not classes and generator.num_classes is None:
        raise InputError(
            f"Got {generator.source}, which doesn't say how many classes it has, and no classes. "
            "Expected class numbers, such as 0,1,2; or give the run folder instead of the export."
        )
    numbers = class_numbers(classes, generator.num_classes, generator.class_names)
    numbers = np.array(list(dict.fromkeys(numbers.tolist())), "int32")
    if classes:
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), _CLASSES)).astype(int)]
