"""Which student of a run is the best so far, kept in a folder that outlives an interruption.

Scope: comparing evaluations, the three files of the best one, and what of them still counts when a run is
resumed. When to evaluate is up to `evaluation_callback.py`.
"""

import dataclasses
import json
import math
from pathlib import Path

from ..errors import InputError
from ..files import plain, write_text


@dataclasses.dataclass(frozen=True)
class Record:
    """What `best.json` holds. As long as there is no best, epoch and value are None and figures NaN.

    Attributes:
        monitor, mode: The figure that decides, and whether "min" or "max" of it is best.
        epoch: After how many epochs the best was evaluated.
        value: Its figure `monitor`.
        figures: All its figures `{name: number}`.
        since: `{"epoch", "value"}` of every evaluation after it; none of them was better.
    """

    monitor: str
    mode: str
    epoch: int | None = None
    value: float | None = None
    figures: dict = dataclasses.field(default_factory=dict)
    since: tuple = ()

    def is_beaten_by(self, value: float) -> bool:
        """Whether the value is finite and better than the best, or the first finite one."""
        if not math.isfinite(value) or self.value is None:
            return math.isfinite(value)
        return value < self.value if self.mode == "min" else value > self.value


class BestStudent:
    """The best student so far, and the evaluations since.

    Args:
        monitor: The figure that decides.
        mode: "min" or "max".
        folder: Where the best is kept, created when needed: `best_student.keras`, the averaged student;
            `best.weights.h5`, all state of the model; `best.json`, the record. None keeps only the record,
            in memory.

    Attributes:
        record: A `Record`.
    """

    def __init__(self, monitor: str, mode: str, folder=None):
        self.folder = None if folder is None else Path(folder)
        self.record = Record(monitor, mode)

    def judge(self, epoch: int, figures: dict, model):
        """Keeps the model's averaged student if it is the best, or counts the evaluation as one since.

        Args:
            epoch: Number of epochs done.
            figures: `{name: number}` with the monitored one; NaN and infinity are never the best.
            model: The `TinyGAN` in the state that was evaluated.
        """
        value = figures[self.record.monitor]
        is_best = self.record.is_beaten_by(value)
        if is_best:
            self.record = Record(self.record.monitor, self.record.mode, epoch, value, figures)
        else:
            self.record = dataclasses.replace(
                self.record,
                figures=self.record.figures or dict.fromkeys(figures, math.nan),
                since=(*self.record.since, {"epoch": epoch, "value": value}),
            )
        if self.folder is not None:
            self._save(model if is_best else None)

    def restore(self, epochs_done: int) -> str | None:
        """Takes up the record of the folder, as far as it belongs to the past of the training.

        A best of a later epoch is forgotten: its epoch is trained again, perhaps differently. So is one
        of another figure, and one without its files. The files stay until there is a better student.

        Args:
            epochs_done: After how many epochs the training goes on.

        Returns:
            Why the best was forgotten, or None if it wasn't.

        Raises:
            ValueError: `best.json` can't be read.
        """
        wanted = Record(self.record.monitor, self.record.mode)
        record = self.record if self.folder is None else self._read() or wanted
        reason = None
        if (record.monitor, record.mode) != (wanted.monitor, wanted.mode):
            reason = f"has the {record.mode} of {record.monitor}, not the {wanted.mode} of {wanted.monitor}"
        elif record.epoch is not None and record.epoch > epochs_done:
            reason = f"is of epoch {record.epoch}, but training goes on after epoch {epochs_done}"
        elif record.epoch is not None and not self._has_files():
            reason = f"has lost its files in {self.folder}"
        if reason or not epochs_done:
            # A run that starts anew may have other figures; one that goes on writes into the same table.
            names = record.figures if epochs_done else ()
            record = dataclasses.replace(wanted, figures=dict.fromkeys(names, math.nan))
        else:
            since = tuple(past for past in record.since if past["epoch"] <= epochs_done)
            record = dataclasses.replace(record, since=since)
        self.record = record
        return reason

    def _save(self, model):
        """Writes the record, and before it the student and all state of the model, if there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if model is not None:
            student = self.folder / "unfinished_student.keras"
            weights = self.folder / "unfinished.weights.h5"
            model.ema_student.save(student)
            model.save_weights(weights)
            # Both are complete before the first is renamed, so that they hardly ever differ in age.
            student.replace(self.folder / "best_student.keras")
            weights.replace(self.folder / "best.weights.h5")
        text = json.dumps(plain(dataclasses.asdict(self.record)), indent=2)
        write_text(self.folder / "best.json", text + "\n")

    def _has_files(self) -> bool:
        names = ("best_student.keras", "best.weights.h5")
        return self.folder is None or all((self.folder / name).is_file() for name in names)

    def _read(self) -> Record | None:
        path = self.folder / "best.json"
        if not path.is_file():
            return None
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            keys = ", ".join(field.name for field in dataclasses.fields(Record))
            raise InputError(
                f"Got {path}, which is no record of a best student ({error}). Expected JSON with the keys "
                f"{keys}. Remove it to start without, or give another folder."
            ) from error
