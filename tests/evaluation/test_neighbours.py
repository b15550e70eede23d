import numpy as np
import pytest

from tinygan_keras.evaluation.metrics import neighbours
from tinygan_keras.evaluation.metrics.neighbours import manifold_metrics, nearest_neighbours


@pytest.fixture(params=["one block", "many blocks", "groups"])
def blocks(request, monkeypatch):
    """Makes small inputs cross the borders of blocks and of groups."""
    rows, columns, group = {
        "one block": (1024, 4096, 16),
        "many blocks": (7, 5, 16),
        "groups": (11, 24, 2),
    }[request.param]
    monkeypatch.setattr(neighbours, "_ROWS", rows)
    monkeypatch.setattr(neighbours, "_COLUMNS", columns)
    monkeypatch.setattr(neighbours, "_GROUP", group)


def features(count, dimension=3, seed=0, scale=1.0, offset=0.0):
    return offset + scale * np.random.default_rng(seed).normal(size=(count, dimension))


def all_distances(x, y):
    return np.array([[np.sqrt(sum((a - b) ** 2)) for b in y] for a in x])


def manifold_twin(real, generated, k):
    """The definitions of both papers, from whole matrices."""
    real_radii = np.sort(all_distances(real, real), axis=1)[:, k]  # column 0 is the vector itself
    generated_radii = np.sort(all_distances(generated, generated), axis=1)[:, k]
    distances = all_distances(real, generated)
    in_real_ball = distances <= real_radii[:, None]
    return {
        "precision": in_real_ball.any(axis=0).mean(),
        "recall": (distances <= generated_radii).any(axis=1).mean(),
        "density": in_real_ball.sum(axis=0).mean() / k,
        "coverage": (distances.min(axis=1) <= real_radii).mean(),
    }


def test_manifold_metrics_of_worked_points():
    # On a line, k = 1. Real balls: 0 and 1 reach 1 far, 10 reaches 9. Generated balls: 0.5 and 3.5
    # reach 3, 100 reaches 96.5.
    # Generated 0.5 lies in the balls of 0 and 1, 3.5 in that of 10, 100 in none: precision 2/3,
    # density (2 + 1 + 0) / 3, coverage 3/3. Of the real ones 0 and 1 are within 3 of 0.5 and 10 is
    # within 96.5 of 100: recall 3/3.
    result = manifold_metrics([[0.0], [1.0], [10.0]], [[0.5], [3.5], [100.0]], nearest_k=1)
    assert result == {"precision": 2 / 3, "recall": 1.0, "density": 1.0, "coverage": 1.0}


def test_a_collapsed_generator_is_precise_and_covers_little():
    real = np.arange(20.0)[:, None]
    generated = 10 + 0.01 * np.arange(20.0)[:, None]
    result = manifold_metrics(real, generated, nearest_k=1)
    assert result["precision"] == 1.0
    # 10 and 11 see the generated values from 10.00 to 10.19 within 1; so does 9 the value 10.00.
    assert result["coverage"] == 3 / 20
    assert result["recall"] == 1 / 20


@pytest.mark.parametrize("nearest_k", [1, 5])
def test_manifold_metrics_equal_their_numpy_twin(blocks, nearest_k):
    real, generated = features(60, seed=1), features(47, seed=2, scale=1.3, offset=0.3)
    expected = manifold_twin(real, generated, nearest_k)
    assert manifold_metrics(real, generated, nearest_k) == pytest.approx(expected)
    assert 0 < expected["recall"] < 1  # a case that says something
    assert 0 < expected["precision"] < 1


def test_density_and_coverage_of_equal_distributions_are_the_analytic_ones():
    # Naeem et al.: density 1; coverage 1 - (N-1)...(N-k) / ((2N-1)...(2N-k)).
    count, k = 2000, 5
    result = manifold_metrics(features(count, 8, seed=3), features(count, 8, seed=4), k)
    steps = np.arange(1, k + 1)
    assert result["density"] == pytest.approx(1.0, abs=0.05)
    assert result["coverage"] == pytest.approx(
        1 - np.prod((count - steps) / (2 * count - steps)), abs=0.02
    )


def test_a_copy_of_the_real_set_lies_on_the_surfaces_of_its_balls(blocks):
    # Every ball holds its own centre and its k neighbours, the last of them on its surface.
    real = features(80, 16, seed=5, offset=30.0)
    result = manifold_metrics(real, real.copy(), nearest_k=4)
    assert result == {"precision": 1.0, "recall": 1.0, "density": 5 / 4, "coverage": 1.0}


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_a_common_offset_costs_no_digits(offset):
    real, generated = features(50, seed=6), features(50, seed=7)
    expected = manifold_metrics(real, generated)
    assert manifold_metrics(real + offset, generated + offset) == pytest.approx(expected)


def test_manifold_metrics_need_more_rows_than_neighbours():
    with pytest.raises(ValueError, match="Got k=5 with 5 vectors to look among"):
        manifold_metrics(features(5), features(50))


def test_neighbours_of_worked_points():
    indices, distances = nearest_neighbours([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]], k=2)
    assert indices.tolist() == [[1, 0]]
    assert distances.tolist() == [[1.0, 5.0]]


@pytest.mark.parametrize("k", [1, 4, 33])
def test_neighbours_equal_their_numpy_twin(blocks, k):
    queries, candidates = features(29, 4, seed=8), features(33, 4, seed=9)
    indices, distances = nearest_neighbours(queries, candidates, k)
    expected = all_distances(queries, candidates)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1)[:, :k])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :k], rtol=1e-12)


def test_neighbours_over_blocks_of_full_size_equal_scipys():
    spatial = pytest.importorskip("scipy.spatial")
    queries, candidates = features(1500, 4, seed=10), features(9001, 4, seed=11)
    indices, distances = nearest_neighbours(queries, candidates, 3)
    expected_distances, expected = spatial.cKDTree(candidates).query(queries, 3)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)


def test_a_row_is_not_its_own_neighbour_but_its_twin_is(blocks):
    rows = features(30, seed=12)
    rows[21] = rows[3]
    indices, distances = nearest_neighbours(rows, rows, 2, exclude_self=True)
    assert not (indices == np.arange(30)[:, None]).any()
    assert (indices[3, 0], indices[21, 0]) == (21, 3)
    assert (distances[3, 0], distances[21, 0]) == (0.0, 0.0)


def test_equal_distances_come_by_index():
    indices, _ = nearest_neighbours([[0.0]], [[1.0], [-1.0], [1.0], [0.5]], k=4)
    assert indices.tolist() == [[3, 0, 1, 2]]


def test_a_copy_is_at_distance_zero_even_far_from_the_origin():
    # |x|^2 + |y|^2 - 2 x . y in float32 is off by hundreds here.
    candidates = features(100, 8, seed=13, offset=1e4).astype("float32")
    indices, distances = nearest_neighbours(candidates[40:45], candidates)
    assert indices[:, 0].tolist() == [40, 41, 42, 43, 44]
    assert not distances.any()


@pytest.mark.parametrize("k", [0, 6])
def test_neighbours_reject_a_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"Got k={k} with 5 vectors"):
        nearest_neighbours(features(3), features(5), k)
