"""What lies in a folder with a sub-folder per class: names only, no file is opened."""

import os
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError, MissingFileError
from ..image_folder import SUFFIXES

TRAINING_FOLDERS = ("train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train")
"""Where the training images of ImageNet and its like are, below the folder that people give."""


class ClassFolders(NamedTuple):
    """The folder that the class folders lie in, images by class folder, and what is none of these.

    `files` maps names of class folders, sorted, to names of images relative to these, sorted. `empty` are
    folders without images, `others` files that are not read.
    """

    path: Path
    files: dict
    empty: list
    others: list


def list_class_folders(path) -> ClassFolders:
    """Lists the images in the class folders of a folder, or of its folder of training images.

    Images may lie deeper in a class folder, as Tiny ImageNet's do. Hidden files are left out.

    Args:
        path: The folder, of a million images if need be.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no class folder has an image.
    """
    given, path = Path(path), Path(path)
    if not path.is_dir():
        raise MissingFileError(
            f"Got {str(path)!r}, which is no folder. Expected one with a sub-folder of images per class. "
            "Check the path."
        )
    for inner in TRAINING_FOLDERS:
        if (path / inner).is_dir() and any(entry.is_dir() for entry in os.scandir(path / inner)):
            path = path / inner
            break
    files, empty, others = {}, [], []
    for entry in _visible(path):
        if not entry.is_dir():
            others.append(entry.name)
            continue
        images = []
        _collect(entry.path, "", images, others, entry.name)
        if images:
            files[entry.name] = images
        else:
            empty.append(entry.name)
    if not files:
        flat = sum(name.lower().endswith(SUFFIXES) for name in others)
        raise InputError(
            f"Got {given} with {flat} images in it and none in sub-folders. Expected a sub-folder per class, "
            f"in it or in {TRAINING_FOLDERS[0]}/, with files that end in {', '.join(SUFFIXES)}: training "
            "needs the class of every real image. Sort the images into folders."
        )
    return ClassFolders(path, files, empty, others)


def _collect(folder, prefix, images, others, top):
    for entry in _visible(folder):
        # A link to a folder above would never end.
        if entry.is_dir(follow_symlinks=False):
            _collect(entry.path, f"{prefix}{entry.name}/", images, others, top)
        elif entry.name.lower().endswith(SUFFIXES):
            images.append(prefix + entry.name)
        else:
            others.append(f"{top}/{prefix}{entry.name}")


def _visible(folder):
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.name[0] != "."), key=lambda entry: entry.name)
