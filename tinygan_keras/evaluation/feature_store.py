"""Columns of numbers on disk, a row per image: an evaluation's memory doesn't grow with the number of images.

Each column is an `.npy` file of its full size from the start, and `rows.json` says how many rows are whole.
Files are mapped for one access at a time: the pages of a long-lived map would add up to the whole file.
"""

import functools
import json
import os
import shutil
from pathlib import Path

import numpy as np

from ..files import file_errors, write_json
from .metrics.moments import StatisticsAccumulator

_CHUNK = 1000  # rows read at a time


class Column:
    """One float32 number or vector per image, an `.npy` file `[N, width]`."""

    def __init__(self, path):
        self.path = Path(path)
        self._count, self.width = self._map().shape

    def __len__(self) -> int:
        return self._count

    def chunks(self):
        """Yields all rows in order, `[n, width]` with n at most 1000."""
        for start in range(0, len(self), _CHUNK):
            yield self.take(slice(start, start + _CHUNK))

    def take(self, indices) -> np.ndarray:
        """The rows `indices` in their order, `[n, width]`."""
        return np.array(self._map()[indices])

    @functools.cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the rows, float64 `[width]` and `[width, width]`."""
        accumulator = StatisticsAccumulator(self.width)
        for chunk in self.chunks():
            accumulator.update(chunk)
        return accumulator.statistics()

    def _map(self):
        return np.load(self.path, mmap_mode="r")


class FeatureStore:
    """Columns that are filled together, row by row; `count` rows are stored and whole.

    What an interrupted extraction left is resumed, or dropped with a printed line where it doesn't fit.
    """

    def __init__(self, folder, widths: dict, rows: int, fingerprint: str):
        self.folder, self.count = Path(folder), 0
        self._shapes = {name: (rows, width) for name, width in widths.items()}
        self._state = {"fingerprint": fingerprint, "rows": rows, "widths": widths}
        self._index = self.folder / "rows.json"
        kept = json.loads(self._index.read_text()) if self._index.is_file() else {}
        number = kept.pop("count", 0)
        if kept == self._state and all(map(self._is_whole, self._shapes)):
            self.count = number
            return
        self.discard()
        if number:
            print(f"Dropped {number:,} rows in {self.folder}, of another evaluation or damaged.")
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, shape in self._shapes.items():
            with file_errors(self._file(name)):
                column = np.lib.format.open_memmap(self._file(name), "w+", "float32", shape=shape)
                # Now, because a map can't report a full disk later.
                if hasattr(os, "posix_fallocate"):
                    with open(self._file(name), "r+b") as file:
                        os.posix_fallocate(file.fileno(), 0, column.nbytes + column.offset)

    def append(self, rows: dict):
        """Adds as many rows to every column: arrays `[n, width]`, or `[n]` for a width of 1."""
        (number,) = {len(array) for array in rows.values()}
        for name, (_, width) in self._shapes.items():
            column = np.lib.format.open_memmap(self._file(name), "r+")
            column[self.count : self.count + number] = np.reshape(rows[name], (number, width))
            column.flush()
        self.count += number
        write_json(self._index, {**self._state, "count": self.count})

    def column(self, name: str) -> Column:
        """One column; complete as soon as all rows were appended."""
        return Column(self._file(name))

    def discard(self):
        """Removes all rows."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_whole(self, name):
        try:
            return np.load(self._file(name), mmap_mode="r").shape == self._shapes[name]
        except (OSError, ValueError, EOFError):
            return False

    def _file(self, name) -> Path:
        return self.folder / f"{name}.npy"
