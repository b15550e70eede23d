"""Statistics of real images: what they look like to a feature extractor, measured once and kept.

A file is an `.npz` with `mu` and `sigma`, as clean-fid and pytorch-fid write and read them, and beside these
the features, the labels and the protocol. Files with `mu` and `sigma` only serve for the Frechet distance.
Read are also the features that clean-fid keeps for its kernel distance (`feats` in an `.npz`), and what
torch-fidelity keeps (`.pt`, by PyTorch): mean and covariance, which can be written too, or features.
"""

import dataclasses
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np

from ..data.image_sets import open_images
from ..embedded import find
from ..errors import InputError, MissingFileError, MissingPackageError
from ..files import content_hash, new_file, user_path
from ..progress import progress_bar
from .environment import environment
from .metrics.frechet import checked_statistics, frechet_distance_of_features
from .metrics.gap import radial_spectrum
from .metrics.moments import StatisticsAccumulator, feature_statistics
from .protocol import differences

MAX_FEATURES = 50_000  # feature vectors kept in a file; 400 MB at a length of 2048
_SPECTRA = 2000  # images, or some more, that the mean spectrum is of
_BLOCK = 250
_OPTIONAL = ("features", "labels", "class_names", "floor", "spectrum")
_FORMAT = 4  # of kept files; older ones are measured again
TORCH = ".pt"  # ends the names of torch-fidelity's files
_FEATURES_ALONE = "feats"  # clean-fid's name of them


@dataclasses.dataclass(frozen=True)
class RealStatistics:
    """Mean and covariance of real images' features, and what else is known about them; None if unknown."""

    mean: np.ndarray  # float64 `[F]`
    covariance: np.ndarray  # float64 `[F, F]`
    protocol: dict | None = None  # what the numbers depend on
    features: np.ndarray | None = None  # float32 `[K, F]` of all images, or of a random choice
    labels: np.ndarray | None = None  # int32 `[K]` of these images
    class_names: tuple | None = None
    # Frechet distance of two halves of the features: a perfect generator's with half as many images.
    floor: float | None = None
    # Mean `radial_spectrum` of up to a few thousand images, spread evenly, float64 `[S // 2]`.
    spectrum: np.ndarray | None = None

    @property
    def count(self) -> int | None:
        """Number of real images."""
        return self.protocol["real_images"] if self.protocol else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the real images and labels; of mean and covariance if these are unknown."""
        if self.protocol is None:
            return content_hash(self.mean, self.covariance)
        return self.protocol["real_fingerprint"]

    def renumbered(self, class_names) -> "RealStatistics":
        """The same with labels that number the classes as `class_names` does."""
        own = self.class_names
        if self.labels is None or None in (own, class_names) or tuple(own) == tuple(class_names):
            return self
        unknown = [name for name in own if name not in class_names]
        if unknown:
            raise InputError(
                f"Got real images of the class {unknown[0]!r}. Expected one that is generated, such as "
                f"{class_names[0]!r}. Leave them out, or name folders as the generator names its classes."
            )
        names = tuple(class_names)
        labels = np.array([names.index(name) for name in own], "int32")[self.labels]
        return dataclasses.replace(self, labels=labels, class_names=names)

    def check_length(self, extractor):
        """Refuses statistics of another number of features than the extractor has."""
        if len(self.mean) != extractor.feature_dim:
            raise InputError(
                f"Got real statistics of {len(self.mean)} features. Expected {extractor.feature_dim}, as the "
                "extractor has; measure the real images with it."
            )

    def check(self, extractor, image_size: int) -> list:
        """Refuses statistics that were taken in another way; says what can't be checked."""
        if self.protocol is None:
            self.check_length(extractor)
            return [
                "The real statistics come from a file with mu and sigma only: that they were taken "
                "with this extractor, range and resizing can't be checked."
            ]
        wanted = {**extractor.protocol(image_size), "image_size": image_size}
        own = {name: self.protocol.get(name) for name in wanted}
        pair = {"the real statistics": own, "this evaluation": wanted}
        # The name of an extractor is that of a folder; its hash says what it is.
        if differing := differences(pair, ignore="extractor")[0]:
            listed = "\n  ".join(differing)
            raise InputError(
                f"Got real statistics taken in another way:\n  {listed}\nExpected the same extractor, size "
                "and resizing. Measure the real images again (tinygan reference)."
            )
        return list(self.protocol.get("notes", ()))

    def save(self, path) -> Path:
        """Writes the file, whole or not at all.

        An `.npz` holds everything, and clean-fid and pytorch-fid read it; a `.pt` holds mean and covariance
        in the form of torch-fidelity.
        """
        if Path(user_path(path)).suffix == TORCH:
            # It compares only means of one type, which is float32 in its own files.
            statistics = {"mu": self.mean.astype("float32"), "sigma": self.covariance}
            with new_file(path) as unfinished:
                _torch().save(statistics, unfinished)
            return Path(user_path(path))
        arrays = {"mu": self.mean, "sigma": self.covariance}
        arrays |= {name: getattr(self, name) for name in _OPTIONAL}
        if self.protocol is not None:
            arrays["protocol"] = json.dumps(self.protocol, sort_keys=True)
        with new_file(path) as unfinished, open(unfinished, "wb") as file:
            np.savez(file, **{name: given for name, given in arrays.items() if given is not None})
        return Path(user_path(path))


