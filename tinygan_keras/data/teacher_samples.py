"""A teacher's samples in memory: latents, labels and images that a student learns from.

Sample k is the picture (classes[k % len(classes)], seed + k, the teacher's truncation), here and in a cache.
A forward pass of the teacher costs many times a step of the student, so each image is used often.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..classes.selection import class_numbers
from ..errors import InputError
from ..images import to_float, to_uint8
from ..latents import check_seeds, latents_of_seeds
from ..progress import progress_bar
from .shuffling import shuffled_indices


class TeacherSamples(NamedTuple):
    """Latents float32 `[N, Z]`, labels int32 `[N]`, images uint8 `[N, S, S, 3]`."""

    latents: np.ndarray
    labels: np.ndarray
    images: np.ndarray

    @property
    def latent_dim(self) -> int:
        """Length Z of a latent vector."""
        return self.latents.shape[1]

    def batches(self, batch_size: int, seed=0, start_step=0) -> tf.data.Dataset:
        """Passes over the samples again and again, as `TeacherCache.batches` does."""
        if not len(self.labels):
            raise InputError("Got no teacher samples. Expected at least one. Make some.")
        latents, labels, images = (tf.constant(array) for array in self)

        def batch(step):
            index = shuffled_indices(step, batch_size, len(self.labels), seed)
            return {
                "latent": tf.gather(latents, index),
                "label": tf.gather(labels, index),
                "teacher_image": to_float(tf.gather(images, index)),
            }

        steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
        return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)


def sample_teacher(
    teacher, count: int, seed=0, batch_size=256, progress=True, classes=None
) -> TeacherSamples:
    """Generates `count` samples of a teacher; the classes take turns, so they are balanced.

    Args:
        teacher: Callable `(latents, labels) -> images` in [-1, 1], with `latent_dim`, `num_classes`
            and, optionally, `truncation`.
        count: Number of images, at least 1.
        seed: Seed of the first sample, 0 or more; sample k has `seed + k`.
        batch_size: Images per call.
        progress: Show a progress bar.
        classes: Which classes, as `class_numbers` takes them; None for all of the teacher's.

    Returns:
        `TeacherSamples`.

    Raises:
        InputError: `count` is less than 1, or `classes` are not the teacher's.

    Example:
        samples = sample_teacher(HubTeacher("biggan_fashion_32"), 1000, classes="0-4")
    """
    if count < 1:
        raise InputError(f"Got count={count} teacher samples. Expected 1 or more.")
    check_seeds(seed, count)
    classes = class_numbers(classes, teacher.num_classes, distinct=True)
    bar = progress_bar(count, visible=progress)
    batches = []
    for batch in generate_samples(teacher, classes, seed, 0, count, batch_size):
        batches.append(batch)
        bar.add(len(batch[1]))
    return TeacherSamples(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))


def generate_samples(teacher, classes, seed, start, stop, batch_size):
    """Yields latents, labels and uint8 images of the samples from `start` to before `stop`, in batches."""
    truncation = getattr(teacher, "truncation", 1.0)
    for first in range(start, stop, batch_size):
        # Always a whole batch: one graph, and the same last bits wherever the samples end.
        numbers = np.minimum(np.arange(first, first + batch_size), stop - 1)
        latents = latents_of_seeds(seed + numbers, teacher.latent_dim, truncation)
        labels = classes[numbers % len(classes)]
        images = to_uint8(teacher(tf.constant(latents), tf.constant(labels)))
        taken = min(batch_size, stop - first)
        yield latents[:taken], labels[:taken], images[:taken]
