"""Whether an exported form draws what the student draws: differences, and the bounds they have to keep."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..saved_model.same_images import all_of_float32
from .calibration import PARITY_SEED, evenly_drawn

PARITY_IMAGES = 32
LARGEST_DIFFERENCE = (
    1e-4  # of float32, where images are in [-1, 1]: a hundredth of one level of 255
)
LEAST_PSNR = {
    "float16": 50.0,
    "int8": 22.0,
}  # in dB, where a white image is 2 away from a black one


class Parity(NamedTuple):
    """Differences of images in [-1, 1]: largest, mean, and PSNR in dB (infinite if equal)."""

    max_difference: float
    mean_difference: float
    psnr: float


def difference(images, expected) -> Parity:
    """Compares two sets of images float `[N, S, S, 3]` in [-1, 1].

    Example:
        difference(np.zeros((1, 8, 8, 3)), np.full((1, 8, 8, 3), 0.2))  # 0.2, 0.2, 20 dB
    """
    errors = np.abs(np.asarray(images, "float64") - np.asarray(expected, "float64"))
    mean_square = float(np.mean(errors**2))
    psnr = math.inf if mean_square == 0 else 10 * math.log10(4 / mean_square)
    return Parity(float(errors.max()), float(errors.mean()), psnr)


def check_parity(student, generator, precision: str, truncation: float) -> Parity:
    """Draws 32 images with both and compares them.

    Args:
        student: The Keras model that was exported.
        generator: The `Generator` of the exported form.
        precision: "float32": no value may differ by more than 1e-4. "float16", "int8": the PSNR is at
            least 50 and 22 dB.
        truncation: Scale of the latents.

    Raises:
        ValueError: the images differ more.
    """
    latents, labels = evenly_drawn(student, PARITY_IMAGES, truncation, PARITY_SEED)
    with all_of_float32():
        expected = student((tf.constant(latents), tf.constant(labels)), training=False)
    parity = difference(generator.draw(latents, labels), tf.cast(expected, tf.float32))
    if precision == "float32":
        # Not `>`, which NaN would pass.
        fits = parity.max_difference <= LARGEST_DIFFERENCE
        bound = f"at most {LARGEST_DIFFERENCE:g} anywhere"
        mend = "A student that computes in float16 or bfloat16 has to be loaded in float32 first."
    else:
        fits = parity.psnr >= LEAST_PSNR[precision]
        bound = f"a PSNR of at least {LEAST_PSNR[precision]:g} dB"
        mend = (
            "Export it with precision float32, or check the truncation, at which it is calibrated."
        )
    if not fits:
        raise InputError(
            f"Got {generator.format} images that differ from the student's by up to "
            f"{parity.max_difference:.2g}, PSNR {parity.psnr:.1f} dB. Expected {bound}. Nothing was written. "
            f"{mend}"
        )
    return parity
