"""Sets of records: what every kind of them keeps, whoever writes them, and whatever happens meanwhile."""

import functools
import os
import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import files

from tinygan_keras import files as package_files
from tinygan_keras.data.records.record_set import RecordSet, verify_records
from tinygan_keras.data.records.record_writer import write_records

COUNT, SIZE = 22, 8  # three shards of 8, the last one with 6
UNFINISHED = package_files.UNFINISHED


class Source:
    """Images that are functions of their number; counts those that it made."""

    labels = (np.arange(COUNT) * 7 % 5).astype("int32")

    def __init__(self, kind):
        self.kind, self.made = kind, 0
        self.settings = {"kind": kind, "image_size": SIZE, "num_classes": 5, "source": 0}
        if kind == "teacher samples":
            self.settings["latent_dim"] = 4

    def image(self, index):
        return np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3), "uint8")

    def examples_of(self, start, stop):
        for index in range(start, stop):
            self.made += 1
            example = {"image": self.image(index), "label": self.labels[index]}
            if self.kind == "teacher samples":
                yield {**example, "latent": np.full(4, index, "float32"), "seed": index}
            else:
                yield {**example, "name": f"{index}.jpg"}

    def write(self, folder, settings=(), **options):
        options = {"count": COUNT, "shard_size": 8, "progress": False, **options}
        return write_records(
            folder,
            {**self.settings, **dict(settings)},
            examples_of=self.examples_of,
            labels=self.labels[: options["count"]],
            **options,
        )


