"""Sets of records: what every kind of them keeps, whoever wrote it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.records.record_set import open_records, verify_records
from tinygan_keras.data.records.record_writer import write_records
from tinygan_keras.images import to_float

COUNT, SIZE = 22, 8  # three shards of 8, the last one with 6


class Source:
    """Images that are functions of their number; counts those that it made."""

    labels = (np.arange(COUNT) * 7 % 5).astype("int32")

    def __init__(self, kind):
        self.settings = {"kind": kind, "image_size": SIZE, "num_classes": 5}
        if kind == "teacher samples":
            self.settings["latent_dim"] = 4
        self.made = 0

    def image(self, index):
        return np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3), "uint8")

    def examples_of(self, start, stop):
        for index in range(start, stop):
            self.made += 1
            example = {"image": self.image(index), "label": self.labels[index]}
            if "latent_dim" in self.settings:
                example |= {"latent": np.full(4, index, "float32"), "seed": index}
            else:
                example["name"] = f"{index}.jpg"
            yield example

    def write(self, folder, settings=(), **options):
        options = {"count": COUNT, "shard_size": 8, "progress": False, **options}
        settings = {**self.settings, **dict(settings)}
        return write_records(
            folder,
            settings,
            examples_of=self.examples_of,
            labels=self.labels[: options["count"]],
            **options,
        )


@pytest.fixture(params=["teacher samples", "real images"])
def source(request):
    return Source(request.param)


def files(folder):
    """Content by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_a_set_holds_what_was_written(source, encoding, tmp_path):
    assert source.write(tmp_path, {"encoding": encoding}) == []
    records = open_records(tmp_path)
    assert (records.count, records.image_size, records.num_classes) == (COUNT, SIZE, 5)
    np.testing.assert_array_equal(records.labels, source.labels)
    images = np.stack([source.image(index) for index in range(COUNT)])
    for start, stop in ((0, COUNT), (5, 9), (15, 22), (20, 30), (3, 3)):
        np.testing.assert_array_equal(records.read(start, stop), images[start:stop])
    assert verify_records(tmp_path, progress=False) == []


def test_batches_repeat_exactly_and_hold_what_belongs_together(source, tmp_path):
    source.write(tmp_path)
    records = open_records(tmp_path)
    whole = list(records.batches(6, seed=3).take(8).as_numpy_iterator())
    rest = list(records.batches(6, seed=3, start_step=6).take(2).as_numpy_iterator())
    for expected, got in zip(whole[6:], rest, strict=True):
        np.testing.assert_array_equal(expected["image"], got["image"])
    number = {to_float(source.image(index)).tobytes(): index for index in range(COUNT)}
    seen = [[number[image.tobytes()] for image in batch["image"]] for batch in whole]
    for batch, numbers in zip(whole, seen, strict=True):
        np.testing.assert_array_equal(batch["image_label"], source.labels[numbers])
    assert sorted(np.ravel(seen)[:COUNT]) == list(range(COUNT))


def test_any_worker_makes_the_same_files(source, tmp_path):
    source.write(tmp_path / "whole")
    left = [source.write(tmp_path / "shared", worker=worker, workers=2) for worker in (1, 0)]
    assert [len(names) for names in left] == [2, 0]
    assert files(tmp_path / "shared") == files(tmp_path / "whole")


def test_what_is_finished_is_not_made_again(source, tmp_path):
    source.write(tmp_path)
    before = files(tmp_path)
    (tmp_path / next(name for name in before if "00001-of" in name)).unlink()
    (tmp_path / "labels.npy").unlink()
    source.made = 0
    source.write(tmp_path)
    assert source.made == 8 and files(tmp_path) == before


def test_a_set_may_lie_where_only_tensorflow_reaches(source, tmp_path):
    url = f"ram://{source.settings['kind'][:4]}"
    source.write(url)
    source.write(tmp_path)
    assert sorted(tf.io.gfile.listdir(url)) == sorted(files(tmp_path))
    np.testing.assert_array_equal(open_records(url).read(4, 9), open_records(tmp_path).read(4, 9))
    assert verify_records(url, progress=False) == []


def test_every_kind_of_damage_is_named(source, tmp_path):
    source.write(tmp_path / "whole")
    source.write(tmp_path / "other", {"seed": 1})
    one, two = (
        sorted(path.name for path in (tmp_path / name).glob("*00001-of*"))[0]
        for name in ("whole", "other")
    )

    def problems(damage):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / "copy")
        damage(folder)
        found = verify_records(folder, progress=False)
        shutil.rmtree(folder)
        return found

    def flip(folder):
        content = bytearray((folder / one).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / one).write_bytes(content)

    def foreign(folder):
        shutil.copy(tmp_path / "other" / two, folder / one)

    for damage, message in (
        (flip, "was changed, cut off or damaged"),
        (lambda folder: (folder / one).unlink(), "is missing"),
        (lambda folder: (folder / one).write_bytes(b""), "holds 0 records instead of 8"),
        (foreign, "is of another set"),
        (
            lambda folder: shutil.copy(folder / one.replace("00001-of", "00000-of"), folder / one),
            "holds the records of another shard",
        ),
    ):
        (problem,) = problems(damage)
        assert problem.startswith(f"{one} {message}"), problem
