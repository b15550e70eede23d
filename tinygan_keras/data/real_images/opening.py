"""Real images to train with, from the value of the setting `data`."""

from pathlib import Path

import numpy as np

from ...classes.mapping import map_classes, names_by_label
from ...classes.selection import given_names
from ...errors import InputError, MissingFileError
from ..fashion_mnist import CLASS_NAMES, load_fashion_mnist, load_fashion_mnist_subset
from ..image_source import open_images
from .arrays import RealArrays
from .folder import RealFolder
from .keras_sets import open_keras_set
from .real_images import RealImages

_EXPECTED = (
    "'none', 'fashion_mnist', 'keras:cifar10' or another of Keras' data sets, 'tfds:imagenet2012' or another "
    "of TensorFlow Datasets, a folder with a sub-folder per class, or an .npz file with images and labels"
)


def open_training_images(
    name, image_size: int, num_classes: int, classes=None, class_names=None, data_subset=""
) -> RealImages | None:
    """Opens the real images that the discriminator sees, with the class numbers of the teacher.

    Args:
        name: One of
            "none": no real images, for data-free training;
            "fashion_mnist": 32x32, from wherever it is, or `data_subset`;
            "keras:cifar10", "keras:cifar100", "keras:mnist", "keras:fashion_mnist";
            "tfds:imagenet2012", "tfds:cifar10" or any other labelled images that TensorFlow Datasets has
            prepared, with ":validation" or another split behind them if need be;
            a folder with a sub-folder per class, see `RealFolder`;
            an `.npz` file with images, labels and, if possible, class_names, see `open_images`.
        image_size: Height and width of the images of the batches; others are cropped and resized.
        num_classes: Number of classes of the teacher.
        classes: Labels that are wanted, such as `class_numbers` gives; None for all.
        class_names: The teacher's names by class number; None: ImageNet's if there are 1000, and else none.
        data_subset: The file to read when Fashion-MNIST is not on this machine; "" to download it.

    Returns:
        `RealImages`, or None for "none".

    Raises:
        FileNotFoundError: nothing has this name, or a data set is not on this machine.
        ImportError: TensorFlow Datasets is not installed.
        ValueError: what has this name has no labels, or classes that the teacher does not have.

    Example:
        real = open_training_images("tfds:imagenet2012", 128, 1000, class_numbers("animals", 1000))
        print(real.report())
    """
    text = str(name)
    if text == "none":
        return None
    class_names = given_names(num_classes, class_names)
    settings = {"num_classes": num_classes, "classes": classes, "class_names": class_names}
    kind, _, rest = text.partition(":")
    if text == "fashion_mnist":
        return _open_fashion_mnist(image_size, data_subset, **settings)
    if kind == "keras":
        return open_keras_set(rest, image_size, **settings)
    if kind == "tfds":
        from .tfds_images import open_tfds

        return open_tfds(rest, image_size, **settings)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return RealFolder(path, image_size, **settings)
    if not text or not path.exists():
        raise MissingFileError(
            f"Got data={text!r}, which is not there. Expected {_EXPECTED}. Check the spelling."
        )
    if path.suffix != ".npz":
        raise InputError(f"Got data={text!r}, a file. Expected {_EXPECTED}. Give its folder.")
    return _open_archive(path, image_size, **settings)


def _open_fashion_mnist(image_size, data_subset, num_classes, classes, class_names):
    ids = map_classes(CLASS_NAMES, num_classes, class_names, "Fashion-MNIST", own_order=True)
    try:
        data = load_fashion_mnist("train", download=not data_subset)
    except FileNotFoundError:
        data = load_fashion_mnist_subset(data_subset)
    names = class_names or CLASS_NAMES
    title = f"Fashion-MNIST, {data.source}"
    labels = ids[data.labels]
    return RealArrays(data.images, labels, image_size, num_classes, title, names, classes)


def _open_archive(path, image_size, num_classes, classes, class_names):
    source = open_images(path)
    if source.labels is None:
        raise InputError(
            f"Got {path} without labels. Expected the class of every real image. Add the array labels, int "
            "[N], with np.savez(path, images=..., labels=...)."
        )
    labels, names = source.labels, class_names
    if source.class_names is None:
        high = int(labels.max())
        if high >= num_classes:
            raise InputError(
                f"Got labels up to {high} in {path}. Expected class numbers of the teacher, 0 to "
                f"{num_classes - 1}. Convert the labels, or add class_names."
            )
    else:
        labels, names = _mapped(source, num_classes, class_names)
    return RealArrays(
        source.read(0, source.count), labels, image_size, num_classes, source.name, names, classes
    )


def _mapped(source, num_classes, class_names):
    """Labels and names of the teacher; classes of the archive without an image need not be the teacher's."""
    own_names = source.class_names
    if len(own_names) == num_classes:
        ids = map_classes(own_names, num_classes, class_names, source.name, own_order=True)
        return ids[source.labels], names_by_label(own_names, ids, num_classes, class_names)
    used, places = np.unique(source.labels, return_inverse=True)
    used_names = [own_names[label] for label in used]
    return map_classes(used_names, num_classes, class_names, source.name)[places], class_names
