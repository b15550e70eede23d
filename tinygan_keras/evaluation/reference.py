"""Reference statistics: what real images look like to a feature extractor, measured once and kept.

A file is an `.npz` with `mu` and `sigma`, as other FID programs write and read them, and beside these
the features, the labels and the protocol. Files that hold `mu` and `sigma` only can be read: they serve
for the Frechet distance, and what they were made from is unknown.
"""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from ..errors import InputError, MissingFileError
from .environment import environment
from .metrics.frechet import StatisticsAccumulator, feature_statistics, frechet_distance
from .protocol import differences

MAX_FEATURES = 50_000  # feature vectors kept in a file; 400 MB at a length of 2048
_BLOCK = 250
_SEED = 0


@dataclasses.dataclass(frozen=True)
class ReferenceStatistics:
    """Mean and covariance of real images' features, and what else is known about them.

    Attributes:
        mean: Float64 `[F]`.
        covariance: Float64 `[F, F]`.
        protocol: What the numbers depend on; None for a file of another program.
        features: Float32 `[K, F]` of all images, or of a random choice; None if unknown.
        labels: Int32 `[K]` of these images; None if unknown.
        class_names: Name per label; None if unknown.
        floor: Frechet distance between two halves of the features: what a perfect generator would be
            measured at with half as many images. None without features.
    """

    mean: np.ndarray
    covariance: np.ndarray
    protocol: dict | None = None
    features: np.ndarray | None = None
    labels: np.ndarray | None = None
    class_names: tuple | None = None
    floor: float | None = None

    @property
    def count(self) -> int | None:
        """Number of real images."""
        return self.protocol["real_images"] if self.protocol else None

    @property
    def kept(self) -> int | None:
        """Number of images whose features are kept."""
        return None if self.features is None else len(self.features)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the real images and labels; of mean and covariance if these are unknown."""
        if self.protocol is not None:
            return self.protocol["real_fingerprint"]
        digest = hashlib.sha256(np.ascontiguousarray(self.mean, "<f8"))
        digest.update(np.ascontiguousarray(self.covariance, "<f8"))
        return digest.hexdigest()

    def renumbered(self, class_names) -> "ReferenceStatistics":
        """The same with labels that number the classes as `class_names` does.

        Raises:
            ValueError: a class has none of these names.
        """
        own = self.class_names
        if self.labels is None or None in (own, class_names) or tuple(own) == tuple(class_names):
            return self
        unknown = [name for name in own if name not in class_names]
        if unknown:
            raise InputError(
                f"Got real images of the class {unknown[0]!r}. Expected one of the classes that are "
                f"generated, such as {class_names[0]!r}. Leave other images out of the real ones, or "
                "name their folders as the generator names its classes."
            )
        numbers = np.array([class_names.index(name) for name in own], "int32")
        return dataclasses.replace(
            self, labels=numbers[self.labels], class_names=tuple(class_names)
        )

    def check(self, extractor, image_size: int) -> list:
        """Makes sure that the statistics were taken with an extractor.

        Args:
            extractor: A `FeatureExtractor`.
            image_size: Side of the generated images, which decides about resizing.

        Returns:
            What can't be checked, in words.

        Raises:
            ValueError: another extractor, size, range or resizing; the message holds what differs.
        """
        if self.protocol is None:
            if len(self.mean) != extractor.feature_dim:
                raise InputError(
                    f"Got reference statistics of {len(self.mean)} features. Expected "
                    f"{extractor.feature_dim}, as the extractor has; measure the real images with it."
                )
            return [
                "The reference statistics come from a file with mu and sigma only: that they were taken "
                "with this extractor, range and resizing can't be checked."
            ]
        wanted = {**extractor.protocol(image_size), "image_size": image_size}
        differing = differences(
            {name: self.protocol.get(name) for name in wanted},
            wanted,
            ("the reference", "this evaluation"),
            ignore=("extractor",),  # the name of a folder; its hash says what it is
        )
        if differing:
            listed = "\n  ".join(differing)
            raise InputError(
                f"Got reference statistics taken in another way:\n  {listed}\nExpected the same "
                "extractor, size and resizing. Measure the real images again with this extractor "
                "(tinygan reference)."
            )
        return list(self.protocol.get("notes", ()))

    def save(self, path) -> Path:
        """Writes the `.npz`; it appears whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"mu": self.mean, "sigma": self.covariance}
        for name in ("features", "labels", "class_names", "floor"):
            if getattr(self, name) is not None:
                arrays[name] = np.asarray(getattr(self, name))
        if self.protocol is not None:
            arrays["protocol"] = np.asarray(json.dumps(self.protocol, sort_keys=True))
        unfinished = path.with_name(path.name + ".tmp")
        with open(unfinished, "wb") as file:
            np.savez(file, **arrays)
        return unfinished.replace(path)


