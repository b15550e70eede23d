"""Writes a SavedModel folder whole or not at all, for teachers and students alike."""

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
