"""Where a run keeps its files, what may be written there, and how long its phases took."""

import contextlib
import json
import shutil
import tempfile
import time
from pathlib import Path

from ..errors import InputError, UnusableFileError
from ..files import write_text
from ..generators.side_files import read_config
from .config import differences


class RunFolder:
    """The names of a run's files, and the rules that protect them.

    Args:
        workdir: The folder of one run.
    """

    def __init__(self, workdir):
        self.path = Path(workdir)
        self.config = self.path / "config.json"
        self.data = self.path / "data.json"
        self.seconds = self.path / "seconds.json"
        self.class_names = self.path / "class_names.txt"
        self.history = self.path / "history.csv"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.progress = self.path / "progress"
        self.student = self.path / "student.keras"
        self.saved_model = self.path / "saved_model" / "1"
        self.samples = self.path / "samples.png"
        self.moving_picture = self.path / "training.gif"
        self.best = self.path / "best"
        self.evaluation = self.path / "evaluation"
        self.pictures = self.path / "pictures"
        self.report = self.path / "report.json"
        self.readable_report = self.path / "report.md"

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end: the report is its last file."""
        return self.report.is_file()

    def check_config(self, config: dict, overwrite=False):
        """Raises ValueError if the folder holds a run with another config than this plain one."""
        if overwrite or not self.config.is_file():
            return
        differing = differences(_as_json(config), read_config(self.path))
        if differing:
            raise InputError(
                f"{self.path} holds a run with another config. Got\n  "
                + "\n  ".join(differing)
                + "\nExpected the same config, which resumes that run. Choose another workdir, or "
                "overwrite it (--overwrite)."
            )

    def check_data(self, identities: dict):
        """Raises ValueError if the run that is to be resumed has seen other data than this.

        Args:
            identities: A hash of each kind of data by its name, None for what the run has none of.
        """
        if not self.data.is_file():
            return
        former = json.loads(self.data.read_text())
        changed = [name for name, identity in identities.items() if former.get(name) != identity]
        if changed:
            raise InputError(
                f"Got other {' and '.join(changed)} than {self.path} has been trained with so far. Expected "
                "the same, in the same order. Bring the former ones back, choose another workdir, or "
                "start anew (--overwrite)."
            )

    def read_report(self) -> dict:
        """Returns the report of a finished run."""
        return json.loads(self.report.read_text())

    def begin(self, config: dict, identities: dict, overwrite=False):
        """Records config and data, after removing the files of the run before if `overwrite` is set.

        Raises:
            ValueError: the folder holds a run of other data.
        """
        if overwrite:
            self._remove_run()
        self.check_data(identities)
        write_text(self.config, json.dumps(config, indent=2) + "\n")
        write_text(self.data, json.dumps(identities, indent=2) + "\n")

    def repair_history(self, epochs_done: int):
        """Brings the table of epochs to the state after `epochs_done`, from where the training goes on.

        A kill between an epoch's row and its checkpoint leaves a row of an epoch that is trained again, and
        a loss of power half a row. An epoch that stands there twice keeps its last row.
        """
        if not epochs_done or not self.history.is_file():
            return  # with nothing done the table is written anew
        lines = self.history.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        header, *rows = lines or [""]
        kept = {}
        for row in rows:
            epoch = row.partition(",")[0]
            if row.endswith("\n") and row.count(",") == header.count(",") and epoch.isdecimal():
                kept[int(epoch)] = row
        text = header + "".join(kept[epoch] for epoch in sorted(kept) if epoch < epochs_done)
        if text != "".join(lines):
            write_text(self.history, text)

    def check_writable(self):
        """Makes the folder; raises PermissionError if that or writing in it fails."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise UnusableFileError(
                f"Got workdir {str(self.path)!r}, where nothing can be written ({error.strerror}). "
                "Expected a folder of yours, or one that can be made. Choose another workdir."
            ) from error

    def _remove_run(self):
        """Removes what a run writes and nothing else that may lie in the folder."""
        for path in vars(self).values():
            if path != self.path:
                discard(path)


def discard(path: Path):
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Stopwatch:
    """Seconds of each phase of a run; kept in a file, they add up over interruptions."""

    def __init__(self):
        self.seconds = {}
        self.path = None
        self._running = None

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def keep_in(self, path):
        """Adds the seconds that the file `path` holds, and keeps it up to date from now on.

        A file that can't be read is no reason not to go on: the seconds then count from now.
        """
        self.path = Path(path)
        try:
            former = json.loads(self.path.read_text())
            former = {phase: float(seconds) for phase, seconds in former.items()}
        except FileNotFoundError:
            return
        except (ValueError, TypeError, AttributeError) as error:
            print(f"{self.path} can't be read ({error}); the seconds of this run count from now.")
            return
        for phase, seconds in former.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @contextlib.contextmanager
    def phase(self, name: str):
        """Measures what runs inside as a part of the phase `name`."""
        self._running = name, self.seconds.get(name, 0.0), time.perf_counter()
        try:
            yield
        finally:
            self.save()
            self._running = None

    def save(self):
        """Brings the file up to date; a phase that still runs counts up to now."""
        if self._running:
            name, before, start = self._running
            self.seconds[name] = before + time.perf_counter() - start
        if self.path:
            write_text(self.path, json.dumps(self.seconds, indent=2) + "\n")


def _as_json(config):
    """The config as it comes back from a JSON file, where tuples are lists."""
    return json.loads(json.dumps(config))
