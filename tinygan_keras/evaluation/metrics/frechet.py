"""Frechet distances between sets of feature vectors, in float64: of all images, and within classes.

It is our own because TF-GAN's drops singular values below 1e-10, which is 2.6 % off at a feature deviation
of 1e-2, and its memory grows with the number of images. A test holds both equal where TF-GAN's is exact, and
`experiments/benchmarks/frechet.py` compares time and memory.

Every covariance is written as `A^T A`. Then `trace((C1 C2)^(1/2))` is the sum of the singular values of
`A1 A2^T`. Its usual form, the roots of the eigenvalues of a product of covariances, has half the digits:
what is 1e-16 of the largest eigenvalue is noise there, and its root is 1e-8.
"""

from collections.abc import Iterator

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
_MEMORY = 2**29  # bytes of features that are gathered by class at a time
_NAMED = 10  # classes in a note


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    """`|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))`, squared distance of two Gaussians, at least 0.

    Means are float `[F]`, covariances symmetric float `[F, F]`, singular ones included.
    Reference: Dowson & Landau, 1982; Heusel et al., arXiv:1706.08500.
    """
    mean_1, covariance_1, mean_2, covariance_2 = (
        np.asarray(x, "float64") for x in (mean_1, covariance_1, mean_2, covariance_2)
    )
    width = mean_1.shape
    shapes = mean_2.shape, covariance_1.shape, covariance_2.shape
    if len(width) != 1 or shapes != (width, width * 2, width * 2):
        raise InputError(
            f"Got means of shape {mean_1.shape} and {mean_2.shape}, covariances of shape "
            f"{covariance_1.shape} and {covariance_2.shape}. Expected (F,) and (F, F) with one F; take "
            "both statistics with the same feature extractor."
        )
    if not (np.isfinite(mean_1).all() and np.isfinite(mean_2).all()):
        raise InputError(
            "Got a mean that is not finite. Expected finite numbers; take the statistics again."
        )
    return _distance(
        (mean_1, np.trace(covariance_1), _factor(covariance_1)),
        (mean_2, np.trace(covariance_2), _factor(covariance_2)),
    )


def frechet_distance_of_features(features_1, features_2) -> float:
    """Frechet distance of two sets of feature vectors `[N1, F]` and `[N2, F]`, exact for few vectors too.

    With N at most F the centred vectors themselves are the factor of their covariance. No F x F matrix
    is made, and no rank is guessed. The distance is biased upwards, the more so the fewer vectors there
    are: compare only distances of equal N.
    """
    features_1 = feature_rows(features_1, minimum=2)
    features_2 = feature_rows(features_2, minimum=2, width=features_1.shape[1])
    return _distance(_moments(features_1), _moments(features_2))


@metric(
    "frechet_distance",
    {
        "frechet_distance": Figure("Frechet distance", "lower", "#.4g"),
        "frechet_floor": Figure("Frechet distance of two halves of the real images", None, "#.4g"),
    },
    needs=("real_images",),
)
def measure_frechet_distance(images: MeasuredImages) -> Measured:
    """The distance to the real images, and what two halves of these are apart."""
    column, real = images.columns["features"], images.real
    distance = frechet_distance(*column.statistics, real.mean, real.covariance)
    figures = {"frechet_distance": distance}
    if real.floor is not None:
        figures["frechet_floor"] = real.floor
    few = min(len(column), len(column) if real.count is None else real.count)
    return Measured(figures, _note_bias(few, column, real) if few <= column.width else ())


