"""Real images to train with: whose labels they get, what is reported, and batches that repeat exactly."""

import io
import pickle
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import IDS, WNIDS, pixels, write_tree

from tinygan_keras.classes.imagenet import imagenet_classes
from tinygan_keras.classes.mapping import map_classes
from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.real_images.arrays import RealArrays
from tinygan_keras.data.real_images.decoding import decode
from tinygan_keras.data.real_images.keras_sets import CIFAR10_NAMES, CIFAR100_NAMES
from tinygan_keras.data.real_images.opening import open_training_images
from tinygan_keras.data.real_images.preprocessing import crop_and_resize, to_float


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """An ImageNet of four classes, in its own layout, with what else lies about on a disk."""
    root = tmp_path_factory.mktemp("imagenet")
    write_tree(root / "train")
    (root / "train" / "n01440764" / "readme.txt").write_text("")
    (root / "train" / "n02119789").mkdir()
    (root / "val").mkdir()
    return root


def take(real, count, **settings):
    return list(real.batches(**settings).take(count).as_numpy_iterator())


def open_tree(tree, **settings):
    return open_training_images(str(tree), **{"image_size": 16, "num_classes": 1000, **settings})


def test_labels_follow_the_wnid_and_never_the_order_of_the_folders(tree):
    real = open_tree(tree)
    assert real.count == 12 and real.path == tree / "train"
    for file, label in zip(real.files, real.labels, strict=True):
        assert label == IDS[file.split("/")[0]]
    np.testing.assert_array_equal(np.flatnonzero(real.class_counts), [0, 1, 397, 398])


def test_a_batch_holds_the_images_of_its_labels(tree):
    real = open_tree(tree)
    stored = {}
    for file, label in zip(real.files, real.labels, strict=True):
        content = (real.path / file).read_bytes()
        image = to_float(crop_and_resize(decode(content, file), 16)).numpy()
        stored[image.tobytes()] = int(label)
    seen = []
    for batch in take(real, 3, batch_size=4, seed=1):
        assert batch["image"].dtype == np.float32 and batch["image_label"].dtype == np.int32
        for image, label in zip(batch["image"], batch["image_label"], strict=True):
            assert stored[image.tobytes()] == label
            seen.append(image.tobytes())
    assert len(set(seen)) == 12  # one pass


@pytest.mark.parametrize("flip", [False, True])
def test_batches_repeat_and_a_later_start_continues_them(tree, flip):
    real = open_tree(tree)
    settings = {"batch_size": 5, "seed": 7, "horizontal_flip": flip}
    whole = take(real, 6, **settings)
    rest = take(open_tree(tree), 3, start_step=3, **settings)
    for expected, got in zip(whole[3:], rest, strict=True):
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])
    other = take(real, 1, batch_size=5, seed=8)[0]
    assert not np.array_equal(other["image"], whole[0]["image"])


def test_flips_change_some_images_and_no_label(tree):
    plain, flipped = (
        take(open_tree(tree), 3, batch_size=8, horizontal_flip=flip) for flip in (False, True)
    )
    changed = 0
    for a, b in zip(plain, flipped, strict=True):
        np.testing.assert_array_equal(a["image_label"], b["image_label"])
        for one, two in zip(a["image"], b["image"], strict=True):
            same, mirrored = np.array_equal(one, two), np.array_equal(one[:, ::-1], two)
            assert same != mirrored
            changed += mirrored
    assert 4 < changed < 20


def test_the_report_says_what_was_found(tree):
    report = open_tree(tree).report()
    for text in (
        "images:           12 in 4 of 1,000 classes",
        "images per class: 3 (fewest: 0 tench) to 3 (most: 0 tench)",
        "empty folders:    1: n02119789",
        "ignored files:    1: n01440764/readme.txt",
        "sizes:            40x33 to 61x43 pixels, by the headers of all files",
        "preprocessing:    RGB, centre crop",
        "Warning: No image of 996 of 1,000 classes: 2 great white shark, 3 tiger shark",
    ):
        assert text in report


def test_a_subset_of_the_classes_leaves_the_others_out_and_says_so(tree):
    real = open_tree(tree, classes=range(398))
    assert set(real.labels) == {0, 1, 397} and real.count == 9
    assert "9 in 3 of 398 classes, of the teacher's 1,000" in real.report()
    assert "left out:         3 images of 1 other classes: n02666196" in real.report()
    labels = np.concatenate([b["image_label"] for b in take(real, 9, batch_size=4)])
    assert set(labels) == {0, 1, 397}
    with pytest.raises(
        ValueError, match="without a single image of the classes 5 electric ray, 6 stingray"
    ):
        open_tree(tree, classes=(5, 6))


