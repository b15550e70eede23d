"""Kernel distance (KID): an unbiased distance between sets of feature vectors, with an error bar.

Unlike the Frechet distance it has no bias at small N, so that values of different N may be compared, and
it can come out below 0. Blocks are TF-GAN's, so the value is too.
"""

import math

import numpy as np

from ...errors import InputError
from .feature_rows import feature_rows
from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric


def kernel_distance(real, generated, max_block_size: int = 1000) -> tuple[float, float | None]:
    """Squared maximum mean discrepancy with the kernel `k(x, y) = (x . y / F + 1)^3`.

    Both sets are cut into as few contiguous blocks as keep every block within `max_block_size`, as many
    for one set as for the other, of sizes that differ by at most 1. Each pair of blocks gives the unbiased
    estimate

        mean of k(x, x') over x != x'  +  mean of k(y, y') over y != y'  -  2 * mean of k(x, y)

    and the result is their mean. Memory is that of two matrices of `max_block_size` squared, in float64.

    Args:
        real, generated: Float `[N, F]` and `[M, F]`, each in random order: sorted rows, such as by class,
            make blocks that aren't samples of the whole.
        max_block_size: Largest number of rows in a block, at least 2.

    Returns:
        The distance, and its standard error: the standard deviation over blocks (divided by their number
        less 1) over the root of their number. With one block there is no error to state; it is None.

    Raises:
        ValueError: other shapes, a value that is not finite, or a block of fewer than 2 rows.

    Example:
        distance, error = kernel_distance(real_features, generated_features)

    Reference: Binkowski et al., arXiv:1801.01401; the block estimator, Zaremba et al., arXiv:1307.1954.
    """
    real = feature_rows(real, 2, name="real features")
    generated = feature_rows(generated, 2, real.shape[1], name="generated features")
    if max_block_size < 2:
        raise InputError(f"Got max_block_size={max_block_size}. Expected at least 2.")
    blocks = math.ceil(max(len(real), len(generated)) / max_block_size)
    if min(len(real), len(generated)) < 2 * blocks:
        raise InputError(
            f"Got {len(real):,} real and {len(generated):,} generated features, which make {blocks} blocks "
            f"of up to {max_block_size:,} rows. Expected at least 2 rows of each in every block; raise "
            "max_block_size, or take sets of similar size."
        )
    estimates = np.array(
        [
            _block_distance(x, y)
            for x, y in zip(_blocks(real, blocks), _blocks(generated, blocks), strict=True)
        ]
    )
    if blocks == 1:
        return float(estimates[0]), None
    return float(estimates.mean()), float(estimates.std(ddof=1) / math.sqrt(blocks))


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


def _blocks(features, number):
    """Yields contiguous blocks in float64; the last ones are the longer ones, as in TF-GAN."""
    size, longer = divmod(len(features), number)
    start = 0
    for block in range(number):
        stop = start + size + (block >= number - longer)
        yield features[start:stop].astype("float64")
        start = stop


def _block_distance(x, y):
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * _kernel(x, y).mean()


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
