"""Images in a folder, read as they are needed: a sub-folder per class, `tinygan sample`'s files, or others.

Scope: what is on the disk, as it is. Images are neither resized nor cropped, since a Frechet distance
measures the resizing too; a folder of mixed sizes is refused.

Rejected: `keras.utils.image_dataset_from_directory`, which resizes, and stops at the first corrupt file,
without its name, in the middle of an evaluation.
"""

import functools
import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from ..classes.folder_labels import (
    labels_of_sample_names,
    labels_of_sub_folders,
    listed,
    missing_classes,
)
from ..errors import InputError
from .image_headers import scan_headers

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_NAMED_CORRUPT_FILES = 100


class ImageFolder:
    """The images of a folder, in the order of their names, with the labels that the folder gives.

    Labels come from one of three layouts:

    - sub-folders: one per class. If every name is a number, such as `7` or `007`, it is the label.
      Otherwise the labels count the sub-folders in the order of their names; with `class_names` a
      sub-folder has the label of the class of its name, where other characters than letters and digits
      may be underscores, so that `T_shirt_top` is "T-shirt/top".
    - files that are named as `tinygan sample --out=folder/` names them, such as `00000_003_Dress.png`
      for label 3.
    - other files: no labels.

    Opening reads the header of every file. Pixels are read by `read`, so that memory does not grow with
    the folder. What is not as it should be, but can be used, is said in `warnings`.

    Args:
        path: The folder.
        class_names: Names by label; None to take those of the sub-folders or files. If some of these
            names are numbers, sub-folders that are numbers are taken as names, too.

    Attributes:
        count: int, number of images.
        image_size: int, height and width in pixels.
        files: Names of the images relative to the folder, sorted.
        labels: int32 `[count]`, or None.
        class_names: Tuple of str by label, or None.
        name: str, what people call it.
        warnings: List of str.
        fingerprint: str, SHA-256 (hex) of names, labels and contents of the files, wherever the folder
            is. The first look at it reads every file.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no images, several sizes, images that are not square, files that can't be read,
            a mixture of layouts, or classes that are not in `class_names`.

    Example:
        folder = ImageFolder("runs/mine/images")
        images = folder.read(0, 250)  # uint8 [250, S, S, 3]
    """

    def __init__(self, path, class_names=None):
        self.path = Path(path)
        self.name = f"folder {self.path.resolve().name}"
        folder_names, self.files, self.warnings = _list_images(self.path)
        self.count = len(self.files)
        class_names = None if class_names is None else tuple(class_names)
        classes = None
        if folder_names:
            labels = labels_of_sub_folders(self.files, folder_names, class_names)
            self.labels, self.class_names, classes = labels
        else:
            self.labels, self.class_names = labels_of_sample_names(self.files, class_names)
        self.image_size, warnings = scan_headers(self.path, self.files)
        self.warnings += warnings
        if self.labels is not None:
            self.warnings += missing_classes(self.labels, self.class_names, classes)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Reads the images from `start` up to `stop`, cut off at the end like a slice of a list.

        Returns:
            uint8 `[n, S, S, 3]`.

        Raises:
            ValueError: a file is corrupt. The message counts and names those of the whole folder.
        """
        files = self.files[start:stop]
        images = np.empty((len(files), self.image_size, self.image_size, 3), "uint8")
        for index, file in enumerate(files):
            pixels, problem = self._pixels(file)
            if problem:
                self.check()
                raise self._corrupt([f"{file} ({problem})"])  # readable again, a moment later
            images[index] = pixels
        return images

    def check(self):
        """Decodes every image once.

        Raises:
            ValueError: files are corrupt. The message counts them all and names them, up to 100.
        """
        problems = ((file, self._pixels(file)[1]) for file in self.files)
        corrupt = [f"{file} ({problem})" for file, problem in problems if problem]
        if corrupt:
            raise self._corrupt(corrupt)

    @functools.cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for index, file in enumerate(self.files):
            label = "" if self.labels is None else self.labels[index]
            with open(self.path / file, "rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(os.fsencode(f"{file}\0{label}\0{content}\n"))
        return digest.hexdigest()

    def _pixels(self, file):
        """Returns the pixels of a file and None, or None and what is wrong with it."""
        try:
            with Image.open(self.path / file) as image:
                pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        except Exception as error:  # decoders raise whatever they stumble over
            return None, f"{type(error).__name__}: {error}"
        height, width, _ = pixels.shape
        if (height, width) != (self.image_size, self.image_size):
            return None, f"{width}x{height} pixels, changed since the folder was opened"
        return pixels, None

    def _corrupt(self, files):
        return InputError(
            f"Got {len(files)} corrupt of {self.count} image files in {self.path}: "
            f"{listed(files, _NAMED_CORRUPT_FILES)}. Expected images that can be decoded. Replace or "
            "remove these files."
        )


def _list_images(path):
    """Returns the sub-folders if images lie in them, the images, and warnings; names relative, sorted."""
    if not path.is_dir():
        kind, error = ("a file", ValueError) if path.exists() else ("not there", FileNotFoundError)
        raise error(
            f"Got {str(path)!r}, which is {kind}. Expected a folder of images. Check the path."
        )
    flat, nested, others, folder_names = [], [], [], []
    for entry in _visible(path):
        if not entry.is_dir():
            (flat if _is_image(entry) else others).append(entry.name)
            continue
        folder_names.append(entry.name)
        for inner in _visible(entry):
            if inner.is_dir():
                _refuse_images_in(inner, entry, path)
            else:
                (nested if _is_image(inner) else others).append(f"{entry.name}/{inner.name}")
    if not flat and not nested:
        raise InputError(
            f"Got {path}, which holds no images. Expected files that end in {', '.join(SUFFIXES)}. Give "
            "the folder that they or their class folders lie in."
        )
    if flat and nested:
        raise InputError(
            f"Got {path} with {len(flat)} images (such as {flat[0]}) and {len(nested)} in sub-folders "
            f"(such as {nested[0]}). Expected only one of the two. Move the others away."
        )
    warnings = []
    if others:
        warnings.append(
            f"Ignored {len(others)} files that don't end in {', '.join(SUFFIXES)} (such as {others[0]})."
        )
    return (folder_names if nested else []), flat or nested, warnings


def _refuse_images_in(folder, above, path):
    for entry in _visible(folder):
        if entry.is_dir(follow_symlinks=False):
            _refuse_images_in(entry, folder, path)
        elif _is_image(entry):
            raise InputError(
                f"Got {path} with images more than one folder down (such as {entry.path}). Expected images "
                "in it or in a sub-folder per class. Give the folder that the class folders lie in, such as "
                f"{above.path}."
            )


def _visible(folder):
    """What is in a folder, sorted by name; what is hidden is left out."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if e.name[0] != "."), key=lambda entry: entry.name)


def _is_image(entry):
    return entry.name.lower().endswith(SUFFIXES)
