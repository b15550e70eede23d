"""The student-side discriminator: the paper's size, the feature maps, and the logit by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.networks.discriminator import Discriminator
from tinygan_keras.networks.layers import leaky_relu

TINY = {"channels": (4, 8), "num_classes": 3, "image_size": 8}


def inputs(batch=4):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (batch, 8, 8, 3)).astype("float32"), rng.integers(0, 3, batch)


def test_the_paper_s_discriminator_has_3_300_321_parameters_and_five_maps():
    discriminator = Discriminator.from_preset("tinygan_128")
    size = sum(int(np.prod(v.shape)) for v in discriminator.trainable_variables)
    assert size == 3_300_321
    sides = [feature.shape[1] for feature in discriminator.output["features"]]
    assert sides == [64, 32, 16, 8, 4]


@pytest.mark.parametrize("size", [32, 64, 256])
def test_presets_match_the_student_s_sizes(size):
    assert Discriminator.from_preset(f"tinygan_{size}").image_size == size


def test_logit_is_the_head_plus_the_projection_of_the_class():
    discriminator = Discriminator(**TINY)
    images, labels = inputs()
    outputs = discriminator((images, labels))
    pooled = np.array(outputs["features"][-1]).sum((1, 2))

    def normalized(layer, kernel):
        v = layer.u.numpy() @ kernel.T
        v /= np.linalg.norm(v)
        u = v @ kernel
        u /= np.linalg.norm(u)
        return kernel / (v @ kernel @ u.T)

    head, projection = (discriminator.get_layer(name) for name in ("head", "projection"))
    table = normalized(projection, projection.embeddings.numpy())
    expected = pooled @ normalized(head, head.kernel.numpy()) + head.bias.numpy()
    expected += (pooled * table[labels]).sum(1, keepdims=True)
    np.testing.assert_allclose(np.array(outputs["logits"]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("given", "stddev"), [(None, 0.05 / 3**0.5), (1.0, 1.0)])
def test_the_class_table_starts_with_the_deviation_that_is_set(given, stddev):
    discriminator = Discriminator((4, 512), 1000, 8, class_table_stddev=given)
    table = discriminator.get_layer("projection").embeddings.numpy()
    assert table.std() == pytest.approx(stddev, rel=0.01) and abs(table.mean()) < 0.01 * stddev
    assert Discriminator.from_config(discriminator.get_config()).class_table_stddev == given


def test_features_are_post_activation_maps_with_slope_one_hundredth():
    discriminator = Discriminator(**TINY)
    images, labels = inputs()
    first = np.array(discriminator((images, labels))["features"][0])
    stage = discriminator.get_layer("stage_0")
    stage.activation = keras.activations.linear
    plain = np.array(stage(images))
    np.testing.assert_allclose(first, np.where(plain > 0, plain, 0.01 * plain), atol=1e-6)


def test_gradient_of_the_activation_is_that_of_a_leaky_relu():
    features = tf.constant([-2.0, -1e-30, 0.0, 1e-30, 3.0])
    upstream = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0])
    found = []
    for function in (leaky_relu, lambda x: tf.nn.leaky_relu(x, 0.01)):
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = function(features)
        found.append(tape.gradient(outputs, features, output_gradients=upstream).numpy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], [0.01, 0.02, 0.03, 4.0, 5.0], rtol=1e-6)


def test_keras_file_round_trip_keeps_the_power_iteration_vectors(tmp_path):
    discriminator = Discriminator(**TINY)
    discriminator(inputs(), training=True)
    discriminator.save(tmp_path / "discriminator.keras")
    loaded = keras.saving.load_model(tmp_path / "discriminator.keras")
    expected = np.array(discriminator(inputs())["logits"])
    np.testing.assert_array_equal(np.array(loaded(inputs())["logits"]), expected)


def test_an_image_size_that_can_t_be_halved_is_refused():
    with pytest.raises(ValueError, match=r"image_size=10 can't be halved 2 times.*multiple of 4"):
        Discriminator(channels=(4, 8), image_size=10)
