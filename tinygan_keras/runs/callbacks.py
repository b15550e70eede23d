"""What happens at the end of every epoch: a checkpoint and a picture of the progress.

Rejected: `keras.callbacks.BackupAndRestore`. It keeps the weights and the epoch in two files, so that
a kill between the two resumes at the wrong step, and it tells the epoch only inside `fit`, too late
to start the data at that step. Here the epoch is the file's name, and a rename makes it whole.
"""

import os
import re
from pathlib import Path

import keras

from ..errors import InputError
from ..pictures.files import save_png

_UNFINISHED = "unfinished.weights.h5"


def latest_checkpoint(folder):
    """Returns `(epochs done, path)` of the newest checkpoint in `folder`, or `(0, None)`.

    What an interrupted write left behind has another name, and is no checkpoint.
    """
    found = {}
    for path in Path(folder).glob("epoch_*.weights.h5"):
        found[int(re.search(r"epoch_(\d+)", path.name).group(1))] = path
    return max(found.items(), default=(0, None))


def load_checkpoint(model, path):
    """Restores all state of a `TinyGAN` from a checkpoint.

    Raises:
        ValueError: the file is damaged, or belongs to another model.
    """
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"Got the checkpoint {path}, which can't be read ({error}). Expected one that this version wrote "
            "for this config. Put back a copy, or start anew in another workdir (or with --overwrite)."
        ) from error


class Checkpoints(keras.callbacks.Callback):
    """Saves all state of the model after every epoch, and then forgets the one before.

    Weights, averaged weights, both optimisers, step and pixel weight are in one `.weights.h5`. It is
    written aside, brought to the disk and renamed, so that an interruption at any moment, even of the
    power, leaves the former one whole.

    Args:
        folder: Where the checkpoints are; created when needed.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def on_train_begin(self, logs=None):
        (self.folder / _UNFINISHED).unlink(missing_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"epoch_{epoch + 1:05d}.weights.h5"
        unfinished = self.folder / _UNFINISHED
        self.model.save_weights(unfinished)
        _to_disk(unfinished)
        unfinished.replace(path)
        _to_disk(self.folder)
        for former in self.folder.glob("epoch_*.weights.h5"):
            if former != path:
                former.unlink()


def _to_disk(path):
    """Waits until a file, or a folder's list of names, would survive a loss of power."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ProgressPictures(keras.callbacks.Callback):
    """Draws the same latents after every epoch, for a moving picture of the training.

    The pictures are files, so an interrupted and resumed run keeps its first ones.

    Args:
        folder: Where the pictures `epoch_00000.png` and so on go; created when needed.
        draw: Function from the averaged student and the step to a picture uint8 `[H, W, 3]`.
        every: Draw after every this many epochs.
    """

    def __init__(self, folder, draw, every=1):
        super().__init__()
        self.folder = Path(folder)
        self.draw = draw
        self.every = every

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not any(self.folder.glob("epoch_*.png")):
            self._save(0)

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == (self.params or {}).get("epochs")
        if (epoch + 1) % self.every == 0 or last:
            self._save(epoch + 1)

    def _save(self, epoch):
        picture = self.draw(
            self.model.ema_student, int(keras.ops.convert_to_numpy(self.model.step))
        )
        save_png(picture, self.folder / f"epoch_{epoch:05d}.png")
