"""Paths from one latent to another, and from one class to another: do smooth changes give smooth pictures?

Latents take the great circle and not the straight line: halfway along the line between two Gaussian vectors
the norm is smaller by sqrt(2), a place where a generator was never trained. Class weights take the straight
line: they enter a linear map.

Reference: White, "Sampling generative networks", arXiv:1609.04468.
"""

import numpy as np

from ..errors import InputError

# Below it the circle agrees with the straight line to float32, and its formula divides by zero.
_SMALLEST_SINE = 1e-4


def spherical_path(start, end, steps: int) -> np.ndarray:
    """Latents float32 `[steps, Z]` on the great circle from `start` to `end`, which are in it to the bit."""
    # p(t) = sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end, w the angle between them
    ends = np.asarray([start, end], "float64")
    norms = np.linalg.norm(ends, axis=1).prod()
    angle = np.arccos(np.clip(ends[0] @ ends[1] / norms, -1, 1)) if norms else 0.0
    shares = np.linspace([1, 0], [0, 1], steps)
    if np.sin(angle) >= _SMALLEST_SINE:
        path = np.sin(shares * angle) @ ends / np.sin(angle)
    elif angle < 1:  # one direction, or zero
        path = shares @ ends
    else:
        raise InputError(
            "Got two opposite latents. Expected two with one shortest arc between them. Take another seed."
        )
    path[0], path[-1] = ends  # sin(w) / sin(w) may differ from 1 in the last bit
    return path.astype("float32")


def class_path(first_class: int, second_class: int, num_classes: int, steps: int) -> np.ndarray:
    """Class weights float32 `[steps, num_classes]` from one class to another; rows sum to 1."""
    return np.linspace(*np.eye(num_classes)[[first_class, second_class]], steps, dtype="float32")
