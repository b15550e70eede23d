"""Mean and covariance of feature vectors that come in pieces: what the Frechet distance is made of.

Sums are float64. Products of blocks are float32 where the features are, which takes half the time: an
entry of the correlation matrix is then right to about 1e-8. The first `2 F` rows are multiplied in float64
all the same, since rounding would fill up the directions in which few rows don't vary.
"""

import numpy as np

from ...errors import InputError

_BLOCK = 4096  # rows that are multiplied together


class StatisticsAccumulator:
    """Mean and unbiased covariance of feature vectors `[n, feature_dim]` that come in pieces of any size.

    Blocks of fixed size are merged by the update of Chan, Golub & LeVeque, 1983: a large common offset
    costs no digits, and the result doesn't depend on how the rows are cut into pieces.
    """

    def __init__(self, feature_dim: int):
        self.feature_dim, self.count = feature_dim, 0
        # One row more than a block: it carries the distance between the means.
        self._block = np.empty((_BLOCK + 1, feature_dim), "float32")
        self._mean = np.zeros(feature_dim)
        self._scatter = np.zeros((feature_dim, feature_dim))

    def update(self, features):
        """Takes in `[n, F]`, all rows or, if one is not finite, none."""
        rows = feature_rows(features, 0, self.feature_dim, self.count)
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
        """Mean float64 `[F]` and covariance float64 `[F, F]`, divided by N - 1, of the rows so far."""
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
    # Squares of others come near the limits of float32.
    return bool(((deviations > 0) & (deviations < 1e-12) | (deviations > 1e12)).any())


def feature_statistics(features) -> tuple[np.ndarray, np.ndarray]:
    """Mean float64 `[F]` and unbiased covariance float64 `[F, F]` of vectors `[N, F]`, N at least 2."""
    features = feature_rows(features, minimum=2)
    accumulator = StatisticsAccumulator(features.shape[1])
    accumulator.update(features)
    return accumulator.statistics()


def feature_rows(features, minimum=1, width=None, first_row=0) -> np.ndarray:
    """Returns feature vectors as an array `[N, F]`; refuses other shapes, and values that are not finite."""
    features = np.asarray(features)
    fits = features.ndim == 2 and len(features) >= minimum and features.dtype.kind in "fiu"
    if not fits or features.shape[1] != (width or features.shape[1]):
        raise InputError(
            f"Got {features.dtype} features of shape {features.shape}. Expected real numbers "
            f"(N, {width or 'F'}) with at least {minimum} rows, one row per image, all taken with the same "
            "feature extractor."
        )
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InputError(
            f"Got features that are not finite in {np.sum(~finite):,} of {len(features):,} rows, the "
            f"first of them row {first_row + int(finite.argmin()):,}. Expected finite numbers; look for "
            "NaN in those images."
        )
    return features
