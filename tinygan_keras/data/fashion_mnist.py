"""Fashion-MNIST from wherever it is: Keras' folder, Debian's package, a committed subset, or a download.

The four files are read in their own format (IDX, gzip). Images are padded from 28x28 to 32x32, as GAN
papers do, and repeated over three channels, so that every network sees the format of ImageNet.

Source: Xiao, Rasul, Vollgraf, arXiv:1708.07747; MIT licence.
"""

import gzip
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError, MissingFileError, UnusableFileError
from ..files import new_file, user_path

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_PREFIX = {"train": "train", "test": "t10k"}


class LabelledImages(NamedTuple):
    """Images uint8 `[N, H, W, 3]`, labels int32 `[N]`, where they come from, a name per class."""

    images: np.ndarray
    labels: np.ndarray
    source: str
    class_names: tuple = CLASS_NAMES

    def batches(self, batch_size: int, seed=0, start_step=0, horizontal_flip=False):
        """Passes over the images again and again, as those of `open_images`."""
        from .image_sets import ArrayImages

        images = ArrayImages(self.images, self.labels)
        return images.batches(batch_size, seed, start_step, horizontal_flip)


def load_fashion_mnist(split="train", download=True) -> LabelledImages:
    """Loads all of Fashion-MNIST, 60,000 (train) or 10,000 (test) images of 32x32x3.

    Args:
        split: "train" or "test".
        download: Let Keras download the four files when no copy is found.

    Raises:
        MissingFileError: no copy was found, and `download` is False or has failed.
        UnusableFileError: a file is damaged.
    """
    folder = _folder_with(split)
    if folder is not None:
        images, labels = (_read_idx(folder / name) for name in _file_names(split))
        return LabelledImages(_as_rgb32(images), labels.astype("int32"), "full set on disk")
    if not download:
        raise MissingFileError(_nowhere(split))
    import keras

    try:
        train, test = keras.datasets.fashion_mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingFileError(f"{_nowhere(split)} The download failed: {error}") from error
    images, labels = train if split == "train" else test
    labels = labels.astype("int32")
    return LabelledImages(_as_rgb32(images), labels, "full set, downloaded by Keras")


def load_fashion_mnist_subset(path) -> LabelledImages:
    """Loads the committed subset: 10,000 training images, 1,000 of each class, of 32x32x3.

    Raises:
        MissingFileError: there is no such file.
    """
    path = user_path(path)
    if not Path(path).is_file():
        raise MissingFileError(
            f"Got {str(path)!r}, which is no file. Expected the subset, in a checkout "
            "experiments/fashion_mnist/data/fashion_mnist_10k.npz. Run from the top of the checkout."
        )
    with np.load(path) as archive:
        images, labels = archive["images"], archive["labels"]
    return LabelledImages(_as_rgb32(images), labels.astype("int32"), f"subset of {len(images)}")


def write_fashion_mnist_subset(path, per_class=1000):
    """Writes the first `per_class` training images of every class, in the order of the full set.

    Raises:
        MissingFileError: the full set is not on disk.
    """
    folder = _folder_with("train")
    if folder is None:
        raise MissingFileError(_nowhere("train"))
    images, labels = (_read_idx(folder / name) for name in _file_names("train"))
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in range(len(CLASS_NAMES))]
    chosen = np.sort(np.concatenate(chosen))
    names = np.array(CLASS_NAMES)
    with new_file(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, images=images[chosen], labels=labels[chosen], class_names=names)


def _folder_with(split) -> Path | None:
    for folder in (_keras_folder(), DEBIAN_FOLDER):
        if all((folder / name).is_file() for name in _file_names(split)):
            return folder
    return None


def _nowhere(split):
    return (
        f"Fashion-MNIST ({split}) was found neither in {_keras_folder()} nor in {DEBIAN_FOLDER}. "
        "Put the four *-ubyte.gz files into one of them (Debian: apt install "
        "dataset-fashion-mnist), or allow the download."
    )


def _keras_folder() -> Path:
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "datasets" / "fashion-mnist"


def _file_names(split):
    if split not in _PREFIX:
        raise InputError(f"split={split!r} is unknown. Expected 'train' or 'test'.")
    prefix = _PREFIX[split]
    return f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"


def _read_idx(path) -> np.ndarray:
    try:
        data = gzip.decompress(path.read_bytes())
        dimensions = data[3]
        shape = np.frombuffer(data, ">i4", dimensions, offset=4)
        return np.frombuffer(data, "uint8", offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError, IndexError) as error:
        raise UnusableFileError(
            f"Got {path}, which can't be read: {error}. Expected a gzip'ed IDX file of Fashion-MNIST. "
            "Delete it, so that it is downloaded again, or put a good copy in its place."
        ) from error


def _as_rgb32(images) -> np.ndarray:
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[..., None], 3, axis=-1)
