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


LAWS = {  # two laws of features, by the same standard normal or heavier-tailed rows
    "equal": (1.0, 0.0, "normal"),
    "wider": (1.3, 0.2, "normal"),
    "far": (2.0, 1.5, "normal"),
    "heavy tails": (1.2, 0.3, "student"),
    "rectified": (1.2, 0.3, "rectified"),
}


def drawn(random, law, count, dimension, side):
    scale, offset, shape = LAWS[law]
    scale, offset = (scale, offset) if side else (1.0, 0.0)
    rows = random.standard_t(8, (count, dimension)) if shape == "student" else None
    rows = random.normal(size=(count, dimension)) if rows is None else rows
    turn = np.linalg.qr(np.random.default_rng(7 + side).normal(size=(dimension, dimension)))[0]
    rows = scale * (rows * np.arange(1, dimension + 1) ** -0.5) @ turn + offset
    return np.maximum(rows, 0) if shape == "rectified" else rows


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("count", "dimension"), [(200, 12), (40, 48)])
def test_two_standard_errors_cover_the_expected_distance(law, count, dimension):
    """In 90 to 98 % of 200 evaluations with other seeds; of equal laws in no fewer."""
    random = np.random.default_rng(0)
    real = feature_statistics(drawn(random, law, 2000, dimension, 0))
    found = []
    for _ in range(200):
        rows = drawn(random, law, count, dimension, 1)
        found.append(frechet.frechet_with_error(feature_statistics(rows), real, rows))
    distances, errors = np.transpose(found)
    covered = np.mean(np.abs(distances - distances.mean()) <= 2 * errors)
    assert 0.9 <= covered <= (1.0 if law == "equal" else 0.98)
    assert errors.mean() == pytest.approx(distances.std(ddof=1), rel=0.3)


def test_the_standard_error_is_that_of_a_bootstrap():
    """The twin: 300 samples drawn with replacement from the same rows, each with its own distance."""
    random = np.random.default_rng(1)
    rows = drawn(random, "wider", 300, 6, 1)
    real = feature_statistics(drawn(random, "wider", 3000, 6, 0))
    _, error = frechet.frechet_with_error(feature_statistics(rows), real, rows)
    resampled = [rows[random.integers(0, 300, 300)] for _ in range(300)]
    distances = [frechet_distance(*feature_statistics(sample), *real) for sample in resampled]
    assert error == pytest.approx(np.std(distances, ddof=1), rel=0.12)


def test_pairs_that_move_together_have_a_small_error():
    """A teacher's features and nearly the same of the student: the distance hardly moves with the latents."""
    random = np.random.default_rng(2)
    theirs = drawn(random, "wider", 400, 6, 0)
    ours = theirs + 0.3 * random.normal(size=theirs.shape)
    pair = feature_statistics(ours), feature_statistics(theirs)
    distance, together = frechet.frechet_with_error(*pair, ours, theirs)
    _, alone = frechet.frechet_with_error(*pair, ours)
    assert distance == pytest.approx(frechet_distance(*pair[0], *pair[1]), rel=1e-12)
    assert together < alone
    order = random.integers(0, 400, (300, 400))
    sampled = [(feature_statistics(ours[o]), feature_statistics(theirs[o])) for o in order]
    distances = [frechet_distance(*first, *second) for first, second in sampled]
    assert together == pytest.approx(np.std(distances, ddof=1), rel=0.2)


@pytest.mark.parametrize(("first", "second"), [(5, 12), (12, 5)])
def test_the_error_of_sets_of_other_rank_is_the_derivative(first, second):
    """Against differences: the distance after one row counts a little more."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(40, first)) @ random.normal(size=(first, 12)) + 1
    real = feature_statistics(random.normal(size=(60, second)) @ random.normal(size=(second, 12)))

    def weighted(weights):
        mean = weights @ rows / weights.sum()
        return mean, (rows - mean).T * weights @ (rows - mean) / weights.sum()

    distance, step = frechet_distance(*weighted(np.ones(40)), *real), 1e-5
    slopes = []
    for row in range(40):
        weights = np.ones(40)
        weights[row] += step * 40
        slopes.append((frechet_distance(*weighted(weights), *real) - distance) / step)
    _, error = frechet.frechet_with_error(weighted(np.ones(40)), real, rows)
    assert error == pytest.approx(np.std(slopes, ddof=1) / np.sqrt(40), rel=1e-3)


def test_too_few_rows_have_no_error_and_constant_ones_none_but_the_mean_s():
    rows = np.random.default_rng(4).normal(size=(9, 3))
    real = feature_statistics(np.random.default_rng(5).normal(size=(50, 3)))
    assert frechet.frechet_with_error(feature_statistics(rows), real, rows)[1] is None
    constant = np.zeros((20, 3))
    found = frechet.frechet_with_error(feature_statistics(constant), real, constant)
    assert found == (frechet_distance(*feature_statistics(constant), *real), 0.0)


def test_the_extrapolated_distance_has_no_bias():
    """Within two standard errors of the distance of the laws themselves, which that of N images is above."""
    random, dimension = np.random.default_rng(6), 12
    truth = frechet_distance(
        *feature_statistics(drawn(random, "wider", 200_000, dimension, 1)),
        *(real := feature_statistics(drawn(random, "wider", 200_000, dimension, 0))),
    )
    found = []
    for _ in range(200):
        rows = drawn(random, "wider", 150, dimension, 1)
        pair = frechet.frechet_with_error(feature_statistics(rows), real, rows)
        found.append((frechet.frechet_at_infinity(rows, *real), *pair))
    extrapolated, distances, errors = np.transpose(found)
    assert abs(extrapolated.mean() - truth) < 0.2 * (distances.mean() - truth)
    assert 0.9 <= np.mean(np.abs(extrapolated - truth) <= 2 * errors) <= 0.98
