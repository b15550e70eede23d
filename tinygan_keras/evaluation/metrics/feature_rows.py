"""What every metric on feature vectors checks before it computes: one shape, finite numbers.

A NaN in one image must not become a NaN, or worse a plausible number, in the result.
"""

import numpy as np

from ...errors import InputError

_BLOCK = 4096  # rows looked at together, so that the check needs little memory


def feature_rows(features, minimum=1, width=None, name="features", first_row=0) -> np.ndarray:
    """Returns feature vectors as an array `[N, F]` of their own precision, after checking them.

    Args:
        features: Real numbers `[N, F]`.
        minimum: Smallest N.
        width: F, or None for any.
        name: What the message calls them.
        first_row: Number of the first row in the message, where the array is a part of a stream.

    Raises:
        ValueError: another shape, fewer rows, no real numbers, or a value that is not finite.
    """
    features = np.asarray(features)
    expected = width if width is not None else features.shape[-1] if features.ndim == 2 else None
    if features.ndim != 2 or len(features) < minimum or features.shape[1] != expected:
        dimension = "F" if width is None else width
        rows = f"at least {minimum} row{'s' * (minimum != 1)}"
        raise InputError(
            f"Got {name} of shape {features.shape}. Expected (N, {dimension}) with {rows}, one row "
            "per image, all taken with the same feature extractor."
        )
    if features.dtype.kind not in "fiu":
        raise InputError(f"Got {name} of type {features.dtype}. Expected real numbers.")
    finite = np.concatenate(
        [
            np.isfinite(features[start : start + _BLOCK]).all(axis=1)
            for start in range(0, len(features), _BLOCK)
        ]
        or [np.ones(0, bool)]
    )
    if not finite.all():
        raise InputError(
            f"Got {name} that are not finite in {np.sum(~finite):,} of {len(features):,} rows, the "
            f"first of them row {first_row + int(finite.argmin()):,}. Expected finite numbers; look for "
            "NaN in those images."
        )
    return features
