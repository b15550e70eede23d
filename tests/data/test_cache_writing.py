"""Making a teacher-sample cache: what is in it, and what is refused."""

import io
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import COUNT, PaintingTeacher, files, make, samples

from tinygan_keras.data.records import storage
from tinygan_keras.data.records.progress import Progress, duration
from tinygan_keras.images import to_float, to_uint8


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_samples_are_what_the_teacher_drew_with_and_drew(encoding, tmp_path):
    teacher = PaintingTeacher()
    make(tmp_path, teacher, encoding=encoding)
    found = samples(tmp_path)
    # Of the last batch, two samples are beyond the end.
    latents, labels = (np.concatenate(drawn)[:COUNT] for drawn in zip(*teacher.drawn, strict=True))
    np.testing.assert_array_equal(found["index"], np.arange(COUNT))
    np.testing.assert_array_equal(found["latent"], latents)
    np.testing.assert_array_equal(found["label"], labels)
    images = teacher(tf.constant(latents), tf.constant(labels))
    np.testing.assert_array_equal(found["teacher_image"], to_float(to_uint8(images)))
    assert len(np.unique(found["teacher_image"])) > 50
    assert 0.8 < np.abs(latents).max() <= 1.0  # two standard deviations of truncation 0.5


def test_a_sample_is_a_function_of_seed_and_number(tmp_path):
    make(tmp_path / "a", seed=3)
    make(tmp_path / "b", seed=3, count=13, shard_size=5, batch_size=3, encoding="raw")
    make(tmp_path / "c", seed=4)
    a, b, c = (samples(tmp_path / name) for name in "abc")
    for key in a:
        np.testing.assert_array_equal(a[key][:13], b[key])
    assert not np.array_equal(a["latent"], c["latent"])
    assert len(np.unique(a["latent"])) == a["latent"].size


def test_latents_of_a_given_seed_stay_what_they_were(tmp_path):
    """A cache that was begun with an earlier version is gone on with."""
    make(tmp_path, seed=7)
    drawn = tf.random.stateless_truncated_normal((4,), seed=(7, 5), alg="philox")
    np.testing.assert_array_equal(samples(tmp_path)["latent"][5], 0.5 * drawn)


def test_chosen_classes_take_turns(tmp_path):
    make(tmp_path, classes=(4, 1, 2))
    np.testing.assert_array_equal(samples(tmp_path)["label"], np.tile([4, 1, 2], 8)[:COUNT])


def test_batches_are_whole(tmp_path):
    teacher = PaintingTeacher()
    make(tmp_path, teacher)
    assert {len(labels) for _, labels in teacher.drawn} == {4}


def test_workers_in_folders_of_their_own_make_the_same_files(tmp_path):
    make(tmp_path / "whole")
    for worker in range(2):
        make(tmp_path / str(worker), worker=worker, workers=2)
        shutil.copytree(tmp_path / str(worker), tmp_path / "joined", dirs_exist_ok=True)
    make(tmp_path / "shared", worker=1, workers=2)
    make(tmp_path / "shared", worker=0, workers=2)
    assert files(tmp_path / "joined") == files(tmp_path / "shared") == files(tmp_path / "whole")
    assert not set(files(tmp_path / "0")) & set(files(tmp_path / "1")) - {
        "manifest.json",
        "class_embedding.npy",
    }


def test_a_second_call_draws_what_is_missing(tmp_path):
    make(tmp_path)
    before = files(tmp_path)
    (tmp_path / "shard-00001-of-00003.json").unlink()  # as if killed before it was written
    teacher = PaintingTeacher()
    make(tmp_path, teacher)
    assert len(teacher.drawn) == 2
    assert files(tmp_path) == before
    make(tmp_path, teacher)
    assert len(teacher.drawn) == 2


def test_a_truncated_shard_is_made_again(tmp_path):
    make(tmp_path)
    before = files(tmp_path)
    path = tmp_path / "shard-00000-of-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    make(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("teacher", "settings", "lines"),
    [
        ({"content": "others"}, {}, ["content_hash: "]),
        ({"truncation": 0.4}, {}, ["truncation: 0.4, in the folder 0.5"]),
        ({}, {"seed": 1}, ["seed: 1, in the folder 0"]),
        (
            {},
            {"count": 23, "classes": [0]},
            ["count: 23, in", "classes: [0], in the folder [0, 1,"],
        ),
        ({}, {"encoding": "raw"}, ['encoding: "raw", in the folder "png"']),
        ({}, {"batch_size": 8}, ["batch_size: 8, in the folder 4"]),
        ({"embedding": False}, {}, ["class_embedding: null"]),
    ],
)
def test_samples_of_different_settings_are_never_mixed(teacher, settings, lines, tmp_path):
    make(tmp_path, worker=0, workers=3)
    before = files(tmp_path)
    other = PaintingTeacher(**teacher)
    with pytest.raises(ValueError) as refusal:
        make(tmp_path, other, **settings)
    assert str(refusal.value).count("in the folder") == len(lines)
    assert all(f"\n  {line}" in str(refusal.value) for line in lines)
    assert files(tmp_path) == before and not other.drawn


