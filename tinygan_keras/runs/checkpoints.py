"""All state of a training in one file, saved at the end of every epoch and every few minutes.

A checkpoint inside an epoch also holds the sums behind the epoch's means so far, so that its row in the
history comes out the same. The devices wait while the file is filled and hashed, which is a copy into the
system's memory and a look at it; a thread waits for the disk, and then gives the file its name.
Rejected: `keras.callbacks.BackupAndRestore`. It keeps weights and epoch in two files, so that a kill between
the two resumes at the wrong step, and knows the epoch only inside `fit`, too late to start the data there.
"""

import concurrent.futures
import contextlib
import math
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import tensorflow as tf

from ..errors import InputError
from ..files import UNFINISHED, check_room, check_writable, content_hash, new_file
from .interruptions import Interrupted, Interruptions

KEPT = 2  # the last ones: a damaged file costs one interval, not the run
_VERSION = 1  # of what is added to Keras' file
_FILE = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.weights\.h5")
_FIGURES = "figures_so_far"
_HASH = "content_hash"
_SET_ASIDE = "unreadable-"


class Checkpoint(NamedTuple):
    """Where a training stands: `step` steps after the end of epoch `epoch`."""

    epoch: int = 0
    step: int = 0
    path: Path | None = None

    def __str__(self):
        more = f" and {self.step} steps" if self.step else ""
        return f"epoch {self.epoch}{more}"


def checkpoint_name(epoch, step=0) -> str:
    """The name of the file of a checkpoint."""
    inside = f"_step_{step:08d}" if step else ""
    return f"epoch_{epoch:05d}{inside}.weights.h5"


def checkpoints_in(folder) -> list:
    """Returns the checkpoints in `folder`, the newest first."""
    found = []
    for path in Path(folder).glob("epoch_*"):
        if match := _FILE.fullmatch(path.name):
            found.append(Checkpoint(int(match[1]), int(match[2] or 0), path))
    return sorted(found, reverse=True)


def latest_checkpoint(folder) -> Checkpoint:
    """Returns the newest checkpoint in `folder`; without one, that of an untrained model, without a path."""
    return next(iter(checkpoints_in(folder)), Checkpoint())


def restore_latest(model, folder) -> tuple:
    """Restores a model from the newest checkpoint that can be read; sets aside those that can't.

    Returns:
        The `Checkpoint`, and the values of `epoch_figures(model)` that belong to it: [] after a whole epoch.

    Raises:
        InputError: there are checkpoints, and none can be read.
    """
    checkpoints = checkpoints_in(folder)
    for checkpoint in checkpoints:
        try:
            figures = load_checkpoint(model, checkpoint.path)
        except InputError as error:
            if checkpoint == checkpoints[-1]:
                raise
            # Its number would make it outlive the next ones, which are good.
            aside = checkpoint.path.with_name(_SET_ASIDE + checkpoint.path.name)
            checkpoint.path.replace(aside)
            print(
                f"{str(error).partition(' Expected')[0]} It is now {aside}; taking the one before."
            )
        else:
            return checkpoint, figures if checkpoint.step else []
    return Checkpoint(), []


def load_checkpoint(model, path) -> list:
    """Restores all state of a `TinyGAN` from a checkpoint; returns what it holds of the epoch's figures."""
    try:
        with h5py.File(path) as file:
            version = int(file.attrs.get("tinygan_checkpoint", 0))
            stored = file.get(_FIGURES, {})
            figures = [stored[str(place)][()] for place in range(len(stored))]
            if version > _VERSION:
                raise ValueError(f"it is of a later version, {version}, of this program")
            # Of files from before there was a hash, what HDF5 notices has to do.
            if _HASH in file.attrs and file.attrs[_HASH] != _hash_of(file):
                raise ValueError("its content isn't what was written")
        model.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # HDF5 has all of them
        raise InputError(
            f"Got the checkpoint {path}, which can't be read ({error}). Expected one that this version wrote "
            "for this config. Put back a copy, or start anew (--overwrite)."
        ) from error
    return figures


def averaged_generator(model):
    """The averaged network of a `TinyGAN` or `ClassConditionalGAN`; None of any other model."""
    return getattr(model, "ema_student", None) or getattr(model, "ema_generator", None)


def epoch_figures(model) -> list:
    """The variables behind the means over an epoch, in the same order in every process."""
    return [variable for metric in model.metrics for variable in metric.variables]


def state_of(model) -> list:
    """All variables that a resumed training needs, each once, in the same order in every process."""
    names = ("student", "generator", "discriminator", "ema_student", "ema_generator")
    names += ("g_optimizer", "d_optimizer")
    owners = [model, *(getattr(model, name) for name in names if hasattr(model, name))]
    everything = [variable for owner in owners for variable in owner.variables]
    figures = {id(variable) for variable in epoch_figures(model)}  # of one epoch only
    return list({id(v): v for v in everything if id(v) not in figures}.values())


def size_of_state(model) -> int:
    """Bytes that a checkpoint takes, rounded up."""
    size = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in state_of(model))
    return size + size // 10 + 2**20


def save_state(model, path, figures=()):
    """Writes all state of a model to a `.weights.h5` file, and arrays of `epoch_figures`."""
    # A disk that gets full while HDF5 writes ends the process without a word: the space is claimed first.
    check_room(Path(path).parent, size_of_state(model), "a checkpoint")
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_of_state(model))
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        file.attrs["tinygan_checkpoint"] = _VERSION
        for place, value in enumerate(figures):
            file[f"{_FIGURES}/{place}"] = value
        file.attrs[_HASH] = _hash_of(file)


