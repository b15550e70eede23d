import numpy as np
import pytest

from tinygan_keras import tfgan
from tinygan_keras.evaluation.metrics import frechet
from tinygan_keras.evaluation.metrics.frechet import (
    feature_statistics,
    frechet_distance,
    frechet_distance_of_features,
)


def tfgan_frechet_distance(features_1, features_2):
    evaluation = tfgan.evaluation()
    return float(evaluation.frechet_classifier_distance_from_activations(features_1, features_2))


def features(count, dimension, seed, scale=1.0, offset=0.0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dimension, dimension)) / np.sqrt(dimension) + np.eye(dimension)
    return offset + scale * random.normal(size=(count, dimension)) @ mixing


def test_frechet_distance_of_commuting_gaussians_is_analytic():
    # |(3, 4)|^2 + (1 - 2)^2 + (3 - 5)^2, the deviations being the roots of the variances.
    distance = frechet_distance([0, 0], np.diag([1.0, 9.0]), [3, 4], np.diag([4.0, 25.0]))
    assert distance == pytest.approx(25 + 1 + 4)


def test_frechet_distance_of_rotated_gaussians_is_worked_out():
    # C1 = diag(4, 1), C2 = [[5, 3], [3, 5]]. C1 C2 has trace 25 and determinant 64, so the sum of the
    # roots of its eigenvalues is sqrt(25 + 2 * sqrt(64)) = sqrt(41).
    distance = frechet_distance([0, 0], np.diag([4.0, 1.0]), [0, 0], [[5.0, 3.0], [3.0, 5.0]])
    assert distance == pytest.approx(5 + 10 - 2 * np.sqrt(41))


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_frechet_distance_equals_its_numpy_twin_at_every_scale(scale):
    first = feature_statistics(features(400, 12, seed=2, scale=scale))
    second = feature_statistics(features(400, 12, seed=3, scale=2 * scale, offset=scale))
    # The textbook way: eigenvalues of the unsymmetric product, complex in general.
    roots = np.sqrt(np.linalg.eigvals(first[1] @ second[1]).astype(complex)).real
    twin = np.sum((first[0] - second[0]) ** 2) + np.trace(first[1] + second[1]) - 2 * roots.sum()
    assert frechet_distance(*first, *second) == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize(("count", "dimension"), [(500, 8), (3000, 100)])
def test_frechet_distance_equals_tf_gans_on_well_conditioned_features(count, dimension):
    real = features(count, dimension, seed=4)
    generated = features(count - 100, dimension, seed=5, scale=1.5, offset=0.3)
    ours = frechet_distance(*feature_statistics(real), *feature_statistics(generated))
    assert ours == pytest.approx(tfgan_frechet_distance(real, generated), rel=1e-6)


@pytest.mark.parametrize(("scale", "lost"), [(1e-2, 0.01), (1e-3, 1.0)])
def test_features_of_small_variance_are_no_trap(scale, lost):
    """TF-GAN drops what is below 1e-10; the distance of scaled features is that of the others, scaled."""
    deviations = np.arange(1, 33) ** -0.5
    real = features(500, 32, seed=10) * deviations
    generated = features(500, 32, seed=11, scale=1.2) * deviations
    expected = scale**2 * tfgan_frechet_distance(real, generated)
    real, generated = scale * real, scale * generated
    ours = frechet_distance(*feature_statistics(real), *feature_statistics(generated))
    assert ours == pytest.approx(expected, rel=1e-9)
    # If this fails, TF-GAN has fixed it, and the reason for our own function is gone.
    assert abs(tfgan_frechet_distance(real, generated) / expected - 1) > lost


def test_frechet_distance_is_symmetric_and_zero_for_equal_statistics():
    first = feature_statistics(features(50, 6, seed=6))
    second = feature_statistics(features(50, 6, seed=7, offset=1.0))
    assert frechet_distance(*first, *second) == pytest.approx(frechet_distance(*second, *first))
    assert 0 <= frechet_distance(*first, *first) < 1e-9


def test_frechet_distance_accepts_fewer_vectors_than_dimensions():
    # Singular covariances: rounding leaves eigenvalues slightly below zero.
    first = feature_statistics(features(10, 40, seed=8))
    second = feature_statistics(features(10, 40, seed=9))
    distance = frechet_distance(*first, *second)
    assert np.isfinite(distance)
    assert 0 < distance <= np.sum((first[0] - second[0]) ** 2) + np.trace(first[1] + second[1])