def _note_bias(few, column, real) -> tuple:
    bias = ""
    if real.features is not None and len(real.features) >= 4:
        size = min(len(column), len(real.features) // 2)
        rows = np.random.default_rng(0).permutation(len(real.features))
        halves = real.features[rows[:size]], real.features[rows[size : 2 * size]]
        bias = (
            f" Two samples of {size:,} real images are {frechet_distance_of_features(*halves):.4g} "
            "apart: so much is bias."
        )
    return (
        f"{few:,} images for {column.width:,} features: the covariance is singular and the Frechet "
        f"distance too large.{bias} Compare only figures with the same number of images.",
    )


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
    labels, real = images.source.labels, images.real
    total = 1 + int(max(labels.max(), real.labels.max()))
    generated_counts, real_counts = (
        np.bincount(numbers, minlength=total) for numbers in (labels, real.labels)
    )
    notes = ()
    for meaning, ours, others in (
        ("generated", generated_counts, real_counts),
        ("real", real_counts, generated_counts),
    ):
        missing = [images.name_of(label) for label in np.flatnonzero((ours < 2) & (others > 0))]
        if missing:
            notes += (
                f"Fewer than two {meaning} images of {len(missing)} classes ({listed(missing, _NAMED)}): "
                "left out of the distances within classes.",
            )
    counts = np.minimum(generated_counts, real_counts)
    enough = np.flatnonzero(counts > 1)
    if not len(enough):
        return Measured({}, notes)
    width = images.columns["features"].width
    if counts[enough].min() <= width:
        notes += (
            f"{counts[enough].min():,} images in the smallest class for {width:,} features: distances within "
            "classes are too large; compare them at equal numbers only.",
        )
    classes = {
        label: {
            "real_images": int(real_counts[label]),
            "frechet_distance": frechet_distance_of_features(generated, features),
        }
        for label, generated, features in _by_class(images, enough.tolist())
    }
    distances = np.array([row["frechet_distance"] for row in classes.values()])
    figures = {
        "intra_class_frechet": float(distances.mean()),
        "intra_class_frechet_deviation": float(distances.std()),
    }
    return Measured(figures, notes, classes)


def _by_class(images, classes) -> Iterator[tuple]:
    """Yields label, generated and real features, reading the column once per group of classes."""
    labels, column = images.source.labels, images.columns["features"]
    for group in _groups(np.bincount(labels), classes, 4 * column.width):
        parts = {label: [] for label in group}
        start = 0
        for chunk in column.chunks():
            here = labels[start : start + len(chunk)]
            start += len(chunk)
            for label in np.intersect1d(here, group):
                parts[label].append(chunk[here == label])
        for label in group:
            real = images.real.features[images.real.labels == label]
            yield label, np.concatenate(parts.pop(label)), real


def _groups(counts, classes, bytes_per_image) -> list:
    """The classes in groups, each of as many as fit into memory together."""
    groups, size = [[]], 0
    for label in classes:
        size += counts[label] * bytes_per_image
        if size > _MEMORY and groups[-1]:
            groups.append([])
            size = counts[label] * bytes_per_image
        groups[-1].append(label)
    return groups


def _moments(features):
    """Mean, trace of the covariance, and its factor, the cheaper way."""
    if len(features) > features.shape[1]:
        mean, covariance = feature_statistics(features)
        return mean, np.trace(covariance), _factor(covariance)
    mean = features.mean(axis=0, dtype="float64")
    factor = (features - mean) / np.sqrt(len(features) - 1)
    return mean, np.sum(factor**2), factor


def _distance(first, second) -> float:
    (mean_1, trace_1, factor_1), (mean_2, trace_2, factor_2) = first, second
    distance = np.sum((mean_1 - mean_2) ** 2) + trace_1 + trace_2
    distance -= 2 * _sum_of_singular_values(factor_1 @ factor_2.T)
    return max(float(distance), 0.0)


def _sum_of_singular_values(matrix) -> float:
    """By the eigenvalues of `M^T M` where they are exact enough: 3 to 5 times faster than the SVD."""
    if not matrix.size:  # a set without any variance
        return 0.0
    narrow = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    squares = np.linalg.eigvalsh(narrow.T @ narrow)
    if squares[0] > _EXACT_EIGENVALUES * squares[-1]:
        return np.sqrt(squares).sum()
    return np.linalg.svd(matrix, compute_uv=False).sum()


def _factor(covariance) -> np.ndarray:
    """A with `A^T A` = covariance: Cholesky's, or one of eigenvectors if the matrix is singular."""
    variances = covariance.diagonal()
    if not np.isfinite(covariance).all() or (variances < 0).any():
        raise InputError(
            "Got a covariance with values that are not finite, or with negative variances. Expected a "
            "covariance of finite features; take the statistics again."
        )
    # Of correlations, so that features of very different scale count alike. A feature that never
    # varies keeps its row of zeros.
    deviations = np.sqrt(variances)
    units = np.where(deviations > 0, deviations, 1)
    correlation = covariance / units[:, None]
    correlation /= units
    if np.max(correlation - correlation.T, initial=0) > _ASYMMETRY:
        raise InputError(
            "Got a covariance that is not symmetric. Expected one that is; take the statistics again."
        )
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
