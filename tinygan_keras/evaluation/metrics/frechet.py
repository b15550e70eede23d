"""Frechet distances between sets of feature vectors, in float64: of all images, and within classes.

It is our own because TF-GAN's drops singular values below 1e-10, which is 2.6 % off at a feature deviation
of 1e-2, and its memory grows with the number of images. A test holds both equal where TF-GAN's is exact.

Every covariance is written as `A^T A`. Then `trace((C1 C2)^(1/2))` is the sum of the singular values of
`A1 A2^T`. Its usual form, by the eigenvalues of a product of covariances, has half the digits.

A standard error says how far a distance moves with another sample of generated images; the real ones stay
those of the protocol. It is the bootstrap's in the limit of many repetitions, by the derivative of the
distance with respect to the weight of each image (infinitesimal jackknife: Jaeckel, 1972; Efron, 1982): one
decomposition and a few thousand rows, where a bootstrap takes a decomposition for each of its repetitions.
"""

import numpy as np

from ...classes.folder_labels import listed
from ...errors import InputError
from .moments import feature_rows, feature_statistics
from .registry import Figure, Measured, MeasuredImages, metric

# Of correlation matrices: smaller eigenvalues, and smaller pivots, are rounding of a zero.
_ROUNDING = 1e-12
_ASYMMETRY = 1e-5  # more than float32 leaves
_NEGATIVE = -1e-3  # more than a covariance in float32 could show
# An eigenvalue may be wrong by the rounding of the largest, 1e-16 of it. At this share of the largest its
# root is still right to 1e-11 of the largest root.
_EXACT_EIGENVALUES = 1e-10
_NAMED = 10  # classes in a note
_SMALL_VALUE = 1e-8  # of the largest singular value: smaller ones are rounding
ERROR_ROWS = 2048  # images that a standard error is taken from, which is right to 2 or 3 % then
_BLOCK = 512  # of these at a time, in float64
FEWEST_ROWS = 10  # for a standard error
_PARTS = (1, 2, 3)  # equal parts of the images, whose distances are extrapolated


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    """`|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))`, squared distance of two Gaussians, at least 0.

    Means are float `[F]`, covariances symmetric float `[F, F]`, singular ones included.
    Reference: Dowson & Landau, 1982; Heusel et al., arXiv:1706.08500.
    """
    return _distance(_moments_of(mean_1, covariance_1), _moments_of(mean_2, covariance_2))


def checked_statistics(mean, covariance, source="statistics") -> tuple[np.ndarray, np.ndarray]:
    """Returns mean `[F]` and covariance `[F, F]` in float64; refuses what can't be these."""
    mean, covariance = np.asarray(mean, "float64"), np.asarray(covariance, "float64")
    if mean.ndim != 1 or covariance.shape != mean.shape * 2:
        raise InputError(
            f"Got {source} with a mean {mean.shape} and a covariance {covariance.shape}. Expected mu [F] and "
            "sigma [F, F] of features. Take the statistics again."
        )
    problem = None
    if not np.isfinite(mean).all() or not np.isfinite(covariance).all():
        problem = "a mean or covariance that is not finite"
    elif (covariance.diagonal() < 0).any():
        problem = "negative variances"
    elif np.max((rows := _correlations(covariance)) - rows.T, initial=0) > _ASYMMETRY:
        problem = "a covariance that is not symmetric"
    if problem:
        raise InputError(
            f"Got {source} with {problem}. Expected those of finite features. Take the statistics again."
        )
    return mean, covariance


def frechet_distance_of_features(features_1, features_2) -> float:
    """Frechet distance of two sets of feature vectors `[N1, F]` and `[N2, F]`, exact for few vectors too.

    It is biased upwards, the more so the fewer vectors there are: compare only distances of equal N.
    """
    features_1 = feature_rows(features_1, minimum=2)
    features_2 = feature_rows(features_2, minimum=2, width=features_1.shape[1])
    return _distance(_moments(features_1), _moments(features_2))