def test_drawn_images_are_those_of_the_training_and_can_be_evaluated(tree):
    real = open_tree(tree)
    drawn = real.draw(8, seed=1)
    (batch,) = take(real, 1, batch_size=8, seed=1)
    np.testing.assert_array_equal(to_float(drawn.read(0, 8)), batch["image"])
    np.testing.assert_array_equal(drawn.labels, batch["image_label"])
    assert drawn.name == f"8 of folder {tree.name}/train, 16x16" and len(drawn.class_names) == 1000
    assert real.draw(1000).count == 12 and sorted(real.draw(1000).labels) == sorted(real.labels)


def test_few_headers_are_enough_of_many_files(tree):
    from tinygan_keras.data.real_images.folder import RealFolder

    real = RealFolder(tree, 16, 1000, checked_headers=5)
    assert "by the headers of 5 files, spread evenly" in real.report()


def test_small_images_are_enlarged_with_a_warning(tree):
    real = open_tree(tree, image_size=40)
    assert any("8 of 12 images are smaller than 40 pixels" in text for text in real.warnings)
    assert take(real, 1, batch_size=2)[0]["image"].shape == (2, 40, 40, 3)


def test_corrupt_headers_are_named_before_training(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "n01443537" / "n01443537_1.JPEG").write_bytes(b"")
    (tmp_path / "n01443537" / "n01443537_2.JPEG").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"2 corrupt.*_1.JPEG \(empty\).*_2.JPEG \(Unidentified"):
        open_tree(tmp_path)


def test_a_file_that_breaks_off_is_named_when_it_is_read(tmp_path):
    write_tree(tmp_path)
    path = tmp_path / "n01443537" / "n01443537_1.JPEG"
    path.write_bytes(path.read_bytes()[:-200])  # the header is whole
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="n01443537_1.JPEG, which can't be decoded"
    ):
        take(open_tree(tmp_path), 12, batch_size=1)


def test_a_file_that_is_gone_is_named(tmp_path):
    write_tree(tmp_path)
    real = open_tree(tmp_path)
    (tmp_path / "n01443537" / "n01443537_1.JPEG").unlink()
    with pytest.raises(tf.errors.NotFoundError, match="n01443537_1.JPEG"):
        take(real, 12, batch_size=1)


def test_folders_may_be_numbers_or_names(tmp_path):
    numbers = write_tree(tmp_path / "numbers", ("2", "007"), suffix=".png")
    names = write_tree(tmp_path / "names", ("Ankle_boot", "t-shirt top"), suffix=".bmp")
    class_names = ("T-shirt/top", "Dress", "Ankle boot")
    assert set(open_tree(numbers, num_classes=10).labels) == {2, 7}
    real = open_tree(names, num_classes=3, class_names=class_names)
    assert [
        (f.split("/")[0], y) for f, y in zip(real.files[::3], real.labels[::3], strict=True)
    ] == [
        ("Ankle_boot", 2),
        ("t-shirt top", 0),
    ]
    assert "3 (fewest: 0 T-shirt/top)" in real.report()


def test_images_may_lie_deeper_and_not_beside_the_class_folders(tmp_path):
    write_tree(tmp_path / "n01440764", ("images",))
    assert open_tree(tmp_path).files[0] == "n01440764/images/images_0.JPEG"
    with pytest.raises(ValueError, match="3 images in it and none in sub-folders"):
        open_tree(tmp_path / "n01440764" / "images")
    with pytest.raises(
        FileNotFoundError, match="which is not there. Expected 'none', 'fashion_mnist'"
    ):
        open_tree(tmp_path / "nowhere")


def test_the_fingerprint_changes_with_the_files_and_the_classes(tree):
    assert open_tree(tree).fingerprint == open_tree(tree).fingerprint
    assert open_tree(tree).fingerprint != open_tree(tree, classes=(0, 1)).fingerprint


def test_wnids_in_any_order_and_of_any_part_map_to_their_ids():
    wnids = [known.wnid for known in imagenet_classes()]
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(
        map_classes([wnids[label] for label in order], 1000, own_order=True), order
    )
    np.testing.assert_array_equal(map_classes(WNIDS, 1000), [IDS[wnid] for wnid in WNIDS])
    # A teacher of a few classes with names: the lemmas of the wnid count.
    np.testing.assert_array_equal(map_classes(WNIDS[:2], 2, ("Abacus", "tench")), [1, 0])


