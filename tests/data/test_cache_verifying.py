"""`verify_cache` finds what is wrong with a cache and names it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import PaintingTeacher, files, make

from tinygan_keras.data.records import storage
from tinygan_keras.data.records.reading import TeacherCache
from tinygan_keras.data.records.verifying import verify_cache

SHARD = "shard-00001-of-00003"


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Three caches with shards of the same names."""
    folder = tmp_path_factory.mktemp("caches")
    make(folder / "ours")
    make(folder / "teacher", PaintingTeacher(content="others"))
    make(folder / "seed", seed=1)
    return folder


@pytest.fixture
def copied(caches, tmp_path):
    return shutil.copytree(caches / "ours", tmp_path / "copied")


def problems(folder):
    return verify_cache(folder, progress=False)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_whole_cache_has_no_problems(caches):
    for folder in caches.iterdir():
        assert problems(folder) == []


@pytest.mark.parametrize("name", [f"{SHARD}.tfrecord", f"{SHARD}.json", "class_embedding.npy"])
def test_any_flipped_bit_is_found(name, copied):
    path = copied / name
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 15, replace=False):
        flip(path, int(bit))
        (problem,) = problems(copied)
        assert problem.startswith(name.removesuffix(".json")), problem
        path.write_bytes(whole)
    assert problems(copied) == []


def test_any_flipped_bit_of_the_manifest_is_found(copied):
    path = copied / "manifest.json"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 15, replace=False):
        flip(path, int(bit))
        if path.read_bytes().split() != whole.split():  # between the lines, it changes nothing
            with pytest.raises(ValueError, match="manifest.json"):
                problems(copied)
        path.write_bytes(whole)


def test_missing_and_truncated_shards_are_named(copied):
    path = copied / f"{SHARD}.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    (problem,) = problems(copied)
    assert problem.startswith(f"{SHARD}.tfrecord is truncated")
    path.write_bytes(path.read_bytes() + bytes(20))
    assert f"{SHARD}.tfrecord is too long" in problems(copied)[0]
    path.unlink()
    assert problems(copied) == [f"{SHARD}.tfrecord is missing, only its side file is there"]
    (copied / f"{SHARD}.json").unlink()
    assert problems(copied) == [f"{SHARD}.tfrecord is missing"]


def test_a_shard_without_a_side_file_was_not_finished(copied):
    (copied / f"{SHARD}.json").unlink()
    assert problems(copied) == [f"{SHARD}.tfrecord was not finished: it has no side file"]


@pytest.mark.parametrize(
    ("other", "message"),
    [("teacher", "is of another teacher"), ("seed", "is of a cache of this teacher with other")],
)
def test_a_shard_of_another_cache_is_named(other, message, caches, copied):
    shutil.copy(caches / other / f"{SHARD}.tfrecord", copied)
    (problem,) = problems(copied)
    assert problem.startswith(f"{SHARD}.tfrecord {message}")
    (copied / f"{SHARD}.json").unlink()
    assert problems(copied) == [problem]
    shutil.copy(caches / other / f"{SHARD}.json", copied)
    (problem,) = problems(copied)
    assert problem.startswith(f"{SHARD}.json {message}")


def test_a_shard_in_another_ones_place_is_named(copied):
    for suffix in (".json", ".tfrecord"):
        shutil.copy(copied / f"shard-00000-of-00003{suffix}", copied / f"{SHARD}{suffix}")
    assert problems(copied) == [
        f"{SHARD}.json is that of shard 0 with 8 samples, under another name"
    ]


def test_shards_of_another_number_are_named(copied):
    shutil.copy(copied / f"{SHARD}.json", copied / "shard-00001-of-00004.json")
    assert problems(copied) == [
        "shard-00001-of-00004.json is of a cache with another number of shards"
    ]


def test_a_cache_may_lie_where_only_tensorflow_reaches(caches):
    url = "ram://cache"
    make(url)
    assert problems(url) == [] and TeacherCache(url).count == 22
    for name, content in files(caches / "ours").items():
        assert storage.read(f"{url}/{name}") == content
    tf.io.gfile.remove(f"{url}/{SHARD}.tfrecord")
    assert problems(url) == [f"{SHARD}.tfrecord is missing, only its side file is there"]


def test_every_problem_is_told(copied):
    flip(copied / f"{SHARD}.tfrecord", 5000)
    (copied / "shard-00002-of-00003.tfrecord").unlink()
    (copied / "class_embedding.npy").unlink()
    assert [problem.split()[0] for problem in problems(copied)] == [
        *("class_embedding.npy", f"{SHARD}.tfrecord", "shard-00002-of-00003.tfrecord"),
    ]


def test_the_teacher_is_compared_if_given(copied):
    assert verify_cache(copied, PaintingTeacher().content_hash, progress=False) == []
    (problem,) = verify_cache(copied, "0" * 64, progress=False)
    ours = PaintingTeacher().content_hash[:12]
    assert problem == (
        f"manifest.json is of another teacher: content hash {ours}..., not 000000000000..."
    )


def test_what_was_found_is_mended_by_making_it_again(copied):
    whole = files(copied)
    (copied / f"{SHARD}.tfrecord").unlink()
    for damage in (Path.unlink, lambda path: flip(path, 1000)):
        damage(copied / "class_embedding.npy")
        assert problems(copied)
        make(copied)
        assert files(copied) == whole and problems(copied) == []


@pytest.mark.parametrize("name", [f"{SHARD}.tfrecord", f"{SHARD}.json", "class_embedding.npy"])
def test_what_cannot_be_read_is_told_with_all_the_rest(name, copied):
    (copied / name).unlink()
    (copied / name).mkdir()
    (copied / "shard-00002-of-00003.tfrecord").unlink()
    unreadable, missing = problems(copied)
    assert f"{name.split('.')[0]}" in unreadable and "can't be read" in unreadable
    assert "Is a directory" in unreadable
    assert missing.startswith("shard-00002-of-00003.tfrecord is missing")
