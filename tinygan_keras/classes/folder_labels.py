"""Labels from names: of class sub-folders, and of the files that `tinygan sample` writes.

Scope: names only; nothing here opens a file.
"""

import collections
import itertools
import re
from pathlib import PurePosixPath

import numpy as np

from ..errors import InputError

_SAMPLE_STEM = re.compile(r"\d{5,}_(\d{3,})_(.+)")
_SHOWN_NAMES = 10
_LARGEST_LABEL = 2**31 - 1  # labels are int32


def sample_file_name(index: int, label: int, class_name: str) -> str:
    """Returns the name under which `tinygan sample` writes an image: number, label, class.

    Example:
        sample_file_name(0, 3, "Dress")  # "00000_003_Dress.png"
    """
    return f"{index:05d}_{label:03d}_{as_file_name(class_name)}.png"


def labels_of_sub_folders(files, folder_names, class_names=None):
    """Labels images by the sub-folder that they lie in.

    Args:
        files: Names such as "Dress/1.png".
        folder_names: All sub-folders, sorted; those without images keep their label.
        class_names: Names by label, one of which every sub-folder has, with underscores in place of
            other characters than letters and digits if need be. None: the labels count the sub-folders
            in the order of their names.

            Sub-folders that are all numbers, such as "7" or "007", have these as their labels instead,
            unless there are class names that are numbers too.

    Returns:
        Labels int32 `[N]`; the tuple of class names, or None for numbers without `class_names`; and
        the number of classes, those of sub-folders without images included.

    Raises:
        ValueError: a sub-folder has the name of no class, or of several, or a number that is no label; or
            several have that of one class.
    """
    numbers = all(name.isdecimal() for name in folder_names)
    if numbers and not any(name.isdecimal() for name in class_names or ()):
        label_of = {name: int(name) for name in folder_names}
        _check_numbers(label_of, class_names)
    else:
        class_names = folder_names if class_names is None else class_names
        label_of = {name: _label_of(name, class_names) for name in folder_names}
    (label, count), *_ = collections.Counter(label_of.values()).most_common(1)
    if count > 1:
        same = [name for name in folder_names if label_of[name] == label]
        of_class = f"class {class_names[label]!r}" if class_names else f"label {label}"
        raise InputError(
            f"Got the sub-folders {same} for the {of_class}. Expected one per class. Merge them."
        )
    labels = np.array([label_of[file.split("/")[0]] for file in files], "int32")
    if class_names is None:
        return labels, None, max(label_of.values()) + 1
    return labels, tuple(class_names), len(class_names)


def labels_of_sample_names(files, class_names=None):
    """Labels images by file names such as "00000_003_Dress.png".

    Args:
        files: Names.
        class_names: Names by label, with which those in the file names have to agree; None to take
            them from there, with the number of a class that has no image in place of its name.

    Returns:
        Labels int32 `[N]` and the tuple of class names; two times None if no name carries a label.

    Raises:
        ValueError: only some names carry labels, or names and labels contradict each other.
    """
    matches = [_SAMPLE_STEM.fullmatch(PurePosixPath(file).stem) for file in files]
    unlabelled = [file for file, match in zip(files, matches, strict=True) if not match]
    if len(unlabelled) == len(files):
        return None, class_names
    if unlabelled:
        raise InputError(
            f"Got {len(files) - len(unlabelled)} of {len(files)} files with a label in their name, as in "
            f"00000_003_Dress.png, and others without (first: {unlabelled[0]}). Expected all or none. "
            "Rename them, or move the others away."
        )
    labels = np.array([int(match[1]) for match in matches], "int32")
    found = {}
    for label, match, file in zip(labels.tolist(), matches, files, strict=True):
        if found.setdefault(label, match[2]) != match[2]:
            raise InputError(
                f"Got {file}, while label {label} is {found[label]!r} in the name of another file. "
                "Expected one class per label. Keep the samples of different models apart."
            )
    if class_names is None:
        return labels, tuple(found.get(label, str(label)) for label in range(max(found) + 1))
    for label, name in found.items():
        known = label < len(class_names)
        if not known or name not in (str(label), as_file_name(class_names[label])):
            expected = f"the class {class_names[label]!r}" if known else "no such label"
            raise InputError(
                f"Got label {label} with the class {name!r} in the names of files. Expected {expected}, "
                f"by the {len(class_names)} class names given. Give those of the model that drew them."
            )
    return labels, class_names


def missing_classes(labels, class_names=None, count=None) -> list:
    """Returns a warning, as a list of one, if classes have no image, and else an empty list.

    Args:
        labels: Int `[N]`, at least one.
        class_names: Names by label, if known.
        count: Number of classes; None for that of the names, or else for those up to the largest label.
    """
    count = count or (len(class_names) if class_names else int(np.max(labels)) + 1)
    present = set(np.unique(labels).tolist())
    if len(present) == count:
        return []
    # Labels may be dates: what is missing then fills no memory.
    missing = (label for label in range(count) if label not in present)
    first = itertools.islice(missing, _SHOWN_NAMES)
    names = [f"{label} ({class_names[label]})" if class_names else str(label) for label in first]
    number = count - len(present)
    return [f"No image of {number} of {count} classes: {listed(names, _SHOWN_NAMES, number)}."]


def listed(names, most: int, count: int | None = None) -> str:
    """Returns names in one line, the first `most` of them and how many more there are.

    Args:
        names: List of str.
        most: How many of them to show.
        count: How many there are, if `names` only begins with them.
    """
    count = len(names) if count is None else count
    more = f", and {count - most:,} more" if count > most else ""
    return ", ".join(names[:most]) + more


def _check_numbers(label_of, class_names):
    largest = len(class_names) - 1 if class_names else _LARGEST_LABEL
    wrong = next((name for name, label in label_of.items() if label > largest), None)
    if wrong is None:
        return
    mend = "Take shorter numbers, or names."
    if class_names:
        mend = (
            f"These are the labels of the {len(class_names)} class names; give those of the folder."
        )
    raise InputError(
        f"Got the sub-folder {wrong!r}. Expected numbers from 0 to {largest}, as all sub-folders are "
        f"numbers. {mend}"
    )


def _label_of(folder_name, class_names):
    # Names that differ in a sign only, such as "a-b" and "a b", are told apart by the exact name.
    for spelling in (str, lambda name: as_file_name(name).lower()):
        names = [spelling(name) for name in class_names]
        same = [label for label, name in enumerate(names) if name == spelling(folder_name)]
        if len(same) == 1:
            return same[0]
    problem = f"is the name of {len(same)} classes" if same else "is the name of no class"
    names = listed([repr(name) for name in class_names], _SHOWN_NAMES)
    raise InputError(
        f"Got the sub-folder {folder_name!r}, which {problem}. Expected one of the {len(class_names)} "
        f"class names: {names}. Rename the sub-folder."
    )


def as_file_name(class_name: str) -> str:
    """Returns a class name with an underscore for all that is no letter and no digit."""
    return re.sub(r"\W+", "_", class_name)
