"""Reference statistics: measured once, kept with their protocol, and checked when they come back."""

import os
import sys
import warnings

import numpy as np
import pytest
from judge_fixtures import import_judge

import tinygan_keras.evaluation.real_statistics as module
from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.errors import InputError, MissingFileError
from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance
from tinygan_keras.evaluation.metrics.gap import radial_spectrum
from tinygan_keras.evaluation.real_statistics import (
    cached_statistics,
    is_statistics_file,
    load_reference,
    measure_reference,
    open_real_statistics,
)


class MeanColour:
    """Three features: the mean of each colour. Counts the images it looks at."""

    feature_dim = 3

    def __init__(self, **protocol):
        self.seen = 0
        self._protocol = {"extractor": "colour", "extractor_hash": "abc", **protocol}

    def protocol(self, image_size):
        return {**self._protocol, "resize": "none"}

    def __call__(self, images):
        self.seen += len(images)
        return images.mean(axis=(1, 2)).astype("float32"), None


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (700, 4, 4, 3), dtype="uint8")
    return ArrayImages(pixels, np.arange(700) % 2, ("even", "odd"), "noise")


def test_statistics_are_those_of_all_images(images):
    reference = measure_reference(images, MeanColour(), progress=False)
    features = images.read(0, 700).mean(axis=(1, 2))
    assert reference.mean == pytest.approx(features.mean(axis=0), rel=1e-6)
    assert reference.covariance == pytest.approx(np.cov(features, rowvar=False), rel=1e-4)
    assert reference.features == pytest.approx(features, rel=1e-6)
    assert reference.labels.tolist() == images.labels.tolist()
    assert reference.count == 700
    assert reference.protocol["real_source"] == "noise"


@pytest.mark.parametrize(("most", "every"), [(2000, 1), (233, 3)])
def test_the_mean_spectrum_is_kept(images, tmp_path, monkeypatch, most, every):
    monkeypatch.setattr(module, "_SPECTRA", most)
    reference = measure_reference(images, MeanColour(), progress=False)
    expected = radial_spectrum(images.read(0, 700)[::every]).mean(axis=0)
    assert reference.spectrum == pytest.approx(expected, rel=1e-5)
    kept = load_reference(reference.save(tmp_path / "real.npz"))
    np.testing.assert_array_equal(kept.spectrum, reference.spectrum)


def test_of_many_images_a_random_choice_of_features_is_kept(images):
    reference = measure_reference(images, MeanColour(), max_features=100, progress=False)
    features = images.read(0, 700).mean(axis=(1, 2)).astype("float32")
    places = [int(np.argmin(np.abs(features - row).sum(axis=1))) for row in reference.features]
    assert len(places) == 100 and places == sorted(set(places))
    assert places[-1] > 600  # not the first hundred
    assert reference.labels.tolist() == [place % 2 for place in places]
    assert reference.mean == pytest.approx(features.mean(axis=0, dtype="float64"), rel=1e-9)


def test_floor_is_the_distance_of_two_halves(images):
    # 350 vectors against 350 of the same law: above zero, far below the variances.
    reference = measure_reference(images, MeanColour(), progress=False)
    assert 0 < reference.floor < 0.02 * np.trace(reference.covariance)


def test_a_saved_reference_comes_back_equal(images, tmp_path):
    reference = measure_reference(images, MeanColour(), progress=False)
    loaded = load_reference(reference.save(tmp_path / "folder" / "real.npz"))
    assert loaded.fingerprint == reference.fingerprint
    assert loaded.protocol == reference.protocol
    assert "tensorflow" in loaded.protocol["measured_with"]
    assert loaded.floor == reference.floor
    assert loaded.class_names == ("even", "odd")
    np.testing.assert_array_equal(loaded.features, reference.features)
    np.testing.assert_array_equal(loaded.labels, reference.labels)
    assert loaded.check(MeanColour(), 4) == []


def test_other_programs_files_serve_with_a_warning(images, tmp_path):
    features = images.read(0, 700).mean(axis=(1, 2))
    mean, covariance = feature_statistics(features)
    np.savez(tmp_path / "other.npz", mu=mean, sigma=covariance)
    assert is_statistics_file(tmp_path / "other.npz")
    loaded = load_reference(tmp_path / "other.npz")
    assert frechet_distance(loaded.mean, loaded.covariance, mean, covariance) < 1e-9
    (note,) = loaded.check(MeanColour(), 4)
    assert "mu and sigma only" in note


