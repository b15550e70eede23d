"""Labelled images as a data set on disk, in a form that training and calibration programs read.

Scope: writing. Images are read portion by portion and written at once, so that memory doesn't grow with
their number; the data set appears whole or not at all. `data.image_source.open_images` reads the folder and
the `.npz` file, `tf.data.TFRecordDataset` the shards.

Rejected: `np.savez`, which wants all images in memory; labels class by class, since then the first images
of a file, which calibration takes, are of one class.
"""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from ..classes.folder_labels import as_file_name, sample_file_name
from ..errors import ExistingFileError, InputError
from ..files import plain
from .drawing import DrawnImages
from .loaded import DEFAULT_TRUNCATION
from .sampling import class_numbers

INDEX_FILE = "index.json"
_PORTION = 250
_SHARD_IMAGES = 1000


def drawn_data_set(generator, classes, per_class: int, seed=0, truncation=None) -> DrawnImages:
    """The images of a data set, drawn when they are read, each class in turn.

    Args:
        generator: A `LoadedGenerator`.
        classes: Numbers or names, as strings; none for all classes.
        per_class: Images of each class.
        seed: Seed of the latents; the same one gives the same images.
        truncation: In (0, 1]; None for the generator's own, or 0.5.

    Raises:
        ValueError: there is no such class.
    """
    labels = np.tile(class_numbers(classes, generator), per_class)
    truncation = truncation or generator.truncation or DEFAULT_TRUNCATION
    return DrawnImages(generator, labels, truncation, seed)


def write_data_set(images, path, form, class_names=None) -> Path:
    """Writes images with their labels.

    The forms:

    - "folder": a sub-folder per class, called by its name with underscores in place of other characters than
      letters and digits, or by its number where there are no names or two would be the same. Files are PNG.
    - "npz": one file with `images` uint8 `[N, S, S, 3]`, `labels` int32 `[N]` and, if known, `class_names`.
    - "tfrecord": a folder of shards of 1000 records, and an `index.json` that says how to read them. A record
      is a `tf.train.Example` with `image` (PNG), `label` and, if known, `class_name`.

    Args:
        images: `DrawnImages`, or another source of images with labels.
        path: The folder or file to write; it must not exist.
        form: "folder", "npz" or "tfrecord".
        class_names: Name per label; None if unknown.

    Returns:
        The path.

    Raises:
        FileExistsError: `path` exists.
        ValueError: there is no such form, names that don't fit to the labels or to folders, or the generator
            draws NaN.

    Example:
        write_data_set(drawn_data_set(generator, [], 500), "calibration.npz", "npz", generator.class_names)
        same = open_images("calibration.npz")
    """
    path = Path(path)
    if form not in _WRITERS:
        raise InputError(f"Got the form {form!r}. Expected one of {', '.join(_WRITERS)}.")
    if path.exists():
        raise ExistingFileError(
            f"{path} exists already, and a data set is never replaced. Choose another name, or remove it "
            "first."
        )
    names = None if class_names is None else [str(name) for name in class_names]
    _check_names(names, images.labels, form)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-unfinished-") as aside:
        unfinished = Path(aside) / path.name
        _WRITERS[form](images, unfinished, names)
        unfinished.rename(path)
    return path


def _check_names(names, labels, form):
    if names is None:
        return
    if len(names) <= labels.max():
        raise InputError(
            f"Got {len(names)} class names, and labels up to {labels.max()}. Expected a name per label. "
            "Give those of the generator, or None."
        )
    wrong = [name for label, name in enumerate(names) if name.isdecimal() and name != str(label)]
    if wrong and form == "folder":  # it would be read as the label of that number
        raise InputError(
            f"Got a class called {wrong[0]!r} whose label is {names.index(wrong[0])}. Expected no numbers "
            "but labels, as sub-folders with numbers are read by them. Take the form npz or tfrecord."
        )


def _portions(images, first=0, count=None):
    """Yields the number of the first image, uint8 images and int labels, in order."""
    last = images.count if count is None else min(first + count, images.count)
    for start in range(first, last, _PORTION):
        stop = min(start + _PORTION, last)
        yield start, images.read(start, stop), images.labels[start:stop].tolist()


def _write_folder(images, path, names):
    labels = np.unique(images.labels).tolist()
    folder_names = _folder_names(labels, names)
    for label in labels:
        (path / folder_names[label]).mkdir(parents=True)
    for start, portion, portion_labels in _portions(images):
        for index, (image, label) in enumerate(zip(portion, portion_labels, strict=True), start):
            name = sample_file_name(index, label, str(label) if names is None else names[label])
            Image.fromarray(image).save(path / folder_names[label] / name)


def _folder_names(labels, names) -> dict:
    """The sub-folder of each label; readers have to find the label by it."""
    folder_names = [as_file_name(name) for name in names or ()]
    if not all(folder_names) or len({name.lower() for name in folder_names}) < len(folder_names):
        names = None
    return {label: folder_names[label] if names else str(label) for label in labels}


def _write_npz(images, path, names):
    shape = images.count, images.image_size, images.image_size, 3
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # An array's file is a header and its bytes, so that the bytes can come in portions.
        with _member(archive, "images") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for _, portion, _ in _portions(images):
                stream.write(portion.tobytes())
        arrays = {"labels": np.asarray(images.labels, "int32")}
        if names is not None:
            arrays["class_names"] = np.array(names)
        for name, array in arrays.items():
            with _member(archive, name) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _member(archive, name):
    # With a date of its own two archives of the same images are the same file.
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _write_tfrecord(images, path, names):
    path.mkdir()
    starts = range(0, images.count, _SHARD_IMAGES)
    shards = [
        {
            "file": f"images-{number:05d}-of-{len(starts):05d}.tfrecord",
            "count": min(_SHARD_IMAGES, images.count - start),
        }
        for number, start in enumerate(starts)
    ]
    for shard, first in zip(shards, starts, strict=True):
        with tf.io.TFRecordWriter(str(path / shard["file"])) as writer:
            for _, portion, labels in _portions(images, first, _SHARD_IMAGES):
                for image, label in zip(portion, labels, strict=True):
                    writer.write(_record(image, label, names))
    index = {
        "count": images.count,
        "image_size": images.image_size,
        "class_names": names,
        "drawn_by": images.name,
        "seed": getattr(images, "seed", None),
        "features": {
            "image": "bytes, PNG",
            "label": "int64",
            **({"class_name": "bytes, UTF-8"} if names else {}),
        },
        "shards": shards,
    }
    text = json.dumps(plain(index), indent=2, ensure_ascii=False) + "\n"
    (path / INDEX_FILE).write_text(text, encoding="utf-8")


def _record(image, label, names) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    example = tf.train.Example()
    feature = example.features.feature
    feature["image"].bytes_list.value.append(content.getvalue())
    feature["label"].int64_list.value.append(label)
    if names is not None:
        feature["class_name"].bytes_list.value.append(names[label].encode())
    # A map of features has no order of its own, and the same images have to give the same bytes.
    return example.SerializeToString(deterministic=True)


_WRITERS = {"folder": _write_folder, "npz": _write_npz, "tfrecord": _write_tfrecord}
