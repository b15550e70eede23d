"""Batches: what they hold, that they repeat exactly, and that a pass shows every example once."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.keras_sets import LabelledImages
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
    with pytest.raises(ValueError, match="Got images uint8 .* at least one"):
        distillation_batches(samples(), real(0), 4)
    with pytest.raises(ValueError, match="no teacher samples"):
        distillation_batches(samples(0), real(), 4)


class Recorded:
    """A source that only has batches; the number of a batch is in all of it."""

    latent_dim, num_classes = 4, 3

    def __init__(self, **values):
        self.values, self.calls = values, []

    def batches(self, batch_size, seed=0, start_step=0, **options):
        self.calls.append((batch_size, seed, start_step, options))

        def batch(step):
            return {
                name: tf.fill((batch_size,), tf.cast(step, dtype))
                for name, dtype in self.values.items()
            }

        return tf.data.Dataset.counter(start_step).map(batch)


def test_caches_and_real_images_with_batches_of_their_own_are_joined_step_by_step():
    cache = Recorded(latent=tf.float32, label=tf.int32, teacher_image=tf.float32)
    files = Recorded(image=tf.float32, image_label=tf.int32)
    batches = distillation_batches(cache, files, 4, seed=10, start_step=7, horizontal_flip=True)
    for step, batch in enumerate(take(batches, 3), start=7):
        assert batch.pop("fresh_latent").shape == (4, 4)
        assert set(batch) == {"latent", "label", "teacher_image", "image", "image_label"}
        assert all((values == step).all() for values in batch.values())
    assert cache.calls == [(4, 13, 7, {})]
    assert files.calls == [(4, 14, 7, {"horizontal_flip": True})]


def test_fresh_latents_do_not_depend_on_where_the_images_come_from():
    files = Recorded(image=tf.float32, image_label=tf.int32)
    (ours,), (theirs,) = (
        take(distillation_batches(samples(), images, 4, seed=2, truncation=0.5), 1)
        for images in (files, real())
    )
    np.testing.assert_array_equal(ours["fresh_latent"], theirs["fresh_latent"])
    np.testing.assert_array_equal(ours["latent"], theirs["latent"])


def test_latents_have_the_truncation_of_their_source():
    class HalfTeacher:
        latent_dim, num_classes, truncation = 64, 3, 0.5

    (batch,) = take(distillation_batches(HalfTeacher(), real(), 8), 1)
    for name in ("latent", "fresh_latent"):
        assert 0.9 < np.abs(batch[name]).max() <= 1.0  # cut off at two deviations
    (batch,) = take(distillation_batches(HalfTeacher(), real(), 8, truncation=1.0), 1)
    assert np.abs(batch["fresh_latent"]).max() > 1.0


def test_classes_restrict_the_labels_of_a_live_teacher():
    class Teacher:
        latent_dim, num_classes = 4, 1000

    batches = take(distillation_batches(Teacher(), None, 32, classes=(7, 2, 397, 7)), 10)
    labels = np.concatenate([batch["label"] for batch in batches])
    assert labels.dtype == np.int32 and set(labels) == {2, 7, 397}
    assert np.bincount(labels).max() < 160  # each about a third
    for wrong in ((1000,), (-1, 3)):
        with pytest.raises(ValueError, match="Expected numbers from 0 to 999"):
            distillation_batches(Teacher(), None, 32, classes=wrong)


def test_flips_mirror_some_real_images_and_no_teacher_images():
    images = np.arange(9 * 64, dtype="uint8").reshape(9, 8, 8, 1) * np.ones(3, "uint8")
    data = LabelledImages(images, np.arange(9, dtype="int32"), "test")
    (plain,), (flipped,) = (
        take(distillation_batches(samples(), data, 9, horizontal_flip=flip), 1)
        for flip in (False, True)
    )
    np.testing.assert_array_equal(plain["teacher_image"], flipped["teacher_image"])
    mirrored = [
        np.array_equal(a[:, ::-1], b) for a, b in zip(plain["image"], flipped["image"], strict=True)
    ]
    kept = [np.array_equal(a, b) for a, b in zip(plain["image"], flipped["image"], strict=True)]
    assert 0 < sum(mirrored) < 9 and sum(mirrored) + sum(kept) == 9


def test_the_order_is_that_of_the_committed_results():
    """A change here changes every result below experiments/ that names a seed."""
    (batch,) = take(distillation_batches(samples(), real(), 8, seed=5, start_step=3), 1)
    assert batch["latent"][:, 0].astype(int).tolist() == [7, 4, 2, 0, 5, 8, 6, 10]
    assert np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist() == [
        2,
        1,
        4,
        0,
        7,
        1,
        2,
        8,
    ]

    class Teacher:
        latent_dim, num_classes = 4, 10

    (batch,) = take(distillation_batches(Teacher(), None, 8, seed=5, start_step=3), 1)
    assert batch["label"].tolist() == [3, 8, 2, 5, 0, 9, 0, 2]
