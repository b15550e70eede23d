"""Sliced Wasserstein distance of images: whether small patches are alike, at every resolution.

It looks at pixels and needs no extractor: it sees textures that features don't. Patches and levels are those
of TF-GAN's. Its function can't be taken: it draws from NumPy's global random state, and a patch of one
colour, as on Fashion-MNIST's background, makes it NaN. Here such a patch is 0.
"""

import numpy as np

from ...images import read_numbers
from .registry import Figure, Measured, MeasuredImages, metric

IMAGES, PATCHES, PATCH, DIRECTIONS = 1000, 64, 7, 256
_SMALLEST = 16  # pixels of the last level
_KERNEL = np.array([1, 4, 6, 4, 1]) / 16


@metric(
    "sliced_wasserstein",
    {"sliced_wasserstein": Figure("sliced Wasserstein distance", "lower", "#.4g")},
    needs=("real_pixels",),
    columns=(),
    optional=True,
)
def measure_sliced_wasserstein(images: MeasuredImages) -> Measured:
    """The mean over resolutions, of as many generated images as real ones."""
    source, real = images.source, images.real_pixels
    if source.image_size != real.image_size or source.image_size < _SMALLEST:
        note = (
            f"Generated images have {source.image_size} pixels, real ones {real.image_size}: the sliced "
            f"Wasserstein distance needs equal ones, at least {_SMALLEST}."
        )
        return Measured({}, (note,))
    count = min(IMAGES, source.count, real.count)
    pixels = read_numbers(source, np.sort(images.order[:count]))  # a folder is sorted by class
    chosen = np.sort(np.random.default_rng(0).permutation(real.count)[:count])
    others = read_numbers(real, chosen)
    levels = sliced_wasserstein(pixels, others, images.seed)
    protocol = {"images": count, "patches": PATCHES, "directions": DIRECTIONS}
    return Measured(
        {"sliced_wasserstein": float(np.mean(levels))}, protocol={"sliced_wasserstein": protocol}
    )


def sliced_wasserstein(images, others, seed=0, patches=PATCHES, directions=DIRECTIONS) -> list:
    """Distances of images uint8 `[N, S, S, 3]` and as many others, by levels of a Laplacian pyramid.

    Levels have S, S / 2, ... pixels, down to 16. From every image come `patches` squares of 7 pixels at
    random places, each less its mean and over its deviation. On random directions, on which they are
    projected, the distance of two equally large sets is the mean difference of their sorted values.

    Reference: Karras et al., arXiv:1710.10196, and TF-GAN.
    """
    random = np.random.default_rng(seed)
    number = 1 + int(np.log2(images.shape[1] // _SMALLEST))
    pyramids = (
        laplacian_pyramid(side.astype("float32") / 127.5 - 1, number) for side in (images, others)
    )
    distances = []
    for level, other in zip(*pyramids, strict=True):
        sides = [_patches(side, patches, random) for side in (level, other)]
        axes = random.normal(size=(sides[0].shape[1], directions)).astype("float32")
        axes /= np.linalg.norm(axes, axis=0)
        apart = 0.0
        for axis in axes.T:
            first, second = (np.sort(side @ axis) for side in sides)
            apart += np.abs(first - second).mean(dtype="float64")
        distances.append(float(apart / directions))
    return distances


def laplacian_pyramid(images, number: int) -> list:
    """`number` levels of float images `[N, S, S, 3]`: what each has more than the next one, and the last."""
    levels = [images]
    for _ in range(1, number):
        levels.append(_blurred(levels[-1])[:, ::2, ::2])
        spread = np.zeros_like(levels[-2])
        spread[:, ::2, ::2] = 4 * levels[-1]
        levels[-2] = levels[-2] - _blurred(spread)
    return levels


def _blurred(images):
    """Each image smoothed by the binomial kernel of five pixels, its borders mirrored."""
    for axis in (1, 2):
        width = [(2, 2) if place == axis else (0, 0) for place in range(4)]
        padded, size = np.pad(images, width, mode="reflect"), images.shape[axis]
        shifted = (np.take(padded, np.arange(k, k + size), axis) for k in range(5))
        images = sum(
            np.float32(weight) * part for weight, part in zip(_KERNEL, shifted, strict=True)
        )
    return images


def _patches(images, number, random):
    """Patches float32 `[N * number, 147]`, each of mean 0 and deviation 1, or 0 if it has one colour."""
    count, size = images.shape[:2]
    corners = random.integers(0, size - PATCH + 1, (2, count * number, 1, 1))
    offsets = np.arange(PATCH)
    owners = np.repeat(np.arange(count), number)[:, None, None]
    rows = images[owners, corners[0] + offsets[:, None], corners[1] + offsets].reshape(
        count * number, -1
    )
    rows = rows - rows.mean(axis=1, keepdims=True)
    deviations = rows.std(axis=1, keepdims=True)
    return rows / np.where(deviations > 1e-5, deviations, np.inf).astype("float32")