@pytest.fixture(params=["teacher samples", "real images"])
def source(request):
    return Source(request.param)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A source with a folder that it wrote; not to be changed."""
    source, folder = Source("real images"), tmp_path_factory.mktemp("records") / "whole"
    source.write(folder)
    return source, folder


@pytest.fixture
def copied(written, tmp_path):
    return shutil.copytree(written[1], tmp_path / "copied")


def shard(folder, number):
    (path,) = folder.glob(f"*-{number:05d}-of-00003.tfrecord")
    return path


def problems(folder):
    return verify_records(folder, progress=False)


def take(records, count, batch_size, seed=0, start_step=0):
    batches = records.decoded_batches(
        batch_size, seed, start_step, lambda step, batch: {**batch, "step": step}
    )
    return list(batches.take(count).as_numpy_iterator())


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


# What is in a set


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_a_set_holds_what_was_written(source, encoding, tmp_path):
    assert source.write(tmp_path, {"encoding": encoding, "class_names": list("abcde")}) == []
    records = RecordSet(tmp_path)
    assert (records.count, records.image_size, records.num_classes) == (COUNT, SIZE, 5)
    assert records.class_names == list("abcde")
    np.testing.assert_array_equal(records.labels, source.labels)
    images = np.stack([source.image(index) for index in range(COUNT)])
    for start, stop in ((0, COUNT), (5, 9), (15, 22), (20, 30), (3, 3)):
        np.testing.assert_array_equal(records.read(start, stop), images[start:stop])
    assert problems(tmp_path) == []


def test_names_tell_kind_identity_and_number(source, tmp_path):
    source.write(tmp_path)
    identity = RecordSet(tmp_path).fingerprint[:8]
    kind = source.kind.replace(" ", "-")
    names = [f"{kind}-{identity}-{number:05d}-of-00003.tfrecord" for number in range(3)]
    assert set(files(tmp_path)) == {"settings.json", "labels.npy", *names}


def test_batches_repeat_exactly_and_hold_what_belongs_together(written):
    source, folder = written
    records = RecordSet(folder)
    whole = take(records, 8, 6, seed=3)
    rest = take(records, 2, 6, seed=3, start_step=6)
    for expected, got in zip(whole[6:], rest, strict=True):
        np.testing.assert_array_equal(expected["image"], got["image"])
    assert [batch["step"] for batch in rest] == [6, 7]
    number = {source.image(index).tobytes(): index for index in range(COUNT)}
    seen = [[number[image.tobytes()] for image in batch["image"]] for batch in whole]
    for batch, numbers in zip(whole, seen, strict=True):
        np.testing.assert_array_equal(batch["label"], source.labels[numbers])
    assert sorted(np.ravel(seen)[:COUNT]) == list(range(COUNT))
    with pytest.raises(ValueError, match="batch_size=23 .* with 22 records"):
        take(records, 1, COUNT + 1)


def test_a_set_may_lie_where_only_tensorflow_reaches(source, tmp_path):
    url = f"ram://{source.kind[:4]}"
    source.write(url)
    source.write(tmp_path)
    for name, content in files(tmp_path).items():
        with tf.io.gfile.GFile(f"{url}/{name}", "rb") as file:
            assert file.read() == content
    np.testing.assert_array_equal(RecordSet(url).read(4, 9), RecordSet(tmp_path).read(4, 9))
    assert problems(url) == []
    tf.io.gfile.remove(f"{url}/{shard(tmp_path, 1).name}")
    assert problems(url) == [f"{shard(tmp_path, 1).name} is missing"]
    source.write(url)
    assert problems(url) == []


def test_the_home_folder_may_be_written_as_a_tilde(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    source.write("~/mine")
    assert RecordSet("~/mine").count == COUNT and problems("~/mine") == []
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# Workers, kills and other accidents


def test_any_worker_makes_the_same_files(source, tmp_path):
    source.write(tmp_path / "whole")
    left = [source.write(tmp_path / "shared", worker=worker, workers=2) for worker in (1, 0)]
    assert [len(names) for names in left] == [2, 0]
    for worker in range(2):
        source.write(tmp_path / str(worker), worker=worker, workers=2)
        shutil.copytree(tmp_path / str(worker), tmp_path / "joined", dirs_exist_ok=True)
    whole = files(tmp_path / "whole")
    assert files(tmp_path / "shared") == files(tmp_path / "joined") == whole


def test_what_is_finished_is_not_made_again(source, tmp_path):
    source.write(tmp_path)
    before = files(tmp_path)
    shard(tmp_path, 1).unlink()
    (tmp_path / "labels.npy").unlink()
    source.made = 0
    source.write(tmp_path)
    assert source.made == 8 and files(tmp_path) == before


class Killed(BaseException):
    """What a handler of exceptions must not see; nothing is tidied up after it."""


@pytest.mark.parametrize(("operation", "stride"), [("name", 1), ("write", 7)])
def test_killed_at_any_step_it_goes_on_where_it_was(operation, stride, tmp_path, monkeypatch):
    source = Source("real images")
    source.write(tmp_path / "whole")
    whole = files(tmp_path / "whole")
    kills = 0
    for step in range(0, 100, stride):
        folder = tmp_path / str(step)
        with monkeypatch.context() as patched:
            _kill(patched, operation, step)
            try:
                source.write(folder)
                break  # there are fewer steps
            except Killed:
                kills += 1
        source.write(folder)
        assert files(folder) == whole, step
    assert kills >= 4


def _kill(patched, operation, step):
    """Ends everything before a file operation."""
    calls = iter(range(1000))

    def dying(function):
        @functools.wraps(function)
        def call(*args, **keywords):
            if next(calls) >= step:
                raise Killed
            return function(*args, **keywords)

        return call

    if operation == "name":
        patched.setattr(os, "link", dying(os.link))
        patched.setattr(os, "replace", dying(os.replace))
    else:
        patched.setattr(tf.io.TFRecordWriter, "write", dying(tf.io.TFRecordWriter.write))
    patched.setattr(package_files, "_remove", lambda path: None)  # a dead process tidies nothing up


@pytest.mark.parametrize(
    ("place", "operation", "number"),
    # While the first record is written; before settings, labels and shards are flushed; then their folder is.
    [
        (tf.io.TFRecordWriter, "write", 0),
        *((package_files, "_flush", number) for number in (0, 2, 4, 6)),
    ],
)
def test_two_writers_of_the_same_shards_do_each_other_no_harm(
    place, operation, number, written, tmp_path, monkeypatch
):
    """The second starts and ends while the first has an unfinished file, which it takes for a dead one's."""
    source, whole = written
    original, calls, seen = getattr(place, operation), iter(range(1000)), []

    def meddled(*args):
        if next(calls) == number:
            seen.extend(name for name in files(tmp_path / "both") if UNFINISHED in name)
            source.write(tmp_path / "both")
        return original(*args)

    monkeypatch.setattr(place, operation, meddled)
    source.write(tmp_path / "both")
    assert seen
    assert files(tmp_path / "both") == files(whole)


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_two_first_workers_with_other_settings_one_is_refused(hard_links, tmp_path, monkeypatch):
    """The other one's settings appear after this one found none, just before it writes its own."""
    source, flush, before = Source("real images"), package_files._flush, {}

    def late(path):
        monkeypatch.setattr(package_files, "_flush", flush)
        source.write(tmp_path, worker=0, workers=3)
        before.update(files(tmp_path))
        source.made = 0
        flush(path)

    if not hard_links:
        monkeypatch.setattr(os, "link", mock.Mock(side_effect=OSError("no hard links here")))
    monkeypatch.setattr(package_files, "_flush", late)
    with pytest.raises(ValueError, match="source: 1, in the folder 0"):
        source.write(tmp_path, {"source": 1})
    kept = {name: content for name, content in before.items() if UNFINISHED not in name}
    assert files(tmp_path) == kept and len(kept) == 3 and not source.made