def measure_reference(images, extractor, max_features=MAX_FEATURES, progress=True):
    """Looks at every real image once.

    Args:
        images: An image source, see `data.image_sets`.
        extractor: A `FeatureExtractor`.
        max_features: Feature vectors to keep, chosen at random if there are more images.
        progress: Show a progress bar.

    Returns:
        `ReferenceStatistics`.
    """
    order = np.random.default_rng(_SEED).permutation(images.count)
    kept = np.sort(order[:max_features])
    features = np.empty((len(kept), extractor.feature_dim), "float32")
    accumulator = StatisticsAccumulator(extractor.feature_dim)
    bar = keras.utils.Progbar(images.count, unit_name="real image", verbose=int(progress))
    for start in range(0, images.count, _BLOCK):
        block = extractor(images.read(start, min(start + _BLOCK, images.count)))[0]
        accumulator.update(block)
        rows = slice(*np.searchsorted(kept, (start, start + len(block))))
        features[rows] = block[kept[rows] - start]
        bar.update(start + len(block))
    mean, covariance = accumulator.statistics()
    protocol = {
        **extractor.protocol(images.image_size),
        "image_size": images.image_size,
        "real_images": images.count,
        "real_source": images.name,
        "real_fingerprint": images.fingerprint,
        "notes": list(images.warnings),
        "measured_with": environment()["versions"],
    }
    labels = None if images.labels is None else np.asarray(images.labels)[kept]
    return ReferenceStatistics(
        mean, covariance, protocol, features, labels, images.class_names, _floor(features)
    )


def load_reference(path) -> ReferenceStatistics:
    """Reads a file of `ReferenceStatistics.save`, or one with `mu` and `sigma` of another program.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it isn't an intact `.npz` with `mu` `[F]` and symmetric, finite `sigma` `[F, F]`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise MissingFileError(
            f"Got the reference {str(path)!r}, which is no file. Expected an .npz with mu and sigma, as "
            "tinygan reference writes it."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"Got {path}, which can't be read: {error}. Expected an intact .npz with mu and sigma; "
            "measure the reference again (tinygan reference)."
        ) from error
    _check_arrays(path, arrays)
    names = arrays.get("class_names")
    return ReferenceStatistics(
        mean=arrays["mu"].astype("float64"),
        covariance=arrays["sigma"].astype("float64"),
        protocol=json.loads(str(arrays["protocol"])) if "protocol" in arrays else None,
        features=arrays.get("features"),
        labels=arrays.get("labels"),
        class_names=None if names is None else tuple(map(str, names)),
        floor=float(arrays["floor"]) if "floor" in arrays else None,
    )


def is_reference_file(path) -> bool:
    """Whether `path` is an `.npz` with `mu` and `sigma`, rather than one with images."""
    path = Path(path).expanduser()
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"mu.npy", "sigma.npy"} <= set(archive.namelist())


def _check_arrays(path, arrays):
    mean, covariance = arrays.get("mu"), arrays.get("sigma")
    if mean is None or covariance is None:
        raise InputError(
            f"Got {path} with {sorted(arrays) or 'nothing'}. Expected mu and sigma; an .npz with "
            "images is measured first (tinygan reference --real=...)."
        )
    fits = mean.ndim == 1 and covariance.shape == mean.shape * 2
    features, labels = arrays.get("features"), arrays.get("labels")
    fits = fits and (features is None or features.shape[1:] == mean.shape)
    fits = fits and (labels is None or (features is not None and len(labels) == len(features)))
    if not fits:
        shapes = {name: array.shape for name, array in arrays.items() if array.ndim}
        raise InputError(
            f"Got {path} with {shapes}. Expected mu [F], sigma [F, F], and features [K, F] with labels "
            "[K] or none; write the file again."
        )
    finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
    if not finite or not np.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6):
        raise InputError(
            f"Got {path}, whose mu or sigma is not finite, or whose sigma is not symmetric. Expected "
            "the mean and covariance of features; measure the reference again."
        )


def _floor(features):
    half = len(features) // 2
    if half < 2:
        return None
    order = np.random.default_rng(_SEED + 1).permutation(len(features))
    halves = features[np.sort(order[:half])], features[np.sort(order[half : 2 * half])]
    return frechet_distance(*feature_statistics(halves[0]), *feature_statistics(halves[1]))
