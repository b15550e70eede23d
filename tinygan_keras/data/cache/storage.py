"""The files of a cache: on a local disk, or wherever TensorFlow's file systems reach (gs://, hdfs://).

A file appears whole or not at all: it is written under a name of its own and renamed. Names are never
shared between writers, since two of them may make the same file at the same time.
"""

import contextlib
import os
import uuid

import tensorflow as tf

_UNFINISHED = ".unfinished-"
PROBE = ".writable"
_CHUNK = 1 << 22
_ATTEMPTS = 3


def join(folder, name: str) -> str:
    return os.path.join(os.fspath(folder), name)


def make_folder(folder):
    """Makes a folder and those above it.

    Raises:
        OSError: it can't be made, or written to.
    """
    probe = join(folder, f"{PROBE}{_UNFINISHED}{uuid.uuid4().hex}")
    try:
        tf.io.gfile.makedirs(os.fspath(folder))
        with tf.io.gfile.GFile(probe, "wb") as file:
            file.write(b"")
        tf.io.gfile.remove(probe)
    except tf.errors.OpError as error:
        raise PermissionError(
            f"Got the folder {folder}, where nothing can be written ({error.message}). Expected one that "
            "is there or can be made, and is yours. Choose another."
        ) from error


def names_in(folder) -> list:
    """The names of the files of a folder, sorted; empty if there is none."""
    try:
        return sorted(tf.io.gfile.listdir(os.fspath(folder)))
    except tf.errors.OpError:
        return []


def read(path) -> bytes | None:
    """The content of a file; None if there is none."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError:
        return None


def size(path) -> int | None:
    """Bytes of a file; None if there is none."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        return None


def chunks(path):
    """Yields the content of a file in pieces."""
    with tf.io.gfile.GFile(path, "rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def write_whole(path, data: bytes):
    """Writes a small file, in place of what may be there."""

    def write():
        with unfinished(path) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(data)

    persist(write)


def persist(write):
    """Calls `write` again if its unfinished file disappeared.

    Then another writer of the same file started just now, and took ours for that of a killed one.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return write()
        except tf.errors.NotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise


@contextlib.contextmanager
def unfinished(path):
    """Yields a name to write to; what is there at the end is renamed to `path`, and else removed."""
    temporary = f"{path}{_UNFINISHED}{uuid.uuid4().hex}"
    try:
        yield temporary
        _flush(temporary)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(temporary)
        raise


def remove_unfinished(folder, names):
    """Removes what killed writers of the files with these names left behind."""
    names = set(names)
    for left in names_in(folder):
        if _UNFINISHED in left and left.partition(_UNFINISHED)[0] in names:
            with contextlib.suppress(tf.errors.NotFoundError):
                tf.io.gfile.remove(join(folder, left))


def _flush(path):
    """After a power failure, a renamed file whose bytes never reached the disk would be empty."""
    if "://" not in path:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
