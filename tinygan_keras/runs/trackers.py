"""Where the figures of a training go, beside the run folder: through the Keras callbacks of each tracker.

An address, a key, and whether to send anything at all is said as each of them has it: WANDB_MODE=offline,
MLFLOW_TRACKING_URI and so on. A resumed run goes on in the records that it began.
"""

import importlib
import os

import keras
import tensorflow as tf

from ..errors import MissingPackageError
from ..files import read_json, write_json
from .config import tracker_names

_RECORDS = "trackers.json"


def open_trackers(config, folder, epochs_done, records) -> list:
    """The callbacks of a config's `trackers`; those that log what comes before them come last in a list.

    What a tracker has open is closed with `records`, an `ExitStack`, however the training ends.
    """
    callbacks = []
    for name in tracker_names(config.trackers):
        if name == "csv":
            callbacks.append(keras.callbacks.CSVLogger(folder.history_csv, append=epochs_done > 0))
        else:
            callbacks += _OPENERS[name](config, folder, records)
    return callbacks


def _tensorboard(config, folder, records):
    writer = tf.summary.create_file_writer(str(folder.tensorboard / "pictures"))

    def show(path, epoch):
        image = tf.io.decode_png(tf.io.read_file(str(path)), 3)
        with writer.as_default():
            tf.summary.image("same_latents", image[None], step=epoch)
        writer.flush()

    figures = keras.callbacks.TensorBoard(folder.tensorboard, write_graph=False)
    return [figures, Pictures(folder.progress, show)]


def _wandb(config, folder, records):
    wandb = _imported("wandb")
    from wandb.integration.keras import WandbMetricsLogger

    known = _known(folder)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or config.name,
        name=folder.path.name,
        id=known.get("wandb"),
        resume="allow",
        dir=str(folder.path),
        config=config.to_dict(),
    )
    records.enter_context(run)
    write_json(folder.path / _RECORDS, {**known, "wandb": run.id})

    def show(path, epoch):
        wandb.log({"same_latents": wandb.Image(str(path)), "epoch/epoch": epoch})

    return [WandbMetricsLogger(), Pictures(folder.progress, show)]


def _mlflow(config, folder, records):
    mlflow = _imported("mlflow")
    from mlflow.keras import MlflowCallback

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri((folder.path / "mlruns").absolute().as_uri())
    known = _known(folder)
    if "mlflow" not in known:
        mlflow.set_experiment(config.name)
    run = mlflow.start_run(run_id=known.get("mlflow"), run_name=folder.path.name)
    records.enter_context(run)
    if "mlflow" not in known:
        mlflow.log_dict(config.to_dict(), "config.json")
    write_json(folder.path / _RECORDS, {**known, "mlflow": run.info.run_id})

    def show(path, epoch):
        mlflow.log_artifact(str(path), "same_latents")

    return [MlflowCallback(), Pictures(folder.progress, show)]


_OPENERS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


class Pictures(keras.callbacks.Callback):
    """Shows a tracker the pictures of the same latents that `ProgressPictures`, before it, writes."""

    def __init__(self, folder, show):
        super().__init__()
        self.folder, self.show = folder, show

    def on_epoch_end(self, epoch, logs=None):
        path = self.folder / f"epoch_{epoch + 1:05d}.png"
        if path.is_file():
            self.show(path, epoch)


def check_trackers(config):
    """Refuses trackers whose packages aren't installed, before there is anything to track."""
    for name in tracker_names(config.trackers):
        if name in ("wandb", "mlflow"):
            _imported(name)


def _imported(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"Got the tracker {name}, and no package of that name ({error}). Expected it. Install "
            f"tinygan-keras[{name}], or leave it out of the setting trackers."
        ) from error


def _known(folder) -> dict:
    path = folder.path / _RECORDS
    return read_json(path) if path.is_file() else {}
