"""What the teacher draws, kept: latents, labels and images that a student learns from.

Scope: samples in memory. A forward pass of the teacher costs many times a step of the student, so each
image is drawn once and used many times.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..classes.selection import class_numbers
from ..errors import InputError
from ..images import to_uint8
from ..latents import truncated_normal


class TeacherSamples(NamedTuple):
    """Latents float32 `[N, Z]`, labels int32 `[N]`, images uint8 `[N, S, S, 3]`."""

    latents: np.ndarray
    labels: np.ndarray
    images: np.ndarray


def sample_teacher(
    teacher, count: int, seed=0, batch_size=256, progress=True, classes=None
) -> TeacherSamples:
    """Draws `count` images from a generator; the classes take turns, so they are balanced.

    The same seed gives the same samples, and the first N of a longer draw equal a draw of N when N is a
    multiple of `batch_size`.

    Args:
        teacher: Callable `(latents, labels) -> images` in [-1, 1], with `latent_dim`, `num_classes`
            and, optionally, `truncation`.
        count: Number of images, at least 1.
        seed: Seed of the latents.
        batch_size: Images per call.
        progress: Show a progress bar.
        classes: Labels to draw; None for all of the teacher's.

    Returns:
        `TeacherSamples`.

    Raises:
        ValueError: `count` is less than 1, or `classes` are not the teacher's.
    """
    if count < 1:
        raise InputError(f"Got count={count} teacher samples. Expected 1 or more.")
    truncation = getattr(teacher, "truncation", 1.0)
    bar = keras.utils.Progbar(count, unit_name="image", verbose=int(progress))
    latents, images = [], []
    turns = class_numbers(classes, teacher.num_classes, distinct=True)
    labels = turns[np.arange(count) % len(turns)]
    for step, start in enumerate(range(0, count, batch_size)):
        # Always a whole batch: one graph, and no image depends on where the draw ends.
        shape = (batch_size, teacher.latent_dim)
        z = truncated_normal(shape, (seed, step), truncation)
        y = turns[np.arange(start, start + batch_size) % len(turns)]
        taken = min(batch_size, count - start)
        images.append(to_uint8(teacher(z, tf.constant(y)))[:taken])
        latents.append(z.numpy()[:taken])
        bar.update(start + taken)
    return TeacherSamples(np.concatenate(latents), labels, np.concatenate(images))
