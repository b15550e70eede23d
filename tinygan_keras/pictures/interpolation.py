"""Paths from one latent to another, and from one class to another: do smooth changes give smooth pictures?

Latents take the great circle and not the straight line: halfway along the line between two Gaussian vectors
the norm is smaller by sqrt(2), a place where a generator was never trained. Class weights take the straight
line: they enter a linear map.

Reference: White, "Sampling generative networks", arXiv:1609.04468.
"""

import numpy as np

from ..errors import InputError
from ..latents import spherical

_OPPOSITE = 1 - 5e-9  # cosine from which on the sine is below 1e-4, and the formula divides by it


def spherical_path(start, end, steps: int) -> np.ndarray:
    """Latents float32 `[steps, Z]` on the great circle from `start` to `end`, which are in it to the bit."""
    ends = np.asarray([start, end], "float64")
    norms = np.linalg.norm(ends, axis=1).prod()
    if norms and ends[0] @ ends[1] < -_OPPOSITE * norms:
        raise InputError(
            "Got two opposite latents. Expected two with one shortest arc between them. Take another seed."
        )
    path = spherical(ends[:1], ends[1:], np.linspace(0, 1, steps)[:, None])
    path[0], path[-1] = ends  # sin(w) / sin(w) may differ from 1 in the last bit
    return path


def class_path(first_class: int, second_class: int, num_classes: int, steps: int) -> np.ndarray:
    """Class weights float32 `[steps, num_classes]` from one class to another; rows sum to 1."""
    return np.linspace(*np.eye(num_classes)[[first_class, second_class]], steps, dtype="float32")
