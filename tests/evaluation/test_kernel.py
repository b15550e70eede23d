import itertools

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras import tfgan
from tinygan_keras.evaluation.metrics.kernel import (
    kernel_distance,
    median_distance,
    rbf_kernel_distance,
)


def features(count, dimension=4, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(count, dimension))


def numpy_twin(x, y):
    """One block, pair by pair."""

    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    within = [
        np.mean([kernel(a, b) for a, b in itertools.permutations(rows, 2)]) for rows in (x, y)
    ]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_distance_of_worked_vectors():
    # k(0, 0) = 1; k(1, 1) = 8; k(0, 1) = 1: 1 + 8 - 2.
    assert kernel_distance([[0.0], [0.0]], [[1.0], [1.0]]) == (pytest.approx(7.0), None)


def test_one_block_equals_its_numpy_twin():
    x, y = features(7, seed=1), features(9, seed=2, scale=1.5)
    assert kernel_distance(x, y)[0] == pytest.approx(numpy_twin(x, y), rel=1e-12)


def test_blocks_equal_their_numpy_twin():
    # 11 and 8 rows in blocks of at most 4: three each, of 3, 4, 4 and of 2, 3, 3 rows.
    x, y = features(11, seed=1), features(8, seed=2, scale=1.5)
    estimates = [
        numpy_twin(x[0:3], y[0:2]),
        numpy_twin(x[3:7], y[2:5]),
        numpy_twin(x[7:11], y[5:8]),
    ]
    expected = (np.mean(estimates), np.std(estimates, ddof=1) / np.sqrt(3))
    assert kernel_distance(x, y, max_block_size=4) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "other"), [(30, 30), (31, 27), (40, 20)])
def test_distance_and_error_equal_tf_gans(count, other):
    x, y = features(count, seed=3), features(other, seed=4, scale=1.2)
    theirs = tfgan.evaluation().kernel_classifier_distance_and_std_from_activations(
        tf.constant(x), tf.constant(y), max_block_size=10
    )
    ours = kernel_distance(x, y, max_block_size=10)
    assert ours == pytest.approx([float(value) for value in theirs], rel=1e-6)


def test_distance_has_no_bias():
    """Of equal distributions its mean is 0, at sizes where the Frechet distance is far from it."""
    distances = [
        kernel_distance(features(20, seed=seed), features(20, seed=1000 + seed))[0]
        for seed in range(300)
    ]
    error = np.std(distances) / np.sqrt(len(distances))
    assert min(distances) < 0 < max(distances)
    assert abs(np.mean(distances)) < 4 * error


def test_distance_of_shifted_sets_is_the_analytic_one():
    # In one dimension E (x y + 1)^3 = 1 + 3 E[x] E[y] + 3 E[x^2] E[y^2] + E[x^3] E[y^3]. The moments of
    # N(0, 1) are 0, 1, 0 and those of N(1, 1) are 1, 2, 4: within the first 1 + 3 = 4, within the second
    # 1 + 3 + 12 + 16 = 32, across 1 + 6 = 7.
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40_000, 1)), random.normal(size=(40_000, 1)) + 1
    distance, error = kernel_distance(x, y, max_block_size=500)
    assert abs(distance - (4 + 32 - 2 * 7)) < 4 * error
    assert 0 < error < 2


def test_float32_features_are_computed_in_float64():
    x, y = features(20, seed=5).astype("float32"), features(20, seed=6).astype("float32")
    assert kernel_distance(x, y) == kernel_distance(x.astype("float64"), y.astype("float64"))


def rbf_twin(x, y, width, biased):
    """Pair by pair."""

    def mean(rows, others, skip):
        pairs = itertools.product(range(len(rows)), range(len(others)))
        kernels = [
            np.exp(-np.sum((rows[i] - others[j]) ** 2) / (2 * width**2))
            for i, j in pairs
            if not (skip and i == j)
        ]
        return np.mean(kernels)

    return mean(x, x, not biased) + mean(y, y, not biased) - 2 * mean(x, y, False)


@pytest.mark.parametrize("biased", [False, True])
def test_rbf_kernel_distance_equals_its_numpy_twin(biased):
    x, y = features(15) + 30, features(12, seed=1, scale=1.5) + 30
    value, _ = rbf_kernel_distance(x, y, 1.3, biased)
    assert value == pytest.approx(rbf_twin(x, y, 1.3, biased), rel=1e-9)


def test_rbf_distance_of_worked_vectors():
    # One pair each side: k = 1 within; exp(-4 / 8) across. With pairs of a row with itself: 1 + 1 - 2 k.
    value, error = rbf_kernel_distance(np.zeros((2, 1)), 2 * np.ones((2, 1)), 2.0, True)
    assert (value, error) == (pytest.approx(2 - 2 * np.exp(-0.5)), pytest.approx(0.0, abs=1e-12))


def test_two_standard_errors_cover_the_rbf_distance():
    random, found = np.random.default_rng(0), []
    real = random.normal(size=(300, 3))
    for _ in range(200):
        generated = 1.2 * random.normal(size=(100, 3)) + 0.3
        found.append(rbf_kernel_distance(real, generated, 1.5, False))
    values, errors = np.transpose(found)
    assert 0.9 <= np.mean(np.abs(values - values.mean()) <= 2 * errors) <= 0.98


def test_the_median_distance_is_that_of_pairs():
    assert median_distance(np.array([[0.0], [1.0], [5.0]])) == 4.0
    assert median_distance(np.zeros((5, 2))) == 1.0, "a width for equal rows"
