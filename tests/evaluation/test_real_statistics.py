"""Reference statistics: measured once, kept with their protocol, and checked when they come back."""

import numpy as np
import pytest

from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance
from tinygan_keras.evaluation.real_statistics import (
    cached_statistics,
    is_statistics_file,
    load_reference,
    measure_reference,
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
