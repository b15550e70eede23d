"""Reading a teacher-sample cache: its batches, their order, and what is not read."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import COUNT, PaintingTeacher, make, samples
from tensorflow.python.data.experimental.ops.distribute import _AutoShardDataset

from tinygan_keras.data.records.reading import TeacherCache


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "cache"
    make(folder)
    return folder


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copied")


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def test_a_cache_says_what_it_holds(folder):
    cache = TeacherCache(folder)
    teacher = PaintingTeacher()
    for name in ("latent_dim", "num_classes", "image_size", "truncation", "content_hash"):
        assert getattr(cache, name) == getattr(teacher, name)
    assert cache.count == COUNT and cache.teacher == teacher.handle
    assert cache.classes == (0, 1, 2, 3, 4)
    np.testing.assert_array_equal(cache.class_embedding, teacher.class_embedding)
    assert "22 samples of painting/teacher" in repr(cache)


def test_a_teacher_may_have_no_class_embedding(tmp_path):
    make(tmp_path, PaintingTeacher(embedding=False))
    assert TeacherCache(tmp_path).class_embedding is None


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


def test_every_pass_shows_every_sample_once(folder):
    batches = take(TeacherCache(folder).batches(11, seed=1), 4)
    seen = np.concatenate([batch["latent"] for batch in batches])
    everything = np.unique(samples(folder)["latent"], axis=0)
    for one_pass in (seen[:COUNT], seen[COUNT:]):
        np.testing.assert_array_equal(np.unique(one_pass, axis=0), everything)
    assert not np.array_equal(seen[:COUNT], seen[COUNT:])


def test_a_later_start_continues_the_same_sequence(folder):
    cache = TeacherCache(folder)
    whole = take(cache.batches(5, seed=3), 9)
    rest = take(TeacherCache(folder).batches(5, seed=3, start_step=6), 3)
    for expected, got in zip(whole[6:], rest, strict=True):
        for key in expected:
            np.testing.assert_array_equal(got[key], expected[key])
    assert not np.array_equal(take(cache.batches(5, seed=4), 1)[0]["label"], whole[0]["label"])


def test_hosts_of_a_strategy_share_every_batch(folder):
    """Together they see each sample once in a pass; a split of the files would lose some."""
    cache = TeacherCache(folder)
    hosts = [_AutoShardDataset(cache.batches(11, seed=1), 2, host) for host in range(2)]
    seen = np.concatenate([batch["latent"] for host in hosts for batch in take(host, 1)])
    everything = np.unique(samples(folder)["latent"], axis=0)
    np.testing.assert_array_equal(np.unique(seen, axis=0), everything)


def test_fewer_samples_than_a_batch_are_refused(folder):
    TeacherCache(folder).batches(COUNT)
    with pytest.raises(ValueError, match="batch_size=23 .* with 22 samples"):
        TeacherCache(folder).batches(COUNT + 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.with_suffix(".json").unlink(),
    ],
    ids=["no shard", "half a shard", "not finished"],
)
def test_a_shard_that_is_not_finished_is_missed(damage, copied):
    damage(copied / "shard-00001-of-00003.tfrecord")
    with pytest.raises(ValueError, match="2 of 3 shards; missing: shard-00001-of-00003"):
        TeacherCache(copied)


def test_what_is_no_cache_is_said(copied, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no manifest.json"):
        TeacherCache(tmp_path / "nothing")
    for path in copied.glob("shard-*"):
        path.unlink()
    with pytest.raises(ValueError, match="0 of 3 shards"):
        TeacherCache(copied)


def test_a_damaged_class_embedding_is_not_used(copied):
    path = copied / "class_embedding.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="class_embedding.npy was changed, or damaged"):
        _ = TeacherCache(copied).class_embedding
    path.unlink()
    with pytest.raises(ValueError, match="class_embedding.npy is missing"):
        _ = TeacherCache(copied).class_embedding


def test_a_flipped_bit_stops_the_reading(copied):
    path = copied / "shard-00001-of-00003.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        take(TeacherCache(copied).batches(COUNT), 1)
