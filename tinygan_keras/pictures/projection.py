"""High-dimensional features as points on a plane.

Scope: NumPy arrays in and out; what is drawn with them is `charts.py`.

Two maps, because neither is enough. Principal components are linear: the same axes fit any further set,
and far apart on the map is far apart in truth, but classes overlap. t-SNE separates groups, but sizes of
groups and distances between them mean nothing.
"""

from typing import NamedTuple

import numpy as np

from ..errors import InputError, MissingPackageError

PERPLEXITY = 30
MIN_TSNE_POINTS = 3 * PERPLEXITY + 1  # scikit-learn's search wants three neighbours a unit of it


class Components(NamedTuple):
    """A plane in feature space: mean `[F]`, two orthonormal directions `[2, F]`, their shares `[2]`."""

    mean: np.ndarray
    directions: np.ndarray
    explained: np.ndarray

    def project(self, features) -> np.ndarray:
        """Coordinates float64 `[N, 2]` of features `[N, F]`."""
        return (np.asarray(features, "float64") - self.mean) @ self.directions.T


def principal_components(features) -> Components:
    """Finds the plane that keeps most of the variance.

    The sign of a principal direction is arbitrary; here its largest entry is positive, so that the
    same features give the same map everywhere.

    Args:
        features: Float `[N, F]`, N at least 3 and F at least 2.

    Raises:
        ValueError: there are fewer, a value isn't finite, or all features are equal.
    """
    features = checked_features(features)
    if len(features) < 3 or features.shape[1] < 2:
        raise InputError(
            f"Got features of shape {features.shape}. Expected at least 3 of at least 2 numbers each; "
            "look at more images."
        )
    mean = features.mean(0)
    _, scales, directions = np.linalg.svd(features - mean, full_matrices=False)
    total = np.sum(scales**2)
    if not total > 0:
        raise InputError(
            "Got features that are all equal. Expected different ones; check the extractor and the images."
        )
    directions = directions[:2]
    largest = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[range(2), largest])[:, None]
    return Components(mean, directions, scales[:2] ** 2 / total)


def tsne(features, seed=0) -> np.ndarray:
    """Lays features out on a plane so that neighbours stay neighbours.

    Args:
        features: Float `[N, F]`, N at least 91. There is no way to add points later: give all at once.
        seed: The same seed gives the same map.

    Returns:
        Coordinates float32 `[N, 2]`.

    Raises:
        ValueError: there are too few, or a value isn't finite.
        ImportError: scikit-learn isn't installed.

    Reference: van der Maaten & Hinton, "Visualizing data using t-SNE", JMLR 9 (2008).
    """
    features = checked_features(features)
    if len(features) < MIN_TSNE_POINTS:
        raise InputError(
            f"Got {len(features)} points. Expected at least {MIN_TSNE_POINTS} for t-SNE with perplexity "
            f"{PERPLEXITY}. Look at more images, or use PCA."
        )
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ImportError as error:
        raise MissingPackageError(
            "t-SNE needs scikit-learn. Install it with pip install 'tinygan-keras[evaluation]', or use "
            "PCA, which needs nothing."
        ) from error
    layout = TSNE(2, perplexity=PERPLEXITY, init="pca", random_state=seed, n_jobs=1)
    # Its threads wait for each other at every step: on a busy machine that takes ten times as long.
    with threadpool_limits(1):
        return layout.fit_transform(features)


def checked_features(features) -> np.ndarray:
    """Features as float64 `[N, F]`."""
    features = np.asarray(features, "float64")
    if features.ndim != 2:
        raise InputError(f"Got features of shape {features.shape}. Expected (N, F).")
    if not np.isfinite(features).all():
        raise InputError(
            "Got features that aren't finite. Expected finite numbers; check images and extractor."
        )
    return features
