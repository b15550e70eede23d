"""Labels in the names of files, as `tinygan sample` writes them, and words about classes."""

import itertools
import re
from pathlib import PurePosixPath

import numpy as np

from ..errors import InputError

_SAMPLE_STEM = re.compile(r"\d{5,}_(\d{3,})_(.+)")
_SHOWN_NAMES = 10


def sample_file_name(index: int, label: int, class_name: str) -> str:
    """The name under which `tinygan sample` writes an image, such as "00000_003_Dress.png"."""
    return f"{index:05d}_{label:03d}_{as_file_name(class_name)}.png"


def labels_of_sample_names(files, class_names=None):
    """Labels int32 `[N]` and class names, by names such as "00000_003_Dress.png"; None if none has one."""
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
    if class_names is None:  # a label that no file has is named by its number
        return labels, tuple(found.get(label, str(label)) for label in range(max(found) + 1))
    for label, name in found.items():
        known = label < len(class_names)
        if not known or name not in (str(label), as_file_name(class_names[label])):
            expected = f"the class {class_names[label]!r}" if known else "no such label"
            raise InputError(
                f"Got label {label} with the class {name!r} in the names of files. Expected {expected}, "
                f"by the {len(class_names)} class names given. Give those of the model that drew them."
            )
    return labels, tuple(class_names)


def missing_classes(labels, class_names, wanted) -> list:
    """A warning, as a list of one, if `wanted` classes have no image; else an empty list."""
    present = set(np.unique(labels).tolist())
    missing = (label for label in wanted if label not in present)
    first = itertools.islice(missing, _SHOWN_NAMES)  # labels may be dates, too many to list
    names = [f"{label} ({class_names[label]})" if class_names else str(label) for label in first]
    number = len(wanted) - sum(label in wanted for label in present)
    shown = listed(names, _SHOWN_NAMES, number)
    return [f"No image of {number:,} of {len(wanted):,} classes: {shown}."] if names else []


def listed(names, most: int, count: int | None = None) -> str:
    """The first `most` of a list of names, and how many more of `count` there are, in one line."""
    count = len(names) if count is None else count
    more = f", and {count - most:,} more" if count > most else ""
    return ", ".join(names[:most]) + more


def as_file_name(class_name: str) -> str:
    """A class name with an underscore for all that is no letter and no digit."""
    return re.sub(r"\W+", "_", class_name)
