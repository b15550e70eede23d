"""The trainable teacher: its networks, its training, its standing statistics, its exported form."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.latents import sample_latents
from tinygan_keras.teachers.biggan import BigGANDiscriminator, BigGANGenerator
from tinygan_keras.teachers.hub import HubTeacher
from tinygan_keras.teachers.own_teacher import (
    ClassConditionalGAN,
    measure_standing_statistics,
    save_teacher,
)

TINY = {
    "channels": (8, 8, 6),
    "latent_dim": 6,
    "num_classes": 3,
    "embedding_dim": 4,
    "attention_size": 8,
    "truncation_rows": 3,
}


@pytest.fixture(scope="module")
def generator():
    generator = BigGANGenerator(**TINY)
    generator.attention.gamma.assign(0.5)
    measure_standing_statistics(generator, batches=2, batch_size=30, progress=False)
    return generator


def inputs(count=5, truncation=1.0):
    return sample_latents(count, 6, truncation), np.arange(count) % 3


def test_images_have_the_size_and_range_of_the_configuration(generator):
    images = generator(inputs()).numpy()
    assert images.shape == (5, 16, 16, 3) and images.dtype == np.float32
    assert np.abs(images).max() <= 1


def test_every_block_sees_its_own_piece_of_the_latents(generator):
    latents, labels = inputs()
    images = generator((latents, labels)).numpy()
    for start in (0, 2, 4):
        changed = latents.copy()
        changed[:, start : start + 2] += 1
        assert not np.allclose(generator((changed, labels)), images, atol=1e-4)


def test_one_hot_labels_equal_class_numbers(generator):
    latents, labels = inputs()
    one_hot = np.eye(3, dtype="float32")[labels]
    np.testing.assert_allclose(
        generator((latents, labels)), generator((latents, one_hot)), atol=1e-6
    )


def test_standing_statistics_are_the_mean_of_the_batches(generator):
    """Row 2 of 3 is truncation 1; its first norm sees only the projection, checked in NumPy."""
    norm = generator.blocks[0].norms[0]
    means, second = [], []
    for count in range(2):
        seed = (0, 2 * 2 + count)
        latents = tf.random.stateless_truncated_normal((30, 6), seed, alg="philox")
        features = generator.projection(latents[:, :2], training=False)
        features = tf.reshape(features, (-1, 4, 4, 8)).numpy()
        means.append(features.mean((0, 1, 2)))
        second.append(features.var((0, 1, 2), ddof=1))
    np.testing.assert_allclose(norm.mean_table.numpy()[2], np.mean(means, 0), atol=1e-5)
    np.testing.assert_allclose(norm.variance_table.numpy()[2], np.mean(second, 0), rtol=1e-4)


def test_statistics_between_two_rows_are_interpolated(generator):
    norm = generator.blocks[0].norms[0]
    mean, _ = norm._standing_statistics(0.75)
    table = norm.mean_table.numpy()
    np.testing.assert_allclose(mean, 0.5 * (table[1] + table[2]), atol=1e-6)


def test_saved_teacher_is_what_hub_teacher_loads(generator, tmp_path):
    path = save_teacher(generator, tmp_path / "teacher")
    teacher = HubTeacher(path, truncation=0.5)
    sizes = (teacher.latent_dim, teacher.num_classes, teacher.image_size)
    assert sizes == (6, 3, 16)
    expected = sum(int(np.prod(v.shape)) for v in generator.trainable_variables)
    assert teacher.parameters == expected
    latents, labels = inputs(truncation=0.5)
    images = generator((latents, labels), truncation=0.5).numpy()
    np.testing.assert_allclose(teacher(latents, labels), images, atol=1e-5)
    other = generator((latents, labels), truncation=1.0).numpy()
    assert not np.allclose(images, other, atol=1e-4)
    with pytest.raises(FileExistsError, match="exists"):
        save_teacher(generator, path)


def test_training_moves_both_networks_and_the_average():
    def make():
        return BigGANGenerator(**{**TINY, "attention_size": None})

    discriminator = BigGANDiscriminator(channels=(4, 4, 4), num_classes=3, image_size=16)
    model = ClassConditionalGAN(make(), discriminator, ema_generator=make(), ema_decay=0.5)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [v.numpy() for v in model.ema_generator.trainable_variables]
    start = [v.numpy() for v in discriminator.trainable_variables]
    latents, labels = inputs()
    images = np.random.default_rng(0).uniform(-1, 1, (5, 16, 16, 3)).astype("float32")
    batch = {"image": images, "label": labels.astype("int32"), "latent": latents}
    logs = model.train_on_batch(batch, return_dict=True)
    assert set(logs) == {"d_loss", "g_loss"}
    moved = [
        not np.array_equal(a, v.numpy())
        for a, v in zip(start, discriminator.trainable_variables, strict=True)
    ]
    assert all(moved)
    trained = model.generator.trainable_variables
    averaged = model.ema_generator.trainable_variables
    for old, new, average in zip(before, trained, averaged, strict=True):
        np.testing.assert_allclose(average.numpy(), 0.5 * (old + new.numpy()), atol=1e-6)


def test_a_latent_length_that_can_t_be_cut_is_refused():
    with pytest.raises(ValueError, match="latent_dim=7 can't be cut into 3"):
        BigGANGenerator(**{**TINY, "latent_dim": 7})
