"""Data that breaks while a training reads it: one message, with the file and the fix."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from tinygan_keras.runs.distill import data_errors_in_words


def read(data_set, cache=None):
    with data_errors_in_words(cache):
        list(data_set)


def test_a_damaged_shard_sends_to_the_verification_of_its_cache(tmp_path):
    path = tmp_path / "shard.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"sample")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    records = tf.data.TFRecordDataset(str(path))
    with pytest.raises(OSError, match=r"tinygan cache --out=somewhere --verify"):
        read(records, SimpleNamespace(folder="somewhere"))


def test_a_file_that_has_gone_is_named(tmp_path):
    gone = tf.data.TFRecordDataset(str(tmp_path / "gone.tfrecord"))
    with pytest.raises(OSError, match=r"gone.tfrecord.*good copy in its place"):
        read(gone)


def test_other_errors_are_left_as_they_are():
    wrong = tf.data.Dataset.from_tensors(b"no photo").map(tf.io.decode_jpeg)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(wrong)
