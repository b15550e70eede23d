"""Mean and covariance of feature vectors that come in pieces: what the Frechet distance is made of.

Sums are float64. Products of blocks are float32 where the features are, which takes half the time: an
entry of the correlation matrix is then right to about 1e-8, less than it owes to the rounding of the
features themselves. The first `2 F` rows are multiplied in float64 all the same, since rounding would
fill up the directions in which few rows don't vary.
"""

import numpy as np

from ...errors import InputError
from .feature_rows import feature_rows

_BLOCK = 4096  # rows that are multiplied together
_SAFE_DEVIATIONS = 1e-12, 1e12  # squares of others come near the limits of float32


class StatisticsAccumulator:
    """Mean and unbiased covariance of feature vectors that come in pieces.

    Blocks of fixed size are merged by the update of Chan et al., so a large common offset costs no
    digits, and the result doesn't depend on how the rows are cut into pieces. Memory is that of a few
    `[F, F]` matrices and two blocks, whatever the number of rows.

    Args:
        feature_dim: F.

    Attributes:
        count: Rows seen.

    Example:
        accumulator = StatisticsAccumulator(extractor.feature_dim)
        for images in batches:
            accumulator.update(extractor(images)[0])
        mean, covariance = accumulator.statistics()

    Reference: Chan, Golub & LeVeque, Algorithms for computing the sample variance, 1983.
    """

    def __init__(self, feature_dim: int):
        self.feature_dim = feature_dim
        self.count = 0
        # One row more than a block: it carries the distance between the means.
        self._block = np.empty((_BLOCK + 1, feature_dim), "float32")
        self._mean = np.zeros(feature_dim)
        self._scatter = np.zeros((feature_dim, feature_dim))

    def update(self, features):
        """Takes in `[n, F]`, n of any size.

        Raises:
            ValueError: another width, or a value that is not finite. No row is taken in then.
        """
        rows = feature_rows(features, 0, self.feature_dim, first_row=self.count)
        # Float64, and integers, which float32 can't hold all.
        if len(rows) and self._block.dtype != np.result_type(self._block, rows):
            former, filled = self._block, self.count % _BLOCK
            self._block = np.empty(former.shape)
            self._block[:filled] = former[:filled]
        while len(rows):
            filled = self.count % _BLOCK
            taken = rows[: _BLOCK - filled]
            self._block[filled : filled + len(taken)] = taken
            self.count += len(taken)
            rows = rows[len(taken) :]
            if self.count % _BLOCK == 0:
                _merge(self._block, _BLOCK, self._mean, self._scatter, self.count - _BLOCK)

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Statistics of the rows so far. More rows may follow.

        Returns:
            Mean float64 `[F]` and covariance float64 `[F, F]` (divided by N - 1).

        Raises:
            ValueError: there are fewer than 2 rows.
        """
        if self.count < 2:
            raise InputError(
                f"Got {self.count} feature vectors. Expected (N, F) with at least 2 rows; a covariance "
                "needs two images."
            )
        mean, scatter = self._mean.copy(), self._scatter.copy()
        rest = self.count % _BLOCK
        if rest:
            _merge(self._block[: rest + 1].copy(), rest, mean, scatter, self.count - rest)
        scatter /= self.count - 1
        return mean, scatter


def _merge(block, rows, mean, scatter, count):
    """Adds `rows` rows to the statistics of `count` earlier ones, in place; uses up `block`."""
    block_mean = block[:rows].mean(axis=0, dtype="float64")
    shift = block_mean - mean
    total = count + rows
    centred = np.empty_like(block, "float64") if _needs_float64(scatter, count) else block
    np.subtract(block[:rows], block_mean, out=centred[:rows], casting="same_kind")
    # As a row of its own the shift between the means costs no further F x F matrix.
    centred[rows] = shift * np.sqrt(count * (rows / total))
    centred = centred[: rows + 1]
    scatter += centred.T @ centred
    mean += shift * (rows / total)


def _needs_float64(scatter, count) -> bool:
    if count < 2 * len(scatter):
        return True
    deviations = np.sqrt(scatter.diagonal() / count)
    low, high = _SAFE_DEVIATIONS
    return bool(((deviations > 0) & (deviations < low) | (deviations > high)).any())


def feature_statistics(features) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance of feature vectors, block by block.

    Args:
        features: Float `[N, F]`, N at least 2. In float64 everything is.

    Returns:
        Mean float64 `[F]` and covariance float64 `[F, F]` (divided by N - 1).

    Raises:
        ValueError: the shape is another one, or a value is not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2:
        feature_rows(features, minimum=2)
    accumulator = StatisticsAccumulator(features.shape[1])
    accumulator.update(features)
    return accumulator.statistics()
