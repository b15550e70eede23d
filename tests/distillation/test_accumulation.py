"""A batch in pieces: the step of the whole batch, but for the statistics of batch normalisation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from test_tinygan import CLASSES, LATENT_DIM, SIZE, make_batch, make_discriminator, make_student

from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.errors import InputError

BATCH = 8


def plain_student(dtype=None):
    """A student without batch normalisation."""
    latents, labels = keras.Input((LATENT_DIM,)), keras.Input((), dtype="int32")
    embedded = layers.Embedding(CLASSES, LATENT_DIM)(labels)
    hidden = layers.Dense(16, activation="tanh")(layers.Multiply()([latents, embedded + 1.0]))
    images = layers.Dense(SIZE * SIZE * 3, activation="tanh")(hidden)
    return keras.Model([latents, labels], layers.Reshape((SIZE, SIZE, 3))(images))


def make_model(student=plain_student, **settings):
    keras.utils.set_random_seed(1)
    model = TinyGAN(student(), make_discriminator(), ema_decay=0.5)
    settings = {"adversarial_interval": 1, "run_eagerly": True, **settings}
    # Large enough weights for every term to show.
    settings |= {"adversarial_distillation_weight": 0.3, "adversarial_gan_weight": 0.5}
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), **settings)
    return model


def trained(batches, **settings):
    model = make_model(**settings)
    data = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    data = tf.data.Dataset.from_tensor_slices(data)
    history = model.fit(data, verbose=0, shuffle=False).history
    return model, history


def assert_alike(one, other, atol=1e-5):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=atol, err_msg=getattr(a, "path", ""))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fresh_latents": False},
        {"reuse_teacher_features": False},
        {"power_iteration_per_call": True},
        {"adversarial_interval": 2},
        {"adversarial_loss": "relativistic"},
        pytest.param({"run_eagerly": False}, marks=pytest.mark.full),
    ],
    ids=str,
)
@pytest.mark.parametrize("pieces", [2, pytest.param(4, marks=pytest.mark.full)])
def test_pieces_give_the_step_of_the_whole_batch(settings, pieces):
    batches = [make_batch(seed, batch=BATCH) for seed in range(3)]
    whole, expected = trained(batches, **settings)
    model, history = trained(batches, accumulate_steps=pieces, **settings)
    assert_alike(model.variables, whole.variables)
    for name, values in history.items():
        assert values == pytest.approx(expected[name], abs=1e-5)


def test_renewed_latents_and_data_without_real_images_are_accumulated_too():
    whole, _ = trained([make_batch(0, batch=BATCH)], renew_fresh_latents=True)
    model, _ = trained([make_batch(0, batch=BATCH)], renew_fresh_latents=True, accumulate_steps=2)
    assert_alike(model.variables, whole.variables)
    whole, _ = trained([make_batch(0, real=False, batch=BATCH)])
    model, _ = trained([make_batch(0, real=False, batch=BATCH)], accumulate_steps=2)
    assert_alike(model.variables, whole.variables)


def doubled(batch):
    return {name: np.concatenate([values, values]) for name, values in batch.items()}


def test_pieces_with_the_statistics_of_the_whole_move_everything_alike():
    """Of a batch whose halves are the same: then batch normalisation makes no difference either."""
    batches = [doubled(make_batch(seed, batch=BATCH)) for seed in range(2)]
    whole, _ = trained(batches, student=make_student)
    model, _ = trained(batches, student=make_student, accumulate_steps=2)
    for a, b in zip(model.variables, whole.variables, strict=True):
        if "moving_variance" not in a.path:  # the unbiased one depends on the number of pixels
            np.testing.assert_allclose(a, b, atol=2e-5, err_msg=a.path)


@pytest.mark.full
def test_with_batch_normalisation_it_is_the_step_of_as_many_devices():
    """Each device has statistics of its own then, as each piece has."""
    batches = [make_batch(seed, batch=BATCH) for seed in range(2)]
    settings = {"student": make_student, "run_eagerly": False}
    pieces, _ = trained(batches, accumulate_steps=2, **settings)
    # Collectives of a second strategy in one process collide on CPUs, and other tests have theirs.
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        devices, _ = trained(batches, **settings)
    assert_alike(pieces.trainable_variables, devices.trainable_variables)
    alone, _ = trained(batches, **settings)
    differences = [
        np.abs(a.numpy() - b.numpy()).max()
        for a, b in zip(pieces.trainable_variables, alone.trainable_variables, strict=True)
    ]
    assert max(differences) > 1e-4, "the whole batch has other statistics"


def test_devices_that_share_statistics_are_refused():
    with (
        tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope(),
        pytest.raises(InputError, match="accumulate_steps=2 .*synchronized_batch_norm=False"),
    ):
        make_model(student=lambda: make_student(synchronized=True), accumulate_steps=2)


def test_a_batch_that_has_no_equal_pieces_is_refused():
    with pytest.raises(InputError, match="8 rows .*accumulate_steps=3.*Change the batch size"):
        trained([make_batch(0, batch=BATCH)], accumulate_steps=3)
    with pytest.raises(InputError, match="accumulate_steps=0.*from 1 on"):
        make_model(accumulate_steps=0)


def test_a_saved_model_keeps_the_pieces(tmp_path):
    model = make_model(student=make_student, accumulate_steps=4)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").accumulate_steps == 4
