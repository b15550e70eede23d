"""Real or generated images from wherever they are: Fashion-MNIST, an .npz file, or a folder.

Scope: one face for all of them, so that an evaluation can read them in pieces. Every source has
`count`, `image_size`, `labels`, `class_names`, `name`, `fingerprint`, `warnings` and
`read(start, stop)`.
"""

import functools
import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..classes.folder_labels import missing_classes
from ..errors import InputError, MissingFileError
from .fashion_mnist import load_fashion_mnist
from .image_folder import ImageFolder

_FASHION_MNIST = {"fashion_mnist": "train", "fashion_mnist:test": "test"}
_EXPECTED = (
    "'fashion_mnist', 'fashion_mnist:test', an .npz file with the arrays images and labels, or a folder "
    "of images"
)
_PIECE = 1024


class ArrayImages:
    """Images in an array in memory.

    Args:
        images: uint8 `[N, S, S, 3]`.
        labels: Int `[N]`, not negative; None if unknown.
        class_names: Names by label; None if unknown.
        name: What people call them.
        warnings: Sentences for those who use the images; classes without images are added.

    Attributes:
        count: int, number of images.
        image_size: int, height and width in pixels.
        labels: int32 `[count]`, or None.
        class_names: Tuple of str by label, or None.
        name: str.
        warnings: List of str.
        fingerprint: str, SHA-256 (hex) of images and labels.

    Raises:
        ValueError: another shape or type, or labels without a name.

    Example:
        source = ArrayImages(images, labels, ("cat", "dog"))
        source.read(0, 250)  # uint8 [250, S, S, 3]
    """

    def __init__(self, images, labels=None, class_names=None, name="array", warnings=()):
        self._images = _checked_images(images, name)
        self.count, self.image_size = self._images.shape[:2]
        self.class_names = None if class_names is None else tuple(str(n) for n in class_names)
        self.labels = None
        self.name = name
        self.warnings = list(warnings)
        if labels is not None:
            self.labels = _checked_labels(labels, self.count, self.class_names, name)
            self.warnings += missing_classes(self.labels, self.class_names)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the images from `start` up to `stop`, uint8 `[n, S, S, 3]`, cut off at the end."""
        return np.asarray(self._images[start:stop])

    @functools.cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self._images.shape}\n".encode())
        for start in range(0, self.count, _PIECE):
            digest.update(np.ascontiguousarray(self._images[start : start + _PIECE]))
        if self.labels is not None:
            digest.update(self.labels.astype("<i4").tobytes())
        return digest.hexdigest()


def open_images(name, class_names=None):
    """Opens images by name.

    Args:
        name: "fashion_mnist" or "fashion_mnist:test"; an `.npz` file with `images` uint8 `[N, S, S, 3]`
            or gray `[N, H, H]` (28x28 is padded to 32x32, as Fashion-MNIST is everywhere here) and,
            if there are any, `labels` int `[N]` and `class_names`; or a folder, see `ImageFolder`.
        class_names: Names by label, for sources that have none of their own. Where a source has, they have
            to be among these, and its labels become those of these names. Labels of a folder: see
            `ImageFolder`.

    Returns:
        `ArrayImages` or `ImageFolder`.

    Raises:
        FileNotFoundError: nothing has this name.
        ValueError: what has this name is not a set of images, or has other classes.

    Example:
        real = open_images("experiments/fashion_mnist/data/fashion_mnist_10k.npz")
    """
    text = str(name)
    if text in _FASHION_MNIST:
        data = load_fashion_mnist(_FASHION_MNIST[text])
        name = f"Fashion-MNIST, {_FASHION_MNIST[text]}"
        labels, names = _named(data.labels, len(data.images), data.class_names, class_names, name)
        return ArrayImages(data.images, labels, names, name)
    path = Path(name).expanduser()
    if text and path.is_dir():
        return ImageFolder(path, class_names)
    if not text or not path.exists():
        raise MissingFileError(
            f"Got the images {text!r}, which are not there. Expected {_EXPECTED}. Check the spelling."
        )
    if path.suffix != ".npz":
        raise InputError(
            f"Got the file {text!r}. Expected {_EXPECTED}. Of a single image, give its folder."
        )
    return _open_archive(path, class_names)


def _open_archive(path, class_names):
    arrays = _read_archive(path)
    if "images" not in arrays:
        raise InputError(
            f"Got {path} with the arrays {sorted(arrays)}. Expected images uint8 [N, S, S, 3] and, if "
            "there are any, labels and class_names. Write it with np.savez(path, images=..., labels=...)."
        )
    images, name, warnings = arrays["images"], path.name, []
    if images.ndim == 3:
        if images.shape[1:] == (28, 28):
            images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
            name += " (28x28 gray, padded to 32x32 RGB)"
        else:
            warnings.append(
                f"Converted {len(images)} of {len(images)} images to RGB, which are gray."
            )
        images = np.repeat(images[..., None], 3, axis=-1)
    images = _checked_images(images, name)
    labels, own = arrays.get("labels"), arrays.get("class_names")
    labels, names = _named(labels, len(images), own, class_names, name)
    return ArrayImages(images, labels, names, name, warnings)


def _read_archive(path):
    try:
        if not zipfile.is_zipfile(path):  # np.load reads other formats too
            raise zipfile.BadZipFile("it is no zip archive, or cut off")
        with np.load(path, allow_pickle=False) as archive:
            wanted = {"images", "labels", "class_names"} & set(archive.files)
            others = dict.fromkeys(archive.files)
            return {**others, **{name: archive[name] for name in wanted}} if wanted else others
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"Got {path}, which can't be read: {error}. Expected an .npz file of plain arrays, as "
            "np.savez(path, images=..., labels=...) writes it. Write or copy it again."
        ) from error


def _named(labels, count, own, given, name):
    """Labels and names that fit together: those of the source, or its classes as `given` counts them."""
    own, given = (None if names is None else tuple(map(str, names)) for names in (own, given))
    if own is None or given is None or own == given:
        return labels, own or given
    # Of two classes of one name, nobody knows which is meant.
    once = len(set(own)) == len(own) and len(set(given)) == len(given)
    if not once or not set(own) <= set(given):
        pairs = enumerate(zip(own, given, strict=False))
        label = next((label for label, (a, b) in pairs if a != b), min(len(own), len(given)))
        raise InputError(
            f"Got {name} with {len(own)} class names, and {len(given)} others; the first that differs is "
            f"that of label {label}. Expected names of its own that are all among the others, each once. "
            "Give class names only where the images have none, or all of the same."
        )
    if labels is not None:
        labels = _checked_labels(labels, count, own, name)
        labels = np.array([given.index(own_name) for own_name in own], "int32")[labels]
    return labels, given


def _checked_images(images, name):
    images = np.asanyarray(images)
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if images.dtype != np.uint8 or not square or not images.size:
        mend = "Crop or convert them all in the same way."
        if np.issubdtype(images.dtype, np.floating):
            mend = "Floats in [-1, 1] become uint8 with tinygan_keras.data.images.to_uint8."
        raise InputError(
            f"Got images {images.dtype} {images.shape} of {name}. Expected uint8 [N, S, S, 3], at least "
            f"one. {mend}"
        )
    return images


def _checked_labels(labels, count, class_names, name):
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (count,):
        raise InputError(
            f"Got labels {labels.dtype} {labels.shape} of {name}. Expected int ({count},), a class number "
            "per image. One-hot labels become class numbers with np.argmax(labels, axis=-1)."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (class_names is not None and high >= len(class_names)):
        expected = f"from 0 to {len(class_names) - 1}" if class_names else "of 0 and more"
        raise InputError(
            f"Got labels from {low} to {high} of {name}. Expected numbers {expected}, one per class "
            "name. Check the class numbers of the data."
        )
    return labels.astype("int32")
