"""What the files beside a generator say about it: `config.json` and `class_names.txt`.

A run writes both. A teacher's folder may have them too, with the `truncation` of its images.
"""

from pathlib import Path

from ..embedded import EMBEDDED, find
from ..files import read_json, read_text, write_text

STUDENT_FILE = "student.keras"
NAMES_FILE = "class_names.txt"


def read_config(path) -> dict:
    """The settings of the run that made the model at `path`; empty if they aren't there."""
    file = _beside(path, "config.json")
    return read_json(file) if file else {}


def read_class_names(path) -> tuple | None:
    """The names of the classes by label, from `class_names.txt`; None if it isn't there."""
    file = _beside(path, NAMES_FILE)
    return tuple(read_text(file).splitlines()) if file else None


def write_class_names(folder, names):
    """Writes `class_names.txt`: a name per line, in UTF-8."""
    write_text(Path(folder) / NAMES_FILE, "\n".join(names) + "\n")


def located(name, path, is_there=Path.exists) -> str | None:
    """Finds what a config names: here, above the run at `path`, its start perhaps, or by an embedded name."""
    places = (Path(), *Path(path).resolve().parents)
    found = next((place / name for place in places if is_there(place / name)), EMBEDDED.get(name))
    if name in EMBEDDED and found.resolve() == EMBEDDED[name].resolve():
        return name
    return found and str(found)


def teacher_here(generator) -> str | None:
    """The folder of the teacher that a run was distilled from, if it is on this machine."""
    name = generator.teacher
    return located(name, generator.source, Path.is_dir) if name else None


def which_weights(config: dict, path=None) -> str | None:
    """Which weights of its training the student of a run, or in a file, has; None if unknown."""
    decay = config.get("ema_decay")
    # Another file may hold any weights of the run.
    if decay is None or (path is not None and path.is_file() and path.name != STUDENT_FILE):
        return None
    # A run saves the averaged student, which is the trained one where nothing is averaged.
    return "exponential moving average" if decay else "last step"


def _beside(path, name):
    """The file `name` in the folder, beside the file, or in the run folder around an exported model."""
    path = Path(find(path))
    folders = [path if path.is_dir() else path.parent]
    # A folder that isn't a run's may hold a file of this name that has nothing to do with the model.
    parents = path.resolve().parents[:2]
    folders += [parent for parent in parents if (parent / STUDENT_FILE).is_file()]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
