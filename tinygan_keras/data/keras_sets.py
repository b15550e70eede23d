"""Keras' own data sets as a source of images: CIFAR-10 and -100, MNIST, Fashion-MNIST."""

import os
from pathlib import Path

import numpy as np

from ..errors import InputError, MissingFileError
from .fashion_mnist import CLASS_NAMES as FASHION_MNIST_NAMES
from .fashion_mnist import load_fashion_mnist
from .image_sources import ArraySource

CIFAR10_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
_CIFAR100_TEXT = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
    pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
    seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
    telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
    worm
"""
CIFAR100_NAMES = tuple(_CIFAR100_TEXT.split())
_DIGITS = tuple(str(digit) for digit in range(10))
_SETS = {
    "cifar10": (CIFAR10_NAMES, "cifar-10-batches-py-target_archive", "cifar-10-python.tar.gz"),
    "cifar100": (CIFAR100_NAMES, "cifar-100-python-target_archive", "cifar-100-python.tar.gz"),
    "mnist": (_DIGITS, "mnist.npz", "mnist.npz"),
    "fashion_mnist": (FASHION_MNIST_NAMES, None, None),
}
KERAS_SETS = tuple(_SETS)


def open_keras_set(name) -> ArraySource:
    """Loads one of `KERAS_SETS`, such as "cifar10" or "cifar10:test", from Keras' folder or by a download.

    Raises:
        InputError: another name.
        MissingFileError: it is not on this machine and could not be downloaded.
    """
    name, _, split = name.partition(":")
    split = split or "train"
    if name not in _SETS or split not in ("train", "test"):
        raise InputError(
            f"Got the Keras data set {name!r}, {split}. Expected one of {', '.join(KERAS_SETS)}, and train "
            "or test. For others, write an .npz file with images and labels."
        )
    if name == "fashion_mnist":
        images, labels, *_ = load_fashion_mnist(split)
    else:
        images, labels = _load(name, split)
    title = f"keras:{name}, {split}"
    return ArraySource(images, np.asarray(labels).ravel(), title, _SETS[name][0])


def _load(name, split):
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingFileError(_nowhere(name, error)) from error
    images, labels = train if split == "train" else test
    if images.ndim == 4 and images.shape[1] == 3:  # the setting image_data_format of keras.json
        images = images.transpose(0, 2, 3, 1)
    return images, labels


def _nowhere(name, error):
    _, kept_as, published_as = _SETS[name]
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    renamed = "" if kept_as == published_as else f", which is {published_as} under another name"
    return (
        f"Got keras:{name}, which is not on this machine and could not be downloaded ({error}). Expected "
        f"{folder / kept_as}{renamed}. Put the file there, whole and unchanged, for Keras removes what it "
        "can't verify; or allow the download."
    )
