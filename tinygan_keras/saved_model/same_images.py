"""Whether a rewritten generator still draws the images of the one it was made of.

Scope: the check before an export. It is about wrong graphs, whose images differ visibly, not about rounding:
two right ones that add up in another order differ by about 1e-6, and more where the weights amplify it. The
embedded student of Fashion-MNIST moves by 7e-6 if its latents change in their last bit.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from ..latents import sample_latents

LARGEST_DIFFERENCE = 1e-5
"""Of two images in [-1, 1]; or `ROUNDINGS` times what the last bit of the latents does, if that is more."""

ROUNDINGS = 10
LARGEST_ALLOWED = 1e-3
"""However much rounding moves a student: an eighth of a level of 255."""

_BATCHES = (8, 8, 1)


def check_same_images(draw, student):
    """Makes sure that `draw(z, label)` gives the images of a `StudentGenerator`.

    Both draw 17 images of classes from the first to the last, in batches of 8 and of 1. A student that
    computes in half precision is compared as it computes in float32.

    Raises:
        ArithmeticError: it doesn't, or the student's images are not finite.
    """
    student = student.copy(dtype="float32")
    latents = sample_latents(sum(_BATCHES), student.latent_dim)
    labels = np.linspace(0, student.num_classes - 1, len(latents)).astype("int64")
    batches = np.split(np.arange(len(latents)), np.cumsum(_BATCHES)[:-1])
    with all_of_float32():
        compared = [_compared(draw, student, latents[rows], labels[rows]) for rows in batches]
    difference, rounding = np.max(compared, axis=0)
    allowed = min(max(LARGEST_DIFFERENCE, ROUNDINGS * rounding), LARGEST_ALLOWED)
    if difference > allowed:
        raise ArithmeticError(
            f"Got images that differ by up to {difference:.2g} from the student's once its graph is "
            f"rewritten for inference. Expected at most {allowed:.2g}. Is it a subclass with other layers? "
            "Export it as it is: export_saved_model(..., rewrite=False)."
        )


def _compared(draw, student, z, label):
    """The largest difference of `draw` and student, and that of the student to itself by rounding."""
    expected = _images(student, z, label)
    if not np.isfinite(expected).all():
        raise ArithmeticError(
            "Got a student whose images are not finite. Expected one that draws. Take an earlier "
            "checkpoint: its training has diverged."
        )
    moved = _images(student, np.nextafter(z, np.float32(2)), label)
    drawn = keras.ops.convert_to_numpy(draw(z, label))
    # NaN is no difference to `max` alone.
    difference = np.nan_to_num(np.abs(drawn - expected), nan=2.0).max()
    return difference, np.abs(moved - expected).max()


@contextlib.contextmanager
def all_of_float32():
    """Keeps newer GPUs from multiplying with 10 bits (TensorFloat-32), which compared images would show."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _images(student, z, label):
    return keras.ops.convert_to_numpy(student((z, label.astype("int32")), training=False))
