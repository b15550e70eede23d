"""Files and folders that appear whole or not at all, on a disk or behind a URL (gs://, hdfs://).

Paths with "://" go through TensorFlow's file systems, all others through Python's.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import numpy as np

from .errors import ExistingFileError, InputError, MissingFileError, UnusableFileError, UserError

UNFINISHED = ".unfinished-"
_CHUNK = 1 << 22


def is_url(path) -> bool:
    """Whether TensorFlow's file systems have to be asked for it."""
    return "://" in os.fspath(path)


def user_path(path):
    """The path that a user means: `~` is the home folder. A URL stays a string."""
    return os.fspath(path) if is_url(path) else Path(path).expanduser()


@contextlib.contextmanager
def new_file(path, replace=True):
    """Yields a name to write to, with the suffix of `path`; renamed to it at the end, and else removed."""
    path = user_path(path)
    if not replace and (_gfile().exists(path) if is_url(path) else path.exists()):
        raise _existing(path)
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f"{UNFINISHED}{uuid.uuid4().hex[:12]}-{name}")
    with file_errors(path):
        _make_folder(folder)
        try:
            yield aside if is_url(path) else Path(aside)
            if is_url(path):
                _gfile().rename(aside, path, overwrite=True)
            else:
                _flush(aside)
                os.replace(aside, path) if replace else _rename_to_new(aside, path)
                with contextlib.suppress(OSError):  # not on Windows, nor on every disk
                    _flush(folder or ".")
        finally:
            _remove(aside)


@contextlib.contextmanager
def new_folder(path, replace=False):
    """Yields a new `Path`; the folder made there is renamed to `path`, or removed.

    A folder that is there already is refused, or deleted at the very end if `replace` is set.
    """
    if is_url(path):
        raise InputError(
            f"Got {path!r} to write a folder to. Expected a folder on a disk. Write it to one, and copy it "
            "there as a whole."
        )
    path = Path(user_path(path))
    if path.exists() and not replace:
        raise _existing(path)
    with file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside `path`, because a rename needs the same disk; a folder inside, because the temporary one is
        # readable by its owner alone. Model servers skip a name that isn't a number.
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}{UNFINISHED}", ignore_cleanup_errors=True
        ) as aside:
            unfinished = Path(aside) / path.name
            yield unfinished
            if path.exists() and not replace:
                raise _existing(path)
            if path.exists():
                shutil.rmtree(path)
            unfinished.rename(path)


def write_bytes(path, data: bytes, replace=True):
    """Writes a file, whole or not at all."""
    with (
        new_file(path, replace) as aside,
        _gfile().GFile(aside, "wb") if is_url(aside) else open(aside, "wb") as stream,
    ):
        stream.write(data)


def write_text(path, text: str):
    """Writes a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path, value):
    """Writes `plain(value)` as a JSON file."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def read_text(path) -> str:
    """Reads a text file in UTF-8, with or without a byte order mark."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Got {path}, whose byte {error.start} isn't UTF-8. Expected a text file in UTF-8. Save it in "
            "that encoding."
        ) from error


def read_json(path) -> dict:
    """Reads a JSON file that holds settings by name."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"Got {path}, which can't be read: {error}. Expected JSON. Fix or delete it."
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"Got {path} with a {type(value).__name__}. Expected settings by name. Fix or delete it."
        )
    return value


def check_writable(path, what="the output"):
    """Tries whether files can be written in the folder `path`, and leaves nothing behind."""
    if is_url(path):
        raise InputError(
            f"Got {path} for {what}. Expected a folder on a disk. Write there, and copy it to where others "
            "find it: tinygan export --format=hub makes a repository that hf upload takes."
        )
    folder = Path(user_path(path))
    if folder.is_file():
        raise UnusableFileError(
            f"Got {folder} for {what}, which is a file. Expected a folder, existing or new. Choose "
            "another name."
        )
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        for attempts_left in (2, 1, 0):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    return
            except FileNotFoundError:  # another command has just tried the same folder
                if not attempts_left:
                    raise
    except OSError as error:
        raise UnusableFileError(
            f"Got {folder} for {what}, where nothing can be written ({error.strerror}). Expected a folder "
            "that you may write to. Choose another."
        ) from error
    finally:
        for place in new:
            with contextlib.suppress(OSError):
                place.rmdir()