def test_a_folder_that_another_command_removes_is_made_again(tmp_path, monkeypatch):
    """That one tried whether it can be written to, and removes it if it is empty still."""
    make_folder, taken = package_files._make_folder, []

    def made(path):
        make_folder(path)
        if not taken:
            os.rmdir(path)
            taken.append(path)

    monkeypatch.setattr(package_files, "_make_folder", made)
    Source("real images").write(tmp_path / "new")
    assert taken and RecordSet(tmp_path / "new").count == COUNT


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(copied, monkeypatch):
    source = Source("real images")
    error = tf.errors.NotFoundError(None, None, f"Could not find directory {copied}")
    monkeypatch.setattr(tf.io.gfile, "listdir", mock.Mock(side_effect=error))
    with pytest.raises(OSError, match="Could not find directory"):
        source.write(copied)
    assert not source.made


@pytest.mark.parametrize("place", ["write", "close"])
def test_a_full_disk_is_reported_and_what_was_finished_stays(place, tmp_path, monkeypatch):
    source = Source("real images")
    source.write(tmp_path, worker=0, workers=3)

    def full(self, *record):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tf.io.TFRecordWriter, place, full)
        if place == "close":
            patched.setattr(tf.io.TFRecordWriter, "__exit__", full)
        with pytest.raises(OSError, match="No space left on device.*choose another place"):
            source.write(tmp_path)
    assert len(files(tmp_path)) == 3  # settings, labels, one shard
    source.write(tmp_path)
    assert problems(tmp_path) == []


def test_a_disk_that_is_too_small_is_refused_before_a_shard_is_made(tmp_path, monkeypatch):
    source, usage = Source("real images"), shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=3000))
    with pytest.raises(OSError, match="free space at .*for 22 records.*Free some space"):
        source.write(tmp_path)
    assert source.made == 8 and not list(tmp_path.glob("*.tfrecord"))


def test_a_disk_that_others_fill_stops_the_writing_and_what_was_finished_stays(
    tmp_path, monkeypatch
):
    source, usage = Source("real images"), shutil.disk_usage(tmp_path)
    free = iter([10**9, 100])
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=next(free)))
    with pytest.raises(OSError, match="for 14 records"):
        source.write(tmp_path)
    assert [path.name[-22:] for path in tmp_path.glob("*.tfrecord")] == [
        "00000-of-00003.tfrecord"[-22:]
    ]
    monkeypatch.undo()
    source.write(tmp_path)
    assert problems(tmp_path) == []


def test_an_error_of_the_source_is_not_taken_for_one_of_the_disk(tmp_path):
    source = Source("real images")
    source.image = mock.Mock(side_effect=tf.errors.ResourceExhaustedError(None, None, "OOM"))
    with pytest.raises(tf.errors.ResourceExhaustedError, match="OOM"):
        source.write(tmp_path)


# What is refused


def test_images_of_another_size_stop_before_a_shard_appears(source, tmp_path):
    with pytest.raises(ValueError, match=r"an image uint8 \(8, 8, 3\) for record 0.*\(16, 16, 3\)"):
        source.write(tmp_path, {"image_size": 16})
    assert not list(tmp_path.glob("*.tfrecord"))


def test_records_of_different_settings_are_never_mixed(source, tmp_path):
    source.write(tmp_path, worker=0, workers=3)
    before, source.made = files(tmp_path), 0
    with pytest.raises(ValueError) as refusal:
        source.write(tmp_path, {"source": 1, "encoding": "raw"}, count=21)
    message = str(refusal.value)
    assert message.count("in the folder") == 3
    for line in (
        "source: 1, in the folder 0",
        'encoding: "raw", in the folder "png"',
        "count: 21, in",
    ):
        assert f"\n  {line}" in message
    source.labels = source.labels[::-1]
    with pytest.raises(ValueError, match="\n  labels: "):
        source.write(tmp_path)
    assert files(tmp_path) == before and not source.made