@pytest.mark.parametrize(
    ("names", "num_classes", "class_names", "message"),
    [
        (
            ("cat", "dog"),
            2,
            None,
            "have no names: call those of the data set by the teacher's class numb",
        ),
        (("n01440764", "n09999999"), 1000, None, "1 of 2 classes.*doesn't have: 'n09999999'"),
        (("tench", "crane"), 1000, None, r"'crane'.*classes \[134, 517\].*its wnid"),
        (("tench", "n01440764"), 1000, None, "all class 0 .*Merge them"),
        (("1", "12"), 10, None, "doesn't have: '12'.*from 0 to 9"),
        (("dres",), 2, ("Dress", "Bag"), "Did you mean 0"),
        (
            CIFAR10_NAMES,
            1000,
            None,
            "of 10 classes in the data set that the teacher, which has 1000, d",
        ),
        (CIFAR10_NAMES, 100, None, "10 of 10 classes"),
    ],
)
def test_classes_that_the_teacher_does_not_have_are_refused(
    names, num_classes, class_names, message
):
    with pytest.raises(ValueError, match=message):
        map_classes(names, num_classes, class_names, own_order=len(names) == 10)


def test_the_own_order_counts_for_a_teacher_without_names_only():
    np.testing.assert_array_equal(map_classes(CIFAR10_NAMES, 10, own_order=True), np.arange(10))
    reversed_names = CIFAR10_NAMES[::-1]
    np.testing.assert_array_equal(
        map_classes(CIFAR10_NAMES, 10, reversed_names, own_order=True), np.arange(10)[::-1]
    )


def test_numbers_are_class_numbers_even_where_the_order_might_count():
    as_text = sorted(map(str, range(12)))  # "0", "1", "10", "11", "2", ...
    found = map_classes(as_text, 12, own_order=True)
    np.testing.assert_array_equal(found, [int(name) for name in as_text])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 8, 8, 3))}, r"images float64.*Expected uint8.*to_uint8"),
        ({"images": np.zeros((2, 8, 8), "uint8")}, r"\[2, 8, 8\]"),
        ({"labels": [0.5, 1.0]}, "labels float64"),
        ({"labels": [0]}, "for each of the 2 images"),
        ({"labels": [0, 3]}, "labels from 0 to 3.*0 to 2"),
        ({"labels": [-1, 0]}, "labels from -1"),
    ],
)
def test_arrays_that_cannot_be_images_and_labels_are_refused(change, message):
    arrays = {"images": np.zeros((2, 8, 8, 3), "uint8"), "labels": [0, 1], **change}
    with pytest.raises(ValueError, match=message):
        RealArrays(**arrays, image_size=8, num_classes=3)


def test_arrays_of_another_size_are_resized_as_files_are():
    images = np.stack([pixels(seed, 20, 20) for seed in range(6)])
    real = RealArrays(images, np.arange(6) % 3, 8, 3)
    (batch,) = take(real, 1, batch_size=6)
    expected = {to_float(crop_and_resize(image, 8)).numpy().tobytes() for image in images}
    assert {image.tobytes() for image in batch["image"]} == expected


def test_no_data_is_none():
    assert open_training_images("none", 32, 10) is None


def test_archives_map_by_name_and_want_labels(tmp_path):
    images = np.stack([pixels(seed, 8, 8) for seed in range(4)])
    path = tmp_path / "some.npz"
    np.savez(path, images=images, labels=[1, 0, 1, 1], class_names=["abacus", "goldfish"])
    real = open_training_images(path, 8, 1000)
    np.testing.assert_array_equal(real.labels, [1, 398, 1, 1])
    np.testing.assert_array_equal(open_training_images(path, 8, 2).labels, [1, 0, 1, 1])
    by_number = [str(label) for label in (2, 0, 1)]
    np.savez(path, images=images, labels=[1, 0, 1, 2], class_names=by_number)
    real = open_training_images(path, 8, 3)
    np.testing.assert_array_equal(real.labels, [0, 2, 0, 1])
    assert list(real.class_names) == ["0", "1", "2"], "names go with their labels"
    np.savez(path, images=images, labels=[1, 0, 1, 12])
    with pytest.raises(ValueError, match="labels up to 12.*0 to 9"):
        open_training_images(path, 8, 10)
    np.savez(path, images=images)
    with pytest.raises(ValueError, match="without labels"):
        open_training_images(path, 8, 10)


