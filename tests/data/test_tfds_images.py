"""Real images of TensorFlow Datasets, prepared by its own builders from archives in their own formats."""

import io
import shutil
import tarfile
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import IDS, WNIDS, pixels
from PIL import Image

from tinygan_keras.data import tfds_images
from tinygan_keras.data.image_decoding import crop_and_resize, decode
from tinygan_keras.data.image_sets import open_images, open_training_images
from tinygan_keras.data.keras_sets import CIFAR10_NAMES
from tinygan_keras.data.prepare_images import prepare_images

pytestmark = pytest.mark.tfds
PER_CLASS = 6


def jpeg(seed):
    stream = io.BytesIO()
    Image.fromarray(pixels(seed, 30 + seed % 9, 37)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """imagenet2012 in three shards, from the archive that ImageNet publishes; and cifar10."""
    tfds = pytest.importorskip("tensorflow_datasets")
    root = tmp_path_factory.mktemp("tfds")
    manual = root / "manual"
    manual.mkdir()
    with tarfile.open(manual / "ILSVRC2012_img_train.tar", "w") as archive:
        for place, wnid in enumerate(WNIDS):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for number in range(PER_CLASS):
                    add(inner, f"{wnid}_{number}.JPEG", jpeg(10 * place + number))
            add(archive, f"{wnid}.tar", stream.getvalue())
    with tarfile.open(manual / "ILSVRC2012_img_val.tar", "w") as archive:
        for number in range(1, 4):  # the library's own list says which classes these are
            add(archive, f"ILSVRC2012_val_{number:08d}.JPEG", jpeg(90 + number))
    config = tfds.download.DownloadConfig(manual_dir=str(manual), num_shards=3)
    tfds.builder("imagenet2012", data_dir=root).download_and_prepare(download_config=config)

    cifar = root / "cifar" / "cifar-10-batches-bin"
    cifar.mkdir(parents=True)
    (cifar / "batches.meta.txt").write_text(
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
    )
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        records = np.zeros((8, 3073), "uint8")
        records[:, 0] = (np.arange(8) + number) % 10
        records[:, 1:] = records[:, :1] * 20 + number
        (cifar / f"{name}.bin").write_bytes(records.tobytes())
    with mock.patch.object(
        tfds.download.DownloadManager, "download_and_extract", return_value=str(cifar.parent)
    ):
        tfds.builder("cifar10", data_dir=root).download_and_prepare()
    return root


@pytest.fixture(autouse=True)
def _found_there(data_dir, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name: builder(name, data_dir=str(data_dir)))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def stored_images(size=16):
    """Label by the bytes of the image that training should see."""
    found = {}
    for place, wnid in enumerate(WNIDS):
        for number in range(PER_CLASS):
            image = crop_and_resize(decode(jpeg(10 * place + number)).pixels, size)
            found[image.tobytes()] = IDS[wnid]
    return found


def by_content(images):
    return dict(zip(map(bytes, images.read(0, images.count)), images.labels.tolist(), strict=True))


@pytest.mark.parametrize("prepared", [False, True])
def test_imagenet_has_the_teachers_ids(tmp_path, prepared):
    data, expected = "tfds:imagenet2012", stored_images()
    if prepared:
        report = prepare_images(data, tmp_path / "out", 16, shard_size=7, progress=False)
        assert "24 in 4 of 1,000 classes" in report and "3 in " in report
        data = tmp_path / "out"
    real = open_training_images(data, 16, 1000)
    assert by_content(real) == expected and real.count == 24
    animals = open_training_images(data, 16, 1000, range(398))
    assert by_content(animals) == {k: label for k, label in expected.items() if label < 398}
    np.testing.assert_array_equal(np.flatnonzero(animals.class_counts), [0, 1, 397])
    assert animals.found["left out"] == "6 images of other classes"


def test_a_prepared_subset_has_these_classes_only(tmp_path):
    prepare_images("tfds:imagenet2012", tmp_path / "out", 16, "animals", progress=False)
    expected = {image: label for image, label in stored_images().items() if label < 398}
    assert by_content(open_training_images(tmp_path / "out", 16, 1000, range(398))) == expected
    assert by_content(open_images(tmp_path / "out")) == expected


def test_other_splits_and_evaluation():
    real = open_training_images("tfds:imagenet2012:validation", 16, 1000)
    assert sorted(real.labels) == [65, 230, 970]  # sea snake, sheepdog, alp
    test = open_images("tfds:cifar10:test")
    assert (test.count, test.image_size, test.class_names) == (8, 32, CIFAR10_NAMES)
    with pytest.raises(ValueError, match="of these sizes"):
        open_images("tfds:imagenet2012")  # a distance measures the resizing too


def test_cifar10_has_its_own_numbers():
    real = open_training_images("tfds:cifar10", 32, 10)
    assert real.count == 40 and real.found["sizes"] == "32x32 pixels"
    np.testing.assert_array_equal(real.read(0, 40)[:, 0, 0, 0] // 20, real.labels)
    few = open_training_images("tfds:cifar10", 32, 10, classes=(3,))
    assert "3 cat" in few.report()
    with pytest.raises(ValueError, match="10 of 10 classes in tfds:cifar10.*'airplane'"):
        open_training_images("tfds:cifar10", 32, 1000)
    with pytest.raises(ValueError, match="Expected one of the splits test, train"):
        open_training_images("tfds:cifar10:validation", 32, 10)
    backwards = open_training_images("tfds:cifar10", 32, 10, class_names=CIFAR10_NAMES[::-1])
    np.testing.assert_array_equal(9 - backwards.read(0, 40)[:, 0, 0, 0] // 20, backwards.labels)


def test_what_is_not_prepared_says_how_to():
    with pytest.raises(
        FileNotFoundError, match="(?s)not prepared.*tfds build imagenet_resized/64x64"
    ):
        open_training_images("tfds:imagenet_resized/64x64", 16, 1000)
    with pytest.raises(FileNotFoundError, match="doesn't know"):
        open_training_images("tfds:nonsense", 16, 1000)
    with pytest.raises(ValueError, match="Expected image and label"):
        features = mock.Mock(info=mock.Mock(features={"text": 0}))
        tfds_images.TfdsSource(features, "train")


def test_a_version_on_the_disk_is_opened_by_its_folder(data_dir):
    folder = data_dir / "cifar10" / "3.0.2"
    assert open_training_images(f"tfds:{folder}", 32, 10).count == 40


def test_missing_and_corrupt_shards_are_found(data_dir, tmp_path):
    folder = tmp_path / "a:b" / "imagenet2012" / "5.1.0"
    shutil.copytree(data_dir / "imagenet2012" / "5.1.0", folder)
    shard = sorted(folder.glob("*train*"))[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(OSError, match=f"{shard.name}, which is damaged"):
        open_training_images(f"tfds:{folder}", 16, 1000)
    shard.unlink()
    with pytest.raises(ValueError, match="without 1 of 3 files.*train.tfrecord-00001-of-00003"):
        open_training_images(f"tfds:{folder}", 16, 1000)


def test_images_that_cannot_be_decoded_are_named(data_dir, tmp_path):
    folder = tmp_path / "imagenet2012" / "5.1.0"
    shutil.copytree(data_dir / "imagenet2012" / "5.1.0", folder)
    shard = sorted(folder.glob("*train*"))[0]
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for number, record in enumerate(records):
            example = tf.train.Example.FromString(record)
            if number == 1:
                example.features.feature["image"].bytes_list.value[0] = b"<html>"
                name = example.features.feature["file_name"].bytes_list.value[0].decode()
            writer.write(example.SerializeToString())
    with pytest.raises(ValueError, match=f"1 of 24 files that can't be decoded: {name}"):
        open_training_images(f"tfds:{folder}", 16, 1000)
