"""Keras' data sets: formats, the order of places, the committed subset, and what isn't there."""

import gzip
import io
import pickle
import tarfile

import keras
import numpy as np
import pytest
from image_tree_fixtures import pixels
from PIL import Image

from tinygan_keras.data import keras_sets
from tinygan_keras.data.image_sets import open_images, open_training_images

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def write_idx(path, array):
    """Writes uint8 data as IDX: two zeros, the type (8), the rank, big-endian sizes, the data."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_split(folder, split, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(FILES[split], (images, labels), strict=True):
        write_idx(folder / name, array)


@pytest.fixture
def keras_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets" / "fashion-mnist"


@pytest.fixture
def debian_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_sets, "DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path / "debian"


def make_split(seed, count=3):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28)).astype("uint8")
    return images, rng.integers(0, 10, count).astype("uint8")


@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_files_are_read_as_padded_rgb_images(keras_folder, debian_folder, split):
    images, labels = make_split(seed=0)
    write_split(keras_folder, split, images, labels)

    loaded = keras_sets.load_fashion_mnist(split, download=False)

    assert loaded.images.shape == (3, 32, 32, 3)
    assert loaded.images.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, channel], images)
    border = np.ones((32, 32), bool)
    border[2:-2, 2:-2] = False
    assert not loaded.images[:, border].any()
    np.testing.assert_array_equal(loaded.labels, labels)
    assert loaded.labels.dtype == np.int32


def test_keras_folder_comes_before_debians(keras_folder, debian_folder):
    mine, other = make_split(seed=1), make_split(seed=2)
    write_split(keras_folder, "train", *mine)
    write_split(debian_folder, "train", *other)

    loaded = keras_sets.load_fashion_mnist(download=False)

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], mine[0])


def test_debians_folder_is_read_when_kerases_lacks_a_file(keras_folder, debian_folder):
    write_split(keras_folder, "train", *make_split(seed=1))
    (keras_folder / FILES["train"][1]).unlink()
    images, labels = make_split(seed=2)
    write_split(debian_folder, "train", images, labels)

    loaded = keras_sets.load_fashion_mnist(download=False)

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], images)


def test_keras_downloads_when_nothing_is_on_disk(keras_folder, debian_folder, monkeypatch):
    train, test = make_split(seed=3), make_split(seed=4, count=2)
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: (train, test))

    loaded = keras_sets.load_fashion_mnist("test")

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], test[0])
    assert "downloaded" in loaded.source


def test_without_download_the_error_names_both_folders_and_the_fix(keras_folder, debian_folder):
    with pytest.raises(FileNotFoundError) as error:
        keras_sets.load_fashion_mnist(download=False)

    for part in (str(keras_folder), str(debian_folder), "ubyte.gz", "allow the download"):
        assert part in str(error.value)


def test_unknown_split_is_refused(keras_folder, debian_folder):
    with pytest.raises(ValueError, match="'fashion_mnist', 'validation'.*and train or test"):
        keras_sets.load_fashion_mnist("validation", download=False)


@pytest.fixture(scope="module")
def committed_subset(repository):
    folder = repository / "experiments" / "fashion_mnist" / "data"
    return keras_sets.load_fashion_mnist_subset(folder / "fashion_mnist_10k.npz")


def test_committed_subset_has_a_thousand_images_of_each_class(committed_subset):
    assert committed_subset.images.shape == (10000, 32, 32, 3)
    assert committed_subset.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(committed_subset.labels), [1000] * 10)
    assert len(keras_sets.FASHION_MNIST_NAMES) == 10


def test_committed_subset_is_small_and_carries_its_licence(repository):
    folder = repository / "experiments" / "fashion_mnist" / "data"
    assert (folder / "fashion_mnist_10k.npz").stat().st_size < 5_000_000
    assert "Zalando SE" in (folder / "LICENSE").read_text()
    assert "arXiv:1708.07747" in (folder / "README.md").read_text()


@pytest.mark.network
def test_committed_subset_equals_the_start_of_each_class_of_the_full_set(committed_subset):
    full = keras_sets.load_fashion_mnist("train")
    for label in range(10):
        expected = full.images[np.flatnonzero(full.labels == label)[:1000], ..., 0]
        got = committed_subset.images[committed_subset.labels == label, ..., 0]
        np.testing.assert_array_equal(got, expected, err_msg=keras_sets.FASHION_MNIST_NAMES[label])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("fashion_mnist", "train"),
        ("fashion_mnist:test", "test"),
        ("keras:fashion_mnist:test", "test"),
    ],
)
def test_fashion_mnist_is_known_by_name(monkeypatch, name, split):
    sample = np.stack([pixels(seed, 32, 32) for seed in range(10)])

    def load(wanted, download=True):
        assert wanted == split
        return keras_sets.LabelledImages(sample, np.arange(10, dtype="int32"), "here")

    monkeypatch.setattr(keras_sets, "load_fashion_mnist", load)
    images = open_images(name)
    np.testing.assert_array_equal(images.read(0, 10), sample)
    assert images.class_names == keras_sets.FASHION_MNIST_NAMES and split in images.name
    backwards = open_images(name, class_names=keras_sets.FASHION_MNIST_NAMES[::-1])
    assert backwards.labels.tolist() == list(range(10))[::-1]


def test_fashion_mnist_falls_back_on_its_subset(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_sets, "DEBIAN_FOLDER", tmp_path)
    subset = tmp_path / "subset.npz"
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype="uint8")
    np.savez(subset, images=images, labels=np.arange(20) % 10)
    real = open_training_images("fashion_mnist", 32, 10, data_subset=str(subset))
    assert real.count == 20 and real.name == "keras:fashion_mnist, subset of 20"
    old = keras_sets.load_fashion_mnist_subset(subset).batches(4, seed=2)
    new = real.batches(4, seed=2)
    for expected, got in zip(old.take(7), new.take(7), strict=True):
        assert set(expected) == set(got)
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """A Keras home without files, and no network."""
    from keras.src.utils import file_utils

    def no_network(*arguments, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    monkeypatch.setattr(
        file_utils, "validate_file", lambda *a, **k: True
    )  # they are not the real ones
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def cifar10_archive(folder):
    """Writes Keras' copy of CIFAR-10 in its own format; the first pixel of image n is n, modulo 251."""
    folder.mkdir(parents=True)
    path = folder / "cifar-10-batches-py-target_archive"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
            data = np.zeros((10000, 3072), "uint8")
            data[:, 0] = (np.arange(10000) + 10000 * number) % 251
            labels = ((np.arange(10000) + 3) % 10).tolist()
            content = pickle.dumps({b"data": data, b"labels": labels})
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.full
def test_keras_cifar10_is_read_from_keras_folder(keras_home):
    cifar10_archive(keras_home / "datasets")
    real = open_training_images("keras:cifar10", 32, 10, classes=(0, 3))
    assert real.count == 10000 and "left out" in real.found
    assert "3 cat" in real.report() or "0 airplane" in real.report()
    np.testing.assert_array_equal(real.read(0, 3)[:, 0, 0, 0], [0, 7, 10])
    np.testing.assert_array_equal(real.labels[:3], [3, 0, 3])
    assert open_images("keras:cifar10:test").count == 10000


