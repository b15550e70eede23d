"""What lies in a folder of images: which files are images, of which class, and what is none of it.

Three layouts: a sub-folder per class, files named as `tinygan sample` names them, or other files. What isn't
data (hidden files, what systems, disks and viewers leave behind, folders without images) decides nothing, at
any depth. Names only; no file is opened.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ..classes.mapping import plain_name
from ..errors import InputError
from .image_decoding import SUFFIXES, file_text

TRAINING_FOLDERS = ("train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train")
"""Where the training images of ImageNet and its like are, below the folder that people give."""
_NOT_CLASSES = re.compile(
    r"[@$~].*|__.*|#(recycle|snapshot)|lost\+found|lost\.dir|found\.\d+|recycle[rd]|cache|thumb(nail)?s"
    r"|system volume information|temporary items|network trash folder",
    re.IGNORECASE,
)
"""Folders that systems, disks, viewers and programs leave behind; hidden ones are left out too."""
_LEFT_BEHIND = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
_WNID = re.compile(r"n\d{8}", re.IGNORECASE)


class FoundImages(NamedTuple):
    """The folder that the images lie in; their names relative to it, by class folder, or under None.

    `empty` are folders without images, `others` files and folders that are not read.
    """

    path: Path
    files: dict
    empty: list
    others: list


def list_images(path, labelled=False, class_names=()) -> FoundImages:
    """Lists the images of a folder.

    Args:
        path: The folder, of a million images if need be.
        labelled: The class of every image is needed: a sub-folder `train` is entered, and files beside the
            class folders are counted among the `others` rather than refused.
        class_names: Those that are known, for folders that are deeper or that look like none.

    Raises:
        InputError: no images; images in and below it; images below folders that are no classes.
    """
    given = path = Path(path)
    known = {plain_name(name) for name in class_names}
    for inner in TRAINING_FOLDERS if labelled else ():
        if (path / inner).is_dir() and any(entry.is_dir() for entry in _visible(path / inner)):
            path = path / inner
            break
    files, flat, empty, others = {}, [], [], []
    for entry in _visible(path):
        left_behind = _NOT_CLASSES.fullmatch(entry.name) and not _is_known(entry.name, known)
        if entry.is_dir() and not left_behind:
            images = []
            _collect(entry.path, "", images, others, entry.name)
            if images:
                files[entry.name] = images
            else:
                empty.append(file_text(entry.name))
        elif entry.is_dir():
            others.append(f"{entry.name}/")
        else:
            (flat if _is_image(entry) else others).append(entry.name)
    for folder, images in files.items():
        deep = next((path / folder / image for image in images if "/" in image), None)
        if deep and not _WNID.fullmatch(folder) and not _is_known(folder, known):
            raise InputError(
                f"Got {given} with images more than one folder down (such as {file_text(deep)}). Expected "
                "images in it or in a sub-folder per class. Give the folder that the class folders lie in, "
                f"such as {file_text(deep.parents[1])}."
            )
    if not files and not flat:
        raise InputError(
            f"Got {given}, which holds no images. Expected files that end in {', '.join(SUFFIXES)}. Give "
            "the folder that they or their class folders lie in."
        )
    if files and flat and not labelled:
        folder = next(iter(files))
        raise InputError(
            f"Got {given} with {len(flat)} images (such as {file_text(flat[0])}) and "
            f"{sum(map(len, files.values()))} in sub-folders (such as {file_text(folder)}/"
            f"{file_text(files[folder][0])}). Expected only one of the two. Move the others away."
        )
    if not files:
        files, flat = {None: flat}, []
    return FoundImages(path, files, empty, [file_text(name) for name in (*flat, *others)])


def _collect(folder, prefix, images, others, top):
    """Adds the images of a class folder and of all folders in it, by their names relative to it."""
    for entry in _visible(folder):
        name = prefix + entry.name
        # A link to a folder above would never end.
        if entry.is_dir(follow_symlinks=False):
            if _NOT_CLASSES.fullmatch(entry.name):
                others.append(f"{top}/{name}/")
            else:
                _collect(entry.path, f"{name}/", images, others, top)
        elif _is_image(entry):
            images.append(name)
        else:
            others.append(f"{top}/{name}")


def _visible(folder):
    """What is in a folder, sorted by name; without hidden files and those of viewers."""
    with os.scandir(folder) as entries:
        seen = (e for e in entries if e.name[0] != "." and e.name.lower() not in _LEFT_BEHIND)
        return sorted(seen, key=lambda entry: entry.name)


def _is_known(folder, known):
    number = folder.isdecimal() and str(int(folder))
    return bool(known) and (plain_name(folder) in known or number in known)


def _is_image(entry):
    return entry.name.lower().endswith(SUFFIXES)
