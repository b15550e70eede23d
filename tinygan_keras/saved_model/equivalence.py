"""The check that every export has to pass before it gets its name: the images of the model in memory.

It is about wrong graphs, whose images differ visibly, not about rounding: two right ones that add up in
another order differ by about 1e-6, and by more where the weights amplify it.
"""

import contextlib
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..latents import sample_latents

CHECKED_IMAGES = 20
CHECK_SEED = 3_000_000  # far from those of training, evaluation and calibration
LARGEST_DIFFERENCE = 1e-4  # of float32 images in [-1, 1]: a hundredth of one level of 255
ROUNDINGS, LARGEST_ROUNDING = 10, 1e-3
"""Or this many times what the last bit of the latents changes, but at most an eighth of one level."""
LEAST_PSNR = {"float16": 50.0, "int8": 22.0}  # in dB


class Difference(NamedTuple):
    """Differences of images in [-1, 1]; the PSNR is in dB, and infinite if they are equal."""

    max_difference: float
    mean_difference: float
    psnr: float


def difference(images, expected) -> Difference:
    """Compares two sets of images float `[N, S, S, 3]` in [-1, 1], where white is 2 away from black."""
    errors = np.abs(np.asarray(images, "float64") - np.asarray(expected, "float64"))
    mean_square = float(np.mean(errors**2))
    psnr = math.inf if mean_square == 0 else 10 * math.log10(4 / mean_square)
    return Difference(float(errors.max()), float(errors.mean()), psnr)


def evenly_spread(generator, count: int, truncation: float, seed: int):
    """Returns latents float32 `[count, latent_dim]` and labels int32 `[count]`, spread over all classes."""
    classes = generator.num_classes
    # Fewer images than classes: of classes that lie evenly among all.
    labels = np.arange(count) % classes if count >= classes else np.arange(count) * classes // count
    return sample_latents(count, generator.latent_dim, truncation, seed), labels.astype("int32")


def check_equivalence(generator, draw, precision="float32", truncation=1.0) -> Difference:
    """Compares 20 images of a generator in float32 and of its export, `draw(latents, labels)`."""
    latents, labels = evenly_spread(generator, CHECKED_IMAGES, truncation, CHECK_SEED)
    with _all_of_float32():
        expected = _images(generator, latents, labels)
        if not np.isfinite(expected).all():
            raise InputError(
                "Got a generator whose images are not finite. Expected numbers in [-1, 1]. Take an earlier "
                "checkpoint: its training has diverged."
            )
        found = difference(keras.ops.convert_to_numpy(draw(latents, labels)), expected)
        allowed = LARGEST_DIFFERENCE
        if precision == "float32" and not found.max_difference <= allowed:
            moved = _images(generator, np.nextafter(latents, np.float32(2)), labels)
            rounding = ROUNDINGS * difference(moved, expected).max_difference
            allowed = max(allowed, min(rounding, LARGEST_ROUNDING))
    if precision == "float32":
        fits = found.max_difference <= allowed  # not `>`, which NaN would pass
        bound = f"at most {allowed:.2g} anywhere"
        fix = "A subclass with other layers needs export_saved_model(..., rewrite=False)."
    else:
        fits = found.psnr >= LEAST_PSNR[precision]
        bound = f"a PSNR of at least {LEAST_PSNR[precision]:g} dB"
        fix = "Export in float32, or check the truncation, at which it is calibrated."
    if not fits:
        raise InputError(
            f"Got {precision} images that differ from the model's by up to {found.max_difference:.2g}, PSNR "
            f"{found.psnr:.1f} dB. Expected {bound}. Nothing was written. {fix}"
        )
    return found


def _images(generator, latents, labels):
    images = generator((tf.constant(latents), tf.constant(labels)), training=False)
    return np.asarray(keras.ops.convert_to_numpy(images), "float32")


@contextlib.contextmanager
def _all_of_float32():
    """Keeps newer GPUs from multiplying with 10 bits (TensorFloat-32), which compared images would show."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
