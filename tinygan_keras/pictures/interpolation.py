"""Paths from one latent to another, and from one class to another, as NumPy arrays.

Smooth pictures along them say that a generator has learned a space and not a list of images.

Latents take the great circle and not the straight line. A Gaussian vector of length Z has a norm close to
sqrt(Z), whatever its direction; halfway along the line between two of them the norm is smaller by sqrt(2), a
place where a generator was never trained and its images are dull. Class weights take the straight line: they
enter a linear map, and shares of two classes are what a reader expects between them.
"""

import numpy as np

from ..errors import InputError

# Below it the two formulas agree to float32, and the great circle divides by zero.
_SMALLEST_SINE = 1e-4


def spherical_path(start, end, steps: int) -> np.ndarray:
    """Walks from one latent to another along the great circle between their directions.

        p(t) = sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end,   w the angle between them

    Vectors of nearly one direction, and the zero vector, are joined by the straight line.

    Args:
        start, end: Float `[Z]`.
        steps: Points on the path, both ends included; at least 2.

    Returns:
        Float32 `[steps, Z]`. The first row is `start` and the last one `end`, to the last bit.

    Raises:
        InputError: the vectors are opposite, so that there is no one great circle through them.

    Example:
        >>> spherical_path([1, 0], [0, 1], 3)[1]
        array([0.70710677, 0.70710677], dtype=float32)

    Reference: White, "Sampling generative networks", arXiv:1609.04468.
    """
    ends = np.asarray([start, end], "float64")
    norms = np.linalg.norm(ends, axis=1).prod()
    angle = np.arccos(np.clip(ends[0] @ ends[1] / norms, -1, 1)) if norms else 0.0
    if np.sin(angle) >= _SMALLEST_SINE:
        shares = np.linspace([1, 0], [0, 1], steps)
        return _with_ends(np.sin(shares * angle) @ ends / np.sin(angle), ends)
    if angle > 1:
        raise InputError(
            "Got two opposite latents. Expected two with one shortest arc between them. Take another "
            "seed for one of the ends."
        )
    return linear_path(start, end, steps)


def linear_path(start, end, steps: int) -> np.ndarray:
    """Walks from one vector to another along the straight line, `(1 - t) start + t end`; see above."""
    ends = np.asarray([start, end], "float64")
    return _with_ends(np.linspace([1, 0], [0, 1], steps) @ ends, ends)


def class_path(first_class: int, second_class: int, num_classes: int, steps: int) -> np.ndarray:
    """Class weights float32 `[steps, num_classes]` from one class to another; rows sum to 1.

    Example:
        >>> class_path(0, 2, 3, 3)[1]
        array([0.5, 0. , 0.5], dtype=float32)
    """
    one_hot = np.eye(num_classes, dtype="float32")
    return linear_path(one_hot[first_class], one_hot[second_class], steps)


def _with_ends(path, ends):
    path[0], path[-1] = ends  # sin(w) / sin(w) may differ from 1 in the last bit
    return path.astype("float32")
