"""Sources of images: what is there, of which class, and what the decoder takes; nothing is decoded here.

Folders, .npz files, Keras' data sets, TensorFlow Datasets and prepared record sets look the same from here
on: `image_sets.open_images` and `prepare_images` do the same with every source.
"""

import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..classes.mapping import ClassMap, known_names, match_classes
from ..embedded import find
from ..errors import InputError, MissingFileError, UserError
from ..files import check_room, content_hash, is_url
from ..hugging_face import shown_name
from ..images import check_images, check_labels
from .image_decoding import file_text
from .records.record_format import SETTINGS_FILE

_EXPECTED = (
    "'fashion_mnist', 'fashion_mnist:test' or the embedded 'fashion_mnist_10k', 'cifar10', 'cifar100:test' "
    "or another of Keras' data sets, 'tfds:imagenet2012' or another of TensorFlow Datasets, a folder of "
    "images, an .npz file with images and labels, or a folder that tinygan prepare wrote"
)
KERAS_SETS = ("cifar10", "cifar100", "mnist")  # that go without "keras:" too, as Fashion-MNIST does
_BLOCK = 256
_IN_MEMORY = 2**30


class ImageSource:
    """What all sources have; each adds `count`, and `payloads` and `content` as those of `ArraySource`."""

    class_names = num_classes = None  # if it says them
    labels = None  # int32 [count], numbers of class_names if there are any
    files = None  # of the images, if each has its own
    numbered = False  # whether labels are class numbers, whatever the names are
    own_order = False  # whether the order of its classes is part of it, as CIFAR-10's is
    shuffled = False  # whether images are in random order, as they are to be stored

    def __init__(self, name):
        self.name, self.warnings, self.found = name, [], {}

    def image_name(self, index: int) -> str:
        """Name of an image, to print."""
        return file_text(self.files[index]) if self.files else f"image {index}"

    def classes(self, num_classes=None, class_names=None) -> ClassMap:
        """Labels by image as others number the classes (None if unknown), and the names of these."""
        if self.numbered or self.labels is None or self.class_names is None:
            names = known_names(num_classes, class_names) or class_names or self.class_names
            count = num_classes or (len(names) if names else self.num_classes)
            if self.labels is not None:
                check_labels(self.labels, self.count, count, self.name)
                count = count or int(self.labels.max()) + 1
            return ClassMap(self.labels, names and tuple(names), count)
        check_labels(self.labels, self.count, len(self.class_names), self.name)
        used = np.bincount(self.labels, minlength=len(self.class_names)) > 0
        wanted = num_classes, class_names
        known = match_classes(self.class_names, *wanted, self.name, self.own_order, used)
        return known._replace(labels=known.labels[self.labels])


class ArraySource(ImageSource):
    """Images in an array: uint8 `[N, H, W, 3]`, or gray `[N, H, W]`; 28x28 gray is padded to 32x32."""

    own_order = True

    def __init__(self, images, labels, name, class_names=None):
        super().__init__(name)
        if images.ndim == 3:
            if images.shape[1:] != (28, 28):
                gray = f"{len(images)} of {len(images)}"
                self.warnings.append(f"Converted {gray} images to RGB, which are gray.")
            images = as_rgb(images)
        self._images = check_images(images, name, square=False)
        self.count = len(images)
        if class_names is not None:
            names = (file_text(n) if isinstance(n, bytes) else str(n) for n in class_names)
            self.class_names = tuple(names)
        if labels is not None:
            self.labels = check_labels(labels, self.count, name=name)

    def payloads(self, indices):
        """Yields for each index (of shuffled sources: sorted) what `image_decoding.decode` takes."""
        for start in range(0, len(indices), _BLOCK):
            yield from np.asarray(self._images[indices[start : start + _BLOCK]])

    def content(self, indices) -> str:
        """A hash of what these images and their labels are, without decoding them."""
        return content_hash(self._images, indices, self.labels)


