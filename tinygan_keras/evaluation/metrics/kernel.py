"""Kernel distance (KID): an unbiased distance between sets of feature vectors, with an error bar.

Unlike the Frechet distance it has no bias at small N, so values of different N may be compared, and it can
come out below 0. Blocks are TF-GAN's, so the value is too.
"""

import math

import numpy as np

from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric

CMMD_WIDTH, CMMD_SCALE = 10, 1000
_RBF_ROWS = 512


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


@metric(
    "rbf_kernel_distance",
    {
        "rbf_kernel_distance": Figure(
            "kernel distance, RBF (standard error)", "lower", "#.4g", "rbf_kernel_distance_error"
        )
    },
    needs=("real_images", "real_features"),
    optional=True,
)
def measure_rbf_kernel_distance(images: MeasuredImages) -> Measured:
    """The squared maximum mean discrepancy with a Gaussian kernel as wide as real features are apart."""
    real, generated = images.neighbours
    if min(len(real), len(generated)) < 2:
        return Measured({}, ("Too few images for the kernel distance.",))
    width = median_distance(real)
    value, error = rbf_kernel_distance(real, generated, width, biased=False)
    figures = {"rbf_kernel_distance": value, "rbf_kernel_distance_error": error}
    return Measured(figures, protocol={"rbf_kernel_distance": {"width": float(f"{width:.6g}")}})


@metric(
    "cmmd",
    {"cmmd": Figure("CMMD (standard error)", "lower", "#.4g", "cmmd_error")},
    needs=("real_images", "real_features", "clip"),
    optional=True,
)
def measure_cmmd(images: MeasuredImages) -> Measured:
    """1000 times the squared maximum mean discrepancy of CLIP's embeddings, kernel width 10.

    Reference: Jayasumana et al., arXiv:2401.09603, with pairs of a row with itself, as their program has it.
    """
    real, generated = images.neighbours
    value, error = rbf_kernel_distance(real, generated, CMMD_WIDTH, biased=True)
    figures = {"cmmd": CMMD_SCALE * value, "cmmd_error": CMMD_SCALE * error}
    return Measured(figures, protocol={"cmmd": {"width": CMMD_WIDTH, "scale": CMMD_SCALE}})


def rbf_kernel_distance(real, generated, width: float, biased: bool) -> tuple[float, float]:
    """Squared maximum mean discrepancy with `k(x, y) = exp(-|x - y|^2 / (2 width^2))`, and its error.

    Args:
        real, generated: Features float `[N, F]` and `[M, F]`.
        width: Deviation of the Gaussian.
        biased: Whether pairs of a row with itself count, which are 1. Without them the expected value of
            equal laws is 0, and it may be negative.

    Returns:
        The mean over pairs of k(x, x') + k(y, y') - 2 k(x, y), and its standard error over the generated
        features, the real ones as given, from what each row adds to the mean.

    Reference: Gretton et al., JMLR 13, 2012.
    """
    origin = np.mean(real, axis=0, dtype="float64")
    of_real = _mean_kernels(real, real, width, origin, biased).mean()
    within = _mean_kernels(generated, generated, width, origin, biased)
    across = _mean_kernels(generated, real, width, origin, True)
    added = 2 * (within - across)
    error = added.std(ddof=1) / np.sqrt(len(added)) if len(added) > 1 else 0.0
    return float(of_real + within.mean() - 2 * across.mean()), float(error)


def median_distance(features, most=1000) -> float:
    """The median distance of pairs of the first rows of features `[N, F]` in random order."""
    rows = np.asarray(features[:most], "float64")
    squares = _squares(rows, rows)[np.triu_indices(len(rows), 1)]
    return float(np.sqrt(np.median(squares))) or 1.0


def _mean_kernels(rows, others, width, origin, with_itself) -> np.ndarray:
    """The mean kernel of each row with all others, float64 `[N]`; without itself where both are one set."""
    others, means = np.asarray(others - origin), np.empty(len(rows))
    for start in range(0, len(rows), _RBF_ROWS):
        block = np.asarray(rows[start : start + _RBF_ROWS] - origin)
        means[start : start + len(block)] = np.exp(_squares(block, others) / (-2 * width**2)).sum(
            axis=1
        )
    return means / len(others) if with_itself else (means - 1) / (len(others) - 1)


def _squares(first, second):
    squares = np.sum(first**2, axis=1)[:, None] + np.sum(second**2, axis=1) - 2 * first @ second.T
    return np.maximum(squares, 0)


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
