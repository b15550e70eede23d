import numpy as np
import pytest

from tinygan_keras.evaluation.metrics import moments
from tinygan_keras.evaluation.metrics.moments import StatisticsAccumulator, feature_statistics


@pytest.fixture(params=[7, 64, 4096])
def block(request, monkeypatch):
    """Makes small inputs cross the borders of blocks."""
    monkeypatch.setattr(moments, "_BLOCK", request.param)
    return request.param


def features(count, dimension, seed=0, scale=1.0, offset=0.0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dimension, dimension)) / np.sqrt(dimension) + np.eye(dimension)
    return offset + scale * random.normal(size=(count, dimension)) @ mixing


def accumulated(rows, chunk):
    accumulator = StatisticsAccumulator(rows.shape[1])
    for start in range(0, len(rows), chunk):
        accumulator.update(rows[start : start + chunk])
    return accumulator.statistics()


def test_statistics_of_three_worked_vectors():
    mean, covariance = feature_statistics([[1.0, 0.0], [2.0, 2.0], [3.0, 4.0]])
    assert mean.tolist() == [2.0, 2.0]
    assert covariance.tolist() == [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize("count", [2, 63, 64, 65, 9001])
def test_statistics_over_several_blocks_equal_numpys(block, count):
    sample = features(count, 3)
    mean, covariance = feature_statistics(sample)
    assert mean == pytest.approx(sample.mean(axis=0), rel=1e-12)
    assert covariance == pytest.approx(np.cov(sample, rowvar=False), rel=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 64, 100, 999])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_statistics_do_not_depend_on_the_pieces(block, chunk, kind):
    sample = features(500, 6, offset=10.0).astype(kind)
    for whole, pieces in zip(feature_statistics(sample), accumulated(sample, chunk), strict=True):
        np.testing.assert_array_equal(pieces, whole)


def test_statistics_may_be_asked_for_between_pieces(block):
    sample, accumulator = features(300, 4), StatisticsAccumulator(4)
    for start in range(0, 300, 50):
        accumulator.update(sample[start : start + 50])
        assert accumulator.count == start + 50
        _, covariance = accumulator.statistics()
        np.testing.assert_array_equal(covariance, feature_statistics(sample[: start + 50])[1])


@pytest.mark.parametrize("offset", [4096.0, 1e7])
def test_statistics_survive_a_large_offset(block, offset):
    # Sums of squares in float64 would leave three digits of a deviation of 1 at an offset of 1e7.
    sample = features(1000, 2, seed=1) + offset
    centred = sample - offset
    _, covariance = feature_statistics(sample)
    assert covariance == pytest.approx(np.cov(centred, rowvar=False), rel=1e-9)


def test_sorted_rows_of_far_groups_cost_no_digits(block):
    """Blocks whose means differ by much more than their deviation."""
    sample = np.concatenate([features(300, 3, seed=seed, offset=1e4 * seed) for seed in range(4)])
    assert feature_statistics(sample)[1] == pytest.approx(np.cov(sample, rowvar=False), rel=1e-12)


def test_statistics_are_float64_whatever_the_features():
    mean, covariance = feature_statistics(features(50, 2).astype("float32"))
    assert mean.dtype == covariance.dtype == np.float64


def test_float32_features_are_right_to_their_own_rounding(block):
    sample = features(3000, 8, offset=3.0).astype("float32")
    expected = np.cov(sample.astype("float64"), rowvar=False)
    deviations = np.sqrt(expected.diagonal())
    error = (feature_statistics(sample)[1] - expected) / np.outer(deviations, deviations)
    assert np.abs(error).max() < 2e-7


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e18])
def test_float32_features_of_any_scale_keep_their_digits(block, scale):
    sample = features(2000, 4).astype("float32") * np.float32(scale)
    expected = np.cov(sample.astype("float64"), rowvar=False)
    assert feature_statistics(sample)[1] == pytest.approx(expected, rel=1e-5)


def test_few_float32_rows_leave_the_other_directions_empty():
    sample = features(30, 40).astype("float32")
    eigenvalues = np.linalg.eigvalsh(feature_statistics(sample)[1])
    assert np.abs(eigenvalues[:11]).max() < 1e-13 * eigenvalues[-1]  # rank 29


def test_pieces_of_float64_after_float32_lose_nothing(block):
    first, second = features(100, 3).astype("float32"), features(100, 3, seed=1, offset=1e4)
    accumulator = StatisticsAccumulator(3)
    accumulator.update(first)
    accumulator.update(second)
    expected = np.cov(np.concatenate([first.astype("float64"), second]), rowvar=False)
    assert accumulator.statistics()[1] == pytest.approx(expected, rel=1e-7)


def test_a_constant_feature_has_no_variance():
    sample = features(100, 3, seed=2)
    sample[:, 1] = 0.1
    _, covariance = feature_statistics(sample)
    assert covariance[1] == pytest.approx(np.zeros(3), abs=1e-15)


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2, 2)])
def test_statistics_reject_other_shapes(shape):
    with pytest.raises(ValueError, match=r"Expected real numbers \(N, F\) with at least 2 rows"):
        feature_statistics(np.zeros(shape))


def test_a_covariance_needs_two_rows():
    accumulator = StatisticsAccumulator(3)
    accumulator.update(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="Got 1 feature vectors"):
        accumulator.statistics()


@pytest.mark.parametrize("shape", [(5, 4), (3,), (5, 3, 1)])
def test_another_width_is_rejected(shape):
    accumulator = StatisticsAccumulator(3)
    with pytest.raises(ValueError, match=r"Expected real numbers \(N, 3\).*same feature extractor"):
        accumulator.update(np.zeros(shape))
    assert accumulator.count == 0


def test_rows_that_are_not_finite_are_named_and_not_taken_in():
    accumulator, sample = StatisticsAccumulator(3), features(20, 3)
    accumulator.update(sample)
    broken = sample.copy()
    broken[5, 1], broken[9, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="not finite in 2 of 20 rows, the first of them row 25"):
        accumulator.update(broken)
    np.testing.assert_array_equal(accumulator.statistics()[1], feature_statistics(sample)[1])


def test_no_rows_change_nothing():
    accumulator, sample = StatisticsAccumulator(3), features(20, 3)
    accumulator.update(sample)
    accumulator.update(np.zeros((0, 3)))
    assert accumulator.count == 20


@pytest.mark.parametrize("kind", ["complex64", "object", "U1", "bool"])
def test_what_is_no_number_is_rejected(kind):
    with pytest.raises(ValueError, match="Expected real numbers"):
        feature_statistics(np.ones((3, 2)).astype(kind))