def _hash_of(file) -> str:
    """The hash of all names and arrays in an open HDF5 file."""
    found = {}
    file.visititems(found.__setitem__)
    arrays = (name for name, item in found.items() if isinstance(item, h5py.Dataset))
    return content_hash({name: content_hash(found[name][()]) for name in arrays})


class Checkpoints(keras.callbacks.Callback):
    """Saves all state of the model after every epoch and every few minutes, and keeps the last two.

    A signal that `interruptions` has noted ends the training at the next step boundary: the state is saved
    and `Interrupted` raised. It belongs behind all callbacks whose results a resumed run takes for granted.
    With several workers each has one, and they agree on when to save, about once a second: what is summed
    over replicas can be read only by all together.

    Args:
        folder: Where they are; None in a process that writes nothing.
        minutes: Between two, by a clock that is never set; 0: at the end of epochs only.
        interruptions: What has been asked of this process.
        workers: The processes of the run, `Workers`; None: there is one.
        check: Function that raises if the state isn't worth saving; called in all processes.
        saved: Function called after a checkpoint.
        resumed_steps: Steps of the first epoch that were made before.
    """

    def __init__(
        self,
        folder,
        minutes=10.0,
        interruptions=None,
        workers=None,
        check=None,
        saved=None,
        resumed_steps=0,
    ):
        super().__init__()
        self.folder = None if folder is None else Path(folder)
        self.seconds = 60 * minutes or math.inf
        self.interruptions = interruptions or Interruptions()
        self.workers = workers if workers is not None and workers.count > 1 else None
        self.check, self.saved = check or bool, saved or bool
        self.resumed_steps = resumed_steps
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing = None

    def on_train_begin(self, logs=None):
        self._epoch = self._in_epoch = 0
        self._last = self._met = time.monotonic()
        self._batches, self._meeting = 0, 1
        self._unsaved = self.workers is not None  # what several have begun they end together
        if self.folder is not None:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(f"{UNFINISHED}*"):
                path.unlink()
            check_writable(self.folder, "the folder of checkpoints")
        self.interruptions.holds = lambda: self._unsaved

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._in_epoch = epoch, self.resumed_steps
        self.resumed_steps = 0
        self._begin = self._in_epoch

    def on_train_batch_end(self, batch, logs=None):
        self._unsaved = True
        self._in_epoch = self._begin + batch + 1
        steps_per_epoch = (self.params or {}).get("steps")
        if steps_per_epoch and self._in_epoch >= steps_per_epoch:
            return  # the end of the epoch saves, with everything that belongs to it
        number, due = self._agree(time.monotonic() - self._last >= self.seconds)
        if number or due:
            self.check()
            self._save(self._epoch, self._in_epoch)
            self._stop_if(number)
        if self._writing and self._writing.done():
            self._wait()

    def on_epoch_end(self, epoch, logs=None):
        self.check()
        self._save(epoch + 1, 0)
        number, _ = self._agree(False, at_once=True)
        self._stop_if(number)

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Waits until the last checkpoint is complete; reports what went wrong with it."""
        self.interruptions.holds = bool
        self._wait()

    def _agree(self, due, at_once=False) -> tuple:
        """The signal that any process has got, and whether it is time to save."""
        number = self.interruptions.number
        if self.workers is None:
            return number, due
        self._batches += 1
        if self._batches < self._meeting and not at_once:
            return 0, False
        now = time.monotonic()
        each = max(1e-6, (now - self._met) / self._batches)
        count = min(1000, max(1, int(1 / each)))  # batches until they meet again, in about a second
        chief = self.workers.is_chief
        asked = [number == signal.SIGINT, number == signal.SIGTERM]
        totals = self.workers.totals([*asked, chief and due, count if chief else 0])
        interrupted, terminated, due, self._meeting = totals
        self._batches, self._met = 0, time.monotonic()
        return signal.SIGTERM if terminated else interrupted and signal.SIGINT, bool(due)

    def _save(self, epoch, step):
        """Fills a new checkpoint, and leaves it to the thread to complete it."""
        figures = []
        if step:
            figures = [keras.ops.convert_to_numpy(v) for v in epoch_figures(self.model)]
        if self.folder is not None:
            self._wait()
            path = self.folder / checkpoint_name(epoch, step)
            with contextlib.ExitStack() as files:
                save_state(self.model, files.enter_context(new_file(path)), figures)
                self._writing = self._thread.submit(self._complete, files.pop_all())
        self.saved()
        self._last = time.monotonic()
        self._unsaved = self.workers is not None

    def _complete(self, files):
        files.close()
        for checkpoint in checkpoints_in(self.folder)[KEPT:]:
            checkpoint.path.unlink(missing_ok=True)

    def _wait(self):
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _stop_if(self, number):
        if number:
            self.close()
            raise Interrupted(number, agreed=True)


class RestOfEpoch(keras.callbacks.Callback):
    """Ends the first epoch of a resumed training where it would have ended; the first of all callbacks.

    Args:
        steps: Steps of that epoch that were made before.
        figures: Arrays of `epoch_figures` at that step.
    """

    def __init__(self, steps, figures):
        super().__init__()
        self.steps, self.figures = steps, figures

    def on_epoch_begin(self, epoch, logs=None):
        if self.figures:  # `fit` has just set them to zero
            for variable, value in zip(epoch_figures(self.model), self.figures, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        if self.steps and self.steps + batch + 1 >= self.params["steps"]:
            self.model.stop_training = True  # leaves the loop over batches

    def on_epoch_end(self, epoch, logs=None):
        if self.steps:
            self.model.stop_training = False  # and goes on with the next epoch
        self.steps, self.figures = 0, []
