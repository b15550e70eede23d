"""The files of a cache: on a local disk, or wherever TensorFlow's file systems reach (gs://, hdfs://).

A file appears whole or not at all: it is written under a name of its own and renamed. Names are never
shared between writers, since two of them may make the same file at the same time.
"""

import contextlib
import os
import uuid

import tensorflow as tf

from ...errors import UnusableFileError

_UNFINISHED = ".unfinished-"
_PROBE = ".writable"
_CHUNK = 1 << 22
_ATTEMPTS = 3


def join(folder, name: str) -> str:
    return os.path.join(os.fspath(folder), name)


@contextlib.contextmanager
def held(folder):
    """Makes a folder and those above it, tries whether it can be written to, and keeps it from being empty.

    A command that only tries its folder takes an empty one away again, at this moment perhaps.

    Raises:
        OSError: it can't be made, or written to.
    """
    probe = join(folder, f"{_PROBE}{_UNFINISHED}{uuid.uuid4().hex}")

    def make():
        tf.io.gfile.makedirs(os.fspath(folder))
        with tf.io.gfile.GFile(probe, "wb") as file:
            file.write(b"")

    persist(folder, make)
    try:
        yield
    finally:
        _remove(probe)


def names_in(folder) -> list:
    """The names of the files of a folder, sorted.

    Raises:
        OSError: it can't be read, or there is none: TensorFlow doesn't tell these apart.
    """
    with _told(folder):
        return sorted(tf.io.gfile.listdir(os.fspath(folder)))


def read(path) -> bytes | None:
    """The content of a file; None if there is none.

    Raises:
        OSError: it can't be read.
    """
    with _told(path):
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                return file.read()
        except tf.errors.NotFoundError:
            return None


def size(path) -> int | None:
    """Bytes of a file; None if there is none.

    Raises:
        OSError: the file system doesn't say.
    """
    with _told(path):
        try:
            return tf.io.gfile.stat(path).length
        except tf.errors.NotFoundError:
            return None


def chunks(path):
    """Yields the content of a file in pieces."""
    with tf.io.gfile.GFile(path, "rb") as file:
        while piece := file.read(_CHUNK):
            yield piece


def write_whole(path, data: bytes, replace=True):
    """Writes a small file, in place of what may be there; without `replace`, only if nothing is.

    Then the first of several writers wins. Where there are no hard links, as behind a URL, one that comes
    within the same moment may win too.

    Raises:
        OSError: it can't be written.
    """

    def write():
        with unfinished(path, replace) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(data)

    persist(path, write)


def persist(path, write):
    """Returns what `write` does, and calls it again if its unfinished file disappeared.

    Then another writer of the same file started just now, and took ours for that of a killed one.

    Raises:
        OSError: the file system refuses.
    """
    with _told(path):
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(tf.errors.NotFoundError, FileNotFoundError):
                return write()
        return write()


@contextlib.contextmanager
def unfinished(path, replace=True):
    """Yields a name to write to; what is there at the end is renamed to `path`, and else removed."""
    temporary = f"{path}{_UNFINISHED}{uuid.uuid4().hex}"
    try:
        yield temporary
        _flush(temporary)
        if replace:
            tf.io.gfile.rename(temporary, path, overwrite=True)
        else:
            _rename_to_new(temporary, path)
    finally:
        _remove(temporary)


def remove_unfinished(folder, names):
    """Removes what killed writers of the files with these names left behind."""
    names = set(names)
    for left in names_in(folder):
        if _UNFINISHED in left and left.partition(_UNFINISHED)[0] in names:
            _remove(join(folder, left))


def _rename_to_new(temporary, path):
    try:
        os.link(temporary, path)  # looks whether there is one and names it in one step
    except OSError:
        if read(path) is None:
            tf.io.gfile.rename(temporary, path, overwrite=True)


def _remove(path):
    """Removes what another may have removed before; what stays does no harm."""
    with contextlib.suppress(tf.errors.OpError):
        tf.io.gfile.remove(path)


def _flush(path):
    """After a power failure, a renamed file whose bytes never reached the disk would be empty."""
    if "://" not in path:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _told(path):
    """Makes TensorFlow's errors those of Python, with what to do about them."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise UnusableFileError(
            f"Got an error of the file system at {path}: {error}. Expected a place that can be read and "
            "written, with room. Mend that, or choose another, and give the same command again: it goes "
            "on where it was."
        ) from error
