"""Where a run keeps its files, who may write there, and how long its phases took."""

import collections
import contextlib
import os
import platform
import shutil
import time
from pathlib import Path

from ..classes.folder_labels import listed
from ..errors import InputError, UnusableFileError
from ..files import check_writable, plain, read_json, user_path, write_json, write_text
from .config import FREE, differences

try:
    import fcntl
except ImportError:  # Windows, where a run folder isn't locked
    fcntl = None

_LOCK = ".lock"


class RunFolder:
    """The files of one run, and the rules that protect them."""

    OWNED = (
        *("config.json", "data.json", "real_images.json", "seconds.json", "class_names.txt"),
        *("history.csv", "tensorboard", "checkpoints", "progress", "best", "student.keras"),
        *("diversity", "trackers.json", "wandb", "mlruns"),
        *("saved_model", "samples.png", "training.gif", "evaluation", "pictures"),
        *("module", "distill.py"),
        *("report.md", "report.json"),  # the last: with it a run is finished
    )
    """What a run writes, each an attribute: `config_json`. `overwrite` removes these and nothing else."""

    def __init__(self, workdir):
        self._given, self.path = workdir, Path(user_path(workdir))
        self._descriptor = None  # of the lock, while this process has it
        for name in self.OWNED:
            setattr(self, name.replace(".", "_"), self.path / name)

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes out of the folder, which is made; the system undoes it when this one ends."""
        check_writable(self._given, "the workdir")
        self.path.mkdir(parents=True, exist_ok=True)
        self._descriptor = _lock(self.path / _LOCK)
        try:
            yield
        finally:
            if self.is_ours():
                with contextlib.suppress(OSError):  # Windows removes no open file
                    (self.path / _LOCK).unlink()
            os.close(self._descriptor)
            self._descriptor = None

    def check_ours(self):
        """Refuses to write on in a folder that went meanwhile, though there may be another of its name."""
        if not self.is_ours():
            raise UnusableFileError(
                f"Got the workdir {self.path} without the file {_LOCK} of this run: the folder went, or "
                "another has its name, or something removed the file. Expected the folder that the run "
                "began in. Bring it back if it went: the same command then goes on from what it holds."
            )

    def is_ours(self) -> bool:
        """Whether the lock in the folder still is that of this process, if it ever had it.

        Its text tells, since not every disk keeps the numbers of files. What can't be read for another reason
        than that it went is taken for ours: some network disks refuse to read what is locked.
        """
        if self._descriptor is None:
            return True
        try:
            return (self.path / _LOCK).read_bytes() == _this_process()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def check_config(self, config, defaults):
        """Refuses a config that differs from that of the run in the folder, if there is one."""
        config = config.to_dict()
        former = read_json(self.config_json) if self.config_json.is_file() else config
        # Settings that didn't exist then had the effect of these defaults.
        former = plain({**defaults.to_dict(), **former})
        free = {name: config[name] for name in FREE if name in config}
        if differing := differences(plain(config), {**former, **plain(free)}):
            lines = "\n  ".join(differing)
            raise InputError(
                f"{self.path} holds a run with another config. Got\n  {lines}\nExpected the same config, "
                "which resumes that run. Choose another workdir, or overwrite it (--overwrite)."
            )

    def check_data(self, fingerprints: dict, real_images=None):
        """Refuses other data than a resumed run began with; of real images that are gone it only says so.

        What a former version didn't record isn't compared.
        """
        former = read_json(self.data_json) if self.data_json.is_file() else {}
        changed = [name for name, value in fingerprints.items() if former.get(name, value) != value]
        changes, contents = {}, self.real_images_json
        if changed == ["real images"] and real_images is not None and contents.is_file():
            changes = real_images.changes_since(read_json(contents))
        counts = [f", {len(names):,} {how} ({listed(names, 5)})" for how, names in changes.items()]
        details = "".join(counts)
        if list(changes) == ["gone"]:
            print(f"Got fewer real images than before{details}. The training goes on without them.")
        elif changed:
            raise InputError(
                f"Got other {' and '.join(changed)} than {self.path} has been trained with so far{details}. "
                "Expected the same. Bring the former ones back, choose another workdir, or start anew "
                "(--overwrite)."
            )

    def begin(self, config: dict, fingerprints: dict, overwrite=False, real_images=None):
        """Records config and data, after removing the files of the run before if `overwrite` is set."""
        if overwrite:
            for name in self.OWNED:
                discard(self.path / name)
        self.check_data(fingerprints, real_images)
        write_json(self.config_json, config)
        write_json(self.data_json, fingerprints)
        if real_images is not None and (contents := real_images.contents()):
            write_json(self.real_images_json, contents)

    def repair_history(self, epochs_done: int):
        """Takes rows out of the table of epochs that a kill has left: torn, doubled, or trained again."""
        path = self.history_csv
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        header, *rows = text.splitlines(keepends=True) or [""]
        kept = {}
        for row in rows:
            epoch = row.partition(",")[0]
            if row.endswith("\n") and row.count(",") == header.count(",") and epoch.isdecimal():
                kept[int(epoch)] = row
        repaired = header + "".join(kept[epoch] for epoch in sorted(kept) if epoch < epochs_done)
        if text != repaired:
            write_text(path, repaired)


def discard(path: Path):
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Stopwatch:
    """Seconds of each phase of a run; kept in a file, they add up over interruptions."""

    def __init__(self):
        self.seconds = collections.Counter()
        self.folder = self._running = self._since = None

    def keep_in(self, folder):
        """Adds the seconds in the file of a `RunFolder`, if it can be read, and keeps it up to date."""
        self.folder, path = folder, folder.seconds_json
        try:
            if path.is_file():
                self.seconds.update({name: float(n) for name, n in read_json(path).items()})
        except (ValueError, TypeError) as error:
            print(f"{path} can't be read ({error}); the seconds of this run count from now.")

    @contextlib.contextmanager
    def phase(self, name: str):
        """Measures what runs inside as a part of the phase `name`."""
        self._running, self._since = name, time.perf_counter()
        try:
            yield
        finally:
            self.save()
            self._running = None

    def report(self) -> dict:
        """What a report says of the times."""
        seconds = round(sum(self.seconds.values()), 1)
        return {"seconds": seconds, "seconds_by_phase": self.seconds}

    def save(self):
        """Brings the file up to date; a phase that still runs counts up to now."""
        if self._running:
            now = time.perf_counter()
            self.seconds[self._running] += now - self._since
            self._since = now
        if self.folder and self.folder.is_ours():
            write_json(self.folder.seconds_json, self.seconds)


def _this_process() -> bytes:
    """What the lock says of its owner."""
    return f"process {os.getpid()} on {platform.node()}".encode()


def _lock(path) -> int:
    """Locks a file for this process and returns its descriptor."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 200).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise UnusableFileError(
                f"Got the workdir {path.parent}, in which {owner} is at work. Expected a folder that no "
                "other run uses. Wait for that run, stop it, or choose another workdir."
            ) from error
        except OSError:  # a file system without locks
            pass
        with contextlib.suppress(FileNotFoundError):  # removed by the process that has just ended
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _this_process())
                return descriptor
        os.close(descriptor)