def test_keras_mnist_is_padded(keras_home):
    (keras_home / "datasets").mkdir()
    images, labels = np.full((20, 28, 28), 200, "uint8"), np.arange(20) % 10
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:5], "y_test": labels[:5]}
    np.savez(keras_home / "datasets" / "mnist.npz", **arrays)
    real = open_training_images("keras:mnist", 32, 10)
    assert real.read(0, 99).shape == (20, 32, 32, 3) and open_images("keras:mnist:test").count == 5
    assert real.read(0, 1)[0, 1, 16, 0] == 0 and real.read(0, 1)[0, 2, 16, 0] == 200
    assert open_images("mnist:test").name == open_images("keras:mnist:test").name
    with pytest.raises(ValueError, match="none of the 5 known ones: '5'"):
        open_training_images("keras:mnist", 32, 5)


def test_a_folder_comes_before_the_name_of_a_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist" / "cat").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(tmp_path / "mnist" / "cat" / "a.png")
    assert open_images("mnist").class_names == ("cat",)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_without_a_network_the_error_says_where_the_archive_belongs(keras_home, name):
    with pytest.raises(FileNotFoundError, match=f"(?s)keras:{name}.*datasets.*Put the file there"):
        open_training_images(f"keras:{name}", 32, 100 if name == "cifar100" else 10)


@pytest.mark.parametrize(
    "name", ["keras:imdb", "keras:cifar10:validation", "fashion_mnist:validation"]
)
def test_data_sets_that_keras_does_not_have_are_refused(name):
    with pytest.raises(ValueError, match="Expected one of cifar10, cifar100, mnist, fashion_mnist"):
        open_images(name)
