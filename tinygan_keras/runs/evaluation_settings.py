"""What a finished run was measured with, so that it can be measured again, and from elsewhere.

Paths of a config are relative to where the run was started, which was at or above its folder.
"""

from pathlib import Path

from ..classes.selection import class_numbers
from ..data.real_images.opening import open_training_images
from ..evaluation.extractors.loading import NAMES as EXTRACTORS
from ..generators.opening import load_student
from ..generators.side_files import located, read_class_names, read_config
from .config import DATA_SETS
from .run_folder import RunFolder

_NO_PATHS = (*DATA_SETS, "fashion_mnist:test", *EXTRACTORS)


def evaluation_settings(path) -> dict:
    """What an evaluation takes from a run, so that it repeats the one at the end of the run.

    Args:
        path: Anything that can be evaluated; of what isn't a run folder nothing is known.

    Returns:
        `extractor`, `resize`, `teacher`, `num_images`, `seed`, and the folders `out` of the
        evaluation and `pictures`.

    Raises:
        ValueError: `config.json` can't be read.
    """
    folder = _run_folder(path)
    if folder is None:
        return {}
    config = read_config(folder.path)
    return {
        "extractor": _located(config.get("extractor"), folder),
        "resize": config.get("resize") or None,
        "teacher": _located(config.get("teacher"), folder),
        "num_images": config.get("evaluation_images"),
        "seed": config.get("sample_seed"),
        "out": str(folder.evaluation),
        "pictures": str(folder.pictures),
    }


def measured_against(path):
    """Returns the real images of a run's evaluation, cropped and resized as in training.

    Args:
        path: Anything that can be evaluated.

    Returns:
        A name for `open_images`, an image source, or None: a run without real images, or no run at all.

    Raises:
        FileNotFoundError: the images are not where they were.
        ValueError: they have changed in a way that can't be used, or `config.json` can't be read.
    """
    folder = _run_folder(path)
    if folder is None:
        return None
    config = read_config(folder.path)
    data, subset = config.get("data", "none"), _located(config.get("data_subset"), folder)
    if data == "none":
        return None
    classes = measured_classes(path)
    if data == "fashion_mnist" and classes is None:
        return subset or data
    student = load_student(folder.path)
    real = open_training_images(
        _located(data, folder),
        student.image_size,
        student.num_classes,
        classes,
        read_class_names(folder.path),
        data_subset=subset or "",
    )
    return real.draw(config["evaluation_images"], config["sample_seed"])


def measured_classes(path) -> tuple | None:
    """Returns the labels that a run is restricted to; None for all, and for what is no run."""
    folder = _run_folder(path)
    text = read_config(folder.path).get("classes", "") if folder else ""
    if not text.strip():
        return None
    names = read_class_names(folder.path)
    return tuple(class_numbers(text, len(names), names, distinct=True).tolist())


def _run_folder(path):
    folder = RunFolder(Path(path).expanduser())
    return folder if folder.config.is_file() and folder.student.is_file() else None


def _located(name: str | None, folder: RunFolder) -> str | None:
    """A path of a config as seen from here; a name that is no path, or isn't found, as it is."""
    # What leads somewhere stays as it is written: "./inception" is a folder and "inception" a name.
    is_name = not name or name in _NO_PATHS or "://" in name or name.startswith(("keras:", "tfds:"))
    if is_name or Path(name).exists():
        return name or None
    return located(name, folder.student) or name
