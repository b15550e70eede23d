"""What TensorFlow says about data that can't be read, in words that name the file and the mend."""

import contextlib
import re

import tensorflow as tf

from ..errors import InputError, UnusableFileError

_OURS = re.compile(r"ValueError: (Got .*)")  # raised inside the input pipeline


@contextlib.contextmanager
def told_in_words(cache=None):
    """Turns errors of the input pipeline inside into ones for people.

    Args:
        cache: The `TeacherCache` that is read, or None.

    Raises:
        ValueError: an image can't be decoded.
        OSError: a file is damaged, has changed, or has gone.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = str(error)
        if ours := _OURS.search(said):
            raise InputError(ours[1]) from error
        if "A shard was changed" not in said:
            raise
        raise _unreadable(error, cache) from error
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise _unreadable(error, cache) from error


def _unreadable(error, cache):
    said = re.sub(r"\{\{.*?\}\}", "", str(error.message)).strip().splitlines()[0]
    mend = "Put a good copy in its place"
    if cache is not None:
        mend = f"tinygan cache --out={cache.folder} --verify names what is damaged; mend it"
    return UnusableFileError(
        f"Got data that can't be read any more: {said}. Expected every file as it was. {mend}, and give the "
        "same command again: the training goes on from its last checkpoint."
    )
