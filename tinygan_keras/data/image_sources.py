"""Sources of images: folders, .npz files, Keras' data sets, TensorFlow Datasets, prepared record sets.

A source knows what is there and of which class, and gives what the decoder takes; it decodes, crops and
remembers nothing. `image_sets.open_images` and `prepare_images` do the same with every source.
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..classes.folder_labels import labels_of_sample_names, listed
from ..classes.mapping import ClassMap, known_names, match_classes
from ..errors import InputError, MissingFileError
from ..files import content_hash, is_url, user_path
from ..images import check_labels
from .class_folders import list_images
from .fashion_mnist import CLASS_NAMES, load_fashion_mnist, load_fashion_mnist_subset
from .image_decoding import file_text
from .records.record_format import SETTINGS_FILE

EXPECTED = (
    "'fashion_mnist' or 'fashion_mnist:test', 'keras:cifar10' or another of Keras' data sets, "
    "'tfds:imagenet2012' or another of TensorFlow Datasets, a folder of images, an .npz file with images "
    "and labels, or a folder that tinygan prepare wrote"
)
_SHOWN = 5
_BLOCK = 256
_IN_MEMORY = 2**30


class ImageSource:
    """What all sources have.

    Attributes:
        name: str.
        count: int, number of images.
        labels: int32 `[count]`, numbers of `class_names`; without these, class numbers. None if unknown.
        class_names: Tuple of str, names of the classes by which the source counts them, or None.
        numbered: Whether labels are class numbers, whatever the names are.
        own_order: Whether the order of its classes is part of it, as CIFAR-10's is.
        shuffled: Whether images are in random order already; others are put in such before they are stored.
        warnings: List of str.
        found: Dict of str, lines of a report.
    """

    numbered, own_order, shuffled = False, False, False
    labels = class_names = None

    def __init__(self, name):
        self.name, self.count, self.warnings, self.found = name, 0, [], {}

    def payloads(self, indices):
        """Yields for each index (sorted ints) what `image_decoding.decode` takes."""
        raise NotImplementedError

    def image_name(self, index: int) -> str:
        """Name of an image, to print."""
        return f"image {index}"

    def image_names(self, indices) -> list | None:
        """Names of images, if they have names that are quickly found."""
        return None

    def content(self, indices) -> str:
        """A hash of what these images and their labels are, without decoding them."""
        raise NotImplementedError

    def classes(self, num_classes=None, class_names=None) -> ClassMap:
        """Labels by image as others number the classes (None if unknown), and the names of these."""
        if self.numbered or self.labels is None or self.class_names is None:
            names = known_names(num_classes, class_names) or class_names or self.class_names
            count = num_classes or (len(names) if names else None)
            if self.labels is not None:
                check_labels(self.labels, self.count, count, self.name)
                count = count or int(self.labels.max()) + 1
            return ClassMap(self.labels, names and tuple(names), count)
        check_labels(self.labels, self.count, len(self.class_names), self.name)
        used = np.bincount(self.labels, minlength=len(self.class_names)) > 0
        known = match_classes(
            self.class_names, num_classes, class_names, self.name, self.own_order, used
        )
        return known._replace(labels=known.labels[self.labels])


class ArraySource(ImageSource):
    """Images in an array: uint8 `[N, H, W, 3]`, or gray `[N, H, W]`; 28x28 gray is padded to 32x32."""

    own_order = True

    def __init__(self, images, labels, name, class_names=None):
        super().__init__(name)
        if images.dtype != np.uint8 or images.shape[3:] not in ((), (3,)) or images.ndim < 3:
            fix = "Crop or convert them all in the same way."
            if np.issubdtype(images.dtype, np.floating):
                fix = "Floats in [-1, 1] become uint8 with tinygan_keras.images.to_uint8."
            raise InputError(
                f"Got images {images.dtype} {images.shape} of {name}. Expected uint8 [N, H, W, 3]. {fix}"
            )
        if not images.size:
            raise InputError(f"Got {name} without images. Expected at least one.")
        self._images, self.count = images, len(images)
        self._padded = images.shape[1:] == (28, 28)
        if class_names is not None:
            texts = (file_text(n) if isinstance(n, bytes) else str(n) for n in class_names)
            self.class_names = tuple(texts)
        if labels is not None:
            self.labels = check_labels(labels, self.count, name=name)
        if images.ndim == 3 and not self._padded:
            self.warnings.append(
                f"Converted {self.count} of {self.count} images to RGB, which are gray."
            )

    def payloads(self, indices):
        for start in range(0, len(indices), _BLOCK):
            block = np.asarray(self._images[indices[start : start + _BLOCK]])
            if self._padded:  # as MNIST is everywhere here
                block = np.pad(block, ((0, 0), (2, 2), (2, 2)))
            if block.ndim == 3:
                block = np.repeat(block[..., None], 3, axis=-1)
            yield from block

    def content(self, indices):
        return content_hash(self._images, indices, self.labels)


class FolderSource(ImageSource):
    """Images in the files of a folder; see `class_folders.list_images`.

    Attributes:
        files: Names of the images relative to `path`, in the order of the classes and of the names.
    """

    def __init__(self, path, labelled=False, class_names=None, known=()):
        found = list_images(path, labelled, known)
        inner = found.path.relative_to(path).as_posix()  # "." or such as "train"
        folder = file_text(Path(path).resolve().name) + ("" if inner == "." else f"/{inner}")
        super().__init__(f"folder {folder}")
        self.path = found.path
        if None in found.files:
            self.files = found.files[None]
            names = [file_text(file) for file in self.files]
            self.labels, names = labels_of_sample_names(names, class_names)
            self.class_names, self.numbered = names, True
        else:
            self.files = [f"{name}/{file}" for name in found.files for file in found.files[name]]
            self.class_names = tuple(file_text(name) for name in found.files)
            sizes = [len(files) for files in found.files.values()]
            self.labels = np.repeat(np.arange(len(sizes), dtype="int32"), sizes)
            self._report_empty(found.empty, class_names)
        self.count = len(self.files)
        self.found["path"] = file_text(self.path)
        if found.others:
            self.found["ignored"] = f"{len(found.others):,}: {listed(found.others, _SHOWN)}"
            self.warnings.append(
                f"Ignored {len(found.others)} files and folders that aren't images of a class (such as "
                f"{found.others[0]})."
            )

    def _report_empty(self, empty, class_names):
        if not empty:
            return
        self.found["empty folders"] = f"{len(empty):,}: {listed(empty, _SHOWN)}"
        numbers = all(name.isdecimal() for name in self.class_names)
        if numbers and (more := tuple(name for name in empty if name.isdecimal())):
            self.class_names += more
            empty = [name for name in empty if not name.isdecimal()]
        if empty and class_names is None:
            self.warnings.append(
                f"Left out empty folders, which are no classes: {listed(empty, _SHOWN)}."
            )

    def payloads(self, indices):
        for index in indices:
            yield f"{self.path}/{self.files[index]}"

    def image_name(self, index):
        return file_text(self.files[index])

    def image_names(self, indices):
        return [self.image_name(index) for index in indices]

    def content(self, indices):
        names = (self.files[index] for index in indices)
        sizes = [f"{name} {os.path.getsize(self.path / name)}" for name in names]
        return content_hash("\n".join(sizes))


class RecordSource(ImageSource):
    """Images of a prepared record set, decoded already."""

    shuffled = True

    def __init__(self, records):
        super().__init__(f"prepared {Path(records.folder).name}")
        self.records, self.count, self.image_size = records, records.count, records.image_size
        self.labels, names = records.labels, records.class_names
        self.class_names = None if names is None else tuple(names)
        self.own_order = records.settings.get("own_order", False)
        self.found["prepared from"] = records.settings.get("source", "another program")

    def payloads(self, indices):
        for start in range(0, len(indices), _BLOCK):
            wanted = indices[start : start + _BLOCK]
            for first in range(int(wanted[0]), int(wanted[-1]) + 1, _BLOCK):
                inside = wanted[(wanted >= first) & (wanted < first + _BLOCK)]
                if len(inside):
                    block = self.records.read(first, int(inside[-1]) + 1)
                    yield from block[inside - first]

    def content(self, indices):
        return content_hash(self.records.fingerprint, indices)

    def classes(self, num_classes=None, class_names=None):
        if num_classes is None and class_names is None:
            return ClassMap(self.labels, self.class_names, self.records.num_classes)
        return super().classes(num_classes, class_names)


def open_source(data, labelled=False, class_names=None, known=(), data_subset="") -> ImageSource:
    """Opens what `data` names; nothing is decoded.

    Args:
        data: See `image_sets.open_images`.
        labelled: Take folders as `list_images` does where labels are needed.
        class_names: Names by label, if known.
        known: Names of classes that folders may have.
        data_subset: The file to read when Fashion-MNIST is not on this machine; "" to download it.

    Raises:
        MissingFileError: nothing has this name.
        InputError: it is no set of images.
    """
    text = str(data)
    kind, _, rest = text.partition(":")
    if text in ("fashion_mnist", "fashion_mnist:train", "fashion_mnist:test"):
        return _fashion_mnist(rest or "train", data_subset)
    if kind == "keras":
        from .keras_sets import open_keras_set

        return open_keras_set(rest)
    if kind == "tfds":
        from .tfds_images import open_tfds

        return open_tfds(rest)
    path = user_path(data) if text else Path(".missing")
    if is_url(path) or is_prepared(path):
        from .records.record_set import open_records

        return RecordSource(open_records(path))
    if path.is_dir():
        return FolderSource(path, labelled, class_names, known)
    if not path.exists():
        raise MissingFileError(
            f"Got the images {text!r}, which are not there. Expected {EXPECTED}. Check the spelling."
        )
    if path.suffix != ".npz":
        raise InputError(
            f"Got the file {text!r}. Expected {EXPECTED}. Of a single image, give its folder."
        )
    return _open_archive(path)


def is_prepared(path) -> bool:
    """Whether a folder holds a record set, or a part of one."""
    return (Path(path) / SETTINGS_FILE).is_file() and any(Path(path).glob("*.tfrecord"))


def _fashion_mnist(split, data_subset):
    try:
        data = load_fashion_mnist(split, download=not data_subset)
        name = f"Fashion-MNIST, {split}"
    except MissingFileError:
        if not data_subset:
            raise
        data = load_fashion_mnist_subset(data_subset)
        name = f"Fashion-MNIST, {data.source}"
    return ArraySource(data.images, data.labels, name, CLASS_NAMES)


def _open_archive(path):
    try:
        if not zipfile.is_zipfile(path):  # np.load reads other formats too
            raise zipfile.BadZipFile("it is no zip archive, or cut off")
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            labels, class_names = (
                archive[name] if name in names else None for name in ("labels", "class_names")
            )
            images = _archive_images(path, archive) if "images" in names else None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"Got {path}, which can't be read: {error}. Expected an .npz file of plain arrays, as "
            "np.savez(path, images=..., labels=...) writes it. Write or copy it again."
        ) from error
    if images is None:
        raise InputError(
            f"Got {path} with the arrays {sorted(names)}. Expected images uint8 [N, S, S, 3] and, if "
            "there are any, labels and class_names. Write it with np.savez(path, images=..., labels=...)."
        )
    name = path.name
    if images.shape[1:] == (28, 28):
        name += " (28x28 gray, padded to 32x32 RGB)"
    return ArraySource(images, labels, name, class_names)


def _archive_images(path, archive):
    """The images in memory; if they are many, in a temporary file, so that memory stays flat."""
    with zipfile.ZipFile(path) as members:
        if members.getinfo("images.npy").file_size <= _IN_MEMORY:
            return archive["images"]
        unpacked = tempfile.TemporaryFile(suffix=".npy")  # noqa: SIM115, it goes with the array
        with members.open("images.npy") as member:
            shutil.copyfileobj(member, unpacked, _IN_MEMORY >> 6)
    unpacked.seek(0)
    version = np.lib.format.read_magic(unpacked)
    read_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_header = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(unpacked)
    if dtype.hasobject:
        raise ValueError("it holds objects")
    order = "F" if fortran else "C"
    return np.memmap(unpacked, dtype, "r", unpacked.tell(), shape, order)
