"""Files that appear whole or not at all, and errors that say what to do."""

import errno
import json

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras import files
from tinygan_keras.errors import ExistingFileError, MissingFileError, UnusableFileError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "picture.png"
    with files.new_file(path) as aside:
        assert aside.suffix == ".png" and not path.exists()
        aside.write_bytes(b"whole")
    with pytest.raises(KeyboardInterrupt), files.new_file(path) as aside:
        aside.write_bytes(b"ha")
        raise KeyboardInterrupt
    with pytest.raises(ExistingFileError, match=r"picture.png, which exists already"):
        files.write_bytes(path, b"other", replace=False)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"whole"]


@pytest.mark.parametrize(
    ("error", "place", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left"), "a", UnusableFileError),
        (FileNotFoundError(errno.ENOENT, "gone"), "a", MissingFileError),
        (tf.errors.UnavailableError(None, None, "down"), "gs://a", UnusableFileError),
        (tf.errors.NotFoundError(None, None, "gone"), "gs://a", MissingFileError),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), "a", tf.errors.OpError),
        (KeyError("x"), "gs://a", KeyError),
    ],
)
def test_errors_of_file_systems_and_no_others_say_what_to_do(error, place, expected):
    with pytest.raises(expected) as raised, files.file_errors(place):
        raise error
    if expected in (UnusableFileError, MissingFileError):
        assert f"at {place}: " in str(raised.value) and "choose another place" in str(raised.value)
    else:
        assert raised.value is error


def test_texts_have_the_same_bytes_everywhere(tmp_path):
    files.write_json(tmp_path / "a.json", {"name": "Schönes", "nan": float("nan")})
    files.write_text("ram://files/a.txt", "one\ntwo\n")
    assert (tmp_path / "a.json").read_bytes() == (
        '{\n  "name": "Schönes",\n  "nan": null\n}\n'.encode()
    )
    with tf.io.gfile.GFile("ram://files/a.txt", "rb") as stream:
        assert stream.read() == b"one\ntwo\n"
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert files.read_json(tmp_path / "a.json") == {"a": 1}


def test_hashes_tell_type_shape_and_values_apart(tmp_path):
    arrays = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), "float32"), np.ones((2, 3))]
    assert len({files.content_hash(array) for array in [*arrays, np.zeros(())]}) == 5
    assert files.content_hash("a", "b") != files.content_hash("ab")
    (tmp_path / "a").write_bytes(b"x")
    assert files.content_hash(tmp_path / "a") == files.content_hash(b"x")
