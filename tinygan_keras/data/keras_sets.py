"""Keras' data sets: Fashion-MNIST, MNIST, CIFAR-10 and CIFAR-100, from Keras' folder or by its download.

Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv:1708.07747; MIT licence) is also read from Debian's package and,
in part, from the subset in the repository. Its files are read in their own format (IDX, gzip), since Keras
would download all four if one is missing.
"""

import gzip
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..embedded import FASHION_MNIST, find
from ..errors import InputError, MissingFileError, UnusableFileError
from .image_sources import ArraySource, as_rgb

_FASHION_TEXT = (
    "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
)
FASHION_MNIST_NAMES = tuple(_FASHION_TEXT.split(", "))
_CIFAR10_TEXT = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR10_NAMES = tuple(_CIFAR10_TEXT.split())
_CIFAR100_TEXT = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
    lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal
    shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
    telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR100_NAMES = tuple(_CIFAR100_TEXT.split())
_SETS = {
    "cifar10": (CIFAR10_NAMES, "cifar-10-batches-py-target_archive (cifar-10-python.tar.gz)"),
    "cifar100": (CIFAR100_NAMES, "cifar-100-python-target_archive (cifar-100-python.tar.gz)"),
    "mnist": (tuple("0123456789"), "mnist.npz"),
    "fashion_mnist": (FASHION_MNIST_NAMES, "fashion-mnist with four *-ubyte.gz files"),
}
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


class LabelledImages(NamedTuple):
    """Images uint8 `[N, H, W, 3]`, labels int32 `[N]`, where they come from, a name per class."""

    images: np.ndarray
    labels: np.ndarray
    source: str
    class_names: tuple = FASHION_MNIST_NAMES

    def batches(self, batch_size: int, seed=0, start_step=0, horizontal_flip=False):
        """Passes over the images again and again, as those of `open_images`."""
        from .image_sets import ArrayImages

        images = ArrayImages(self.images, self.labels)
        return images.batches(batch_size, seed, start_step, horizontal_flip)


def load_fashion_mnist(split="train", download=True) -> LabelledImages:
    """Loads all of Fashion-MNIST, 60,000 (train) or 10,000 (test) images of 28x28, padded to 32x32x3.

    Args:
        split: "train" or "test".
        download: Let Keras download the four files when no copy is found.

    Returns:
        `LabelledImages`: `images` uint8 `[N, 32, 32, 3]`, `labels` int32 `[N]`, `source`, `class_names`.

    Raises:
        MissingFileError: no copy was found, and `download` is False or has failed.
        UnusableFileError: a file is damaged.
    """
    _check_known("fashion_mnist", split)
    prefix = "train" if split == "train" else "t10k"
    names = f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"
    for folder in (_keras_folder() / "fashion-mnist", DEBIAN_FOLDER):
        if all((folder / name).is_file() for name in names):
            images, labels = (_read_idx(folder / name) for name in names)
            return LabelledImages(as_rgb(images), labels.astype("int32"), "full set on disk")
    if not download:
        raise _missing("fashion_mnist")
    images, labels = _load("fashion_mnist", split)
    return LabelledImages(as_rgb(images), labels.astype("int32"), "full set, downloaded by Keras")


def load_fashion_mnist_subset(path=FASHION_MNIST) -> LabelledImages:
    """Loads the embedded subset: 10,000 training images, 1,000 of each class, of 32x32x3.

    Args:
        path: The `.npz` file, if not the one that comes with the package.

    Returns:
        `LabelledImages`, as `load_fashion_mnist` gives them.

    Raises:
        MissingFileError: there is no such file.
    """
    path = Path(find(path))
    if not path.is_file():
        raise MissingFileError(
            f"Got {str(path)!r}, which is no file. Expected the subset. Leave it out, or name it "
            f"{FASHION_MNIST}, for the one that comes with the package."
        )
    with np.load(path) as archive:
        images, labels = archive["images"], archive["labels"]
    return LabelledImages(as_rgb(images), labels.astype("int32"), f"subset of {len(images)}")


def open_keras_set(name, subset="") -> ArraySource:
    """Opens "cifar10", "cifar10:test" and so on; `subset` is what stands in for Fashion-MNIST, if not ""."""
    name, _, split = name.partition(":")
    split = split or "train"
    _check_known(name, split)
    title = f"keras:{name}, {split}"
    if name != "fashion_mnist":
        images, labels = _load(name, split)
    else:
        try:
            images, labels, *_ = load_fashion_mnist(split, download=not subset)
        except MissingFileError:
            if not subset:
                raise
            images, labels, part, _ = load_fashion_mnist_subset(subset)
            title = f"keras:{name}, {part}"
    return ArraySource(images, labels.ravel(), title, _SETS[name][0])


def _check_known(name, split):
    if name not in _SETS or split not in ("train", "test"):
        raise InputError(
            f"Got the Keras data set {name!r}, {split!r}. Expected one of {', '.join(_SETS)}, and train or "
            "test. For others, write an .npz file with images and labels."
        )


def _load(name, split):
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise _missing(name, f" and could not be downloaded ({error})") from error
    images, labels = train if split == "train" else test
    if images.ndim == 4 and images.shape[1] == 3:  # the setting image_data_format of keras.json
        images = images.transpose(0, 2, 3, 1)
    return images, labels


def _missing(name, reason=""):
    debian = f", or {DEBIAN_FOLDER} (Debian: apt install dataset-fashion-mnist)"
    place = f"{_keras_folder() / _SETS[name][1]}{debian if name == 'fashion_mnist' else ''}"
    part = f", or take the embedded part of it, {FASHION_MNIST}" if name == "fashion_mnist" else ""
    return MissingFileError(
        f"Got keras:{name}, which is not on this machine{reason}. Expected {place}. Put the file there, "
        f"whole and unchanged, for Keras removes what it can't verify; or allow the download{part}."
    )


def _keras_folder() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


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
