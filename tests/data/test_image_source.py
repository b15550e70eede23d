"""Image sources by name: what is in them, what they say of themselves, and what is refused."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.data import fashion_mnist, image_source
from tinygan_keras.data.image_folder import ImageFolder
from tinygan_keras.data.image_source import ArrayImages, open_images

NAMES = ("cat", "dog")


def images(count=5, size=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), "uint8")


@pytest.fixture
def archive(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return write


def test_array_is_read_in_pieces():
    sample = images()
    source = ArrayImages(sample, np.array([0, 1, 0, 1, 1], "uint8"), NAMES, "pets")
    assert (source.count, source.image_size, source.name) == (5, 4, "pets")
    assert source.class_names == NAMES and source.warnings == []
    assert source.labels.dtype == np.int32 and source.labels.tolist() == [0, 1, 0, 1, 1]
    np.testing.assert_array_equal(source.read(1, 3), sample[1:3])
    assert len(source.read(3, 99)) == 2


def test_missing_class_is_named():
    assert ArrayImages(images(2), [2, 0]).warnings == ["No image of 1 of 3 classes: 1."]
    named = ArrayImages(images(2), [0, 0], NAMES)
    assert named.warnings == ["No image of 1 of 2 classes: 1 (dog)."]


def test_many_missing_classes_are_counted_and_ten_are_named():
    (warning,) = ArrayImages(images(1), [99]).warnings
    assert warning == "No image of 99 of 100 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 89 more."


def test_fingerprint_is_of_pixels_shape_and_labels(monkeypatch):
    sample = images()
    expected = ArrayImages(sample, [0, 1, 0, 1, 1], NAMES, "pets").fingerprint
    assert ArrayImages(sample.copy(), np.array([0, 1, 0, 1, 1], "int64")).fingerprint == expected
    assert (
        ArrayImages(sample[:, ::-1, ::-1][:, ::-1, ::-1], [0, 1, 0, 1, 1]).fingerprint == expected
    )
    monkeypatch.setattr(image_source, "_PIECE", 2)
    assert ArrayImages(sample, [0, 1, 0, 1, 1]).fingerprint == expected
    changed = sample.copy()
    changed[-1, 0, 0, 0] ^= 1
    others = [
        ArrayImages(sample),
        ArrayImages(sample, [0, 1, 0, 1, 0]),
        ArrayImages(changed, [0, 1, 0, 1, 1]),
        ArrayImages(images(20, 2)),  # the same bytes
    ]
    assert len({expected, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (images() / 127.5 - 1, r"Got images float64 \(5, 4, 4, 3\).*to_uint8"),
        (images().astype("int64"), r"Got images int64"),
        (images()[..., 0], r"Got images uint8 \(5, 4, 4\) of pets"),
        (images()[..., :1], r"\(5, 4, 4, 1\)"),
        (images()[:, :3], r"\(5, 3, 4, 3\)"),
        (images()[:0], r"\(0, 4, 4, 3\).*at least one"),
    ],
)
def test_images_of_another_kind_are_refused(sample, message):
    with pytest.raises(ValueError, match=message):
        ArrayImages(sample, name="pets")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"Got labels int64 \(2,\).*Expected int \(5,\)"),
        (np.eye(5), r"Got labels float64 \(5, 5\).*argmax"),
        (np.zeros(5), "Got labels float64"),
        ([0, 0, 0, 0, 2], "Got labels from 0 to 2.*from 0 to 1"),
        ([0, 0, 0, 0, -1], "Got labels from -1 to 0"),
    ],
)
def test_labels_of_another_kind_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        ArrayImages(images(), labels, NAMES)


# Archives


def test_archive_with_everything_is_opened(archive):
    sample = images()
    source = open_images(archive(images=sample, labels=np.arange(5) % 2, class_names=NAMES))
    np.testing.assert_array_equal(source.read(0, 5), sample)
    assert source.labels.tolist() == [0, 1, 0, 1, 0]
    assert (source.class_names, source.name, source.warnings) == (NAMES, "data.npz", [])


def test_archive_without_labels_is_opened(archive):
    source = open_images(str(archive(images=images())))
    assert (source.labels, source.class_names) == (None, None)


def test_class_names_can_be_given_or_have_to_agree(archive):
    path = archive(images=images(), labels=np.arange(5) % 2)
    assert open_images(path, NAMES).class_names == NAMES
    path = archive(images=images(), labels=np.arange(5) % 2, class_names=NAMES)
    assert open_images(path, list(NAMES)).class_names == NAMES
    with pytest.raises(ValueError, match="the first that differs is that of label 1"):
        open_images(path, ("cat", "wolf"))
    with pytest.raises(ValueError, match="with 2 class names, and 1 others.*label 1.*all among"):
        open_images(path, NAMES[:1])


def test_classes_are_counted_as_the_given_names_do(archive):
    # Label 0 (cat) becomes 2, label 1 (dog) becomes 0.
    path = archive(images=images(), labels=[0, 1, 1, 0, 1], class_names=NAMES)
    source = open_images(path, ("dog", "wolf", "cat"))
    assert source.labels.tolist() == [2, 0, 0, 2, 0]
    assert source.labels.dtype == np.int32
    assert source.class_names == ("dog", "wolf", "cat")
    assert source.warnings == ["No image of 1 of 3 classes: 1 (wolf)."]
    np.testing.assert_array_equal(source.read(0, 5), images())
    turned = open_images(path, NAMES[::-1])
    assert (turned.labels.tolist(), turned.class_names) == ([1, 0, 0, 1, 0], ("dog", "cat"))
    assert turned.fingerprint != open_images(path).fingerprint


def test_images_without_labels_take_the_given_names(archive):
    source = open_images(archive(images=images(), class_names=NAMES), NAMES[::-1])
    assert (source.labels, source.class_names) == (None, ("dog", "cat"))


@pytest.mark.parametrize(
    ("own", "given"),
    [(("crane", "crane"), ("crane", "dog")), (("crane", "dog"), ("crane", "dog", "crane"))],
)
def test_classes_of_one_name_are_not_told_apart_by_it(archive, own, given):
    path = archive(images=images(), labels=np.arange(5) % 2, class_names=own)
    assert open_images(path, own).labels.tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(ValueError, match="all among the others, each once"):
        open_images(path, given)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 0, 1, 2], "Got labels from 0 to 2"), (np.eye(5), "argmax"), ([0, -1, 0, 0, 0], "-1")],
)
def test_labels_are_checked_before_they_are_counted_anew(archive, labels, message):
    path = archive(images=images(), labels=labels, class_names=NAMES)
    with pytest.raises(ValueError, match=message):
        open_images(path, ("dog", "wolf", "cat"))


def test_28_by_28_is_padded_as_fashion_mnist_is(archive):
    gray = np.random.default_rng(0).integers(0, 256, (3, 28, 28), "uint8")
    path = archive(images=gray, labels=[0, 1, 9])
    source = open_images(path)
    expected = fashion_mnist.load_fashion_mnist_subset(path).images
    np.testing.assert_array_equal(source.read(0, 3), expected)
    assert source.name == "data.npz (28x28 gray, padded to 32x32 RGB)"


def test_other_gray_images_become_rgb_with_a_warning(archive):
    gray = images()[..., 0]
    source = open_images(archive(images=gray))
    np.testing.assert_array_equal(source.read(0, 5)[..., 2], gray)
    assert source.warnings == ["Converted 5 of 5 images to RGB, which are gray."]


def test_committed_subset_is_opened(repository):
    path = repository / "experiments" / "fashion_mnist" / "data" / "fashion_mnist_10k.npz"
    source = open_images(path)
    assert (source.count, source.image_size, source.warnings) == (10_000, 32, [])
    assert np.bincount(source.labels).tolist() == [1000] * 10


def test_archive_without_images_lists_what_it_holds(archive):
    with pytest.raises(ValueError, match=r"with the arrays \['mu', 'sigma'\]\. Expected images"):
        open_images(archive(mu=np.zeros(3), sigma=np.eye(3)))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "npy", "object"])
def test_broken_archive_is_refused(archive, damage):
    path = archive(images=images(50))
    content = path.read_bytes()
    if damage == "object":
        np.savez(path, images=np.array([None, "x"], object))
    elif damage == "npy":
        with open(path, "wb") as file:
            np.save(file, images())
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        broken = {"truncated": content[:middle], "flipped": flipped, "text": b"no archive"}
        path.write_bytes(broken[damage])
    with pytest.raises(ValueError, match=r"data\.npz, which can't be read"):
        open_images(path)


def test_archive_that_is_no_archive_of_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        file.writestr("images.txt", "a list of images")
    with pytest.raises(ValueError, match=r"with the arrays \['images\.txt'\]"):
        open_images(tmp_path / "data.npz")


# Names


@pytest.mark.parametrize(
    ("name", "split"), [("fashion_mnist", "train"), ("fashion_mnist:test", "test")]
)
def test_fashion_mnist_is_known_by_name(monkeypatch, name, split):
    def load(split):
        sample = images(10, 32, seed=len(split))
        return fashion_mnist.LabelledImages(sample, np.arange(10, dtype="int32"), "here")

    monkeypatch.setattr(image_source, "load_fashion_mnist", load)
    source = open_images(name)
    np.testing.assert_array_equal(source.read(0, 10), load(split).images)
    assert source.class_names == fashion_mnist.CLASS_NAMES
    assert source.name == f"Fashion-MNIST, {split}"
    backwards = open_images(name, fashion_mnist.CLASS_NAMES[::-1])
    assert backwards.labels.tolist() == list(range(10))[::-1]
    assert backwards.class_names == fashion_mnist.CLASS_NAMES[::-1]


def test_folder_is_opened_with_its_class_names(tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        Image.fromarray(images()[number]).save(tmp_path / name / "0.png")
    source = open_images(tmp_path, class_names=("dog", "cat"))
    assert isinstance(source, ImageFolder)
    assert source.labels.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["fashion_mnist:validation", "cifar10", "no/such.npz", ""])
def test_unknown_name_lists_what_is_known(name):
    with pytest.raises(FileNotFoundError, match=r"Expected 'fashion_mnist', 'fashion_mnist:test'"):
        open_images(name)


def test_single_file_is_refused(tmp_path):
    Image.fromarray(images()[0]).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"Got the file .*one\.png.*give its folder"):
        open_images(tmp_path / "one.png")
