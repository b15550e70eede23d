"""Evaluates the averaged student during training, keeps the best one, and stops when none gets better.

Rejected: `keras.callbacks.ModelCheckpoint` and `EarlyStopping`. They count epochs where we count evaluations,
forget the best value and the patience when a run is resumed, and don't know the averaged student.
"""

import dataclasses
import math
import numbers
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from ..errors import InputError
from ..files import new_file, read_json, write_json
from .checkpoints import save_state

_RECORD, _STUDENT, _STATE = "best.json", "best_student.keras", "best.weights.h5"


@dataclasses.dataclass(frozen=True)
class Best:
    """The best student so far; before there is one, epoch and value are None and figures NaN."""

    monitor: str
    mode: str
    epoch: int | None = None  # after how many it was evaluated
    value: float | None = None  # of the monitor
    figures: dict = dataclasses.field(default_factory=dict)
    since: tuple = ()  # `{"epoch", "value"}` of every evaluation after it

    def is_beaten_by(self, value: float) -> bool:
        """Whether the value is finite and better than the best, or the first finite one."""
        if self.value is None or not math.isfinite(value):
            return math.isfinite(value)
        return value < self.value if self.mode == "min" else value > self.value


class EvaluationCallback(keras.callbacks.Callback):
    """Evaluates the averaged student every few epochs of `TinyGAN.fit`.

    The figures join the `logs` of the epoch, so `History` and every callback that comes later in the list
    sees them: put `CSVLogger` and `TensorBoard` behind this one, and the checkpoints behind all.
    `CSVLogger` fixes its columns in its first row, so the figures must have their names by then. For that
    the first epoch of a run is evaluated too, which also shows within one epoch whether `evaluate` and
    `monitor` are right. In an epoch without an evaluation every figure is NaN.

    A new callback on the folder of an interrupted run goes on with its best value and its patience. What
    was evaluated in a later epoch than the one the training goes on from is forgotten, since those
    epochs are trained again, perhaps differently.

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
        prefix: Of the names in `logs`. Keras takes "val_" for validation: `TensorBoard` writes it into
            its folder `validation`, and without a single name like that `CSVLogger` adds an empty column
            `val_...` for every one it has.

    Attributes:
        best: The `Best` so far; `best.epoch` is None as long as there is none.

    Raises:
        InputError: a setting is out of range; later, if `evaluate` returns something else than figures or
            not the one to monitor.

    Example:
        evaluation = EvaluationCallback(evaluate, every=5, folder="runs/mine/best", patience=4)
        model.fit(dataset, epochs=100, callbacks=[evaluation, keras.callbacks.CSVLogger(path)])
        student = keras.saving.load_model("runs/mine/best/best_student.keras")
    """

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
        at_least_one = "an integer of at least 1"
        for name, value, fits, expected in (
            ("evaluate", evaluate, callable(evaluate), "a function from a student to figures"),
            ("mode", mode, mode in ("min", "max"), "'min' or 'max'"),
            ("every", every, _is_count(every), at_least_one),
            ("patience", patience, patience is None or _is_count(patience), at_least_one),
        ):
            if not fits:
                raise InputError(f"Got {name}={value!r}. Expected {expected}.")
        self.evaluate = evaluate
        self.every = every
        self.monitor = monitor
        self.patience = patience
        self.log_dir = log_dir
        self.prefix = prefix
        self.folder = None if folder is None else Path(folder)
        self._files = self.folder and [self.folder / name for name in (_STUDENT, _STATE)]
        self.best = Best(monitor, mode)
        self._restored_at = None  # the epoch that `restore` was last called for
        self._begins = True
        self._writer = None

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
        best = self.best if self.folder is None else self._read()
        reason = None
        if (best.monitor, best.mode) != (self.best.monitor, self.best.mode):
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
            best, since = Best(self.best.monitor, self.best.mode, figures=_unknown(names)), ()
        self.best = dataclasses.replace(best, since=since)

    def on_train_begin(self, logs=None):
        if getattr(self.model, "ema_student", None) is None:
            raise InputError(
                f"Got a model of type {type(self.model).__name__}, which has no ema_student. Expected a "
                "TinyGAN; EvaluationCallback evaluates its averaged student."
            )
        self._begins = True

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
            figures = self._checked(self.evaluate(self.model.ema_student), logs)
            self._keep_best(done, figures)
            self._write_summaries(epoch, figures)
            if self.patience_is_used_up and not last:
                self.model.stop_training = True
                best, count = "none was a finite number", len(self.best.since)
                if self.best.epoch is not None:
                    best = f"the best is still {self.best.value:g}, after epoch {self.best.epoch}"
                _say(f"Stopping: {count} evaluations without a better {self.monitor}; {best}.")
        logs.update({self.prefix + name: value for name, value in figures.items()})

    def on_train_end(self, logs=None):
        self._restored_at = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _keep_best(self, done, figures):
        """Keeps the averaged student if it is the best, or counts the evaluation as one since."""
        value = figures[self.monitor]
        if not math.isfinite(value):
            _say(f"{self.monitor} is {value} after epoch {done}, which counts as no improvement.")
        if not self.best.is_beaten_by(value):
            self.best = dataclasses.replace(
                self.best,
                figures=self.best.figures or _unknown(figures),
                since=(*self.best.since, {"epoch": done, "value": value}),
            )
        else:
            self.best = Best(self.best.monitor, self.best.mode, done, value, figures)
            if self.folder is not None:
                # Both are complete before the first is renamed, so that they hardly ever differ in age.
                student_file, state_file = self._files
                with new_file(student_file) as student, new_file(state_file) as state:
                    self.model.ema_student.save(student)
                    save_state(self.model, state)
        if self.folder is not None:
            write_json(self.folder / _RECORD, dataclasses.asdict(self.best))

    def _checked(self, figures, logs) -> dict:
        """The figures as floats; refuses what are none, or others than the last time."""
        if not isinstance(figures, dict) or not all(map(_is_figure, figures.items())):
            raise InputError(
                f"Got {figures!r} from evaluate. Expected a flat dict of names and numbers. Give NaN "
                "for what is unknown."
            )
        names = self.best.figures
        if self.monitor not in figures:
            raise InputError(
                f"Got monitor={self.monitor!r}. Expected one of the figures {sorted(figures)}, without the "
                "prefix."
            )
        if names and set(figures) != set(names):
            raise InputError(
                f"Got the figures {sorted(figures)} from evaluate. Expected {sorted(names)}, as the last "
                "time. Give NaN for what is unknown, or another folder if evaluate was changed."
            )
        taken = sorted(name for name in figures if self.prefix + name in logs)
        if taken:
            raise InputError(
                f"Got the figures {taken} with prefix={self.prefix!r}. Expected names that the logs of the "
                "epoch don't have yet; choose another prefix."
            )
        return {name: float(value) for name, value in figures.items()}

    def _write_summaries(self, epoch, figures):
        if self.log_dir is None:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))
        with self._writer.as_default():
            for name, value in figures.items():
                tf.summary.scalar(f"evaluation/{name}", value, step=epoch)
        self._writer.flush()

    def _read(self) -> Best:
        path = self.folder / _RECORD
        if not path.is_file():
            return Best(self.best.monitor, self.best.mode)
        try:
            return Best(**read_json(path))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"Got {path}, which is no record of a best student ({error}). Expected one that this "
                "callback wrote. Delete it to start without, or give another folder."
            ) from error


def _unknown(names) -> dict:
    return dict.fromkeys(names, math.nan)


def _is_count(value) -> bool:
    return isinstance(value, int) and value >= 1


def _is_figure(item) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, numbers.Real) and not isinstance(value, bool)


def _say(text):
    print(f"\n{text}")  # on a line of its own: Keras' progress bar has the current one
