"""Rows of numbers on disk, one per image: an evaluation's memory doesn't grow with the number of images.

Scope: appending whole rows in order, reading any of them back, and going on after an interruption. Raw
files rather than `.npy`, because a raw file can be cut back to the last row that is known to be whole.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..files import write_text

CHUNK = 1000  # rows read at a time


class FeatureStore:
    """Columns float32 of one width each, filled row by row together.

    Args:
        folder: Made if missing.
        widths: Numbers per row by column name, such as `{"features": 128, "logits": 10}`.
        fingerprint: Says what the rows are made from. What a folder holds of another one is removed, and
            so are all rows if those of one column are gone; a printed line says so.

    Attributes:
        count: Rows that are stored and whole.

    Example:
        store = FeatureStore("features", {"features": 128}, fingerprint="a1b2")
        store.append({"features": features})
        for chunk in store.chunks("features"): ...
    """

    def __init__(self, folder, widths: dict, fingerprint: str):
        self.folder, self.widths = Path(folder), dict(widths)
        self._state = {"fingerprint": fingerprint, "widths": self.widths, "count": 0}
        self._index = self.folder / "rows.json"
        if self._index.is_file():
            self._go_on(json.loads(self._index.read_text()))
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in self.widths:
            with open(self._file(name), "ab") as file:  # drops half a row of an interrupted append
                file.truncate(4 * self.count * self.widths[name])

    def _go_on(self, kept):
        """Takes over the rows of an interrupted extraction, or drops them where they don't fit."""
        number = kept.get("count", 0)
        if {**kept, "count": 0} != self._state:
            reason = "they are of another evaluation"
        elif short := [name for name in self.widths if self._stored(name) < number]:
            reason = f"{self._file(short[0]).name} is missing or too short"
        else:
            self._state = kept
            return
        self.discard()
        if number:
            print(f"Dropped {number:,} rows in {self.folder}: {reason}. Starting anew.")

    @property
    def count(self) -> int:
        return self._state["count"]

    def append(self, rows: dict):
        """Adds as many rows to every column: arrays `[n, width]`, or `[n]` for a width of 1."""
        (number,) = {len(array) for array in rows.values()}
        for name, width in self.widths.items():
            array = np.asarray(rows[name], "float32").reshape(number, width)
            with open(self._file(name), "ab") as file:
                array.tofile(file)
        self._state["count"] += number
        write_text(self._index, json.dumps(self._state))

    def chunks(self, name: str, rows=CHUNK) -> Iterator[np.ndarray]:
        """Yields the column from first to last row, `[n, width]` with n at most `rows`."""
        width = self.widths[name]
        with open(self._file(name), "rb") as file:
            for start in range(0, self.count, rows):
                number = min(rows, self.count - start)
                yield np.fromfile(file, "float32", number * width).reshape(number, width)

    def take(self, name: str, indices) -> np.ndarray:
        """Returns the rows `indices` in their order, `[n, width]`."""
        shape = self.count, self.widths[name]
        return np.array(np.memmap(self._file(name), "float32", "r", shape=shape)[indices])

    def renamed(self, columns: dict) -> "RenamedColumns":
        """The same rows under other names: `{new name: name here}`."""
        return RenamedColumns(self, columns)

    def discard(self):
        """Removes all rows."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stored(self, name) -> int:
        """Whole rows in the file of a column."""
        file = self._file(name)
        return file.stat().st_size // (4 * self.widths[name]) if file.is_file() else 0

    def _file(self, name) -> Path:
        return self.folder / f"{name}.float32"


class RenamedColumns:
    """Some columns of a store under other names, to be read like a store."""

    def __init__(self, store: FeatureStore, columns: dict):
        self._store, self._columns = store, columns
        self.widths = {new: store.widths[name] for new, name in columns.items()}

    @property
    def count(self) -> int:
        return self._store.count

    def chunks(self, name: str, rows=CHUNK) -> Iterator[np.ndarray]:
        return self._store.chunks(self._columns[name], rows)

    def take(self, name: str, indices) -> np.ndarray:
        return self._store.take(self._columns[name], indices)
