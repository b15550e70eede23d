"""Spectral normalisation against NumPy, attention at rest, upsampling, biases in half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.networks.layers import (
    BilinearUpsampling,
    Conv2D,
    DepthwiseConv2D,
    SelfAttention,
    SpectralConv2D,
    SpectralDense,
    SpectralEmbedding,
    upsample,
)


def test_power_iteration_converges_to_the_largest_singular_value():
    layer = SpectralDense(5, use_bias=False)
    inputs = np.eye(7, dtype="float32")
    for _ in range(200):
        outputs = layer(inputs, training=True)
    kernel = layer.kernel.numpy()
    expected = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
    np.testing.assert_allclose(np.array(outputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (SpectralDense(3), np.ones((2, 4), "float32")),
        (SpectralConv2D(3, 4, 2, padding="same"), np.ones((2, 8, 8, 2), "float32")),
        (SpectralEmbedding(4, 3), np.array([0, 3], "int32")),
    ],
)
def test_only_training_calls_move_the_vector_and_none_the_kernel(layer, inputs):
    layer(inputs)
    kernel, vector = layer.trainable_variables[0].numpy(), layer.u.numpy()
    layer(inputs, training=False)
    np.testing.assert_array_equal(layer.u.numpy(), vector)
    layer(inputs, training=True)
    assert not np.array_equal(layer.u.numpy(), vector)
    np.testing.assert_array_equal(layer.trainable_variables[0].numpy(), kernel)


def test_gradient_goes_through_sigma():
    """W / sigma(W) doesn't change when W is scaled, so its gradient is orthogonal to W."""
    layer = SpectralDense(5, use_bias=False)
    inputs = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    for _ in range(100):
        layer(inputs, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) ** 2)
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    inner = np.sum(gradient * layer.kernel.numpy())
    size = np.linalg.norm(gradient) * np.linalg.norm(layer.kernel.numpy())
    assert abs(inner) < 1e-4 * size


def test_attention_starts_as_the_identity_and_then_is_not():
    layer = SelfAttention()
    features = np.random.default_rng(0).normal(size=(2, 4, 4, 16)).astype("float32")
    np.testing.assert_array_equal(np.array(layer(features)), features)
    layer.gamma.assign(1.0)
    assert not np.allclose(np.array(layer(features)), features)


def test_upsampling_of_nearest_neighbours():
    row = np.array([0.0, 1.0], "float32").reshape(1, 1, 2, 1)
    nearest = np.array(upsample(keras.ops.convert_to_tensor(row)))
    np.testing.assert_allclose(nearest[0, 0, :, 0], [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_bilinear_upsampling_uses_half_pixel_centres(dtype, training):
    row = np.array([0.0, 1.0], "float32").reshape(1, 1, 2, 1)
    doubled = BilinearUpsampling(dtype=dtype)(row, training=training)
    doubled = keras.ops.convert_to_numpy(doubled).astype("float32")
    assert doubled.shape == (1, 2, 4, 1)
    np.testing.assert_array_equal(doubled[0, :, :, 0], 2 * [[0.0, 0.25, 0.75, 1.0]])


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_bilinear_upsampling_in_half_precision_is_that_of_float32(dtype, error):
    random = np.random.default_rng(0)
    features = tf.cast(random.normal(size=(2, 5, 3, 4)), dtype)  # 5 rows, 3 columns
    upstream = tf.cast(random.normal(size=(2, 10, 6, 4)), dtype)
    found = {}
    for policy in (f"mixed_{dtype}", "float32"):
        inputs = tf.cast(features, BilinearUpsampling(dtype=policy).compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = BilinearUpsampling(dtype=policy)(inputs, training=True)
        gradient = tape.gradient(outputs, inputs, tf.cast(upstream, outputs.dtype))
        assert outputs.dtype == gradient.dtype == inputs.dtype
        found[policy] = [tf.cast(x, "float32").numpy() for x in (outputs, gradient)]
    for half, whole in zip(*found.values(), strict=True):
        np.testing.assert_allclose(half, whole, atol=2 * error * np.abs(whole).max())


@pytest.mark.parametrize(
    "layer",
    [Conv2D(32, 1), Conv2D(32, 3, padding="same"), DepthwiseConv2D(3, padding="same")]
    + [SpectralConv2D(32, 3, padding="same")],
    ids=["pointwise", "convolution", "depthwise", "spectral"],
)
def test_gradient_of_a_bias_in_bfloat16_is_the_sum_over_all_pixels(layer):
    layer = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    random = np.random.default_rng(0)
    upstream = tf.cast(0.1 + random.normal(size=(4, 64, 64, 32)), "bfloat16")
    layer.build(upstream.shape)
    with tf.GradientTape() as tape:
        outputs = layer(tf.zeros(upstream.shape))
    gradient = tape.gradient(outputs, layer.bias, upstream)
    expected = upstream.numpy().astype("float64").sum((0, 1, 2))
    np.testing.assert_allclose(gradient, expected, rtol=2**-8)
