"""The teacher-sample cache: its samples are pictures, its batches what a student learns from."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import COUNT, SETTINGS, PaintingTeacher, files, make, samples
from tensorflow.python.data.experimental.ops.distribute import _AutoShardDataset

from tinygan_keras.data.records.record_writer import write_records
from tinygan_keras.data.teacher_cache import TeacherCache, verify_cache
from tinygan_keras.data.teacher_samples import sample_teacher
from tinygan_keras.images import to_float, to_uint8
from tinygan_keras.latents import latents_of_seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "cache"
    make(folder)
    return folder


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


# Writing


def test_a_sample_is_the_picture_of_its_class_seed_and_truncation(tmp_path):
    teacher = PaintingTeacher()
    make(tmp_path, teacher, seed=7, classes=(1, 2, 4))
    found = samples(tmp_path)
    latents = latents_of_seeds(7 + np.arange(COUNT), 4, teacher.truncation)
    labels = np.tile([1, 2, 4], 8)[:COUNT]
    np.testing.assert_array_equal(found["latent"], latents)
    np.testing.assert_array_equal(found["label"], labels)
    images = teacher(tf.constant(latents), tf.constant(labels))
    np.testing.assert_array_equal(found["teacher_image"], to_float(to_uint8(images)))
    assert len(np.unique(found["teacher_image"])) > 50
    records = tf.data.TFRecordDataset(sorted(map(str, tmp_path.glob("*.tfrecord"))))
    features = [
        tf.train.Example.FromString(r).features.feature for r in records.as_numpy_iterator()
    ]
    assert [f["seed"].int64_list.value[0] for f in features] == list(range(7, 7 + COUNT))
    assert [f["index"].int64_list.value[0] for f in features] == list(range(COUNT))


def test_samples_do_not_depend_on_shards_batches_encoding_or_where_they_are_kept(tmp_path):
    make(tmp_path / "a", seed=3)
    make(tmp_path / "b", seed=3, count=13, shard_size=5, batch_size=3, encoding="raw")
    a, b = samples(tmp_path / "a"), samples(tmp_path / "b")
    for key in a:
        np.testing.assert_array_equal(a[key][:13], b[key])
    in_memory = sample_teacher(PaintingTeacher(), 13, seed=3, progress=False)
    np.testing.assert_array_equal(in_memory.latents, b["latent"])
    np.testing.assert_array_equal(in_memory.labels, b["label"])
    np.testing.assert_array_equal(to_float(in_memory.images), b["teacher_image"])


def test_batches_of_the_teacher_are_whole(tmp_path):
    teacher = PaintingTeacher()
    make(tmp_path, teacher)
    assert {len(labels) for _, labels in teacher.calls} == {4}


def test_the_teacher_may_be_in_another_place(tmp_path):
    make(tmp_path, worker=0, workers=2)
    moved = PaintingTeacher()
    moved.handle = "another/place"
    assert make(tmp_path, moved, worker=1, workers=2) == []
    assert TeacherCache(tmp_path).teacher == "painting/teacher"


@pytest.mark.parametrize(
    ("teacher", "settings", "lines"),
    [
        ({"content": "others"}, {}, ["content_hash: "]),
        ({"truncation": 0.4}, {}, ["truncation: 0.4, in the folder 0.5"]),
        ({}, {"seed": 1}, ["seed: 1, in the folder 0"]),
        ({}, {"classes": [0]}, ["classes: [0], in the folder [0, 1,"]),
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
    assert files(tmp_path) == before and not other.calls


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count=0. Expected 1 or more"),
        ({"seed": -1}, "seeds=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"shard_size": 0}, "shard_size=0"),
        ({"worker": 2, "workers": 2}, "worker=2 of workers=2. Expected a number from 0 to 1"),
        ({"worker": -1}, "worker=-1"),
        ({"encoding": "jpeg"}, "encoding='jpeg'. Expected png or raw"),
        ({"classes": [1, 5]}, "class 5. Expected"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_generated(settings, message, tmp_path):
    teacher = PaintingTeacher()
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "new", teacher, **settings)
    assert not teacher.calls and not (tmp_path / "new").exists()


def test_a_teacher_has_to_say_what_it_is(tmp_path):
    teacher = PaintingTeacher()
    teacher.content_hash = None
    with pytest.raises(ValueError, match="teacher without content_hash"):
        make(tmp_path / "new", teacher)


def test_nan_and_wrong_sizes_stop_before_a_shard_appears(tmp_path):
    class Broken(PaintingTeacher):
        def __call__(self, latents, labels):
            images = super().__call__(latents, labels)
            return images / 0.0 * 0.0 if len(self.calls) == 4 else images

    with pytest.raises(ValueError, match="NaN"):
        make(tmp_path, Broken())
    assert len(list(tmp_path.glob("*.tfrecord"))) == 1
    teacher = PaintingTeacher()
    teacher.image_size = 16
    with pytest.raises(ValueError, match=r"image uint8 \(8, 8, 3\).* Expected uint8 \(16, 16, 3\)"):
        make(tmp_path / "new", teacher)


@pytest.mark.full
def test_kill_9_of_a_process_costs_what_was_not_finished(tmp_path):
    settings = {**SETTINGS, "count": 80}
    program = (
        "from cache_fixtures import *\n"
        f"write_cache(PaintingTeacher(delay=0.1), {str(tmp_path / 'killed')!r}, **{settings})"
    )
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), str(root.parent)])
    child = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}
    )
    deadline = time.monotonic() + 120
    while len(finished := list((tmp_path / "killed").glob("teacher-*.tfrecord"))) < 3:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    teacher = PaintingTeacher()
    make(tmp_path / "killed", teacher, count=80)
    assert 10 <= len(teacher.calls) <= 2 * (10 - len(finished))
    make(tmp_path / "whole", count=80)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


# Reading


def test_a_cache_says_what_it_holds(folder):
    cache, teacher = TeacherCache(folder), PaintingTeacher()
    for name in ("latent_dim", "num_classes", "image_size", "truncation", "content_hash"):
        assert getattr(cache, name) == getattr(teacher, name)
    assert cache.count == COUNT and cache.teacher == teacher.handle
    assert cache.classes == (0, 1, 2, 3, 4) and cache.class_names is None
    np.testing.assert_array_equal(cache.labels, np.resize(cache.classes, COUNT))
    np.testing.assert_array_equal(cache.class_embedding, teacher.class_embedding)
    assert "22 samples of painting/teacher" in repr(cache)


def test_class_names_are_kept_and_a_class_embedding_need_not_be(tmp_path):
    make(tmp_path, PaintingTeacher(embedding=False), class_names=tuple("abcde"), classes="b, e")
    cache = TeacherCache(tmp_path)
    assert cache.class_embedding is None and cache.class_names == list("abcde")
    assert cache.classes == (1, 4)


def test_batches_hold_what_belongs_together(folder):
    batches = TeacherCache(folder).batches(6, seed=1)
    assert {k: (v.dtype, v.shape) for k, v in batches.element_spec.items()} == {
        "latent": (tf.float32, (6, 4)),
        "label": (tf.int32, (6,)),
        "teacher_image": (tf.float32, (6, 8, 8, 3)),
    }
    expected = samples(folder)
    place = {latent.tobytes(): number for number, latent in enumerate(expected["latent"])}
    for batch in take(batches, 5):
        numbers = [place[latent.tobytes()] for latent in batch["latent"]]
        for key in batch:
            np.testing.assert_array_equal(batch[key], expected[key][numbers])


def test_hosts_of_a_strategy_share_every_batch(folder):
    """Together they see each sample once in a pass; a split of the files would lose some."""
    cache = TeacherCache(folder)
    hosts = [_AutoShardDataset(cache.batches(11, seed=1), 2, host) for host in range(2)]
    seen = np.concatenate([batch["latent"] for host in hosts for batch in take(host, 1)])
    everything = np.unique(samples(folder)["latent"], axis=0)
    np.testing.assert_array_equal(np.unique(seen, axis=0), everything)


def test_a_damaged_class_embedding_is_not_used(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copied")
    path = copied / "class_embedding.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(OSError, match="class_embedding.npy was changed or damaged"):
        _ = TeacherCache(copied).class_embedding
    path.unlink()
    assert verify_cache(copied, progress=False) == ["class_embedding.npy is missing"]
    make(copied)
    assert files(copied) == files(folder)


def test_the_teacher_is_compared_if_given(folder):
    ours = PaintingTeacher().content_hash
    assert verify_cache(folder, ours, progress=False) == []
    (problem,) = verify_cache(folder, "0" * 64, progress=False)
    assert problem == (
        f"settings.json is of another teacher: content hash {ours[:12]}..., not 000000000000..."
    )


def test_real_images_are_no_cache(tmp_path):
    settings = {"kind": "real images", "image_size": 8, "num_classes": None}
    examples = [{"image": np.zeros((8, 8, 3), "uint8")}]
    write_records(tmp_path, settings, 1, 1, lambda start, stop: examples, progress=False)
    with pytest.raises(ValueError, match="holds real images. Expected samples of a teacher"):
        TeacherCache(tmp_path)
