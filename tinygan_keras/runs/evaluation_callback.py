"""Evaluates the averaged student during training, keeps the best one, and stops when none gets better.

Rejected: `keras.callbacks.ModelCheckpoint` and `EarlyStopping`. They count epochs where we count evaluations,
forget the best value and the patience when a run is resumed, and keep the whole model, not the averaged
student.
"""

import contextlib
import dataclasses
import math
import numbers
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from ..errors import InputError
from ..files import new_file, read_json, write_json
from .checkpoints import averaged_generator, save_state

_RECORD = "best.json"


@dataclasses.dataclass(frozen=True)
class Best:
    """The best student so far; before there is one, epoch and value are None and figures NaN."""

    monitor: str
    mode: str
    epoch: int | None = None  # after how many it was evaluated
    value: float | None = None  # of the monitor
    figures: dict = dataclasses.field(default_factory=dict)
    since: tuple = ()  # `{"epoch", "value"}` of every evaluation after it


class EvaluationCallback(keras.callbacks.Callback):
    """Evaluates the averaged student every few epochs of `TinyGAN.fit`.

    It measures any figures, keeps the best student, and goes on after a restart. Where the Frechet distance
    will do and nothing is resumed, `tg.metrics.FrechetDistance` with Keras' own callbacks is less to write.
    The figures join the `logs` of the epoch: put `CSVLogger` and `TensorBoard` behind this callback, and the
    checkpoints behind all. The first epoch is evaluated too, since `CSVLogger` fixes its columns in its first
    row. In an epoch without an evaluation every figure is NaN. A new callback on the folder of an interrupted
    run goes on with its best value and its patience, and forgets what was evaluated in epochs that are
    trained again.

    Args:
        evaluate: Function from the averaged student (a Keras model) to figures `{name: number}`. It must
            take its randomness from seeds of its own, or it changes the training.
        every: Evaluate after every this many epochs, and after the first and the last.
        monitor: The figure that says which student is the best, without `prefix`.
        mode: "min" if less is better, "max" if more is.
        folder: Where the best is kept, created when needed: `best_student.keras`, the averaged student;
            `best.weights.h5`, all state of the model; `best.json`, its epoch (1 for the first), figures,
            and the evaluations since. None keeps no student and can't be resumed.
        patience: Stop after this many evaluations in a row that were not better than the best. None:
            never. A figure that is NaN or infinite counts as not better.
        log_dir: A TensorBoard folder that gets the figures of evaluated epochs only, at the same steps as
            those of `keras.callbacks.TensorBoard`, which draws NaN in the others. None: none.
        prefix: Of the names in `logs`. Keras takes "val_" for validation; without a single name like that
            `CSVLogger` adds an empty column `val_...` for every one it has.

    Attributes:
        best: The `Best` so far; `best.epoch` is None as long as there is none.

    Raises:
        InputError: a setting is out of range; later, if `evaluate` doesn't return the figures expected.

    Example:
        evaluation = EvaluationCallback(evaluate, every=5, folder="runs/mine/best", patience=4)
        model.fit(dataset, epochs=100, callbacks=[evaluation, keras.callbacks.CSVLogger(path)])
        student = keras.saving.load_model("runs/mine/best/best_student.keras")
    """

    FILES = ("best.weights.h5", "best_student.keras")

    def __init__(
        self,
        evaluate: Callable,
        every: int = 1,
        monitor: str = "frechet_distance",
        mode: str = "min",
        folder=None,
        patience: int | None = None,
        log_dir=None,
        prefix: str = "val_",
    ):
        super().__init__()
        counts = [every] if patience is None else [every, patience]
        whole = all(isinstance(count, int) and count >= 1 for count in counts)
        if not callable(evaluate) or mode not in ("min", "max") or not whole:
            raise InputError(
                f"Got evaluate={evaluate!r}, mode={mode!r}, every={every!r} and patience={patience!r}. "
                "Expected a function from a student to figures, 'min' or 'max', and whole numbers from 1."
            )
        self.evaluate, self.every, self.patience = evaluate, every, patience
        self.monitor, self.log_dir, self.prefix = monitor, log_dir, prefix
        self.folder = None if folder is None else Path(folder)
        self._files = self.folder and [self.folder / name for name in self.FILES]
        self.best = Best(monitor, mode)
        self._restored_at = None  # the epoch that `restore` was last called for
        self._begins = True
        self._writer = tf.summary.create_noop_writer()

    @property
    def patience_is_used_up(self) -> bool:
        """Whether training should stop, or had been stopped before it was resumed."""
        return self.patience is not None and len(self.best.since) >= self.patience

    def restore(self, epochs_done: int):
        """Takes up the best value and the patience that the folder holds, as far as they are of the past.

        `fit` calls it by itself. Call it before `fit` to learn from `patience_is_used_up` that the run
        had been stopped already: once inside, Keras trains at least one step more.

        Args:
            epochs_done: After how many epochs the training goes on.
        """
        self._restored_at = epochs_done
        best, path = self.best, self.folder and self.folder / _RECORD
        fresh = Best(best.monitor, best.mode)
        if path:
            try:
                best = Best(**read_json(path)) if path.is_file() else fresh
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"Got {path}, which is no record of a best student ({error}). Expected one that this "
                    "callback wrote. Delete it to start without, or give another folder."
                ) from error
        reason = None
        if (best.monitor, best.mode) != (fresh.monitor, fresh.mode):
            reason = f"is that of the {best.mode} of {best.monitor}"
        elif best.epoch is not None and best.epoch > epochs_done:
            reason = f"is of epoch {best.epoch}, but training goes on after epoch {epochs_done}"
        elif best.epoch is not None and self.folder and not all(map(Path.is_file, self._files)):
            reason = f"has lost its files in {self.folder}"
        if reason:
            _say(f"The best student so far {reason}. It is forgotten; the next one replaces it.")
        # A run that starts anew may have other figures; one that goes on writes into the same table.
        names = best.figures if epochs_done else ()
        since = tuple(past for past in best.since if past["epoch"] <= epochs_done)
        if reason or not epochs_done:
            best, since = dataclasses.replace(fresh, figures=_unknown(names)), ()
        self.best = dataclasses.replace(best, since=since)

    def on_train_begin(self, logs=None):
        if averaged_generator(self.model) is None:
            raise InputError(
                f"Got a model of type {type(self.model).__name__}, which has no ema_student. Expected a "
                "TinyGAN; EvaluationCallback evaluates its averaged student."
            )
        self._begins = True
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))

    def on_epoch_begin(self, epoch, logs=None):
        # Only here Keras passes the epoch it starts from.
        if self._begins and self._restored_at != epoch:
            self.restore(epoch)
        self._begins = False

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        done = epoch + 1
        last = done == (self.params or {}).get("epochs") or self.model.stop_training
        if self.best.figures and done % self.every and not last:
            figures = _unknown(self.best.figures)
        else:
            figures = self._checked(self.evaluate(averaged_generator(self.model)), logs)
            self._keep_best(done, figures)
            with self._writer.as_default():
                for name, value in figures.items():
                    tf.summary.scalar(f"evaluation/{name}", value, step=epoch)
            self._writer.flush()
            if self.patience_is_used_up and not last:
                self.model.stop_training = True
                best, count = "none was a finite number", len(self.best.since)
                if self.best.epoch is not None:
                    best = f"the best is still {self.best.value:g}, after epoch {self.best.epoch}"
                _say(f"Stopping: {count} evaluations without a better {self.monitor}; {best}.")
        logs.update({self.prefix + name: value for name, value in figures.items()})

    def on_train_end(self, logs=None):
        self._restored_at = None
        self._writer.close()

    def _keep_best(self, done, figures):
        """Keeps the averaged student if it is the best, or counts the evaluation as one since."""
        value, best = figures[self.monitor], self.best
        if not math.isfinite(value):
            _say(f"{self.monitor} is {value} after epoch {done}, which counts as no improvement.")
        sign = -1 if best.mode == "max" else 1
        better = best.value is None or sign * value < sign * best.value
        if not math.isfinite(value) or not better:
            since = (*best.since, {"epoch": done, "value": value})
            known = best.figures or _unknown(figures)
            self.best = dataclasses.replace(best, figures=known, since=since)
        else:
            self.best = Best(best.monitor, best.mode, done, value, figures)
            if self.folder is not None:
                # Both are complete before the first is renamed, so that they hardly ever differ in age.
                with contextlib.ExitStack() as files:
                    state, *networks = (files.enter_context(new_file(f)) for f in self._files)
                    save_state(self.model, state)
                    for network in networks:
                        averaged_generator(self.model).save(network)
        if self.folder is not None:
            write_json(self.folder / _RECORD, dataclasses.asdict(self.best))

    def _checked(self, figures, logs) -> dict:
        """The figures as floats; refuses what are none, or others than the last time."""
        former = self.best.figures
        if not isinstance(figures, dict) or not all(map(_is_figure, figures.items())):
            expected = "a flat dict of names and numbers"
        elif self.monitor not in figures:
            expected = f"monitor={self.monitor!r} among them, without the prefix"
        elif former and set(figures) != set(former):
            expected = f"{sorted(former)} as the last time, or another folder"
        elif any(self.prefix + name in logs for name in figures):
            expected = f"names that the logs don't have: choose another prefix than {self.prefix!r}"
        else:
            return {name: float(value) for name, value in figures.items()}
        raise InputError(f"Got {figures!r} from evaluate. Expected {expected}. NaN means unknown.")


def _is_figure(item) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, numbers.Real) and not isinstance(value, bool)


def _unknown(names) -> dict:
    return dict.fromkeys(names, math.nan)


def _say(text):
    print(f"\n{text}")  # on a line of its own: Keras' progress bar has the current one
