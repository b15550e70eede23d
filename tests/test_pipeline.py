"""Batches: what they hold, that they repeat exactly, and that a pass shows every example once."""

import numpy as np
import pytest

from tinygan_keras.data.fashion_mnist import LabelledImages
from tinygan_keras.data.pipeline import distillation_batches
from tinygan_keras.data.teacher_samples import TeacherSamples


def samples(count=12):
    latents = np.arange(count, dtype="float32")[:, None] * np.ones((1, 4), "float32")
    images = np.arange(count, dtype="uint8")[:, None, None, None] * np.ones((1, 8, 8, 3), "uint8")
    return TeacherSamples(latents, (np.arange(count) % 3).astype("int32"), images)


def real(count=9):
    _, labels, images = samples(count)
    return LabelledImages(images, labels, "test")


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def test_batches_hold_what_belongs_together():
    (batch,) = take(distillation_batches(samples(), real(), 4, truncation=0.5), 1)
    assert set(batch) == {
        *("latent", "label", "teacher_image", "image", "image_label", "fresh_latent"),
    }
    index = batch["latent"][:, 0].astype(int)
    np.testing.assert_array_equal(batch["label"], index % 3)
    np.testing.assert_allclose(batch["teacher_image"][:, 0, 0, 0], index / 127.5 - 1, atol=1e-6)
    pixels = np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(batch["image_label"], pixels % 3)
    assert np.abs(batch["fresh_latent"]).max() <= 1.0


def test_one_pass_shows_every_example_once_and_the_next_in_another_order():
    batches = take(distillation_batches(samples(), None, 4), 6)
    seen = np.concatenate([batch["latent"][:, 0] for batch in batches])
    np.testing.assert_array_equal(np.sort(seen[:12]), np.arange(12))
    np.testing.assert_array_equal(np.sort(seen[12:]), np.arange(12))
    assert not np.array_equal(seen[:12], seen[12:])


def test_a_later_start_continues_the_same_sequence():
    whole = take(distillation_batches(samples(), real(), 4, seed=3), 5)
    rest = take(distillation_batches(samples(), real(), 4, seed=3, start_step=3), 2)
    for expected, got in zip(whole[3:], rest, strict=True):
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])


def test_seeds_differ():
    one, two = (take(distillation_batches(samples(), real(), 4, seed=s), 1)[0] for s in (0, 1))
    assert not np.array_equal(one["fresh_latent"], two["fresh_latent"])


def test_a_live_teacher_gets_latents_and_labels_and_no_images():
    class Teacher:
        latent_dim, num_classes = 4, 3

    batches = take(distillation_batches(Teacher(), None, 8, truncation=0.5), 20)
    assert set(batches[0]) == {"latent", "label"}
    labels = np.concatenate([batch["label"] for batch in batches])
    assert set(labels) == {0, 1, 2}
    latents = np.concatenate([batch["latent"] for batch in batches])
    assert 0.5 < np.abs(latents).max() <= 1.0


def test_empty_sources_are_refused():
    with pytest.raises(ValueError, match="empty data set: no real images"):
        distillation_batches(samples(), real(0), 4)
    with pytest.raises(ValueError, match="empty data set: no teacher samples"):
        distillation_batches(samples(0), real(), 4)
