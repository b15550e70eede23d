import numpy as np
import pytest

from tinygan_keras.evaluation import _tfgan
from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance


def features(count, dimension, seed, scale=1.0, offset=0.0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dimension, dimension)) / np.sqrt(dimension) + np.eye(dimension)
    return offset + scale * random.normal(size=(count, dimension)) @ mixing


def test_statistics_of_three_worked_vectors():
    mean, covariance = feature_statistics([[1.0, 0.0], [2.0, 2.0], [3.0, 4.0]])
    assert mean.tolist() == [2.0, 2.0]
    assert covariance.tolist() == [[1.0, 2.0], [2.0, 4.0]]


def test_statistics_over_several_chunks_equal_numpys():
    sample = features(9001, 3, seed=0)
    mean, covariance = feature_statistics(sample)
    assert mean == pytest.approx(sample.mean(axis=0), rel=1e-12)
    assert covariance == pytest.approx(np.cov(sample, rowvar=False), rel=1e-12)


def test_statistics_are_float64_and_survive_a_large_offset():
    # Sums of squares in float32 would leave nothing of a deviation of 1 at an offset of 4096.
    sample = features(5000, 2, seed=1).astype("float32")
    mean, covariance = feature_statistics(sample + np.float32(4096))
    assert mean.dtype == covariance.dtype == np.float64
    assert covariance == pytest.approx(np.cov(sample, rowvar=False), rel=2e-3)


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2, 2)])
def test_statistics_reject_other_shapes(shape):
    with pytest.raises(ValueError, match=r"Expected \(N, F\) with at least 2 rows"):
        feature_statistics(np.zeros(shape))


def test_statistics_reject_what_is_not_finite():
    with pytest.raises(ValueError, match="not finite"):
        feature_statistics([[0.0, np.nan], [1.0, 1.0]])


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


def test_frechet_distance_equals_tf_gans_on_well_conditioned_features():
    real, generated = features(500, 8, seed=4), features(400, 8, seed=5, scale=1.5, offset=0.3)
    ours = frechet_distance(*feature_statistics(real), *feature_statistics(generated))
    theirs = _tfgan.evaluation().frechet_classifier_distance_from_activations(real, generated)
    assert ours == pytest.approx(float(theirs), rel=1e-6)


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
