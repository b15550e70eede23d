"""Nearest neighbours in feature space, and what they say of two sets: precision, recall, density, coverage.

Distances are computed block by block in float64, after moving the mean to the origin: the usual
`|x|^2 + |y|^2 - 2 x . y` loses the small distances between vectors far from it. Trees are no help: in as many
dimensions as features have they visit nearly everything.
"""

import numpy as np

from ...errors import InputError
from .registry import SETTINGS, Figure, Measured, MeasuredImages, metric

_ROWS, _COLUMNS = 1024, 4096  # of a block of distances: 32 MB
_GROUP = 16  # columns of such a block whose minimum is taken first
_TIE = 1e-13  # rounding of a squared distance, relative to the squared lengths behind it


def manifold_metrics(real, generated, nearest_k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of features float `[N, F]` and `[M, F]`.

    Around every vector there is a ball that reaches to its `nearest_k`-th neighbour in its set, surface
    included. The values depend on N and M: compare only equal ones.

    - precision: share of generated vectors in a real ball; recall: share of real ones in a generated ball
    - density: real balls around a generated vector, over `nearest_k`, on average, which may exceed 1
    - coverage: share of real balls that hold a generated vector

    Reference: Kynkaanniemi et al., arXiv:1904.06991 (k = 3); Naeem et al., arXiv:2002.09797 (k = 5).
    """
    real, generated = np.asarray(real), np.asarray(generated)
    mean = real.mean(axis=0, dtype="float64")
    real_reach, generated_reach = (_reach(rows, mean, nearest_k) for rows in (real, generated))
    balls_around = np.zeros(len(generated), "int64")
    recalled, covered = np.zeros((2, len(real)), bool)
    for rows, columns, squares in _squared_distances(real, generated, mean):
        in_real_ball = squares <= real_reach[rows, None]
        balls_around[columns] += np.count_nonzero(in_real_ball, axis=0)
        covered[rows] |= in_real_ball.any(axis=1)
        recalled[rows] |= (squares <= generated_reach[columns]).any(axis=1)
    return {
        "precision": float(np.mean(balls_around > 0)),
        "recall": float(recalled.mean()),
        "density": float(balls_around.mean() / nearest_k),
        "coverage": float(covered.mean()),
    }


@metric(
    "precision_recall",
    {n: Figure(n, "higher", ".4f") for n in ("precision", "recall", "density", "coverage")},
    needs=("real_images", "real_features"),
)
def measure_precision_recall(images: MeasuredImages) -> Measured:
    """Precision, recall, density and coverage of the real images."""
    real, generated = images.neighbours
    if min(len(real), len(generated)) <= SETTINGS["nearest_k"]:
        return Measured({}, ("Too few images for precision, recall, density and coverage.",))
    return Measured(manifold_metrics(real, generated, SETTINGS["nearest_k"]))


@metric(
    "authenticity",
    {"authenticity": Figure("authenticity", "higher", ".2%")},
    needs=("real_images", "real_features"),
    optional=True,
)
def measure_authenticity(images: MeasuredImages) -> Measured:
    """The share of images that are no near copies of real ones; of training images it tells memorising."""
    real, generated = images.neighbours
    if len(real) < 2:
        return Measured({}, ("Too few real images for the authenticity.",))
    return Measured({"authenticity": authenticity(real, generated)})


def authenticity(real, generated) -> float:
    """The share of generated features `[M, F]` that are no near copies of real ones `[N, F]`.

    A generated vector is authentic unless it is nearer to its nearest real vector than any other real vector
    is. Of images of the real law it is about a half.

    Reference: Alaa et al., arXiv:2102.08921.
    """
    nearest, distances = nearest_neighbours(generated, real)
    _, apart = nearest_neighbours(real, real, exclude_self=True)
    return float(np.mean(distances[:, 0] > apart[nearest[:, 0], 0]))


def nearest_neighbours(queries, candidates, k=1, exclude_self=False) -> tuple:
    """The k nearest candidates, float `[N, F]`, of each query, float `[Q, F]`, nearest first.

    With `exclude_self` row i of the queries is row i of the candidates, and not its own neighbour.
    Returns indices int64 `[Q, k]` and Euclidean distances float64 `[Q, k]`. Of equal distances the lower
    index comes first; any of several candidates at the k-th distance may be left out.
    """
    queries, candidates = np.asarray(queries), np.asarray(candidates)
    if not 1 <= k <= len(candidates) - exclude_self:
        raise InputError(
            f"Got k={k} with {len(candidates):,} vectors to look among. Expected k from 1 to "
            f"{len(candidates) - exclude_self}. Take more images."
        )
    indices = np.empty((len(queries), k), "int64")
    distances = np.empty((len(queries), k))
    mean = candidates.mean(axis=0, dtype="float64")
    for start in range(0, len(queries), _ROWS):
        rows = slice(start, start + _ROWS)
        indices[rows], distances[rows] = _nearest(queries, candidates, k, exclude_self, mean, rows)
    return indices, distances


def _nearest(queries, candidates, k, exclude_self, mean, rows):
    """Neighbours of one block of queries."""
    block = queries[rows]
    numbers = np.arange(rows.start, rows.start + len(block))
    best = np.empty((len(block), 0), "int64")
    best_squares = np.empty((len(block), 0))
    for _, columns, squares in _squared_distances(block, candidates, mean):
        if exclude_self:
            inside = (columns.start <= numbers) & (numbers < columns.start + squares.shape[1])
            squares[inside, numbers[inside] - columns.start] = np.inf
        chosen = _smallest(squares, k)
        best = np.hstack([best, columns.start + chosen])
        best_squares = np.hstack([best_squares, np.take_along_axis(squares, chosen, 1)])
        chosen = _smallest(best_squares, k)
        best = np.take_along_axis(best, chosen, 1)
        best_squares = np.take_along_axis(best_squares, chosen, 1)
    # Differences have no cancellation: equal vectors are at distance 0.
    block = block.astype("float64")
    apart = (np.linalg.norm(candidates[best[:, i]] - block, axis=1) for i in range(k))
    exact = np.stack(list(apart), axis=1)
    order = np.lexsort((best, exact))
    return np.take_along_axis(best, order, 1), np.take_along_axis(exact, order, 1)


def _smallest(values, k):
    """Columns of the k smallest values of each row, in no order."""
    rows, columns = values.shape
    if k >= columns:
        return np.broadcast_to(np.arange(columns), values.shape)
    groups, rest = divmod(columns, _GROUP)
    if rest or groups <= k:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    # They lie in the k groups of smallest minimum, and minima are much faster than a partition.
    chosen = _smallest(values.reshape(rows, _GROUP, groups).min(axis=1), k)
    members = (chosen[:, :, None] + groups * np.arange(_GROUP)).reshape(rows, -1)
    inner = np.argpartition(np.take_along_axis(values, members, 1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(members, inner, 1)


def _reach(features, mean, k):
    """Squared radius of the ball around each row, and a little for the rounding of distances to it."""
    squares = nearest_neighbours(features, features, k, exclude_self=True)[1][:, -1] ** 2
    blocks = (features[start : start + _ROWS] for start in range(0, len(features), _ROWS))
    lengths = np.concatenate([np.sum((block - mean) ** 2, axis=1) for block in blocks])
    return squares + _TIE * (squares + lengths)


def _squared_distances(first, second, mean):
    """Yields slices of rows and of columns, and the squared distances of that block."""
    for start in range(0, len(first), _ROWS):
        x = first[start : start + _ROWS] - mean
        # One product gives |x|^2 + |y|^2 - 2 x . y.
        x = np.hstack([-2 * x, np.sum(x * x, axis=1, keepdims=True), np.ones((len(x), 1))])
        for column in range(0, len(second), _COLUMNS):
            y = second[column : column + _COLUMNS] - mean
            y = np.hstack([y, np.ones((len(y), 1)), np.sum(y * y, axis=1, keepdims=True)])
            yield slice(start, start + _ROWS), slice(column, column + _COLUMNS), x @ y.T
