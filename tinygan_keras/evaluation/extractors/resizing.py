"""Brings images to a feature extractor's size, by a kernel that is named and goes into the protocol.

A Frechet distance moves by several points with the kernel and with antialiasing, so neither has a silent
default. All kernels are `tf.image.resize`'s, with pixel centres at one half. Pillow's bicubic, which other
programs use, is close to `"bicubic+antialias"` and not equal to it.

Reference: Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation, arXiv:2104.11222.
"""

import difflib

import tensorflow as tf

from ...errors import InputError

# Name: method of `tf.image.resize`, antialias.
KERNELS = {
    "bilinear": ("bilinear", False),
    "bilinear+antialias": ("bilinear", True),
    "bicubic": ("bicubic", False),
    "bicubic+antialias": ("bicubic", True),
    "area": ("area", False),
}


def resize(images, size: int, kernel: str):
    """Resizes images to squares.

    Args:
        images: Float32 `[B, S, S, 3]` in [-1, 1].
        size: Pixels per side afterwards.
        kernel: One of `KERNELS`. Without antialias a smaller picture looks at few pixels of the larger
            one; when enlarging it makes no difference. `"area"` takes means and copies.

    Returns:
        Float32 `[B, size, size, 3]` in [-1, 1]. Bicubic overshoots at edges and is cut off there.

    Raises:
        ValueError: an unknown kernel.
    """
    check_kernel(kernel)
    method, antialias = KERNELS[kernel]
    resized = tf.image.resize(images, (size, size), method, antialias=antialias)
    return tf.clip_by_value(resized, -1.0, 1.0)


def describe(kernel: str | None, image_size: int, size: int) -> str:
    """What happens to images of `image_size` on their way to `size`, as the protocol puts it.

    Example:
        >>> describe("bilinear", 32, 299)
        'bilinear, antialias False, to 299'
    """
    if image_size == size:
        return "none, images have this size"
    method, antialias = KERNELS[kernel]
    return f"{method}, antialias {antialias}, to {size}"


def check_kernel(kernel):
    """Raises ValueError unless `kernel` is one of `KERNELS`."""
    if kernel in KERNELS:
        return
    near = difflib.get_close_matches(str(kernel), KERNELS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(
        f"Got resize={kernel!r}. Expected one of {', '.join(map(repr, KERNELS))}.{hint}"
    )
