"""Kernels that bring images to an extractor's size, each as its own program computes it.

A Frechet distance moves by several points with the kernel and with antialiasing (Parmar et al.,
arXiv:2104.11222), so neither has a silent default.

Rejected: Pillow itself for its kernels. It takes one channel of one image at a time and can't be part of a
graph; as two matrix products they are the same numbers, to which a test holds them.
"""

import functools
import math

import numpy as np

from ...errors import InputError, nearest_name

_TENSORFLOW = ("bilinear", "bilinear+antialias", "bicubic", "bicubic+antialias", "area")
_PILLOW = {  # the kernel of a distance, and the distance from which on it is 0
    "pillow:bilinear": (lambda x: 1 - x, 1),
    "pillow:bicubic": (lambda x: np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, _far_cubic(x)), 2),
    "pillow:lanczos": (lambda x: np.sinc(x) * np.sinc(x / 3), 3),
}
_TENSORFLOW_1 = "tensorflow1:bilinear"
MODES = {
    "clean": "pillow:bicubic",
    "legacy_pytorch": "bilinear",
    "legacy_tensorflow": _TENSORFLOW_1,
}
"""The names under which clean-fid has kernels."""
KERNELS = (*_TENSORFLOW, *_PILLOW, _TENSORFLOW_1, *MODES)
"""Methods of `tf.image.resize`, filters of Pillow, `tf.image.resize_bilinear` of TensorFlow 1, and `MODES`.

Pillow's are those of float images: nothing is rounded to uint8 in between. Where images become smaller they
smooth. TensorFlow 1 takes the corners of pixels for their centres, as published Inceptions did.
"""


def check_kernel(kernel):
    """Refuses the names of no kernel; None is one of them."""
    if kernel not in (None, *KERNELS):
        raise InputError(
            f"Got resize={kernel!r}. Expected one of {', '.join(map(repr, KERNELS))}."
            + nearest_name(kernel, KERNELS)
        )


def described(kernel: str, size: int) -> str:
    """A kernel for protocols: what is computed alike reads alike."""
    kernel = MODES.get(kernel, kernel)
    if kernel in _TENSORFLOW:
        method, _, antialias = kernel.partition("+")
        return f"{method}, antialias {bool(antialias)}, to {size}"
    return f"{kernel}, to {size}"


def resized(images, size: int, kernel: str):
    """Resizes float images `[B, S, S, 3]` to squares; cuts off where a kernel overshoots [-1, 1] at edges."""
    import tensorflow as tf

    kernel = MODES.get(kernel, kernel)
    images = tf.convert_to_tensor(images)
    if kernel in _PILLOW:
        weights = tf.constant(resampling_matrix(images.shape[1], size, kernel), images.dtype)
        # As Pillow: along rows first, then along columns.
        images = tf.einsum("ow,bhwc->bhoc", weights, images)
        images = tf.einsum("oh,bhwc->bowc", weights, images)
    elif kernel == _TENSORFLOW_1:
        images = tf.compat.v1.image.resize_bilinear(images, (size, size))
    else:
        method, _, antialias = kernel.partition("+")
        images = tf.image.resize(images, (size, size), method, antialias=bool(antialias))
    return tf.clip_by_value(images, -1.0, 1.0)


@functools.lru_cache(maxsize=16)
def resampling_matrix(old_size: int, new_size: int, kernel: str) -> np.ndarray:
    """Weights float64 `[new_size, old_size]` with which a new pixel sees the old ones; rows add up to 1.

    A kernel is centred on the new pixel, and as wide as old or new pixels, whichever are larger. Old pixels
    count whose centres lie within it, rounded as Pillow rounds them.
    """
    weigh, support = _PILLOW[kernel]
    scale = old_size / new_size
    width = max(scale, 1.0)
    matrix = np.zeros((new_size, old_size))
    for row in range(new_size):
        centre = (row + 0.5) * scale
        first = max(int(centre - support * width + 0.5), 0)
        last = min(int(centre + support * width + 0.5), old_size)
        distances = np.abs(np.arange(first, last) + 0.5 - centre) / width
        weights = np.where(distances < support, weigh(distances), 0)
        matrix[row, first:last] = weights / math.fsum(weights)
    return matrix


def _far_cubic(x):
    """Keys' cubic with a = -1/2 between the distances 1 and 2."""
    return -0.5 * (((x - 5) * x + 8) * x - 4)