def test_other_programs_read_ours(images, tmp_path):
    path = measure_reference(images, MeanColour(), progress=False).save(tmp_path / "real.npz")
    with np.load(path, allow_pickle=False) as archive:
        assert archive["mu"].shape == (3,)
        assert archive["sigma"].shape == (3, 3)


@pytest.mark.parametrize("name", ["means.npz", "inception.pkl", "missing.npz", "hidden.npy"])
def test_what_is_neither_images_nor_statistics_is_told_what_statistics_are(tmp_path, name):
    np.savez(tmp_path / "means.npz", mean=np.zeros(3), cov=np.eye(3))
    (tmp_path / "inception.pkl").touch()
    np.save(tmp_path / "hidden.npy", np.zeros((2, 3)))
    with pytest.raises((InputError, MissingFileError), match=r"are an .npz with mu \[F\]"):
        open_real_statistics(tmp_path / name, MeanColour())
    with pytest.raises(MissingFileError) as caught:
        open_real_statistics(tmp_path / "no folder", MeanColour())
    assert "with mu" not in str(caught.value)


def test_an_archive_of_images_is_no_reference(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 4, 4, 3), "uint8"))
    assert not is_statistics_file(tmp_path / "images.npz")
    assert not is_statistics_file(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("other", "size", "message"),
    [
        ({"extractor_hash": "def"}, 4, r"extractor_hash: .*abc.*def"),
        ({}, 8, r"image_size: .*4.*8"),
        ({"range": "[0, 1]"}, 4, "range"),
    ],
    ids=["extractor", "size", "range"],
)
def test_statistics_of_another_extractor_are_refused(images, other, size, message):
    reference = measure_reference(images, MeanColour(range="[-1, 1]"), progress=False)
    other = {"range": "[-1, 1]"} | other
    with pytest.raises(ValueError, match=message):
        reference.check(MeanColour(**other), size)


def test_foreign_statistics_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", mu=np.zeros(2), sigma=np.eye(2))
    with pytest.raises(ValueError, match="of 2 features. Expected 3"):
        load_reference(tmp_path / "other.npz").check(MeanColour(), 4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(2)}, r"Expected mu \[F\] and sigma"),
        ({"mu": np.zeros(2), "sigma": np.eye(3)}, r"Expected mu \[F\]"),
        ({"mu": np.zeros(2), "sigma": np.array([[1.0, 5.0], [0.0, 1.0]])}, "not symmetric"),
        ({"mu": np.array([0.0, np.nan]), "sigma": np.eye(2)}, "not finite"),
        ({"mu": np.zeros(2), "sigma": np.eye(2), "features": np.zeros((5, 3))}, "features"),
    ],
    ids=["half", "shapes", "asymmetric", "nan", "features"],
)
def test_damaged_files_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "file.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_reference(tmp_path / "file.npz")