def measure_reference(images, extractor, max_features=MAX_FEATURES, progress=True):
    """Measures real images, each of which is read once.

    Args:
        images: What `open_images` returns.
        extractor: A `FeatureExtractor`.
        max_features: Feature vectors to keep, chosen at random if there are more images.
        progress: Show a progress bar.

    Returns:
        `RealStatistics`.

    Example:
        statistics = measure_reference(open_images("real/"), load_extractor("inception"))
        statistics.save("real.npz")
    """
    kept = np.sort(np.random.default_rng(0).permutation(images.count)[:max_features])
    features = np.empty((len(kept), extractor.feature_dim), "float32")
    accumulator = StatisticsAccumulator(extractor.feature_dim)
    bar = progress_bar(images.count, "real image", progress)
    spectrum, of_spectrum = np.zeros(images.image_size // 2), 0
    every = max(1, images.count // _SPECTRA)
    for start in range(0, images.count, _BLOCK):
        pixels = images.read(start, min(start + _BLOCK, images.count))
        some = pixels[-start % every :: every]  # image 0, `every`, 2 * `every`, ...
        spectrum += radial_spectrum(some).sum(axis=0, dtype="float64")
        of_spectrum += len(some)
        block = extractor(pixels)[0]
        accumulator.update(block)
        rows = slice(*np.searchsorted(kept, (start, start + len(block))))
        features[rows] = block[kept[rows] - start]
        bar.update(start + len(block))
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
    known = (
        protocol,
        features,
        labels,
        images.class_names,
        _floor(features),
        spectrum / of_spectrum,
    )
    return RealStatistics(*accumulator.statistics(), *known)


def load_reference(path) -> RealStatistics:
    """Reads a file of `RealStatistics.save`, or one of another program.

    Args:
        path: An `.npz` with `mu` and `sigma` (ours, clean-fid's, pytorch-fid's) or with the features `feats`
            (clean-fid's), or a `.pt` with `mu` and `sigma` or with features (torch-fidelity's).

    Raises:
        MissingFileError: there is no such file.
        MissingPackageError: a `.pt` needs PyTorch.
        InputError: it isn't an intact file with `mu` `[F]` and symmetric, finite `sigma` `[F, F]`.
    """
    path = Path(find(path))
    if not path.is_file():
        raise MissingFileError(
            f"Got the real statistics {str(path)!r}, which is no file. Expected an .npz with mu and sigma. "
            "Write one with tinygan reference."
        )
    try:
        arrays = _read_torch(path) if path.suffix == TORCH else _read_archive(path)
        protocol = json.loads(str(arrays.get("protocol", "null")))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"Got {path}, which can't be read: {error}. Expected an intact .npz with mu and sigma. Measure "
            "the real images again (tinygan reference)."
        ) from error
    if "mu" not in arrays and np.ndim(arrays.get(_FEATURES_ALONE)) == 2:
        features = arrays[_FEATURES_ALONE]
        return RealStatistics(*feature_statistics(features), None, np.asarray(features, "float32"))
    mean, covariance = (arrays.get(name, np.empty(())) for name in ("mu", "sigma"))
    mean, covariance = checked_statistics(mean, covariance, str(path))
    features, labels, names, floor, spectrum = map(arrays.get, _OPTIONAL)
    kept = np.empty((0, len(mean))) if features is None else features
    if kept.shape[1:] != mean.shape or np.shape(labels) not in ((), kept.shape[:1]):
        raise InputError(
            f"Got {path} with features {kept.shape}, labels {np.shape(labels)} and mu {mean.shape}. "
            "Expected features [K, F] with labels [K] or none. Measure the real images again."
        )
    names = None if names is None else tuple(map(str, names))
    floor = None if floor is None else float(floor)
    return RealStatistics(mean, covariance, protocol, features, labels, names, floor, spectrum)


def _read_archive(path) -> dict:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_torch(path) -> dict:
    """Arrays by name of a `.pt`; a single one is features. Nothing but tensors and arrays is unpickled."""
    torch = _torch()
    array = np.zeros(0)
    rebuild = array.__reduce__()[
        0
    ]  # how a pickle makes an array; older files know it by another module
    allowed = [(rebuild, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    allowed += [np.ndarray, np.dtype, *(type(np.dtype(name)) for name in ("float32", "float64"))]
    try:
        with torch.serialization.safe_globals(allowed):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in any way
        raise ValueError(str(error).splitlines()[0].removesuffix(".")) from error
    if not isinstance(found, dict):
        found = {_FEATURES_ALONE: found}
    return {name: np.asarray(value) for name, value in found.items()}


def _torch():
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            "Statistics in a .pt file need PyTorch. Install it with pip install 'tinygan-keras[torch]', or "
            "use an .npz file."
        ) from error
    return torch


def open_real_statistics(real, extractor, class_names=None, progress=True) -> RealStatistics | None:
    """Statistics of real images, their labels as in `class_names`: given, read, or measured now and kept.

    `real` is None, `RealStatistics`, a file of `load_reference`, or what `open_images` opens or returns.
    """
    if real is None:
        return None
    if isinstance(real, (str, os.PathLike)):
        real = open_reference(real, class_names)
    if not isinstance(real, RealStatistics):
        real = cached_statistics(real, extractor, progress=progress)
    return real.renumbered(class_names)


def open_reference(real, class_names=None):
    """The `RealStatistics` in a file, or the images that `open_images` opens."""
    if is_statistics_file(real):
        return load_reference(real)
    try:
        return open_images(real, class_names=class_names)
    except (InputError, MissingFileError) as error:
        if Path(real).suffix not in (".npz", ".npy", ".pkl", TORCH):
            raise
        kinds = "an .npz with mu [F] and sigma [F, F], or with feats [N, F], and a .pt of torch-fidelity"
        raise type(error)(f"{error} Statistics of real images are {kinds}.") from error


def is_statistics_file(path) -> bool:
    """Whether `path` is a file with `mu` and `sigma` or with features, rather than one with images."""
    path = Path(find(path))
    if path.suffix == TORCH:
        return path.is_file()
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return {"mu.npy", "sigma.npy"} <= names or f"{_FEATURES_ALONE}.npy" in names


def cached_statistics(images, extractor, folder=None, progress=True) -> RealStatistics:
    """The statistics of images, measured the first time and read from then on.

    The folder is `tinygan_keras/references` in Keras' home; a file is named after images and extractor.
    """
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    protocol = extractor.protocol(images.image_size)
    del protocol["extractor"]  # a folder may be moved
    key = content_hash(_FORMAT, MAX_FEATURES, images.fingerprint, protocol)
    path = Path(folder or Path(home, "tinygan_keras", "references"), f"{key[:24]}.npz")
    if path.is_file():
        try:
            kept = load_reference(path)
            # What it was measured from may have had another name, and other names of classes.
            named = {"real_source": images.name, "notes": list(images.warnings)}
            return dataclasses.replace(
                kept, protocol=kept.protocol | named, class_names=images.class_names
            )
        except InputError as error:
            warnings.warn(f"{error} They are measured again now.", stacklevel=2)
    statistics = measure_reference(images, extractor, progress=progress)
    try:
        statistics.save(path)
    except OSError as error:
        warnings.warn(f"The real statistics can't be kept in {path}: {error}", stacklevel=2)
    return statistics


def _floor(features):
    """The Frechet distance of two random halves; None of fewer than two vectors each."""
    half = len(features) // 2
    if half < 2:
        return None
    order = np.random.default_rng(1).permutation(len(features))
    halves = (features[np.sort(rows)] for rows in (order[:half], order[half : 2 * half]))
    return frechet_distance_of_features(*halves)
