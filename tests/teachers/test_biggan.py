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


def gan(d_steps=1, g_rate=0.1, d_rate=0.1):
    """A compiled model, eager, and a batch for it."""

    def make():
        return BigGANGenerator(**{**TINY, "attention_size": None})

    keras.utils.set_random_seed(0)
    discriminator = BigGANDiscriminator(channels=(4, 4, 4), num_classes=3, image_size=16)
    model = ClassConditionalGAN(make(), discriminator, make(), ema_decay=0.5, d_steps=d_steps)
    rates = keras.optimizers.SGD(g_rate), keras.optimizers.SGD(d_rate)
    model.compile(*rates, divergence_limit=100.0, run_eagerly=True)
    count = 5 * d_steps
    latents, labels = inputs(count)
    images = np.random.default_rng(0).uniform(-1, 1, (count, 16, 16, 3)).astype("float32")
    return model, {"image": images, "label": labels.astype("int32"), "latent": latents}


def values(network):
    return [v.numpy() for v in network.trainable_variables]


def moved(before, network):
    pairs = zip(before, network.trainable_variables, strict=True)
    return [not np.array_equal(old, new.numpy()) for old, new in pairs]


def test_training_moves_both_networks_and_the_average():
    model, batch = gan()
    before, start = values(model.ema_generator), values(model.discriminator)
    logs = model.train_on_batch(batch, return_dict=True)
    assert set(logs) == {"d_loss", "g_loss"} and int(model.step) == 1
    assert all(moved(start, model.discriminator))
    pairs = zip(before, values(model.generator), values(model.ema_generator), strict=True)
    for old, new, average in pairs:  # the decay of the first step is 1/10
        np.testing.assert_allclose(average, 0.1 * old + 0.9 * new, atol=1e-6)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_each_optimizer_moves_its_own_network(network):
    rates = {"d_rate": 0.0} if network == "generator" else {"g_rate": 0.0}
    model, batch = gan(**rates)
    before = {name: values(getattr(model, name)) for name in ("generator", "discriminator")}
    model.train_on_batch(batch)
    for name, old in before.items():
        assert any(moved(old, getattr(model, name))) == (name == network)


def test_the_generator_learns_from_the_discriminator_that_has_just_been_updated():
    model, batch = gan(g_rate=0.0)
    logs = model.train_on_batch(batch, return_dict=True)
    # Rate 0 leaves the generator where it was; power iteration moves with every training call.
    images = model.generator((batch["latent"], batch["label"]), training=True)
    logits = model.discriminator((images, batch["label"]), training=False)
    assert logs["g_loss"] == pytest.approx(-float(np.mean(logits)), rel=0.05)
    before, _ = gan(g_rate=0.0)
    old = before.discriminator((images, batch["label"]), training=False)
    assert abs(logs["g_loss"] + float(np.mean(old))) > 10 * abs(logs["g_loss"] + np.mean(logits))


def test_the_discriminator_may_learn_several_times_before_the_generator_does():
    model, batch = gan(d_steps=2, g_rate=0.0)
    model.train_on_batch(batch)
    twice, _ = gan(g_rate=0.0)
    for part in (slice(0, 5), slice(5, 10)):
        twice.train_on_batch({name: value[part] for name, value in batch.items()})
    for one, other in zip(*map(values, (model.discriminator, twice.discriminator)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert (int(model.g_optimizer.iterations), int(model.d_optimizer.iterations)) == (1, 2)


def test_losses_that_are_no_numbers_are_counted():
    model, batch = gan()
    model.train_on_batch({**batch, "image": batch["image"] * np.nan})
    assert model.failures.numpy().tolist() == [1.0, 1.0]


def test_statistics_of_one_truncation_leave_the_other_rows_alone():
    generator = BigGANGenerator(**TINY)
    settings = {"batches": 1, "batch_size": 6, "progress": False}
    measure_standing_statistics(generator, truncation=0.75, classes=(0, 2), **settings)
    means = generator.final_norm.mean_table.numpy()
    assert not means[0].any() and means[1].any() and means[2].any()


def test_a_latent_length_that_can_t_be_cut_is_refused():
    with pytest.raises(ValueError, match="latent_dim=7 can't be cut into 3"):
        BigGANGenerator(**{**TINY, "latent_dim": 7})
