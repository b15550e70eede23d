"""Images: uint8 where they are stored, float in [-1, 1] inside the program, and what an array of them is."""

import numpy as np

from .errors import InputError


def to_float(images):
    """Maps uint8 images [0, 255] to float32 images [-1, 1]; of a tensor, a tensor."""
    if type(images).__module__.startswith("tensorflow"):
        import tensorflow as tf

        return tf.cast(images, tf.float32) / 127.5 - 1.0
    return np.asarray(images, "float32") / 127.5 - 1.0


def to_uint8(images) -> np.ndarray:
    """Maps float images [-1, 1] to uint8 [0, 255], rounded to the nearest level and clipped; refuses NaN."""
    levels = np.rint((np.asarray(images, "float32") + 1.0) * 127.5)
    if np.isnan(levels).any():
        raise InputError(
            f"Got images with NaN in {np.isnan(levels).mean():.1%} of their values. Expected numbers in "
            "[-1, 1]; look for the first step after which the weights are not finite."
        )
    return np.clip(levels, 0, 255).astype("uint8")


def read_numbers(images, numbers) -> np.ndarray:
    """Images of a set by their numbers, uint8 `[n, S, S, 3]`."""
    return np.concatenate([images.read(int(n), int(n) + 1) for n in numbers])


def check_images(images, name="an array", square=True) -> np.ndarray:
    """Images as an array uint8 `[N, S, S, 3]`, or `[N, H, W, 3]`, N at least 1; `name` is for errors."""
    images = np.asanyarray(images)
    fits = images.ndim == 4 and images.shape[3] == 3
    fits = fits and (not square or images.shape[1] == images.shape[2])
    if images.dtype != np.uint8 or not fits or not images.size:
        fix = "Crop or convert them all in the same way."
        if np.issubdtype(images.dtype, np.floating):
            fix = "Floats in [-1, 1] become uint8 with tinygan_keras.images.to_uint8."
        raise InputError(
            f"Got images {images.dtype} {images.shape} of {name}. Expected uint8 "
            f"{'[N, S, S, 3]' if square else '[N, H, W, 3]'}, at least one. {fix}"
        )
    return images


def check_labels(labels, count: int, num_classes: int | None = None, name="an array") -> np.ndarray:
    """Returns the labels of `count` images, int `[count]` or `[count, 1]`, as int32 `[count]`, 0 or more.

    They are below `num_classes`, if that is known; `name` is for the message.
    """
    labels = np.asarray(labels)
    whole = np.issubdtype(labels.dtype, np.integer)
    if whole and labels.shape == (count, 1):
        labels = labels[:, 0]
    if not whole or labels.shape != (count,):
        raise InputError(
            f"Got labels {labels.dtype} {labels.shape} of {name}. Expected int ({count},), a class number "
            "per image. One-hot labels become class numbers with np.argmax(labels, axis=-1)."
        )
    if count and (labels.min() < 0 or (num_classes is not None and labels.max() >= num_classes)):
        expected = "of 0 and more" if num_classes is None else f"from 0 to {num_classes - 1}"
        raise InputError(
            f"Got labels from {labels.min()} to {labels.max()} of {name}. Expected numbers {expected}. "
            "Check the class numbers of the data."
        )
    return labels.astype("int32")
