"""Metrics that are measured where they are named: worked numbers, NumPy twins, and the judge there is."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras import tfgan
from tinygan_keras.evaluation.metrics.diversity import vendi_score
from tinygan_keras.evaluation.metrics.neighbours import authenticity
from tinygan_keras.evaluation.metrics.path_length import path_lengths
from tinygan_keras.evaluation.metrics.sliced_wasserstein import (
    laplacian_pyramid,
    sliced_wasserstein,
)
from tinygan_keras.latents import spherical


def features(count, dimension, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype("float32")


@pytest.mark.parametrize(("kinds", "score"), [(1, 1.0), (3, 3.0), (5, 5.0)])
def test_vendi_score_counts_kinds_that_have_nothing_in_common(kinds, score):
    rows = 7 * np.eye(6)[np.arange(30) % kinds]
    assert vendi_score([rows[:11], rows[11:]], 30) == pytest.approx(score)


def test_vendi_score_equals_its_numpy_twin():
    """By the matrix of all pairs, as the paper has it."""
    rows = features(40, 6) + 1
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(units @ units.T / 40)
    values = values[values > 1e-12]
    twin = np.exp(-np.sum(values * np.log(values)))
    assert vendi_score([rows], 40) == pytest.approx(twin, rel=1e-5)


def test_copies_are_not_authentic_and_far_images_are():
    real = features(100, 4)
    assert authenticity(real, real + 1e-4) == 0.0
    assert authenticity(real, real + 100) == 1.0
    assert authenticity(real, features(400, 4, 1)) == pytest.approx(0.5, abs=0.1)


def test_authenticity_equals_its_numpy_twin():
    real, generated = features(50, 3), features(30, 3, 1)
    authentic = 0
    for row in generated:
        nearest = np.argmin([np.linalg.norm(row - other) for other in real])
        others = [np.linalg.norm(real[nearest] - r) for k, r in enumerate(real) if k != nearest]
        authentic += np.linalg.norm(row - real[nearest]) > min(others)
    assert authenticity(real, generated) == authentic / 30


def test_paths_of_a_linear_function_are_the_square_of_its_slope():
    start = features(120, 3)
    step = 1e-3 * np.array([1.0, 2.0, 2.0], "float32")
    slope = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]], "float32")
    lengths = path_lengths(lambda z: z @ slope, (start,), (start + step,))
    assert lengths.shape == (120,)
    assert lengths == pytest.approx(1 + 16 + 36, rel=1e-2)


def test_a_share_of_a_great_circle_is_that_share_of_its_angle():
    start, end = np.array([[2.0, 0, 0]]), np.array([[0, 2.0, 0]])
    found = spherical(start, end, np.array([[1 / 3]]))
    assert found == pytest.approx(2 * np.array([[np.cos(np.pi / 6), np.sin(np.pi / 6), 0]]))
    np.testing.assert_allclose(spherical(start, start, np.array([[0.3]])), start)


def test_levels_add_up_to_the_image():
    """Each level is what the next one, doubled and smoothed, lacks."""
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    first, second = laplacian_pyramid(images, 2)
    assert first.shape == images.shape and second.shape == (2, 16, 16, 3)
    weights = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(weights, weights)
    spread = np.zeros((36, 36))  # with two mirrored pixels at each border
    spread[2:34:2, 2:34:2] = 4 * second[0, ..., 0]
    spread = np.pad(spread[2:34, 2:34], 2, mode="reflect")
    doubled = [
        [np.sum(kernel * spread[y : y + 5, x : x + 5]) for x in range(32)] for y in range(32)
    ]
    assert first[0, ..., 0] + doubled == pytest.approx(images[0, ..., 0], abs=1e-5)


def noise(seed, count=60, size=32, smooth=False):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, size, size, 3)).astype("uint8")
    return (images // 2 + np.roll(images, 1, axis=2) // 2).astype("uint8") if smooth else images


@pytest.mark.parametrize("smooth", [False, True])
def test_sliced_wasserstein_distance_is_tf_gans(smooth):
    """Both draw patches and directions at random; TF-GAN averages over more of the latter."""
    real, generated = noise(0), noise(1, smooth=smooth)
    state = np.random.get_state()
    np.random.seed(0)
    theirs = tfgan.evaluation().sliced_wasserstein_distance(
        *(tf.constant(side.astype("float32") / 127.5 - 1) for side in (real, generated))
    )
    np.random.set_state(state)
    ours = sliced_wasserstein(generated, real)
    near = {"rel": 0.1, "abs": 0.02}
    assert ours == pytest.approx([float(fake) for _, fake in theirs], **near)


def test_sliced_wasserstein_distance_repeats_and_takes_patches_of_one_colour():
    images = noise(0, 20)
    images[:, :, 10:] = 0
    assert sliced_wasserstein(images, noise(1, 20), 3) == sliced_wasserstein(
        images, noise(1, 20), 3
    )
    assert np.isfinite(sliced_wasserstein(images, np.zeros_like(images))).all()
    assert sliced_wasserstein(np.zeros_like(images), np.zeros_like(images)) == [0.0, 0.0]


def test_sliced_wasserstein_distance_equals_its_numpy_twin():
    """Of one level: every patch is the whole image, so that nothing but the directions is random."""
    images, others = noise(0, 8, 7), noise(1, 8, 7, smooth=True)
    from tinygan_keras.evaluation.metrics import sliced_wasserstein as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SMALLEST", 7)
        (found,) = sliced_wasserstein(images, others, seed=5, patches=1, directions=4)
    random = np.random.default_rng(5)
    for _ in range(2):
        random.integers(0, 1, (2, 8, 1, 1))
    axes = random.normal(size=(147, 4))
    sides = []
    for side in (images, others):
        rows = side.reshape(8, -1) / 127.5 - 1
        sides.append((rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True))
    apart = [
        np.abs(np.sort(sides[0] @ axis) - np.sort(sides[1] @ axis)).mean() / np.linalg.norm(axis)
        for axis in axes.T
    ]
    assert found == pytest.approx(np.mean(apart), rel=1e-4)
