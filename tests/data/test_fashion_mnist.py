"""Reading Fashion-MNIST: the file format, the order of sources, and the committed subset."""

import gzip

import keras
import numpy as np
import pytest

from tinygan_keras.data import fashion_mnist

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
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    return tmp_path / "debian"


def make_split(seed, count=3):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28)).astype("uint8")
    return images, rng.integers(0, 10, count).astype("uint8")


@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_files_are_read_as_padded_rgb_images(keras_folder, debian_folder, split):
    images, labels = make_split(seed=0)
    write_split(keras_folder, split, images, labels)

    loaded = fashion_mnist.load_fashion_mnist(split, download=False)

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

    loaded = fashion_mnist.load_fashion_mnist(download=False)

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], mine[0])


def test_debians_folder_is_read_when_kerases_lacks_a_file(keras_folder, debian_folder):
    write_split(keras_folder, "train", *make_split(seed=1))
    (keras_folder / FILES["train"][1]).unlink()
    images, labels = make_split(seed=2)
    write_split(debian_folder, "train", images, labels)

    loaded = fashion_mnist.load_fashion_mnist(download=False)

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], images)


def test_keras_downloads_when_nothing_is_on_disk(keras_folder, debian_folder, monkeypatch):
    train, test = make_split(seed=3), make_split(seed=4, count=2)
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: (train, test))

    loaded = fashion_mnist.load_fashion_mnist("test")

    np.testing.assert_array_equal(loaded.images[:, 2:-2, 2:-2, 0], test[0])
    assert "downloaded" in loaded.source


def test_without_download_the_error_names_both_folders_and_the_mend(keras_folder, debian_folder):
    with pytest.raises(FileNotFoundError) as error:
        fashion_mnist.load_fashion_mnist(download=False)

    for part in (str(keras_folder), str(debian_folder), "ubyte.gz", "allow the download"):
        assert part in str(error.value)


def test_unknown_split_is_refused(keras_folder, debian_folder):
    with pytest.raises(ValueError, match="'validation' is unknown. Expected 'train' or 'test'"):
        fashion_mnist.load_fashion_mnist("validation", download=False)


def test_subset_takes_the_first_of_every_class_in_order(keras_folder, debian_folder, tmp_path):
    labels = np.tile(np.arange(10, dtype="uint8"), 3)
    images = np.arange(30, dtype="uint8")[:, None, None].repeat(28, 1).repeat(28, 2)
    write_split(keras_folder, "train", images, labels)

    fashion_mnist.write_fashion_mnist_subset(tmp_path / "subset.npz", per_class=2)

    subset = fashion_mnist.load_fashion_mnist_subset(tmp_path / "subset.npz")
    np.testing.assert_array_equal(subset.images[:, 16, 16, 0], np.arange(20))
    np.testing.assert_array_equal(subset.labels, labels[:20])


@pytest.fixture(scope="module")
def committed_subset(repository):
    folder = repository / "experiments" / "fashion_mnist" / "data"
    return fashion_mnist.load_fashion_mnist_subset(folder / "fashion_mnist_10k.npz")


def test_committed_subset_has_a_thousand_images_of_each_class(committed_subset):
    assert committed_subset.images.shape == (10000, 32, 32, 3)
    assert committed_subset.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(committed_subset.labels), [1000] * 10)
    assert len(fashion_mnist.CLASS_NAMES) == 10


def test_committed_subset_is_small_and_carries_its_licence(repository):
    folder = repository / "experiments" / "fashion_mnist" / "data"
    assert (folder / "fashion_mnist_10k.npz").stat().st_size < 5_000_000
    assert "Zalando SE" in (folder / "LICENSE").read_text()
    assert "arXiv:1708.07747" in (folder / "README.md").read_text()


def test_committed_subset_equals_the_start_of_each_class_of_the_full_set(committed_subset):
    try:
        full = fashion_mnist.load_fashion_mnist("train", download=False)
    except FileNotFoundError:
        pytest.skip("the full Fashion-MNIST is not on this machine")
    for label in range(10):
        expected = full.images[np.flatnonzero(full.labels == label)[:1000], ..., 0]
        got = committed_subset.images[committed_subset.labels == label, ..., 0]
        np.testing.assert_array_equal(got, expected, err_msg=fashion_mnist.CLASS_NAMES[label])
