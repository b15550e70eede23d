"""Samples of a teacher, kept in memory."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.teacher_samples import sample_teacher
from tinygan_keras.images import to_uint8


class Teacher:
    """Paints the first latent value; remembers the batch sizes it was asked for."""

    latent_dim, num_classes, truncation = 4, 3, 0.5

    def __init__(self):
        self.batches = []

    def __call__(self, latents, labels):
        self.batches.append(len(labels))
        return tf.ones((1, 8, 8, 3)) * latents[:, :1, None, None]


def test_samples_belong_together_and_classes_take_turns():
    samples = sample_teacher(Teacher(), 10, seed=1, batch_size=4, progress=False)
    assert samples.images.shape == (10, 8, 8, 3) and samples.images.dtype == np.uint8
    np.testing.assert_array_equal(samples.images[:, 0, 0, 0], to_uint8(samples.latents[:, 0]))
    np.testing.assert_array_equal(samples.labels, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    assert np.abs(samples.latents).max() <= 1.0  # two standard deviations of truncation 0.5


def test_batches_are_whole_and_samples_depend_on_the_seed_alone():
    teacher = Teacher()
    short = sample_teacher(teacher, 10, seed=1, batch_size=4, progress=False)
    long = sample_teacher(teacher, 16, seed=1, batch_size=4, progress=False)
    other = sample_teacher(teacher, 10, seed=2, batch_size=4, progress=False)
    assert set(teacher.batches) == {4}
    np.testing.assert_array_equal(short.latents, long.latents[:10])
    assert not np.array_equal(short.latents, other.latents)


def test_none_is_refused():
    with pytest.raises(ValueError, match="count=0"):
        sample_teacher(Teacher(), 0)


def test_classes_take_turns_among_the_wanted():
    samples = sample_teacher(Teacher(), 5, batch_size=4, progress=False, classes=(2, 0))
    np.testing.assert_array_equal(samples.labels, [0, 2, 0, 2, 0])
    assert samples.labels.dtype == np.int32
    with pytest.raises(ValueError, match="Got the class 3. Expected numbers from 0 to 2"):
        sample_teacher(Teacher(), 5, classes=(0, 1, 3))
