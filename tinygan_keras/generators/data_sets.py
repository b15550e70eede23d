"""Labelled images as a data set on disk, in a format that training and calibration programs read.

Images are read portion by portion and written at once, so that memory doesn't grow with their number; the
data set appears whole or not at all. `open_images` reads every format.
"""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ..classes.folder_labels import as_file_name, sample_file_name
from ..data.records.record_writer import write_records
from ..errors import InputError, UnusableFileError
from ..files import check_room, content_hash, new_file, new_folder, user_path
from .generator import PORTION

_SHARD_IMAGES = 1000
_SAMPLED = 8  # images whose size tells that of all
_BLOCK = 4096  # bytes that a file takes at least, and whole ones of them, on most disks


def write_data_set(images, path, format, class_names=None) -> Path:
    """Writes images with their labels to `path`, which must not exist, and returns it.

    - "images": a folder of PNG files with the label in their names, such as 00000_007_Sneaker.png.
    - "folder": a sub-folder of PNG files per class, with its name, or with its number if a name is missing
      or two are the same as names of files.
    - "npz": `images` uint8 `[N, S, S, 3]`, `labels` int32 `[N]`, and `class_names` and `seeds` if known.
    - "tfrecord": shards of 1000 records with `image` (PNG), `label` and, if known, `name` and `seed`.
    """
    path = Path(user_path(path))
    if format not in _WRITERS:
        raise InputError(f"Got the format {format!r}. Expected one of {', '.join(_WRITERS)}.")
    names = None if class_names is None else [str(name) for name in class_names]
    if names is not None and len(names) <= images.labels.max():
        raise InputError(
            f"Got {len(names)} class names, and labels up to {images.labels.max()}. Expected a name per "
            "label. Give those of the generator, or None."
        )
    named = enumerate(names or ())
    wrong = [name for label, name in named if name.isdecimal() and name != str(label)]
    if wrong and format == "folder":  # it would be read as the label of that number
        raise InputError(
            f"Got a class with the name {wrong[0]!r} whose label is {names.index(wrong[0])}. Expected no "
            "numbers but labels, as sub-folders with numbers are read by them. Take npz or tfrecord."
        )
    images = _WhileThereIsRoom(images, path, format)
    new = new_file(path, replace=False) if format == "npz" else new_folder(path)
    with new as unfinished:
        _WRITERS[format](images, unfinished, names)
    return path


class _WhileThereIsRoom:
    """Images that are read as long as the disk has room for those that are left, and else refused."""

    def __init__(self, images, path, format):
        self.images, self.path = images, path
        self.block = _BLOCK if format in ("images", "folder") else 1
        self.check(images.count)

    def __getattr__(self, name):
        return getattr(self.images, name)

    def read(self, start, stop):
        self.check(self.images.count - start)
        return self.images.read(start, stop)

    def check(self, count):
        try:
            self._check(count, self.images.image_size**2 * 3)
        except UnusableFileError:
            self._check(count, self._compressed)

    def _check(self, count, size):
        blocks = -(-size // self.block)
        check_room(self.path, count * blocks * self.block, f"{count:,} images")

    @functools.cached_property
    def _compressed(self) -> int:
        """Bytes of an image as a PNG, told by the first of them; an archive of deflate comes near."""
        sample, stream = self.images.read(0, min(_SAMPLED, self.images.count)), io.BytesIO()
        for image in sample:
            Image.fromarray(image).save(stream, "PNG")
        return stream.tell() // len(sample)


def _one_by_one(images, first=0, last=None):
    """Yields the number of each image, the uint8 image, and its label; images are read in portions."""
    last = images.count if last is None else last
    for start in range(first, last, PORTION):
        for number, image in enumerate(images.read(start, min(start + PORTION, last)), start):
            yield number, image, int(images.labels[number])


def _write_images(images, path, names):
    _write_pngs(images, dict.fromkeys(images.labels.tolist(), path), names)


def _write_folder(images, path, names):
    labels = np.unique(images.labels).tolist()
    folder_names = [as_file_name(name) for name in names or ()]
    # Readers have to find the label by the sub-folder.
    distinct = len({name.lower() for name in folder_names if name}) == len(folder_names) > 0
    folders = {label: path / (folder_names[label] if distinct else str(label)) for label in labels}
    _write_pngs(images, folders, names)


def _write_pngs(images, folders, names):
    for folder in set(folders.values()):
        folder.mkdir(parents=True, exist_ok=True)
    for number, image, label in _one_by_one(images):
        name = sample_file_name(number, label, str(label) if names is None else names[label])
        Image.fromarray(image).save(folders[label] / name)


def _write_npz(images, path, names):
    shape = images.count, images.image_size, images.image_size, 3
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # An array's file is a header and its bytes, so that the bytes can come image by image.
        with _member(archive, "images") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for _, image, _ in _one_by_one(images):
                stream.write(image.tobytes())
        arrays = {"labels": np.asarray(images.labels, "int32")}
        arrays |= {"seeds": getattr(images, "seeds", None), "class_names": names}
        for name, array in arrays.items():
            if array is not None:
                with _member(archive, name) as stream:
                    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)


def _member(archive, name):
    # With a date of its own two archives of the same images are the same file.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _write_tfrecord(images, path, names):
    count = int(images.labels.max()) + 1 if names is None else len(names)
    settings = {
        "kind": "generated images",
        "image_size": images.image_size,
        "num_classes": getattr(getattr(images, "generator", None), "num_classes", None) or count,
        "class_names": names,
        "source": images.name,
    }
    seeds = getattr(images, "seeds", None)
    if seeds is not None:
        settings["seeds"] = content_hash(seeds)

    def examples_of(start, stop):
        for number, image, label in _one_by_one(images, start, stop):
            seed = None if seeds is None else int(seeds[number])
            name = None if names is None else names[label]
            yield {"image": image, "label": label, "seed": seed, "name": name}

    options = {"labels": images.labels, "progress": False}
    write_records(path, settings, images.count, _SHARD_IMAGES, examples_of, **options)


_WRITERS = {"images": _write_images, "folder": _write_folder}
_WRITERS |= {"npz": _write_npz, "tfrecord": _write_tfrecord}