def frechet_with_error(statistics_1, statistics_2, rows_1, rows_2=None, count=None) -> tuple:
    """The Frechet distance and its standard error, of two pairs of mean and covariance.

    Args:
        statistics_1: Mean float `[F]` and covariance `[F, F]` of generated features.
        statistics_2: Those of what they are compared with, which is taken as given.
        rows_1: Generated features, float `[n, F]`: all, or a random choice.
        rows_2: Only if both sides are samples, drawn pair by pair: the other features of the same pairs.
        count: How many there are in all; n by default.

    Returns:
        The distance, and its standard error, or None of fewer than 10 rows.

    Example:
        distance, error = frechet_with_error(column.statistics, (real.mean, real.covariance), rows, count=N)
    """
    first, second = (_moments_of(*statistics) for statistics in (statistics_1, statistics_2))
    return _distance_and_error(first, second, rows_1, rows_2, count)


def frechet_of_features_with_error(features_1, features_2) -> tuple[float, float | None]:
    """`frechet_distance_of_features` and its standard error over the first features, the second as given."""
    features_1 = feature_rows(features_1, minimum=2)
    features_2 = feature_rows(features_2, minimum=2, width=features_1.shape[1])
    return _distance_and_error(_moments(features_1), _moments(features_2), features_1)


def frechet_difference(first, second, real, rows_1, rows_2, count=None) -> tuple:
    """Distances of two generators to the same real images, and the errors of both and of their difference.

    Args:
        first, second, real: Mean float `[F]` and covariance `[F, F]` of each.
        rows_1, rows_2: Features float `[n, F]` of the generators, in pairs of equal latents: images that are
            alike move both distances together, and the difference little.
        count: How many pairs there are in all; n by default.

    Returns:
        Both distances, and a tuple of the three standard errors, each None of fewer than 10 pairs.
    """
    real = _moments_of(*real)
    sides = (
        _distance_and_influences(_moments_of(*own), real, rows)
        for own, rows in ((first, rows_1), (second, rows_2))
    )
    return _difference(*sides, count)


def frechet_difference_to_teacher(images: MeasuredImages) -> tuple:
    """`frechet_difference` of a student and its teacher."""
    sides = (_to_real(images, name) for name in ("features", "teacher_features"))
    return _difference(*sides, images.source.count)


def _difference(first, second, count):
    (distance_1, influences_1), (distance_2, influences_2) = first, second
    if influences_1 is None:
        return distance_1, distance_2, (None, None, None)
    of_all = influences_1, influences_2, influences_1 - influences_2
    return distance_1, distance_2, tuple(_error(influences, count) for influences in of_all)


def _to_real(images: MeasuredImages, name="features") -> tuple:
    """The distance of a column to the real images with the influences of some rows; computed once.

    Several metrics ask for the student's, for the teacher's and for both.
    """
    column, real = images.columns[name], images.real
    if column.path not in images.to_real:
        rows = column.take(images.order[:ERROR_ROWS])
        moments = _moments_of(*column.statistics), _moments_of(real.mean, real.covariance)
        images.to_real[column.path] = _distance_and_influences(*moments, rows)
    return images.to_real[column.path]


def frechet_at_infinity(features, mean, covariance) -> float:
    """The distance of infinitely many images to the statistics, by a line through distances of fewer.

    The distances of all features `[N, F]`, of their halves and of their thirds are fitted by a line in 1/N,
    whose value at 0 is returned: that of as many images as one likes, with the real statistics as they are.
    Every row is in one part of each size, so that it is about as certain as the distance of all. It may be
    negative. A line fits where the smallest parts have more rows than features.

    Reference: Chong & Forsyth, arXiv:1911.07023, who take random subsets of 15 sizes.
    """
    features = feature_rows(features, minimum=2 * max(_PARTS))
    second, points = _moments_of(mean, covariance), []
    for number in _PARTS:
        parts = np.array_split(features, number)
        distances = [_distance(_moments(part), second) for part in parts]
        points.append((np.mean([1 / len(part) for part in parts]), np.mean(distances)))
    return float(np.polynomial.Polynomial.fit(*zip(*points, strict=True), 1)(0.0))


