"""Real images of TensorFlow Datasets, prepared by its own builders from archives in their own formats."""

import io
import tarfile
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import IDS, WNIDS, pixels
from PIL import Image

from tinygan_keras.data.real_images import tfds_images
from tinygan_keras.data.real_images.decoding import decode
from tinygan_keras.data.real_images.keras_sets import CIFAR10_NAMES
from tinygan_keras.data.real_images.opening import open_training_images
from tinygan_keras.data.real_images.preprocessing import crop_and_resize, to_float

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
    builder = tfds_images._tfds().builder
    monkeypatch.setattr(
        tfds_images._tfds(), "builder", lambda name: builder(name, data_dir=str(data_dir))
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def take(real, count, **settings):
    return list(real.batches(**settings).take(count).as_numpy_iterator())


def stored_images(size=16):
    """Label by the float image that training should see."""
    found = {}
    for place, wnid in enumerate(WNIDS):
        for number in range(PER_CLASS):
            image = crop_and_resize(decode(jpeg(10 * place + number), "x"), size)
            found[to_float(image).numpy().tobytes()] = IDS[wnid]
    return found


def test_imagenet_has_the_teachers_ids_and_every_image_once_a_pass():
    real = open_training_images("tfds:imagenet2012", 16, 1000)
    assert real.count == 24 and real.name == "tfds:imagenet2012/5.1.0, train"
    stored, seen = stored_images(), []
    for batch in take(real, 6, batch_size=4, seed=1):
        for image, label in zip(batch["image"], batch["image_label"], strict=True):
            assert stored[image.tobytes()] == label
            seen.append(image.tobytes())
    assert len(set(seen)) == 24
    assert "3 in " in real.found["files"] and "not counted by class" in real.report()


@pytest.mark.parametrize("classes", [None, range(398)])
def test_batches_repeat_and_a_later_start_continues_them(classes):
    def batches(count, start_step=0):
        real = open_training_images("tfds:imagenet2012", 16, 1000, classes)
        return take(real, count, batch_size=5, seed=3, start_step=start_step, horizontal_flip=True)

    whole = batches(12)
    for start in (1, 4, 11):
        for expected, got in zip(whole[start:], batches(12 - start, start), strict=True):
            for key in expected:
                np.testing.assert_array_equal(got[key], expected[key])


def test_a_subset_is_counted_once_and_shown_once_a_pass(tmp_path, capsys):
    real = open_training_images("tfds:imagenet2012", 16, 1000, range(398))
    assert real.count == 18
    np.testing.assert_array_equal(np.flatnonzero(real.class_counts), [0, 1, 397])
    assert real.found["left out"] == "6 images of other classes"
    assert len(list((tmp_path / "tinygan_keras" / "labels").glob("*.npz"))) == 1
    seen = [b for batch in take(real, 6, batch_size=3) for b in map(bytes, batch["image"])]
    stored = stored_images()
    assert len(set(seen)) == 18 and all(stored[image] < 398 for image in seen)
    capsys.readouterr()
    again = open_training_images("tfds:imagenet2012", 16, 1000, range(398))
    assert again.count == 18 and not capsys.readouterr().out  # from the file


def test_the_validation_images_have_the_teachers_ids_too():
    real = open_training_images("tfds:imagenet2012:validation", 16, 1000)
    (batch,) = take(real, 1, batch_size=3)
    assert sorted(batch["image_label"]) == [65, 230, 970]  # sea snake, sheepdog, alp


def test_cifar10_has_its_own_numbers_and_other_splits():
    real = open_training_images("tfds:cifar10", 32, 10)
    assert real.count == 40 and real.found["sizes"] == "32x32 pixels"
    for batch in take(real, 3, batch_size=10):
        levels = np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(levels // 20, batch["image_label"])
    assert open_training_images("tfds:cifar10:test", 32, 10).count == 8
    few = open_training_images("tfds:cifar10", 32, 10, classes=(3,))
    assert "3 cat" in few.report()
    with pytest.raises(ValueError, match="10 of 10 classes in tfds:cifar10.*'airplane'"):
        open_training_images("tfds:cifar10", 32, 1000)
    with pytest.raises(ValueError, match="Expected one of the splits test, train"):
        open_training_images("tfds:cifar10:validation", 32, 10)


def test_class_names_of_the_teacher_reorder_the_labels():
    names = CIFAR10_NAMES[::-1]
    real = open_training_images("tfds:cifar10", 32, 10, class_names=names)
    (batch,) = take(real, 1, batch_size=10)
    levels = np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(9 - levels // 20, batch["image_label"])


def test_what_is_not_prepared_says_how_to():
    with pytest.raises(
        FileNotFoundError, match="(?s)not prepared.*tfds build imagenet_resized/64x64"
    ):
        open_training_images("tfds:imagenet_resized/64x64", 16, 1000)
    with pytest.raises(FileNotFoundError, match="doesn't know"):
        open_training_images("tfds:nonsense", 16, 1000)
    with pytest.raises(ValueError, match="Expected image and label"):
        features = mock.Mock(info=mock.Mock(features={"text": 0}))
        tfds_images._checked_features(features, "tfds:some_text, train")


def test_a_version_on_the_disk_is_opened_by_its_folder(data_dir):
    folder = data_dir / "cifar10" / "3.0.2"
    assert open_training_images(f"tfds:{folder}", 32, 10).count == 40


def test_missing_and_corrupt_shards_are_found(data_dir, tmp_path):
    import shutil

    folder = shutil.copytree(
        data_dir / "imagenet2012" / "5.1.0", tmp_path / "imagenet2012" / "5.1.0"
    )
    shard = sorted(folder.glob("*train*"))[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        take(open_training_images(f"tfds:{folder}", 16, 1000), 6, batch_size=4)
    shard.unlink()
    with pytest.raises(ValueError, match="without 1 of 3 files.*train.tfrecord-00001-of-00003"):
        open_training_images(f"tfds:{folder}", 16, 1000)
