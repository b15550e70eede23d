"""Data sets of generated images: what is written is what was generated, and nothing half is left."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.image_sets import ArrayImages, open_images, open_training_images
from tinygan_keras.data.records.record_set import RecordSet
from tinygan_keras.generators import data_sets
from tinygan_keras.generators.data_sets import write_data_set
from tinygan_keras.generators.generator import GeneratedImages, Generator, grid_of

NAMES = ("T-shirt/top", "Bag", "Ankle boot")
SIZE = 8


def draw(latents, labels):
    """Grey by class, with the latent as a pattern."""
    grey = np.asarray(labels, "float32")[:, None, None, None] / 4 - 0.5
    pattern = np.asarray(latents)[:, None, :, None] * np.ones((1, SIZE, 1, 3), "float32") / 4
    return grey + pattern


@pytest.fixture
def generator():
    return Generator(
        draw=draw,
        latent_dim=SIZE,
        image_size=SIZE,
        num_classes=3,
        class_names=NAMES,
        truncation=0.5,
        source="a generator",
        format="keras model",
        content_hash="0" * 64,
    )


def generated(generator, classes=range(3), per_class=2, seed=0):
    grid = grid_of(classes, seed + np.arange(per_class), seed_by_seed=True)
    return GeneratedImages(generator, *grid)


def by_label(images, labels):
    """The images in an order of their own, since folders are read class by class."""
    images = np.asarray(images)
    return sorted(
        (int(label), image.tobytes()) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_open_images_reads_what_was_written(generator, format, tmp_path):
    images = generated(generator, per_class=3)

    path = write_data_set(images, tmp_path / "new" / f"set.{format}", format, NAMES)

    read = open_images(path, class_names=NAMES)
    assert (read.count, read.image_size, tuple(read.class_names)) == (9, SIZE, NAMES)
    assert read.warnings == []
    assert by_label(read.read(0, 9), read.labels) == by_label(images.read(0, 9), images.labels)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == [path.name]


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_a_run_trains_on_what_was_written(generator, format, tmp_path):
    path = write_data_set(
        generated(generator, per_class=2), tmp_path / f"set.{format}", format, NAMES
    )

    real = open_training_images(str(path), SIZE, 3, class_names=NAMES)

    assert sorted(real.labels.tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_a_disk_that_is_too_small_is_refused_before(generator, format, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=500)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    with pytest.raises(OSError, match="free space at .*for 9 images.*Free some space"):
        write_data_set(generated(generator, per_class=3), tmp_path / "set", format, NAMES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["images", "npz"])
def test_a_disk_that_fills_meanwhile_stops_the_writing(generator, format, tmp_path, monkeypatch):
    monkeypatch.setattr(data_sets, "PORTION", 3)
    usage, free = shutil.disk_usage(tmp_path), [2**30, 2**30, 500]
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=free.pop(0)))
    free += free[-1:] * 9
    with pytest.raises(OSError, match="free space at .*for 6 images"):
        write_data_set(generated(generator, per_class=3), tmp_path / "set", format, NAMES)
    assert not list(tmp_path.iterdir())


def test_many_small_files_need_whole_blocks(generator, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=9 * 4096 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    images = generated(generator, per_class=3)
    with pytest.raises(OSError, match="for 9 images"):
        write_data_set(images, tmp_path / "files", "images", NAMES)
    assert write_data_set(images, tmp_path / "archive", "npz", NAMES).is_file()


def test_folders_are_named_after_classes(generator, tmp_path):
    path = write_data_set(generated(generator, per_class=1), tmp_path / "set", "folder", NAMES)

    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*.png"))
    assert files == [
        "Ankle_boot/00002_002_Ankle_boot.png",
        "Bag/00001_001_Bag.png",
        "T_shirt_top/00000_000_T_shirt_top.png",
    ]


@pytest.mark.parametrize("names", [None, ("a b", "a-b", "c"), ("", "b", "c")])
def test_folders_are_numbers_where_names_would_not_tell_the_label(generator, names, tmp_path):
    images = generated(generator, per_class=2)
    path = write_data_set(images, tmp_path / "set", "folder", names)

    assert sorted(folder.name for folder in path.iterdir()) == ["0", "1", "2"]
    assert by_label(open_images(path).read(0, 6), open_images(path).labels) == by_label(
        images.read(0, 6), images.labels
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("1", "2", "0"), "a class with the name '1' whose label is 0"),
        (("0", "1"), "Got 2 class names, and labels up to 2"),
    ],
)
def test_names_from_which_labels_cannot_be_read_are_refused(generator, names, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_data_set(generated(generator, per_class=1), tmp_path / "set", "folder", names)
    assert list(tmp_path.iterdir()) == []


def test_numpy_reads_the_archive_by_itself(generator, tmp_path):
    images = generated(generator, [1, 2], per_class=300)  # several portions
    path = write_data_set(images, tmp_path / "set.npz", "npz", NAMES)

    with np.load(path, allow_pickle=False) as archive:
        assert archive["images"].dtype == np.uint8
        np.testing.assert_array_equal(archive["images"], images.read(0, 600))
        np.testing.assert_array_equal(archive["labels"], images.labels)
        np.testing.assert_array_equal(archive["seeds"], images.seeds)
        assert archive["class_names"].tolist() == list(NAMES)


def test_shards_are_one_set_of_records(generator, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygan_keras.generators.data_sets._SHARD_IMAGES", 4)
    images = generated(generator, per_class=3, seed=7)

    path = write_data_set(images, tmp_path / "set", "tfrecord", NAMES)

    records = RecordSet(path)
    np.testing.assert_array_equal(records.read(0, 9), images.read(0, 9))
    assert records.labels.tolist() == images.labels.tolist()
    assert (records.num_classes, tuple(records.class_names)) == (3, NAMES)
    files = sorted(str(file) for file in path.glob("*.tfrecord"))
    examples = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files)]
    features = [example.features.feature for example in examples]
    assert len(files) == 3
    assert [f["seed"].int64_list.value[0] for f in features] == [7] * 3 + [8] * 3 + [9] * 3
    assert features[4]["name"].bytes_list.value[0].decode() == "Bag"


def test_images_without_names_and_seeds_have_labels(tmp_path):
    images = ArrayImages(np.zeros((3, 4, 4, 3), "uint8"), np.array([0, 2, 1]))

    records = RecordSet(write_data_set(images, tmp_path / "set", "tfrecord"))

    assert (records.num_classes, records.class_names) == (3, None)
    assert records.labels.tolist() == [0, 2, 1]


@pytest.mark.parametrize("format", ["npz", "tfrecord"])
def test_the_same_images_give_the_same_files(generator, format, tmp_path):
    contents = []
    for place in ("first", "again"):
        path = write_data_set(generated(generator, per_class=2), tmp_path / place, format, NAMES)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        contents.append([file.read_bytes() for file in files])

    assert contents[0] == contents[1]


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_images_are_read_in_portions(format, tmp_path):
    """Memory must not grow with the number of images."""
    portions = []

    class Source(ArrayImages):
        def read(self, start, stop):
            portions.append(stop - start)
            return super().read(start, stop)

    images = np.zeros((1100, 4, 4, 3), "uint8")
    write_data_set(Source(images, np.arange(1100) % 3), tmp_path / "set", format)

    assert sum(portions) == 1100
    assert max(portions) <= 250


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_what_is_there_stays_as_it_is(generator, format, tmp_path):
    path = tmp_path / "set"
    path.write_text("kept")

    with pytest.raises(FileExistsError, match="exists already"):
        write_data_set(generated(generator, per_class=1), path, format)

    assert path.read_text() == "kept"


@pytest.mark.parametrize("format", ["images", "folder", "npz", "tfrecord"])
def test_nothing_half_is_left(generator, format, tmp_path):
    def diverged(latents, labels):
        return np.full((len(labels), SIZE, SIZE, 3), np.nan)

    images = generated(dataclasses.replace(generator, draw=diverged), per_class=1)
    with pytest.raises(ValueError, match="NaN"):
        write_data_set(images, tmp_path / "set", format)

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(generator, tmp_path):
    with pytest.raises(ValueError, match="'csv'. Expected one of images, folder, npz, tfrecord"):
        write_data_set(generated(generator, per_class=1), tmp_path / "set", "csv")