@metric(
    "frechet_distance",
    {
        "frechet_distance": Figure(
            "Frechet distance (standard error)", "lower", "#.4g", "frechet_distance_error"
        ),
        "frechet_bias": Figure("Frechet distance of real images at these numbers", None, "#.4g"),
        "frechet_floor": Figure("Frechet distance of two halves of the real images", None, "#.4g"),
    },
    needs=("real_images",),
)
def measure_frechet_distance(images: MeasuredImages) -> Measured:
    """The distance to the real images, what is bias of it, and what two halves of these are apart."""
    column, real = images.columns["features"], images.real
    distance, influences = _to_real(images)
    error = _error(influences, len(column))
    figures = {"frechet_distance": distance}
    if error is not None:
        figures["frechet_distance_error"] = error
    bias = bias_of(images)
    if bias is not None:
        figures["frechet_bias"] = bias
    if real.floor is not None:
        figures["frechet_floor"] = real.floor
    notes = () if error is not None else (f"Fewer than {FEWEST_ROWS} images: no standard error.",)
    few = min(len(column), len(column) if real.count is None else real.count)
    if few <= column.width:
        known = f" As many real images are {bias:.4g} apart: so much is bias." if bias else ""
        notes += (
            f"{few:,} images for {column.width:,} features: the covariance is singular and the Frechet "
            f"distance too large.{known} Compare only figures with the same number of images.",
        )
    return Measured(figures, notes)


