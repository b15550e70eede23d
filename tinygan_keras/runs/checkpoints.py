"""All state of a training in one file, saved at the end of every epoch.

Rejected: `keras.callbacks.BackupAndRestore`. It keeps weights and epoch in two files, so that a kill between
the two resumes at the wrong step, and knows the epoch only inside `fit`, too late to start the data there.
"""

import math
import os
from pathlib import Path

import keras
import tensorflow as tf

from ..errors import InputError
from ..files import UNFINISHED, new_file

_SUFFIX = ".weights.h5"
_PATTERN = f"epoch_*{_SUFFIX}"


def latest_checkpoint(folder):
    """Returns `(epochs done, path)` of the newest checkpoint in `folder`, or `(0, None)`."""
    found = {path.name[len("epoch_") : -len(_SUFFIX)]: path for path in Path(folder).glob(_PATTERN)}
    last = max(filter(str.isdecimal, found), key=int, default="0")
    return int(last), found.get(last)


def load_checkpoint(model, path):
    """Restores all state of a `TinyGAN` from a checkpoint."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"Got the checkpoint {path}, which can't be read ({error}). Expected one that this version wrote "
            "for this config. Put back a copy, or start anew (--overwrite)."
        ) from error


def averaged_generator(model):
    """The averaged network of a `TinyGAN` or `ClassConditionalGAN`; None of any other model."""
    return getattr(model, "ema_student", None) or getattr(model, "ema_generator", None)


def state_of(model) -> list:
    """All variables that a resumed training needs, each once, in the same order in every process."""
    names = ("student", "generator", "discriminator", "ema_student", "ema_generator")
    names += ("g_optimizer", "d_optimizer")
    owners = [model, *(getattr(model, name) for name in names if hasattr(model, name))]
    everything = [variable for owner in owners for variable in owner.variables]
    figures = {id(v) for metric in model.metrics for v in metric.variables}  # of one epoch only
    return list({id(v): v for v in everything if id(v) not in figures}.values())


def save_state(model, path):
    """Writes all state of a model to a `.weights.h5` file."""
    # A disk that gets full while HDF5 writes ends the process without a word: the space is claimed first.
    size = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in state_of(model))
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size + size // 10 + 2**20)
    model.save_weights(path)


class Checkpoints(keras.callbacks.Callback):
    """Saves all state of the model after every epoch, and then deletes the checkpoint before."""

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def on_train_begin(self, logs=None):
        for path in self.folder.glob(f"{UNFINISHED}*"):
            path.unlink()

    def on_epoch_end(self, epoch, logs=None):
        path = self.folder / f"epoch_{epoch + 1:05d}{_SUFFIX}"
        with new_file(path) as aside:
            save_state(self.model, aside)
        for former in self.folder.glob(_PATTERN):
            if former != path:
                former.unlink()