class RecordSource(ImageSource):
    """Images of a prepared record set, decoded already."""

    shuffled = True

    def __init__(self, records):
        super().__init__(f"prepared {shown_name(records.folder)}")
        self.records, self.count, self.image_size = records, records.count, records.image_size
        self.labels, self.num_classes = records.labels, records.num_classes
        self.class_names = records.class_names and tuple(records.class_names)
        self.own_order = records.settings.get("own_order", False)
        self.found["prepared from"] = records.settings.get("source", "another program")

    def payloads(self, indices):
        for first in range(0, self.count, _BLOCK):
            inside = indices[slice(*np.searchsorted(indices, (first, first + _BLOCK)))]
            if len(inside):
                block = self.records.read(int(inside[0]), int(inside[-1]) + 1)
                yield from block[inside - inside[0]]

    def content(self, indices):
        return content_hash(self.records.fingerprint, indices)


def as_rgb(images) -> np.ndarray:
    """Gray images uint8 `[N, H, W]` as `[N, H, W, 3]`, a view; 28x28 is padded to 32x32 as everywhere."""
    if images.shape[1:] == (28, 28):
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return np.broadcast_to(images[..., None], (*images.shape, 3))


def open_source(data, num_classes=None, class_names=None, labelled=False, data_subset=""):
    """Opens what `data` names; see `image_sets.open_images`, and `FolderSource` for `labelled`."""
    text = str(data)
    kind, _, rest = text.partition(":")
    if kind in KERAS_SETS and not find(data).exists():  # the name of a folder comes first
        kind, rest = "keras", text
    if kind in ("fashion_mnist", "keras"):
        from .keras_sets import open_keras_set

        return open_keras_set(rest) if kind == "keras" else open_keras_set(text, data_subset)
    if kind == "tfds":
        from .tfds_images import open_tfds

        return open_tfds(rest)
    path = find(data) if text else Path(".missing")
    if is_url(path) or ((path / SETTINGS_FILE).is_file() and any(path.glob("*.tfrecord"))):
        from .records.record_set import RecordSet

        return RecordSource(RecordSet(path))
    if path.is_dir():
        from .class_folders import FolderSource

        return FolderSource(path, num_classes, class_names, labelled)
    if not path.exists():
        raise MissingFileError(
            f"Got the images {text!r}, which are not there. Expected {_EXPECTED}. Check the spelling."
        )
    if path.suffix != ".npz":
        raise InputError(
            f"Got the file {text!r}. Expected {_EXPECTED}. Of a single image, give its folder."
        )
    return _open_archive(path)


def _open_archive(path):
    expected = (
        "Expected images uint8 [N, S, S, 3] and, if there are any, labels and class_names. Write it with "
        "np.savez(path, images=..., labels=...)."
    )
    names = {name: (name,) for name in ("images", "labels", "class_names")}
    images, *others = read_archive(path, names, ("images",), expected).values()
    padded = " (28x28 gray, padded to 32x32 RGB)" if images.shape[1:] == (28, 28) else ""
    return ArraySource(images, others[0], path.name + padded, others[1])


def read_archive(path, names: dict, required, expected) -> dict:
    """Arrays of an .npz, by what they are: the first there is of some names each, None if there is none."""
    found = {}
    try:
        if not zipfile.is_zipfile(path):  # np.load reads other formats too
            raise zipfile.BadZipFile("it is no zip archive, or cut off")
        with np.load(path, allow_pickle=False) as archive:
            for meaning, known in names.items():
                name = next((name for name in known if name in archive.files), None)
                if name is None and meaning in required:
                    raise ValueError(f"it holds {sorted(archive.files)} and no {meaning}")
                found[meaning] = None if name is None else _array(path, archive, name)
    except UserError:  # of a full disk
        raise
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"Got {path}, which can't be read: {error}. {expected}") from error
    return found


def _array(path, archive, name):
    """An array in memory; if it is large, in a temporary file, so that memory stays flat."""
    with zipfile.ZipFile(path) as members:
        if members.getinfo(f"{name}.npy").file_size <= _IN_MEMORY:
            return archive[name]
        check_room(tempfile.gettempdir(), members.getinfo(f"{name}.npy").file_size, f"the {name}")
        # What is mapped stays until the array goes, though the file has no name any more.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            return np.load(members.extract(f"{name}.npy", folder), "r", allow_pickle=False)
