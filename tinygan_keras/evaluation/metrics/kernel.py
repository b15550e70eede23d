"""Kernel distance (KID): an unbiased distance between sets of feature vectors, with an error bar.

Unlike the Frechet distance it has no bias at small N, so values of different N may be compared, and it can
come out below 0. Blocks are TF-GAN's, so the value is too.
"""

import math

import numpy as np

from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric


@metric(
    "kernel_distance",
    {
        "kernel_distance": Figure(
            "kernel distance (standard error)", "lower", "#.4g", "kernel_distance_error"
        )
    },
    needs=("real_images", "real_features"),
)
def measure_kernel_distance(images: MeasuredImages) -> Measured:
    """The distance to the real images, and its error bar."""
    real, generated = images.neighbours
    block = SETTINGS["kernel_block"]
    # Every block needs two rows of each kind, so few images allow few blocks.
    most = block * (min(len(real), len(generated)) // 2)
    if not most:
        return Measured({}, ("Too few images for the kernel distance.",))
    value, error = kernel_distance(real[:most], generated[:most], block)
    if error is None:
        note = "Too few images for a second block: the kernel distance has no error bar."
        return Measured({"kernel_distance": value}, (note,))
    return Measured({"kernel_distance": value, "kernel_distance_error": error})


def kernel_distance(real, generated, max_block_size: int = 1000) -> tuple[float, float | None]:
    """Squared maximum mean discrepancy with the kernel `k(x, y) = (x . y / F + 1)^3`, and its standard error.

    Both sets, float `[N, F]` and `[M, F]` in random order, are cut into as few contiguous blocks as keep
    every block within `max_block_size`, as many for one set as for the other and each of at least 2 rows.
    The value is the mean over pairs of blocks of k(x, x') + k(y, y') - 2 k(x, y), averages of which the
    first two leave out pairs of a row with itself. The error is the deviation over blocks over the root of
    their number; None with one block.

    Reference: Binkowski et al., arXiv:1801.01401; the block estimator, Zaremba et al., arXiv:1307.1954.
    """
    number = math.ceil(max(len(real), len(generated)) / max_block_size)
    pairs = zip(_blocks(real, number), _blocks(generated, number), strict=True)
    estimates = np.array(
        [_mean_of_pairs(x) + _mean_of_pairs(y) - 2 * _kernel(x, y).mean() for x, y in pairs]
    )
    error = None if number == 1 else float(estimates.std(ddof=1) / math.sqrt(number))
    return float(estimates.mean()), error


def _blocks(features, number):
    """Yields contiguous blocks in float64; the last ones are the longer ones, as in TF-GAN."""
    size, longer = divmod(len(features), number)
    start = 0
    for block in range(number):
        stop = start + size + (block >= number - longer)
        yield np.asarray(features[start:stop], "float64")
        start = stop


def _mean_of_pairs(x):
    """Mean kernel of each row with every other one."""
    kernel = _kernel(x, x)
    return (kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1))


def _kernel(x, y):
    kernel = x @ y.T
    kernel /= x.shape[1]
    kernel += 1
    square = kernel * kernel  # much faster than a power of 3
    kernel *= square
    return kernel
