"""Opening images: every source the same, in memory or from records; batches that repeat; what is refused."""

import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import IDS, pixels, write_tree
from PIL import Image

from tinygan_keras.data import image_sources
from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.image_decoding import crop_and_resize
from tinygan_keras.data.image_sets import ArrayImages, open_images, open_training_images
from tinygan_keras.data.keras_sets import load_fashion_mnist_subset
from tinygan_keras.data.prepare_images import prepare_images
from tinygan_keras.images import to_uint8

NAMES = ("cat", "dog", "owl")
COUNT, SIZE = 12, 8
LABELS = np.arange(COUNT) % 3


class _Live:
    latent_dim, num_classes = 4, 10


def stored():
    """Twelve images of 8x8, four of each class."""
    return np.stack([pixels(seed, SIZE, SIZE) for seed in range(COUNT)])


def write_archive(path, **arrays):
    np.savez(path, **{"images": stored(), "labels": LABELS, "class_names": NAMES, **arrays})
    return path


def write_folder(path):
    for number, (image, label) in enumerate(zip(stored(), LABELS, strict=True)):
        (path / NAMES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / NAMES[label] / f"{number:02d}.png")
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same images in every home; those of a folder come class by class, prepared ones shuffled."""
    root = tmp_path_factory.mktemp("sources")
    folder = write_folder(root / "folder")
    archive = write_archive(root / "data.npz")
    compressed = root / "compressed.npz"
    np.savez_compressed(
        compressed, images=stored(), labels=LABELS[:, None], class_names=np.array(NAMES, "S")
    )
    for data, out in ((folder, "prepared"), (archive, "prepared archive")):
        prepare_images(data, root / out, SIZE, shard_size=5, progress=False)
    return {
        "folder": folder,
        "npz": archive,
        "compressed npz": compressed,
        "prepared folder": root / "prepared",
        "prepared npz": root / "prepared archive",
    }


KINDS = ("folder", "npz", "compressed npz", "prepared folder", "prepared npz")


def by_content(images, labels):
    return sorted(
        zip((image.tobytes() for image in images), np.asarray(labels).tolist(), strict=True)
    )


def take(images, count, **settings):
    return list(images.batches(**settings).take(count).as_numpy_iterator())


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_gives_the_same_images_with_the_same_labels(sources, kind):
    images = open_images(sources[kind])
    assert (images.count, images.image_size, images.num_classes) == (COUNT, SIZE, 3)
    assert tuple(images.class_names) == NAMES and images.labels.dtype == np.int32
    assert images.class_counts.tolist() == [4, 4, 4] and images.warnings == []
    assert by_content(images.read(0, 99), images.labels) == by_content(stored(), LABELS)
    np.testing.assert_array_equal(images.read(3, 7), images.read(0, COUNT)[3:7])
    # Of a teacher with other numbers for these classes.
    names = ("owl", "fox", "cat", "dog")
    real = open_training_images(sources[kind], SIZE, 4, class_names=names)
    expected = np.array([2, 3, 0])[LABELS]
    assert by_content(real.read(0, 99), real.labels) == by_content(stored(), expected)
    assert real.class_names == names and real.warnings == ["No image of 1 of 4 classes: 1 (fox)."]
    assert "images:           12 in 3 of 4 classes" in real.report(horizontal_flip=True)
    assert real.fingerprint != images.fingerprint
    assert open_images(sources[kind]).fingerprint == images.fingerprint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flip", [False, True])
def test_batches_repeat_and_a_later_start_continues_them(sources, kind, flip):
    names = ("owl", "fox", "cat", "dog")
    real = open_training_images(sources[kind], SIZE, 4, class_names=names)
    settings = {"batch_size": 5, "seed": 7, "horizontal_flip": flip}
    whole = take(real, 12, **settings)
    assert whole[0]["image"].dtype == np.float32 and whole[0]["image_label"].dtype == np.int32
    again = open_training_images(sources[kind], SIZE, 4, class_names=names)
    for expected, got in zip(whole[5:], take(again, 7, start_step=5, **settings), strict=True):
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])
    other = take(real, 1, **{**settings, "seed": 8})[0]
    assert not np.array_equal(other["image"], whole[0]["image"])
    seen = np.concatenate([batch["image"] for batch in whole])
    labels = np.concatenate([batch["image_label"] for batch in whole])
    if not flip:  # five passes, each image once in each
        expected = by_content(stored(), np.array([2, 3, 0])[LABELS])
        assert by_content(to_uint8(seen[:COUNT]), labels[:COUNT]) == expected
        assert by_content(to_uint8(seen), labels) == sorted(expected * 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subset_of_the_classes_leaves_the_others_out(sources, kind):
    real = open_training_images(sources[kind], SIZE, 3, (0, 2), NAMES)
    assert set(real.labels.tolist()) == {0, 2} and real.count == 8 and real.warnings == []
    assert "8 in 2 of 2 classes, of 3 in all" in real.report()
    assert "left out:         4 images of other classes" in real.report()
    named = open_training_images(sources[kind], SIZE, 3, "cat, owl", NAMES)
    assert named.fingerprint == real.fingerprint and named.classes == (0, 2)
    with pytest.raises(ValueError, match="without a single image of the classes 3 fox"):
        open_training_images(sources[kind], SIZE, 4, (3,), (*NAMES, "fox"))


@pytest.mark.parametrize("kind", KINDS)
def test_other_sizes_are_cropped_and_resized(sources, kind):
    real = open_training_images(sources[kind], 4, 3, class_names=NAMES)
    expected = [crop_and_resize(image, 4) for image in stored()]
    assert by_content(real.read(0, 99), real.labels) == by_content(expected, LABELS)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_images_are_chosen_at_random_and_each_once(sources, kind):
    images = open_images(sources[kind])
    some = images.draw(8, seed=1)
    assert some.count == 8 and some.name == f"8 of {images.name}"
    assert set(by_content(some.read(0, 8), some.labels)) <= set(by_content(stored(), LABELS))
    assert len(set(by_content(some.read(0, 8), some.labels))) == 8
    np.testing.assert_array_equal(images.draw(8, seed=1).read(0, 8), some.read(0, 8))
    assert by_content(images.draw(99).read(0, 99), images.draw(99).labels) == by_content(
        stored(), LABELS
    )


def test_a_folder_of_imagenet_as_it_comes(tmp_path):
    write_tree(tmp_path / "train")
    (tmp_path / "train" / "n01440764" / "readme.txt").write_text("")
    (tmp_path / "train" / "n02119789").mkdir()
    (tmp_path / "val").mkdir()
    real = open_training_images(str(tmp_path), 16, 1000)
    for name, label in zip(real.contents(), real.labels, strict=True):
        assert label == IDS[name.split("/")[0]]
    for text in (
        "images:           12 in 4 of 1,000 classes",
        "images per class: 3 (fewest: 0 tench) to 3 (most: 0 tench)",
        "empty folders:    1: n02119789",
        "ignored:          1: n01440764/readme.txt",
        "sizes:            40x33 to 61x43 pixels",
        "preprocessing:    RGB, centre crop",
        "Warning: No image of 996 of 1,000 classes: 2 (great white shark), 3 (tiger shark)",
    ):
        assert text in real.report()
    animals = open_training_images(tmp_path, 16, 1000, range(398))
    assert set(animals.labels.tolist()) == {0, 1, 397} and animals.count == 9
    batches = distillation_batches(_Live(), real, 4, horizontal_flip=True)
    (whole,) = batches.take(1)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    halves = next(iter(strategy.experimental_distribute_dataset(batches)))
    parts = strategy.experimental_local_results(halves["image"])
    np.testing.assert_array_equal(tf.concat(parts, axis=0), whole["image"])


def test_changes_of_images_and_labels_are_seen(tmp_path):
    path = write_folder(tmp_path)
    before = open_images(path)
    Image.fromarray(pixels(99, SIZE, SIZE)).save(path / "cat" / "00.png")
    (path / "owl" / "02.png").unlink()
    (path / "owl" / "05.png").rename(path / "dog" / "99.png")
    after = open_images(path)
    assert after.fingerprint != before.fingerprint
    assert after.changes_since(before.contents()) == {
        "gone": ["owl/02.png", "owl/05.png"],
        "changed": ["cat/00.png"],
        "new": ["dog/99.png"],
    }
    assert before.changes_since(before.contents()) == {}


# Arrays


def test_missing_classes_are_counted_and_ten_are_named():
    assert ArrayImages(stored()[:2], [2, 0]).warnings == ["No image of 1 of 3 classes: 1."]
    (warning,) = ArrayImages(stored()[:1], [99]).warnings
    assert warning == "No image of 99 of 100 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 89 more."


def test_the_fingerprint_is_of_pixels_shape_and_labels():
    expected = ArrayImages(stored(), LABELS, NAMES, "pets").fingerprint
    assert ArrayImages(stored().copy(), LABELS.astype("uint8")).fingerprint == expected
    changed = stored()
    changed[-1, 0, 0, 0] ^= 1
    others = [
        ArrayImages(stored()),
        ArrayImages(stored(), LABELS[::-1]),
        ArrayImages(changed, LABELS),
        ArrayImages(stored().reshape(48, 4, 4, 3)),  # the same bytes
    ]
    assert len({expected, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (stored() / 127.5 - 1, None, r"Got images float64 \(12, 8, 8, 3\).*to_uint8"),
        (stored()[..., 0], None, r"Got images uint8 \(12, 8, 8\) of pets"),
        (stored()[:, :3], None, r"\(12, 3, 8, 3\)"),
        (stored()[:0], None, r"at least one"),
        (stored(), [0, 1], r"Got labels int64 \(2,\).*Expected int \(12,\)"),
        (stored(), np.eye(12), r"argmax"),
        (stored(), np.full(12, 3), "Got labels from 3 to 3.*from 0 to 2"),
        (stored(), np.full(12, -1), "Got labels from -1"),
    ],
)
def test_arrays_that_cannot_be_images_and_labels_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        ArrayImages(images, labels, NAMES, name="pets")


# Archives


def test_archives_without_labels_or_names_are_opened(tmp_path):
    np.savez(tmp_path / "data.npz", images=stored())
    images = open_images(tmp_path / "data.npz")
    assert (images.labels, images.class_names, images.name) == (None, None, "data.npz")
    assert open_images(tmp_path / "data.npz", class_names=NAMES).class_names == NAMES
    np.savez(tmp_path / "data.npz", images=stored(), labels=LABELS)
    assert (
        open_images(tmp_path / "data.npz", class_names=NAMES[::-1]).labels.tolist()
        == LABELS.tolist()
    )
    with pytest.raises(ValueError, match="labels from 0 to 2.*from 0 to 1"):
        open_training_images(tmp_path / "data.npz", 8, 2)
    with pytest.raises(ValueError, match="image_size=.'cat', 'dog'"):
        open_images(tmp_path / "data.npz", ("cat", "dog"))


@pytest.mark.parametrize(
    ("change", "class_names", "message"),
    [
        ({}, ("cat", "dog", "wolf"), "'owl'"),
        ({}, NAMES[:2], "'owl'"),
        ({"class_names": ("crane", "crane", "owl")}, ("crane", "owl", "dog"), "Merge"),
        (
            {"class_names": ("crane", "dog", "owl")},
            ("crane", "crane", "dog", "owl"),
            r"classes \[0, 1\]",
        ),
        ({"labels": LABELS + 1}, None, "Got labels from 1 to 3"),
        ({"labels": np.eye(COUNT)}, None, "argmax"),
        ({"images": stored() / 255.0}, None, "Got images float64.*to_uint8"),
        ({"images": stored()[:0]}, None, "at least one"),
    ],
)
def test_archives_of_other_classes_or_arrays_are_refused(tmp_path, change, class_names, message):
    path = write_archive(tmp_path / "data.npz", **change)
    with pytest.raises(ValueError, match=message):
        open_images(path, class_names=class_names)


def test_gray_images_become_rgb_and_28_by_28_is_padded(tmp_path):
    np.savez(tmp_path / "data.npz", images=stored()[..., 0])
    images = open_images(tmp_path / "data.npz")
    np.testing.assert_array_equal(images.read(0, COUNT)[..., 2], stored()[..., 0])
    assert images.warnings == ["Converted 12 of 12 images to RGB, which are gray."]
    gray = np.random.default_rng(0).integers(0, 256, (3, 28, 28), "uint8")
    np.savez(tmp_path / "data.npz", images=gray, labels=[0, 1, 9])
    images = open_images(tmp_path / "data.npz")
    expected = load_fashion_mnist_subset(tmp_path / "data.npz").images
    np.testing.assert_array_equal(images.read(0, 3), expected)
    assert images.name == "data.npz (28x28 gray, padded to 32x32 RGB)"


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_archives_are_read_from_a_file(tmp_path, monkeypatch, order):
    path = write_archive(tmp_path / "data.npz", images=np.asarray(stored(), order=order))
    monkeypatch.setattr(image_sources, "_IN_MEMORY", 100)
    source = image_sources.open_source(path)
    assert isinstance(source._images, np.memmap)
    np.testing.assert_array_equal(open_images(path).read(0, 99), stored())


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "text", "npy", "object", "no arrays", "no array"]
)
def test_broken_archives_are_refused(tmp_path, damage):
    images, labels = np.repeat(stored(), 10, axis=0), np.repeat(LABELS, 10)
    path = write_archive(tmp_path / "data.npz", images=images, labels=labels)
    content = path.read_bytes()
    if damage == "object":
        np.savez(path, images=np.array([None, "x"], object))
    elif damage == "npy":
        with open(path, "wb") as file:
            np.save(file, stored())
    elif damage.startswith("no "):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("images.txt" if damage == "no arrays" else "images", "a list of images")
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes({"truncated": content[:middle], "flipped": flipped, "text": b"no"}[damage])
    expected = "it holds .'images.txt'" if damage == "no arrays" else ""
    with pytest.raises(ValueError, match=f"data.npz, which can't be read: {expected}"):
        open_images(path)


# Names


def test_the_committed_subset_is_opened(repository):
    path = repository / "experiments" / "fashion_mnist" / "data" / "fashion_mnist_10k.npz"
    images = open_images(path)
    assert (images.count, images.image_size, images.warnings) == (10_000, 32, [])
    assert images.class_counts.tolist() == [1000] * 10


@pytest.mark.parametrize("name", ["cifar99", "no/such.npz", ""])
def test_unknown_names_list_what_is_known(name):
    with pytest.raises(
        FileNotFoundError, match=r"Expected 'fashion_mnist', 'fashion_mnist:test' or the embedded"
    ):
        open_images(name)


def test_no_data_is_none():
    assert open_training_images("none", 32, 10) is None


def test_tfds_without_the_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"tinygan-keras\[tfds\]"):
        open_training_images("tfds:cifar10", 32, 10)