def test_frechet_distance_rejects_statistics_of_different_length():
    with pytest.raises(ValueError, match="same feature extractor"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_features_of_very_different_scale_count_alike(scale):
    # Independent features: the sum of (m1 - m2)^2 + (s1 - s2)^2, whatever the others' scale.
    deviations_1, deviations_2 = np.array([1e3, 1.0, scale]), np.array([1e3, 1.0, 3 * scale])
    distance = frechet_distance(
        np.zeros(3), np.diag(deviations_1**2), np.zeros(3), np.diag(deviations_2**2)
    )
    assert distance == pytest.approx(4 * scale**2, abs=1e-9)


def test_singular_covariances_are_exact():
    # Rank 1 each: C1 = u u^T, C2 = v v^T, and the trace of the root is |u . v|.
    u, v = np.array([1.0, 2.0, 2.0, 0.0]), np.array([3.0, 0.0, 4.0, 0.0])
    distance = frechet_distance(np.zeros(4), np.outer(u, u), np.zeros(4), np.outer(v, v))
    assert distance == pytest.approx(9 + 25 - 2 * 11, rel=1e-12)


def test_features_that_never_vary_are_no_obstacle():
    distance = frechet_distance([1, 0], np.diag([0.0, 4.0]), [4, 0], np.diag([0.0, 9.0]))
    assert distance == pytest.approx(9 + 1)
    assert frechet_distance([1, 0], np.zeros((2, 2)), [4, 0], np.diag([0.0, 9.0])) == 9 + 9


def test_the_fast_sum_of_singular_values_gives_way_where_it_is_inexact():
    random = np.random.default_rng(12)
    rotation_1, rotation_2 = np.linalg.qr(random.normal(size=(2, 40, 40)))[0]
    values = np.concatenate([np.ones(20), np.full(20, 1e-9)])
    matrix = rotation_1 * values @ rotation_2.T
    eigenvalues = np.linalg.eigvalsh(matrix.T @ matrix)
    fast = np.sqrt(eigenvalues.clip(0)).sum()
    assert abs(fast / values.sum() - 1) > 1e-9  # half the digits of float64
    exact = frechet._sum_of_singular_values(matrix)
    assert exact == pytest.approx(values.sum(), rel=1e-12)


@pytest.mark.parametrize(
    "counts", [(10, 10), (10, 300), (300, 10), (300, 300), (2, 2), (40, 41)], ids=str
)
def test_distance_of_features_equals_that_of_their_statistics(counts):
    first = features(counts[0], 40, seed=13)
    second = features(counts[1], 40, seed=14, scale=1.2, offset=0.1)
    expected = frechet_distance(*feature_statistics(first), *feature_statistics(second))
    assert frechet_distance_of_features(first, second) == pytest.approx(expected, rel=1e-9)


def test_distance_of_two_pairs_of_vectors_is_worked_out():
    # Means (0, 0) and (1, 0). C1 = [[2, 0], [0, 0]], C2 = 2 * [[1, 1], [1, 1]]: the trace of the root is
    # that of rank 1 matrices, sqrt(2) (1, 0) . sqrt(2) (1, 1) = 2.
    distance = frechet_distance_of_features([[-1, 0], [1, 0]], [[0, -1], [2, 1]])
    assert distance == pytest.approx(1 + 2 + 4 - 2 * 2)


def test_few_vectors_need_no_matrix_of_the_feature_dimension(monkeypatch):
    monkeypatch.setattr(frechet, "feature_statistics", None)
    first, second = features(5, 20, seed=15), features(20, 20, seed=16)
    assert frechet_distance_of_features(first, second) > 0


def test_distance_of_features_rejects_different_widths_and_single_rows():
    with pytest.raises(
        ValueError, match=r"features of shape \(5, 4\). Expected real numbers \(N, 3\)"
    ):
        frechet_distance_of_features(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="features of shape .* at least 2 rows"):
        frechet_distance_of_features(np.zeros((1, 3)), np.zeros((5, 3)))


def test_frechet_distance_rejects_what_is_no_covariance():
    mean, identity = np.zeros(2), np.eye(2)
    for matrix, message in (
        ([[1.0, 0.5], [0.0, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "eigenvalue -1"),
        ([[-1.0, 0.0], [0.0, 1.0]], "negative variances"),
        ([[np.nan, 0.0], [0.0, 1.0]], "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            frechet_distance(mean, identity, mean, np.array(matrix))
        with pytest.raises(ValueError, match=message):
            frechet_distance(mean, np.array(matrix), mean, identity)
    with pytest.raises(ValueError, match="mean or covariance that is not finite"):
        frechet_distance([0, np.nan], identity, mean, identity)


def test_statistics_in_float32_are_accepted():
    first, second = features(300, 40, seed=17), features(300, 40, seed=18, offset=0.5)
    statistics = [feature_statistics(sample) for sample in (first, second)]
    rounded = [part.astype("float32") for pair in statistics for part in pair]
    expected = frechet_distance(*statistics[0], *statistics[1])
    assert frechet_distance(*rounded) == pytest.approx(expected, rel=1e-5)