def test_a_file_cut_short_and_a_missing_one_are_refused(images, tmp_path):
    path = measure_reference(images, MeanColour(), progress=False).save(tmp_path / "real.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="can't be read"):
        load_reference(path)
    with pytest.raises(FileNotFoundError, match="which is no file"):
        load_reference(tmp_path / "missing.npz")


def test_the_cache_measures_once(images, tmp_path):
    first, second = MeanColour(), MeanColour()
    reference = cached_statistics(images, first, tmp_path, progress=False)
    again = cached_statistics(images, second, tmp_path, progress=False)
    assert (first.seen, second.seen) == (700, 0)
    assert again.fingerprint == reference.fingerprint


def test_the_cache_tells_images_and_extractors_apart(images, tmp_path):
    cached_statistics(images, MeanColour(), tmp_path, progress=False)
    other_extractor = MeanColour(extractor_hash="def")
    cached_statistics(images, other_extractor, tmp_path, progress=False)
    fewer, extractor = ArrayImages(images.read(0, 600), None, None, "noise"), MeanColour()
    cached_statistics(fewer, extractor, tmp_path, progress=False)
    assert (other_extractor.seen, extractor.seen) == (700, 600)


def test_the_cache_says_what_the_images_are_called_now(images, tmp_path):
    cached_statistics(images, MeanColour(), tmp_path, progress=False)
    renamed = ArrayImages(images.read(0, 700), images.labels, ("0", "1"), "other", ("gray",))
    extractor = MeanColour()
    reference = cached_statistics(renamed, extractor, tmp_path, progress=False)
    assert extractor.seen == 0
    assert (reference.class_names, reference.protocol["real_source"]) == (("0", "1"), "other")
    assert reference.check(MeanColour(), 4) == ["gray"]


def test_labels_follow_the_names_of_the_classes(images):
    reference = measure_reference(images, MeanColour(), progress=False)
    renumbered = reference.renumbered(("odd", "prime", "even"))
    assert renumbered.class_names == ("odd", "prime", "even")
    assert renumbered.labels[:4].tolist() == [2, 0, 2, 0]
    assert reference.renumbered(("even", "odd")) is reference
    with pytest.raises(ValueError, match="of the class 'even'. Expected one that"):
        reference.renumbered(("odd", "prime"))


def test_a_choice_of_features_is_part_of_what_is_known(images):
    reference = measure_reference(images, MeanColour(), max_features=100, progress=False)
    assert (len(reference.features), reference.count) == (100, 700)
    assert reference.fingerprint == images.fingerprint


def test_a_damaged_cache_is_measured_anew(images, tmp_path):
    cached_statistics(images, MeanColour(), tmp_path, progress=False)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(b"nothing")
    extractor = MeanColour()
    with pytest.warns(UserWarning, match="measured again"):
        cached_statistics(images, extractor, tmp_path, progress=False)
    assert extractor.seen == 700
    assert load_reference(path).count == 700


def test_features_that_clean_fid_keeps_are_statistics_too(tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    np.savez_compressed(tmp_path / "cats_clean_custom_na_kid.npz", feats=features)
    path = tmp_path / "cats_clean_custom_na_kid.npz"
    assert is_statistics_file(path)
    known = load_reference(path)
    np.testing.assert_array_equal(known.features, features)
    assert known.mean == pytest.approx(features.mean(axis=0), rel=1e-5)
    assert known.covariance == pytest.approx(np.cov(features, rowvar=False), rel=1e-5)


def test_a_torch_file_without_torch_names_the_extra(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"x")
    with pytest.raises(ImportError, match=r"tinygan-keras\[torch\]"):
        load_reference(tmp_path / "a.pt")


@pytest.mark.torch
def test_torch_fidelity_s_files_are_read_and_written(images, tmp_path):
    """Through its own functions: what it computes of ours and of its statistics, in its own file."""
    torch = pytest.importorskip("torch")
    theirs = import_judge("torch_fidelity.metric_fid")
    save = import_judge("torch_fidelity.utils_torch").torch_atomic_save
    first, second = (
        np.random.default_rng(seed).normal(seed, 1, (200, 3)).astype("float32") for seed in (0, 1)
    )
    save(theirs.fid_features_to_statistics(torch.from_numpy(first)), str(tmp_path / "stat.pt"))
    save(torch.from_numpy(first), str(tmp_path / "features.pt"))
    known, kept = (load_reference(tmp_path / f"{name}.pt") for name in ("stat", "features"))
    assert known.covariance == pytest.approx(np.cov(first, rowvar=False), rel=1e-6)
    np.testing.assert_array_equal(kept.features, first)
    assert kept.mean == pytest.approx(known.mean, rel=1e-5)

    statistics = measure_reference(images, MeanColour(), progress=False)
    written = torch.load(statistics.save(tmp_path / "ours.pt"), weights_only=False)
    other = theirs.fid_features_to_statistics(torch.from_numpy(100 + 20 * second))
    found = theirs.fid_statistics_to_metric(written, other, False)
    distance = frechet_distance(
        statistics.mean, statistics.covariance, *feature_statistics(100 + 20 * second)
    )
    assert found["frechet_inception_distance"] == pytest.approx(distance, rel=1e-5)


@pytest.mark.torch
def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch = pytest.importorskip("torch")

    class Harmful:
        def __reduce__(self):
            return os.system, ("true",)

    torch.save({"mu": Harmful()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt, which can't be read"):
        load_reference(tmp_path / "a.pt")


@pytest.mark.torch
@pytest.mark.parametrize("program", ["cleanfid.fid", "pytorch_fid.fid_score"])
def test_other_programs_find_the_same_distance_by_our_files(images, tmp_path, program):
    """Judges of the distance and of the form of files: both read `mu` and `sigma` from ours."""
    judge = import_judge(program)
    distance = getattr(judge, "frechet_distance", None) or judge.calculate_frechet_distance
    statistics = measure_reference(images, MeanColour(), progress=False)
    archive = np.load(statistics.save(tmp_path / "real.npz"))
    random = np.random.default_rng(3)
    other = feature_statistics(128 + 15 * random.normal(size=(300, 3)))
    ours = frechet_distance(statistics.mean, statistics.covariance, *other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy, about sqrtm
        theirs = distance(archive["mu"], archive["sigma"], *other)
    assert ours == pytest.approx(theirs, rel=1e-6)
