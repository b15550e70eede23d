"""Files that appear whole or not at all: SavedModel folders, texts, and what goes into JSON."""

import math
import os
import tempfile
from pathlib import Path


def write_archive(archive, path: Path) -> Path:
    """Writes a `keras.export.ExportArchive` aside and renames it to `path`, which must not exist.

    Beside `path`, because a rename needs the same disk. Servers skip a name that is no number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-unfinished-") as aside:
        # A folder inside, because the temporary one is readable by its owner alone.
        unfinished = Path(aside) / "model"
        archive.write_out(str(unfinished), verbose=False)
        unfinished.rename(path)
    return path


def plain(value):
    """Converts to what JSON knows: dicts, lists, strings, booleans, finite numbers, None.

    NumPy numbers and arrays, paths, tuples and `ConfigDict`s are converted; a number that is not finite
    becomes None, since JSON has no word for it.

    Raises:
        TypeError: a value is none of these.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):  # NumPy numbers and arrays
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(
        f"Got {value!r} of type {type(value).__name__} to write as JSON. Expected numbers, strings, lists "
        "and dicts; convert it first."
    )


def replace_file(path, text: str):
    """Writes a text file in UTF-8; it appears complete or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # or a power cut could leave the new name without the text
    temporary.replace(path)
