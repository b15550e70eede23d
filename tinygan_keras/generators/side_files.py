"""What the files beside a generator say about it: `config.json` and `class_names.txt`.

A run writes both. A teacher's folder may have them too: then `config.json` holds the `truncation` to draw
at.
"""

import json
from pathlib import Path

from ..errors import InputError

STUDENT_FILE = "student.keras"


def read_config(path) -> dict:
    """The settings of the run that made the model at `path`; empty if they aren't there.

    Raises:
        ValueError: `config.json` can't be read.
    """
    file = _beside(path, "config.json")
    if file is None:
        return {}
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"Got {file}, which can't be read: {error}. Expected JSON. Mend it, or take it away."
        ) from error
    if not isinstance(config, dict):
        raise InputError(
            f"Got {file} with a {type(config).__name__}. Expected settings by name. Mend it, or take it "
            "away."
        )
    return config


def read_class_names(path) -> tuple | None:
    """The names of the classes by label, from `class_names.txt`; None if it isn't there."""
    file = _beside(path, "class_names.txt")
    return tuple(file.read_text(encoding="utf-8").splitlines()) if file else None


def located(name, path, is_there=Path.exists) -> str | None:
    """Finds what a config names, which is relative to where the run was started: at or above its folder.

    Args:
        name: A path of the config.
        path: The run folder or a file in it, from whose parents on upwards it is looked for.
        is_there: Function that tells whether a `Path` is what is looked for.

    Returns:
        The first one found, looking from here before; None if there is none.
    """
    places = (Path(), *Path(path).resolve().parents)
    return next((str(place / name) for place in places if is_there(place / name)), None)


def which_weights(config: dict, path=None) -> str | None:
    """Which weights of its training the student of a run, or in a file, has; None if unknown."""
    decay = config.get("ema_decay")
    # Another file may hold any weights of the run.
    if decay is None or (path is not None and path.is_file() and path.name != STUDENT_FILE):
        return None
    # A run saves the averaged student, which is the trained one where nothing is averaged.
    return "exponential moving average" if decay else "last step"


def _beside(path: Path, name):
    """The file `name` in the folder, beside the file, or in the run folder around an exported model."""
    folders = [path if path.is_dir() else path.parent]
    # A folder that isn't a run's may hold a file of this name that has nothing to do with the model.
    parents = path.resolve().parents[:2]
    folders += [parent for parent in parents if (parent / STUDENT_FILE).is_file()]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