@pytest.mark.parametrize("name", ["thesis.tex", "labels.npy"])
def test_other_folders_are_left_alone(source, name, tmp_path):
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=f"no set of records and holds '{name}'"):
        source.write(tmp_path)
    with pytest.raises(OSError, match="Not a directory. Expected a place"):
        source.write(tmp_path / name / "cache")
    assert files(tmp_path) == {name: b""}


def test_what_is_no_set_or_lacks_shards_is_reported(copied, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no settings.json"):
        RecordSet(tmp_path / "nothing")
    missing = shard(copied, 1)
    missing.unlink()
    with pytest.raises(ValueError, match=f"2 of 3 shards; missing: {missing.name}. Expected"):
        RecordSet(copied)


def test_edited_settings_are_refused(copied, written):
    path = copied / "settings.json"
    path.write_text(path.read_text().replace('"source": 0', '"source": 1'))
    with pytest.raises(ValueError, match="checksum isn't that of its lines"):
        RecordSet(copied)
    path.write_text("{")
    with pytest.raises(ValueError, match="can't be read"):
        written[0].write(copied)


# What is damaged


@pytest.mark.parametrize("name", ["shard", "labels.npy"])
def test_any_flipped_bit_is_found(name, copied):
    path = shard(copied, 1) if name == "shard" else copied / name
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 6, replace=False):
        flip(path, int(bit))
        (problem,) = problems(copied)
        assert problem.startswith(path.name), problem
        path.write_bytes(whole)
    assert problems(copied) == []


def test_any_flipped_bit_of_the_settings_is_found(copied):
    path = copied / "settings.json"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 6, replace=False):
        flip(path, int(bit))
        if path.read_bytes().split() != whole.split():  # between the lines, it changes nothing
            with pytest.raises(ValueError, match="settings.json"):
                problems(copied)
        path.write_bytes(whole)


def test_every_damaged_shard_is_named(written, copied, tmp_path):
    written[0].write(tmp_path / "other", {"source": 1})
    foreign = shard(tmp_path / "other", 1)
    one = shard(copied, 1)
    whole = one.read_bytes()
    record = 16 + int.from_bytes(whole[:8], "little")  # with its length and its checksums
    for content, message in (
        (whole[:-10], "is damaged or can't be read"),
        (whole + bytes(20), "is damaged or can't be read"),
        (whole[:record], "holds 1 records instead of 8"),
        (b"", "holds 0 records instead of 8"),
        (foreign.read_bytes(), "is of another set"),
        (shard(copied, 0).read_bytes(), "holds the records of another shard"),
    ):
        one.write_bytes(content)
        (problem,) = problems(copied)
        assert problem.startswith(f"{one.name} {message}"), problem
    shutil.copy(foreign, copied)
    one.unlink()
    one.mkdir()
    shard(copied, 2).unlink()
    (copied / "labels.npy").unlink()
    found = problems(copied)
    assert [line.split()[0] for line in found] == [
        *("labels.npy", one.name, shard(written[1], 2).name, foreign.name),
    ]
    assert "can't be read" in found[1] and "directory" in found[1]
    assert found[3] == f"{foreign.name} is of another set"


def test_what_was_found_is_fixed_by_writing_again(written, copied):
    source, whole = written
    flip(shard(copied, 1), 5000)
    flip(copied / "labels.npy", 1100)
    assert len(problems(copied)) == 2
    shard(copied, 1).unlink()
    source.write(copied)
    assert files(copied) == files(whole)


def test_damage_stops_the_reading(copied):
    flip(copied / "labels.npy", 1100)
    records = RecordSet(copied)
    with pytest.raises(OSError, match="labels.npy was changed or damaged"):
        _ = records.labels
    path = shard(copied, 1)
    flip(path, 4 * path.stat().st_size)
    with pytest.raises(OSError, match=path.name):
        records.read(8, 16)
    shard(copied, 2).write_bytes(b"")
    with pytest.raises(OSError, match="holds 0 records instead of 6"):
        records.read(17, 20)
    with pytest.raises(tf.errors.DataLossError):
        take(records, 1, COUNT)
