"""Mistakes in the flags of several commands, found before anything is computed."""

import contextlib
import tempfile
from pathlib import Path

from ..errors import InputError, UnusableFileError

_ATTEMPTS = 3


def check_truncation(truncation: float | None):
    """Raises ValueError unless it is None or in (0, 1]."""
    if truncation is not None and not 0 < truncation <= 1:
        raise InputError(
            f"Got --truncation={truncation}. Expected a number in (0, 1]. Leave it out for the "
            "truncation of the training."
        )


def check_seed(seed: int | None):
    """Raises ValueError unless it is None, or 0 or more."""
    if seed is not None and seed < 0:
        raise InputError(
            f"Got --seed={seed}. Expected 0 or more. Leave it out for the seed that it has by default."
        )


def check_out_folder(out):
    """Raises OSError unless `out` is a folder, or can become one, in which files can be written."""
    if Path(out).is_file():
        raise UnusableFileError(
            f"Got --out={out}, which is a file. Expected a folder, there or new. Choose another name."
        )
    _check_writable(out, Path(out))


def check_out_file(out):
    """Raises OSError unless `out` is a file, or can become one."""
    if Path(out).is_dir():
        raise UnusableFileError(
            f"Got --out={out}, which is a folder. Expected a file. Name one in it."
        )
    _check_writable(out, Path(out).parent)


def _check_writable(out, folder):
    """Tries it, since permissions alone don't tell, and leaves nothing behind."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        for attempt in reversed(range(_ATTEMPTS)):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=folder):
                    break
            except FileNotFoundError:  # another command has just tried the same folder
                if not attempt:
                    raise
    except OSError as error:
        raise UnusableFileError(
            f"Got --out={out}, where nothing can be written ({error.strerror}). Expected a folder of "
            "yours, or one that can be made. Choose another --out."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            for place in new:
                place.rmdir()
