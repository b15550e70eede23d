"""Batch normalisation, by class and plain, against NumPy and Keras' own."""

import keras
import numpy as np
import pytest

from tinygan_keras.networks.normalization import BatchNormalization, ConditionalBatchNormalization


def test_conditional_batch_norm_matches_numpy_and_starts_at_scale_one():
    layer = ConditionalBatchNormalization(momentum=0.9, epsilon=1e-5)
    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, (4, 5, 5, 3)).astype("float32")
    condition = np.zeros((4, 2), "float32")
    outputs = np.array(layer([features, condition], training=True))
    mean, variance = features.mean((0, 1, 2)), features.var((0, 1, 2))
    expected = (features - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-4)
    unbiased = features.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * unbiased, rtol=1e-4)

    kernel = rng.normal(size=(2, 6)).astype("float32")
    layer.affine.kernel.assign(kernel)
    condition = rng.normal(size=(4, 2)).astype("float32")
    scale, shift = np.split(condition @ kernel + np.repeat([1.0, 0.0], 3), 2, axis=1)
    moments = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    normal = (features - moments[0]) / np.sqrt(moments[1] + 1e-5)
    expected = scale[:, None, None] * normal + shift[:, None, None]
    outputs = np.array(layer([features, condition], training=False))
    np.testing.assert_allclose(outputs, expected, atol=1e-4)


@pytest.mark.parametrize(("channels", "entries"), [(2, 2), (3, 3), (5, 4)])
def test_conditional_batch_norm_may_start_with_the_sum_of_the_condition_s_first_entries(
    channels, entries
):
    layer = ConditionalBatchNormalization(start_at_identity=False)
    condition = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    layer([np.zeros((6, 2, 2, channels), "float32"), condition])
    scale_and_shift = np.array(layer.affine(condition)) - layer.affine.bias.numpy()
    expected = condition[:, :entries].sum(1, keepdims=True)
    np.testing.assert_allclose(scale_and_shift, expected.repeat(2 * channels, 1), rtol=1e-5)
    bias = layer.affine.bias.numpy()
    assert np.abs(bias).max() <= 0.5 and bias.std() > 0.1  # 1 / sqrt(4)


def test_batch_norm_equals_keras_own_but_for_the_unbiased_moving_variance():
    features = np.random.default_rng(0).normal(2.0, 3.0, (4, 5, 5, 3)).astype("float32")
    ours = BatchNormalization(momentum=0.9, epsilon=1e-5)
    keras_own = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    expected = np.array(keras_own(features, training=True))
    np.testing.assert_allclose(np.array(ours(features, training=True)), expected, atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean.numpy(), keras_own.moving_mean.numpy(), rtol=1e-4)
    # 100 values per channel: the unbiased variance is 1 % larger, and a tenth of it moves in.
    grown = ours.moving_variance.numpy() - 0.9
    expected = (keras_own.moving_variance.numpy() - 0.9) * 100 / 99
    np.testing.assert_allclose(grown, expected, rtol=1e-3)


@pytest.mark.parametrize("conditional", [False, True])
def test_synchronised_statistics_are_those_of_the_fused_kernel_on_one_device(conditional):
    """The unbiased variance is 1/7 larger with 8 values per channel: no tolerance hides it."""
    layer = ConditionalBatchNormalization if conditional else BatchNormalization
    features = np.random.default_rng(0).normal(2.0, 3.0, (2, 2, 2, 3)).astype("float32")
    inputs = [features, np.ones((2, 4), "float32")] if conditional else features
    fused, shared = layer(epsilon=1e-5), layer(epsilon=1e-5, synchronized=True)
    outputs = [np.array(one(inputs, training=True)) for one in (fused, shared)]
    if not conditional:  # the other one's affine map starts where any condition gives 1 and 0
        np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        ours, theirs = (getattr(one, name).numpy() for one in (shared, fused))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