def frechet_bias(count, real) -> float | None:
    """The distance of a perfect generator, of as many images from the real ones as there are of these.

    It is that of two samples of the real images, none of which is in both, of `count` images each or of all
    there are; scaled by 1/N, the law of a bias, to the numbers of the evaluation. None without features.
    """
    if real.features is None or len(real.features) < 4:
        return None
    size = min(count, len(real.features) // 2)
    distance = real.floor if size == len(real.features) // 2 else None
    if distance is None:
        rows = np.random.default_rng(0).permutation(len(real.features))
        halves = real.features[rows[:size]], real.features[rows[size : 2 * size]]
        distance = frechet_distance_of_features(*halves)
    return float(distance * size / 2 * (1 / count + 1 / (real.count or len(real.features))))


def bias_of(images: MeasuredImages) -> float | None:
    """`frechet_bias` at the numbers of an evaluation, computed once."""
    if "bias" not in images.to_real:
        images.to_real["bias"] = frechet_bias(images.source.count, images.real)
    return images.to_real["bias"]


@metric(
    "frechet_at_infinity",
    {
        "frechet_at_infinity": Figure(
            "Frechet distance, extrapolated (standard error)",
            "lower",
            "#.4g",
            "frechet_at_infinity_error",
        )
    },
    needs=("real_images",),
    optional=True,
)
def measure_frechet_at_infinity(images: MeasuredImages) -> Measured:
    """The distance of infinitely many images to the real ones."""
    column, real = images.columns["features"], images.real
    parts = max(_PARTS)
    if len(column) // parts <= column.width:
        note = (
            f"{len(column):,} images for {column.width:,} features: the Frechet distance isn't "
            f"extrapolated. That takes more than {parts * column.width:,}."
        )
        return Measured({}, (note,))
    statistics = real.mean, real.covariance
    figures = {"frechet_at_infinity": frechet_at_infinity(column.take(images.order), *statistics)}
    error = _error(_to_real(images)[1], len(column))
    if error is not None:
        figures["frechet_at_infinity_error"] = error
    return Measured(figures, protocol={"frechet_at_infinity": {"parts": list(_PARTS)}})


@metric(
    "intra_class_frechet",
    {
        "intra_class_frechet": Figure(
            "Frechet distance within classes, mean (sd)",
            "lower",
            "#.4g",
            "intra_class_frechet_deviation",
        )
    },
    needs=("real_images", "real_features", "labels", "real_labels"),
)
def measure_within_classes(images: MeasuredImages) -> Measured:
    """Mean and spread over the classes, and the distance of each.

    Reference: intra-FID of Miyato & Koyama, arXiv:1802.05637.
    """
    labels, real, notes = images.source.labels, images.real, []
    total = 1 + int(max(labels.max(), real.labels.max()))
    generated, known = (np.bincount(given, minlength=total) for given in (labels, real.labels))
    for kind, ours, others in (("generated", generated, known), ("real", known, generated)):
        missing = [images.name_of(label) for label in np.flatnonzero((ours < 2) & (others > 0))]
        if missing:
            notes.append(
                f"Fewer than two {kind} images of {len(missing)} classes ({listed(missing, _NAMED)}): left "
                "out of the distances within classes."
            )
    counts = np.minimum(generated, known)
    enough = np.flatnonzero(counts > 1)
    if not len(enough):
        return Measured({}, notes)
    column, smallest = images.columns["features"], counts[enough].min()
    if smallest <= column.width:
        notes.append(
            f"{smallest:,} images in the smallest class for {column.width:,} features: distances within "
            "classes are too large; compare them at equal numbers only."
        )
    classes = {}
    for label in enough.tolist():
        ours = column.take(np.flatnonzero(labels == label))
        pair = ours, real.features[real.labels == label]
        distance, error = frechet_of_features_with_error(*pair)
        classes[label] = {"real_images": int(known[label]), "frechet_distance": distance}
        if error is not None:
            classes[label]["frechet_distance_error"] = error
    distances = [row["frechet_distance"] for row in classes.values()]
    errors = [row.get("frechet_distance_error") for row in classes.values()]
    figures = {
        "intra_class_frechet": float(np.mean(distances)),
        "intra_class_frechet_deviation": float(np.std(distances)),
    }
    if None not in errors:  # classes are samples of their own
        figures["intra_class_frechet_error"] = float(np.linalg.norm(errors) / len(errors))
    return Measured(figures, notes, classes)


def _moments_of(mean, covariance):
    """Mean, trace of the covariance, and its factor."""
    mean, covariance = checked_statistics(mean, covariance)
    return mean, np.trace(covariance), _factor(covariance)


def _moments(features):
    """Mean, trace of the covariance, and its factor: few centred vectors are that factor themselves."""
    if len(features) > features.shape[1]:
        mean, covariance = feature_statistics(features)
        return mean, np.trace(covariance), _factor(covariance)
    mean = features.mean(axis=0, dtype="float64")
    factor = (features - mean) / np.sqrt(len(features) - 1)
    return mean, np.sum(factor**2), factor


def _distance(first, second) -> float:
    return _with_cross_trace(first, second, _sum_of_singular_values(_product(first, second)))


def _product(first, second):
    """Of the factors, `A1 A2^T`."""
    (mean_1, _, factor_1), (mean_2, _, factor_2) = first, second
    if mean_1.shape != mean_2.shape:
        raise InputError(
            f"Got statistics of {len(mean_1)} and of {len(mean_2)} features. Expected equal numbers; take "
            "both with the same feature extractor."
        )
    return factor_1 @ factor_2.T


def _with_cross_trace(first, second, cross_trace) -> float:
    (mean_1, trace_1, _), (mean_2, trace_2, _) = first, second
    distance = np.sum((mean_1 - mean_2) ** 2) + trace_1 + trace_2 - 2 * cross_trace
    return max(float(distance), 0.0)


def _distance_and_error(first, second, rows_1, rows_2=None, count=None):
    """The distance and its standard error; see `frechet_with_error`."""
    distance, influences = _distance_and_influences(first, second, rows_1, rows_2)
    return distance, _error(influences, count)


def _error(influences, count) -> float | None:
    if influences is None:
        return None
    return float(influences.std(ddof=1) / np.sqrt(count or len(influences)))


def _distance_and_influences(first, second, rows_1, rows_2=None):
    """The distance, and its derivative by the weight of each row; None of too few rows for an error."""
    if len(rows_1) < FEWEST_ROWS:
        return _distance(first, second), None
    matrix = _product(first, second)
    cross_trace, left, right = 0.0, np.zeros((len(matrix), 0)), np.zeros((matrix.shape[1], 0))
    if matrix.size:
        cross_trace, left, right = _singular_vectors(matrix, both=rows_2 is not None)
    influences = _influences(rows_1, first, second, right)
    if rows_2 is not None:
        influences += _influences(rows_2, second, first, left)
    return _with_cross_trace(first, second, cross_trace), influences


def _singular_vectors(matrix, both) -> tuple:
    """Sum of the singular values s, and left and right vectors over the roots of s; left if `both`."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    squares, vectors = np.linalg.eigh(tall.T @ tall)
    values = np.sqrt(np.maximum(squares, 0))
    values = np.maximum(values, _SMALL_VALUE * values[-1]) if values[-1] else np.ones_like(values)
    right, left = vectors / np.sqrt(values), None
    if both or tall is not matrix:
        left = (tall @ right) / values
    if tall is not matrix:
        left, right = right, left
    return _sum_of_roots(squares, matrix), left, right


def _influences(rows, own, other, vectors) -> np.ndarray:
    """Derivative of the distance with respect to the weight of each row, float64 `[n]`, of its own side.

    That of `trace((C1 C2)^(1/2))` with respect to C1 is half the map that moves one Gaussian onto the other,
    `A2^T V S^-1 V^T A2` with the singular values and vectors of `A1 A2^T = U S V^T`.
    """
    influences, towards = np.empty(len(rows)), other[2].T @ vectors
    for start in range(0, len(rows), _BLOCK):
        centred = rows[start : start + _BLOCK] - own[0]
        block = 2 * centred @ (own[0] - other[0]) + np.sum(centred**2, axis=1)
        influences[start : start + _BLOCK] = block - np.sum((centred @ towards) ** 2, axis=1)
    return influences


def _sum_of_singular_values(matrix) -> float:
    """By the eigenvalues of `M^T M` where they are exact enough: 3 to 5 times faster than the SVD."""
    if not matrix.size:  # a set without any variance
        return 0.0
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    return _sum_of_roots(np.linalg.eigvalsh(tall.T @ tall), matrix)


def _sum_of_roots(squares, matrix) -> float:
    if squares[0] > _EXACT_EIGENVALUES * squares[-1]:
        return np.sqrt(squares).sum()
    return np.linalg.svd(matrix, compute_uv=False).sum()


def _factor(covariance) -> np.ndarray:
    """A with `A^T A` = covariance: Cholesky's, or one of eigenvectors if the matrix is singular."""
    # Of correlations, so that features of very different scale count alike.
    deviations, correlation = np.sqrt(covariance.diagonal()), _correlations(covariance)
    try:
        lower = np.linalg.cholesky(correlation)
        if lower.diagonal().min() ** 2 > _ROUNDING:
            return lower.T * deviations
    except np.linalg.LinAlgError:
        pass
    eigenvalues, vectors = np.linalg.eigh(correlation)
    if eigenvalues[0] < _NEGATIVE:
        raise InputError(
            f"Got a covariance whose correlations have the eigenvalue {eigenvalues[0]:.3g}. Expected "
            "none below 0; take the statistics again, with float64 sums."
        )
    kept = eigenvalues > _ROUNDING
    return (vectors[:, kept] * np.sqrt(eigenvalues[kept])).T * deviations


def _correlations(covariance) -> np.ndarray:
    """Of features with a variance; a feature that never varies keeps its row of zeros."""
    deviations = np.sqrt(covariance.diagonal())
    units = np.where(deviations > 0, deviations, 1)
    return covariance / units[:, None] / units
