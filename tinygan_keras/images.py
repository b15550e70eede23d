"""The one pair of functions between stored images (uint8) and images inside the program (float)."""

import numpy as np


def to_float(images) -> np.ndarray:
    """Maps uint8 images [0, 255] to float32 images [-1, 1] of the same shape."""
    return np.asarray(images, "float32") / 127.5 - 1.0


def to_uint8(images) -> np.ndarray:
    """Maps float images [-1, 1] to uint8 [0, 255], rounded to the nearest level and clipped.

    Raises:
        ValueError: a value is NaN, which would become some level without a word.
    """
    levels = np.rint((np.asarray(images, "float32") + 1.0) * 127.5)
    if np.isnan(levels).any():
        raise ValueError(
            f"Got images with NaN in {np.isnan(levels).mean():.1%} of their values. Expected numbers in "
            "[-1, 1]; look for the first step after which the weights are not finite."
        )
    return np.clip(levels, 0, 255).astype("uint8")