def test_the_teacher_may_lie_elsewhere(tmp_path):
    make(tmp_path, worker=0, workers=2)
    moved = PaintingTeacher()
    moved.handle = "another/place"
    make(tmp_path, moved, worker=1, workers=2)
    assert len(samples(tmp_path)["label"]) == COUNT


def test_a_shard_of_another_cache_is_not_taken_for_ours(tmp_path):
    make(tmp_path / "a", worker=0, workers=3)
    make(tmp_path / "b", PaintingTeacher(content="others"), worker=1, workers=3)
    for path in (tmp_path / "b").glob("shard-*"):
        shutil.copy(path, tmp_path / "a")
    with pytest.raises(ValueError, match=r"shard-00001-of-00003.json is of another teacher"):
        make(tmp_path / "a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count=0. Expected 1 or more"),
        ({"seed": -1}, "seed=-1"),
        ({"shard_size": 0}, "shard_size=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"worker": 2, "workers": 2}, "worker=2 of workers=2. Expected a number from 0 to 1"),
        ({"worker": -1}, "worker=-1"),
        ({"encoding": "jpeg"}, "encoding='jpeg'. Expected png or raw"),
        ({"classes": [1, 5]}, r"the class 5. Expected .* numbers in \[0, 4\]"),
        ({"classes": [1, 1]}, "2 classes, 1 differ"),
        ({"classes": []}, "0 classes"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_drawn(settings, message, tmp_path):
    teacher = PaintingTeacher()
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "new", teacher, **settings)
    assert not teacher.drawn and not (tmp_path / "new").exists()


def test_a_teacher_has_to_say_what_it_is(tmp_path):
    teacher = PaintingTeacher()
    teacher.content_hash = None
    with pytest.raises(ValueError, match="teacher without content_hash"):
        make(tmp_path / "new", teacher)


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="no cache and holds 'thesis.tex'"):
        make(tmp_path)
    with pytest.raises(OSError, match="thesis.tex is not a directory. Expected a place"):
        make(tmp_path / "thesis.tex" / "cache")
    assert files(tmp_path) == {"thesis.tex": b""}


def test_an_edited_manifest_is_refused(tmp_path):
    make(tmp_path, worker=0, workers=3)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match="checksum isn't that of its lines"):
        make(tmp_path, seed=1)
    path.write_text("{")
    with pytest.raises(ValueError, match="can't be read"):
        make(tmp_path)


def test_nan_and_wrong_shapes_stop_before_a_shard_appears(tmp_path):
    class Broken(PaintingTeacher):
        def __call__(self, latents, labels):
            images = super().__call__(latents, labels)
            return images / 0.0 * 0.0 if len(self.drawn) == 4 else images

    with pytest.raises(ValueError, match="NaN"):
        make(tmp_path, Broken())
    assert [name for name in files(tmp_path) if name.startswith("shard")] == [
        "shard-00000-of-00003.json",
        "shard-00000-of-00003.tfrecord",
    ]
    teacher = PaintingTeacher()
    teacher.image_size = 16
    with pytest.raises(
        ValueError, match=r"images \(4, 8, 8, 3\) of painting/teacher. Expected \(4, 16"
    ):
        make(tmp_path / "new", teacher)


def test_a_full_disk_is_said_and_what_was_finished_stays(tmp_path, monkeypatch):
    make(tmp_path, worker=0, workers=3)

    def full(self, record):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tf.io.TFRecordWriter, "write", full)
        with pytest.raises(OSError, match="No space left on device.*goes on where it was"):
            make(tmp_path)
    assert len(files(tmp_path)) == 4  # manifest, embedding, one shard
    make(tmp_path)
    assert len(samples(tmp_path)["label"]) == COUNT


def test_an_error_of_the_teacher_is_not_taken_for_one_of_the_disk(tmp_path):
    class TooLarge(PaintingTeacher):
        def __call__(self, latents, labels):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(tf.errors.ResourceExhaustedError, match="OOM"):
        make(tmp_path, TooLarge())


def test_files_are_flushed_before_they_are_renamed(tmp_path, monkeypatch):
    order = []
    rename = tf.io.gfile.rename
    monkeypatch.setattr(os, "fsync", lambda _: order.append("flushed"))
    monkeypatch.setattr(
        tf.io.gfile, "rename", lambda *a, **k: (order.append("renamed"), rename(*a, **k))
    )
    storage.write_whole(str(tmp_path / "file"), b"content")
    assert order == ["flushed", "renamed"]


def test_progress_tells_rate_and_time_left_of_this_start():
    seconds, stream = iter([0.0, 100.0, 110.0, 200.0]), io.StringIO()
    bar = Progress(1000, done=400, stream=stream, clock=lambda: next(seconds))
    bar.advance(200)  # 200 images in 100 s
    bar.advance(100)  # soon after: no line
    bar.advance(300)
    assert [line.strip() for line in stream.getvalue().splitlines()] == [
        "600/1,000 images (60.0%), 2 images/s, 3 min 20 s left",
        "1,000/1,000 images (100.0%), 3 images/s, 0 s left",
    ]
    assert [duration(s) for s in (5, 65, 5025, 360000)] == [
        *("5 s", "1 min 05 s", "1 h 23 min", "100 h 00 min"),
    ]