def test_fashion_mnist_falls_back_on_its_subset(tmp_path, monkeypatch):
    from tinygan_keras.data import fashion_mnist

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    subset = tmp_path / "subset.npz"
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype="uint8")
    np.savez(subset, images=images, labels=np.arange(20) % 10)
    real = open_training_images("fashion_mnist", 32, 10, data_subset=str(subset))
    assert real.count == 20 and real.name == "Fashion-MNIST, subset of 20"
    old = distillation_batches(_Live(), fashion_mnist.load_fashion_mnist_subset(subset), 4, seed=2)
    new = distillation_batches(_Live(), real, 4, seed=2)
    for expected, got in zip(old.take(7), new.take(7), strict=True):
        assert set(expected) == set(got)
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])


class _Live:
    latent_dim, num_classes = 4, 10


def cifar10_archive(folder):
    """Writes Keras' copy of CIFAR-10 in its own format; the first pixel of image n is n, modulo 251."""
    folder.mkdir(parents=True)
    with tarfile.open(
        folder / "cifar-10-batches-py-target_archive", "w:gz", compresslevel=1
    ) as archive:
        for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
            data = np.zeros((10000, 3072), "uint8")
            data[:, 0] = (np.arange(10000) + 10000 * number) % 251
            labels = ((np.arange(10000) + 3) % 10).tolist()
            content = pickle.dumps({b"data": data, b"labels": labels})
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """A Keras home without files, and no network."""
    from keras.src.utils import file_utils

    def no_network(*arguments, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_keras_cifar10_is_read_from_keras_folder(keras_home, monkeypatch):
    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils, "validate_file", lambda *a, **k: True)  # it is not the real one
    cifar10_archive(keras_home / "datasets")
    real = open_training_images("keras:cifar10", 32, 10, classes=(0, 3))
    assert real.count == 10000 and "left out" in real.found
    (batch,) = take(real, 1, batch_size=50)
    assert set(batch["image_label"]) <= {0, 3}
    assert "3 cat" in real.report() or "0 airplane" in real.report()
    np.testing.assert_array_equal(real.images[:3, 0, 0, 0], [0, 7, 10])
    np.testing.assert_array_equal(real.labels[:3], [3, 0, 3])


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_without_a_network_the_error_says_where_the_archive_belongs(keras_home, name):
    with pytest.raises(FileNotFoundError, match=f"(?s)keras:{name}.*datasets.*Put the file there"):
        open_training_images(f"keras:{name}", 32, 100 if name == "cifar100" else 10)


def test_keras_mnist_is_padded(keras_home, monkeypatch):
    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils, "validate_file", lambda *a, **k: True)
    (keras_home / "datasets").mkdir()
    images, labels = np.full((20, 28, 28), 200, "uint8"), np.arange(20) % 10
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(keras_home / "datasets" / "mnist.npz", **arrays)
    real = open_training_images("keras:mnist", 32, 10)
    assert real.images.shape == (20, 32, 32, 3)
    assert real.images[0, 1, 16, 0] == 0 and real.images[0, 2, 16, 0] == 200


def test_data_sets_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="Expected one of cifar10, cifar100, mnist, fashion_mnist"):
        open_training_images("keras:imdb", 32, 10)
    with pytest.raises(ValueError, match="doesn't have: 'airplane'"):
        open_training_images("keras:cifar10", 32, 1000)


def test_cifar_names_are_sorted_and_as_many_as_they_should_be():
    assert len(set(CIFAR100_NAMES)) == 100 and list(CIFAR100_NAMES) == sorted(CIFAR100_NAMES)
    assert len(set(CIFAR10_NAMES)) == 10


def test_tfds_without_the_package_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"tinygan-keras\[tfds\]"):
        open_training_images("tfds:cifar10", 32, 10)


def test_batches_go_through_a_strategy(tree):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    batches = distillation_batches(_Live(), open_tree(tree), 4, horizontal_flip=True)
    (whole,) = batches.take(1)
    halves = next(iter(strategy.experimental_distribute_dataset(batches)))
    parts = strategy.experimental_local_results(halves["image"])
    np.testing.assert_array_equal(tf.concat(parts, axis=0), whole["image"])
