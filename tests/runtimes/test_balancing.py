"""The rewrite for eight bits: the same images, channels of about the same range, and then no outliers."""

import keras
import numpy as np
import pytest

from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runtimes.balancing import balanced_student, cut_outliers

CHANNELS = (8, 6, 4)


@pytest.fixture
def inputs():
    random = np.random.default_rng(1)
    return random.normal(size=(24, 5)).astype("float32"), random.integers(0, 3, 24).astype("int32")


OURS = {"latents": "pieces", "pointwise_first": True}


@pytest.fixture(params=[{}, OURS, {**OURS, "image_channels": 1}], ids=["paper", "ours", "grey"])
def student(request):
    """A student whose every weight differs from what it starts with, as after training."""
    sizes = {"latent_dim": 5, "num_classes": 3, "embedding_dim": 4}
    student = StudentGenerator(channels=CHANNELS, **sizes, **request.param)
    random = np.random.default_rng(0)
    for variable in student.variables:
        values = np.asarray(variable)
        if "variance" in variable.path:
            values = random.uniform(0.05, 20.0, values.shape)
        else:
            values = values + random.normal(0.0, 0.3, values.shape)
        variable.assign(values)
    return student


def outputs(student, names, inputs):
    return keras.Model(student.inputs, [student.get_layer(name).output for name in names])(inputs)


def test_images_stay_and_the_student_is_left_alone(student, inputs):
    before = [np.array(weights) for weights in student.get_weights()]

    balanced = balanced_student(student, *inputs)

    fresh = np.random.default_rng(2).normal(size=(24, 5)).astype("float32"), np.arange(24) % 3
    np.testing.assert_allclose(balanced(fresh), student(fresh), atol=1e-5)
    assert np.ptp(np.asarray(student(fresh))) > 0.5  # not grey, which would be easy
    for weights, old in zip(student.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, old)


def test_statistics_move_into_the_layers_before_them(student, inputs):
    balanced = balanced_student(student, *inputs)

    for name in (
        "block_0_norm_0",
        "block_0_norm_1",
        "block_1_norm_0",
        "block_1_norm_1",
        "final_norm",
    ):
        norm = balanced.get_layer(name)
        np.testing.assert_array_equal(norm.moving_mean, np.zeros_like(norm.moving_mean))
        np.testing.assert_allclose(np.asarray(norm.moving_variance) + norm.epsilon, 1.0, rtol=1e-6)


def test_a_feature_map_is_the_normalised_one(student, inputs):
    """Worked for the map that enters block 1: the sum of two, normalised by its batch normalisation."""
    norm = student.get_layer("block_1_norm_0")
    old, new = (
        keras.Model(model.inputs, model.get_layer("block_1_norm_0").input[0])(inputs)
        for model in (student, balanced_student(student, *inputs))
    )
    deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    expected = (np.asarray(old) - np.asarray(norm.moving_mean)) / deviation
    np.testing.assert_allclose(new, expected, atol=2e-5)


def test_channels_between_two_convolutions_reach_one(student, inputs):
    first = "pointwise" if student.pointwise_first else "depthwise"
    names = [f"block_{index}_{kind}" for index in (0, 1) for kind in (f"{first}_0", "depthwise_1")]
    for features in outputs(balanced_student(student, *inputs), names, inputs):
        reached = np.abs(features).max(axis=(0, 1, 2))
        # Of ours a few channels are dead with these weights.
        assert (reached > 0).sum() > len(reached) / (2 if student.pointwise_first else 1) - 1
        np.testing.assert_allclose(reached[reached > 0], 1.0, rtol=1e-4)


def test_a_dead_channel_stays_dead(student, inputs):
    kernel = student.get_layer("block_0_depthwise_0").kernel
    kernel.assign(np.asarray(kernel) * (np.arange(kernel.shape[2]) != 2)[:, None])

    balanced = balanced_student(student, *inputs)

    assert np.isfinite(np.concatenate([np.ravel(w) for w in balanced.get_weights()])).all()
    np.testing.assert_allclose(balanced(inputs), student(inputs), atol=1e-5)


def test_outliers_are_cut_from_the_maps_behind_two_convolutions(student, inputs):
    second = "depthwise" if student.pointwise_first else "pointwise"
    names = [f"block_{block}_{kind}" for block in (0, 1) for kind in (f"{second}_0", "pointwise_1")]
    balanced = balanced_student(student, *inputs)
    before, images = outputs(balanced, names, inputs), np.asarray(balanced(inputs))

    cut = cut_outliers(balanced, *inputs)

    # What is before a cut is as it was, so the first map has exactly its former quantiles for bounds.
    np.testing.assert_allclose(
        [np.min(outputs(cut, names, inputs)[0]), np.max(outputs(cut, names, inputs)[0])],
        np.quantile(before[0], (0.001, 0.999)),
        rtol=1e-5,
    )
    for features, old in zip(outputs(cut, names, inputs), before, strict=True):
        assert np.ptp(features) < np.ptp(old)
    change = np.abs(np.asarray(cut(inputs)) - images)
    assert change.max() > 0
    assert change.mean() < 0.01
