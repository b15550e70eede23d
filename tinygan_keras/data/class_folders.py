"""A folder of images as a source: which files are images, of which class, and what is none of it.

Three layouts: a sub-folder per class, files named as `tinygan sample` names them, or other files. Folders of
known classes may be deeper, or look like none. Where labels are needed, a sub-folder `train` is entered, and
files beside the class folders are ignored rather than refused. What isn't data (hidden files, what systems,
disks and viewers leave behind, folders without images) decides nothing, at any depth. No file is opened.
"""

import os
import re
from pathlib import Path

import numpy as np

from ..classes.folder_labels import labels_of_sample_names, listed
from ..classes.mapping import plain_name
from ..classes.selection import class_synonyms
from ..errors import InputError
from ..files import content_hash
from ..hugging_face import shown_name
from .image_decoding import SUFFIXES, file_text
from .image_sources import ImageSource

_TRAINING_FOLDERS = ("train", "Data/CLS-LOC/train", "ILSVRC/Data/CLS-LOC/train")  # of ImageNet
_NOT_CLASSES = re.compile(
    r"[@$~].*|__.*|#(recycle|snapshot)|lost\+found|lost\.dir|found\.\d+|recycle[rd]|cache|thumb(nail)?s"
    r"|system volume information|temporary items|network trash folder",
    re.IGNORECASE,
)
"""Folders that systems, disks, viewers and programs leave behind; hidden ones are left out too."""
_LEFT_BEHIND = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
_WNID = re.compile(r"n\d{8}", re.IGNORECASE)
_SHOWN = 5


class FolderSource(ImageSource):
    """Images in the files of a folder, a million if need be, in the order of the classes and of the names."""

    def __init__(self, path, num_classes=None, class_names=None, labelled=False):
        self._given, self._known = Path(path), _known_folders(num_classes, class_names)
        self.path, inner = self._given, ""
        for name in _TRAINING_FOLDERS if labelled else ():
            folder = self._given / name
            if not inner and folder.is_dir() and any(entry.is_dir() for entry in _visible(folder)):
                self.path, inner = folder, f"/{name}"
        super().__init__(f"folder {file_text(shown_name(self._given))}{inner}")
        self.found["path"] = file_text(self.path)
        classes, flat, empty, others = self._list()
        self._check_layout(classes, flat, labelled)
        if classes:
            self.files = [f"{name}/{file}" for name, files in classes.items() for file in files]
            self.class_names = tuple(map(file_text, classes))
            sizes = [len(files) for files in classes.values()]
            self.labels = np.repeat(np.arange(len(sizes), dtype="int32"), sizes)
            self._report_empty(empty, class_names)
            others = flat + others
        else:
            self.files, self.numbered = flat, True
            names = [file_text(file) for file in flat]
            self.labels, self.class_names = labels_of_sample_names(names, class_names)
        self.count = len(self.files)
        if others:
            others = [file_text(name) for name in others]
            self.found["ignored"] = f"{len(others):,}: {listed(others, _SHOWN)}"
            ignored = f"{len(others)} files and folders that aren't images of a class"
            self.warnings.append(f"Ignored {ignored} (such as {others[0]}).")

    def payloads(self, indices):
        for index in indices:
            yield f"{self.path}/{self.files[index]}"

    def content(self, indices):
        names = (self.files[index] for index in indices)
        sizes = [f"{name} {os.path.getsize(self.path / name)}" for name in names]
        return content_hash("\n".join(sizes))

    def _list(self):
        """Images by class folder, images beside these, empty folders, and other files and folders."""
        classes, flat, empty, others = {}, [], [], []
        for entry in _visible(self.path):
            if not entry.is_dir():
                (flat if _is_image(entry) else others).append(entry.name)
            elif _NOT_CLASSES.fullmatch(entry.name) and not self._is_known(entry.name):
                others.append(f"{entry.name}/")
            else:
                images, inside = _below(entry.path)
                others += [f"{entry.name}/{name}" for name in inside]
                if images:
                    classes[entry.name] = images
                else:
                    empty.append(file_text(entry.name))
        return classes, flat, empty, others

    def _check_layout(self, classes, flat, labelled):
        for folder, images in classes.items():
            deep = next((name for name in images if "/" in name), None)
            if deep and not _WNID.fullmatch(folder) and not self._is_known(folder):
                deep = self.path / folder / deep
                raise InputError(
                    f"Got {self._given} with images more than one folder down (such as {file_text(deep)}). "
                    "Expected images in it or in a sub-folder per class. Give the folder that the class "
                    f"folders lie in, such as {file_text(deep.parents[1])}."
                )
        if not classes and not flat:
            raise InputError(
                f"Got {self._given}, which holds no images. Expected files that end in "
                f"{', '.join(SUFFIXES)}. Give the folder that they or their class folders lie in."
            )
        if classes and flat and not labelled:
            folder, images = next(iter(classes.items()))
            raise InputError(
                f"Got {self._given} with {len(flat)} images (such as {file_text(flat[0])}) and "
                f"{sum(map(len, classes.values()))} in sub-folders (such as "
                f"{file_text(f'{folder}/{images[0]}')}). Expected only one of the two. Move the others away."
            )

    def _report_empty(self, empty, class_names):
        if empty:
            self.found["empty folders"] = f"{len(empty):,}: {listed(empty, _SHOWN)}"
        if all(name.isdecimal() for name in self.class_names):  # those with a number are classes
            self.class_names += tuple(name for name in empty if name.isdecimal())
            empty = [name for name in empty if not name.isdecimal()]
        if empty and class_names is None:
            shown = listed(empty, _SHOWN)
            self.warnings.append(f"Left out empty folders, which are no classes: {shown}.")

    def _is_known(self, folder):
        number = folder.isdecimal() and str(int(folder))
        return plain_name(folder) in self._known or number in self._known


def _known_folders(num_classes, class_names):
    """All names that the folder of a class may have, as `plain_name` writes them."""
    if num_classes is None and class_names is None:
        return set()
    count = num_classes or len(class_names)
    names = {name for known in class_synonyms(count, class_names) for name in known}
    return {*map(str, range(count)), *map(plain_name, names)}


def _below(folder, prefix=""):
    """The images in a folder and in all folders in it, by their names relative to it; and other files."""
    images, others = [], []
    for entry in _visible(folder):
        name = prefix + entry.name
        # A link to a folder above would never end.
        if not entry.is_dir(follow_symlinks=False):
            (images if _is_image(entry) else others).append(name)
        elif _NOT_CLASSES.fullmatch(entry.name):
            others.append(f"{name}/")
        else:
            inside = _below(entry.path, f"{name}/")
            images, others = images + inside[0], others + inside[1]
    return images, others


def _visible(folder):
    """What is in a folder, sorted by name; without hidden files and those of viewers."""
    with os.scandir(folder) as entries:
        seen = (e for e in entries if e.name[0] != "." and e.name.lower() not in _LEFT_BEHIND)
        return sorted(seen, key=lambda entry: entry.name)


def _is_image(entry):
    return entry.name.lower().endswith(SUFFIXES)