def check_room(path, needed: int, what):
    """Refuses a place on a disk with less free space than so many bytes; `what` they are for."""
    if is_url(path):
        return
    place = Path(user_path(path)).absolute()
    place = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UnusableFileError(
            f"Got {free >> 20:,} MiB of free space at {place}. Expected {needed >> 20:,} MiB for {what}. "
            "Free some space, or choose another place."
        )


@contextlib.contextmanager
def file_errors(path, tensorflow=False):
    """Turns errors of file systems into `UserError`; TensorFlow's too at a URL, or if `tensorflow` says so.

    Elsewhere an error of TensorFlow may be one of the computation whose result is written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        from_tensorflow = type(error).__module__.startswith("tensorflow")
        if not isinstance(error, OSError) and not (
            from_tensorflow and (tensorflow or is_url(path))
        ):
            raise
        missing = isinstance(error, FileNotFoundError) or type(error).__name__ == "NotFoundError"
        raise (MissingFileError if missing else UnusableFileError)(
            f"Got an error of the file system at {path}: {error}. Expected a place that can be read and "
            "written, with room. Fix that or choose another place, and give the same command again."
        ) from error


def content_hash(*parts) -> str:
    """SHA-256 (hex) of what a thing consists of, the one hash of this package.

    Args:
        *parts: Strings, bytes, arrays (type, shape and values count), `Path`s (the content of a file; of a
            folder, names and contents of all files in it), or anything that JSON can hold.
    """
    digest = hashlib.sha256()
    for part in parts:
        _add(digest, part)
        digest.update(b"\0")
    return digest.hexdigest()


def _add(digest, part):
    if isinstance(part, bytes):
        digest.update(part)
    elif isinstance(part, str):
        digest.update(os.fsencode(part))
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype.str} {part.shape}\n".encode())
        rows = np.atleast_1d(part)
        step = max(1, _CHUNK // max(1, rows[:1].nbytes))
        for start in range(0, len(rows), step):
            digest.update(rows[start : start + step].tobytes())  # bfloat16 has no buffer
    elif isinstance(part, Path) and part.is_dir():
        for file in sorted(f for f in part.rglob("*") if f.is_file()):
            digest.update(os.fsencode(file.relative_to(part).as_posix()) + b"\0")
            _add(digest, file)
    elif isinstance(part, Path):
        with open(part, "rb") as stream:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
    else:
        digest.update(json.dumps(plain(part), sort_keys=True).encode())


def plain(value):
    """Converts to what JSON can hold; a number that is not finite becomes None: JSON has no word for it."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):  # NumPy numbers and arrays
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(
        f"Got {value!r} of type {type(value).__name__} to write as JSON. Expected numbers, strings, lists "
        "and dicts; convert it first."
    )


def _existing(path):
    return ExistingFileError(
        f"Got {path}, which exists already. Expected a new name, as it is never replaced. Choose another "
        "name, or delete it first."
    )


def _rename_to_new(aside, path):
    try:
        os.link(aside, path)  # looks whether there is one and names it in one step
    except OSError:  # there is one, or no hard links
        if path.exists():
            raise _existing(path) from None
        os.replace(aside, path)


def _make_folder(folder):
    if is_url(folder):
        _gfile().makedirs(folder)
    else:
        Path(folder).mkdir(parents=True, exist_ok=True)


def _remove(path):
    """Removes an unfinished file if it is still there."""
    if not is_url(path):
        Path(path).unlink(missing_ok=True)
    elif _gfile().exists(path):
        _gfile().remove(path)


def _flush(path):
    """Waits until a file, or a folder's list of names, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _gfile():
    import tensorflow as tf  # here, since most commands write to a disk and answer mistakes at once

    return tf.io.gfile
