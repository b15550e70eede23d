"""Data that breaks while a training reads it: one message, with the file and the fix."""

import pytest
import tensorflow as tf
from image_tree_fixtures import write_classes, write_image

from tinygan_keras.data.image_sets import open_images
from tinygan_keras.runs.distill import errors_in_words
from tinygan_keras.runs.run_folder import RunFolder


def read(data_set, cache=""):
    with errors_in_words(cache):
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
        read(records, "somewhere")


def test_a_file_that_has_gone_is_named(tmp_path):
    gone = tf.data.TFRecordDataset(str(tmp_path / "gone.tfrecord"))
    with pytest.raises(OSError, match=r"gone.tfrecord.*Put good copies"):
        read(gone)


def test_other_errors_are_left_as_they_are():
    wrong = tf.data.Dataset.from_tensors(b"no photo").map(tf.io.decode_jpeg)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(wrong)


def test_a_resumed_run_goes_on_without_images_that_are_gone_and_names_all_changes(tmp_path, capsys):
    data, folder = write_classes(tmp_path / "data", cat=4), RunFolder(tmp_path / "run")

    def begin():
        images = open_images(data)
        folder.begin({}, {"real images": images.fingerprint}, real_images=images)

    begin()
    (data / "cat" / "2.png").unlink()
    begin()
    assert "1 gone (cat/2.png). The training goes on without them" in capsys.readouterr().out
    begin()
    assert not capsys.readouterr().out
    write_image(data / "cat" / "9.png")
    with pytest.raises(ValueError, match=r"other real images .*1 new \(cat/9.png\)"):
        begin()
