"""From the classes of a data set to class numbers: by name, wnid or number, never by order.

What can't be mapped is refused: an image with a wrong label teaches the wrong thing without a word.
"""

import collections
import re
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .folder_labels import listed
from .imagenet import imagenet_classes, imagenet_ids, imagenet_names
from .selection import class_synonyms, given_names, is_imagenet, labels_by_name, lower_name, nearest

_SHOWN = 10
_LARGEST_LABEL = 2**31 - 1  # labels are int32


class ClassMap(NamedTuple):
    """What the classes of a data set are: int32 numbers by class of the set, all names by number or None."""

    labels: np.ndarray
    class_names: tuple | None
    num_classes: int


def match_classes(
    names,  # of the data set's classes; if all are numbers, such as "7" or "007", the class numbers
    num_classes=None,  # and class_names: the classes to look for, as of a teacher; None: only the data set's
    class_names=None,
    source="the data set",  # its name
    own_order=False,  # whether it counts its classes in an order that is part of it, as CIFAR-10 does
    used=None,  # bool per class, whether it has images; the others need not be known, and are -1
) -> ClassMap:
    """Gives each class of a data set its number."""
    names = tuple(str(name) for name in names)
    if num_classes is None and class_names is None:
        return _own_classes(names, source, own_order)
    if num_classes is None:
        num_classes = len(class_names)
    shown = known_names(num_classes, class_names)
    if names in (shown, None if class_names is None else tuple(class_names)):
        return ClassMap(np.arange(num_classes, dtype="int32"), names, num_classes)
    complete = len(names) == num_classes
    if complete and own_order and shown is None and not _all_numbers(names):
        labels = np.arange(num_classes, dtype="int32")
    else:
        chosen = np.arange(len(names)) if complete or used is None else np.flatnonzero(used)
        labels = np.full(len(names), -1, "int32")
        labels[chosen] = map_classes(
            [names[place] for place in chosen], num_classes, class_names, source, own_order
        )
    if shown is None and complete:
        shown = tuple(names[place] for place in np.argsort(labels))
    return ClassMap(labels, shown, num_classes)


def known_names(num_classes, class_names) -> tuple | None:
    """Class names as given, or ImageNet's; None where there are none, or they only repeat the numbers."""
    if num_classes is None:
        return None if class_names is None else tuple(class_names)
    names = given_names(num_classes, class_names)
    return imagenet_names() if names is None and is_imagenet(num_classes) else names


def map_classes(names, num_classes: int, class_names=None, source="the data set", own_order=False):
    """Finds the class number of each name, int32 `[len(names)]`; only letters and digits have to agree."""
    synonyms = class_synonyms(num_classes, class_names)
    if _all_numbers(names) and not any(name.isdecimal() for known in synonyms for name in known):
        labels = {name: [int(name)] if int(name) < num_classes else [] for name in names}
    else:
        lower, plain = (labels_by_name(synonyms, spelt) for spelt in (lower_name, plain_name))
        labels = {name: _find(name, lower, plain) for name in names}
    wrong = [name for name in names if len(labels[name]) != 1]
    if wrong:
        raise InputError(_unknown(wrong, names, labels, synonyms, source, own_order))
    found = [labels[name][0] for name in names]
    _check_once(names, found, source, synonyms)
    return np.array(found, "int32")


def plain_name(name: str) -> str:
    """A name in lower case, in one form of Unicode, with a space for all that is no letter and no digit."""
    return re.sub(r"[\W_]+", " ", lower_name(name)).strip()


def _all_numbers(names):
    return all(name.isdecimal() for name in names)


def _own_classes(names, source, own_order):
    numbers = [name for name in names if name.isdecimal()]
    if not numbers or own_order:
        return ClassMap(np.arange(len(names), dtype="int32"), names, len(names))
    if len(numbers) < len(names):
        others = [name for name in names if not name.isdecimal()]
        raise InputError(
            f"Got the classes {listed(numbers, _SHOWN)} and {listed(others, _SHOWN)} in {source}. Expected "
            "only numbers, which are the labels, or only names. Rename them, or move the others away."
        )
    found = [int(name) for name in names]
    if max(found) > _LARGEST_LABEL:
        raise InputError(
            f"Got the class {max(found)} in {source}. Expected numbers from 0 to {_LARGEST_LABEL}, as all "
            "classes are numbers. Give shorter numbers, or names."
        )
    _check_once(names, found, source)
    return ClassMap(np.array(found, "int32"), None, max(found) + 1)


def _check_once(names, labels, source, synonyms=None):
    several = [label for label, number in collections.Counter(labels).items() if number > 1]
    if several:
        label = several[0]
        twice = [name for name, other in zip(names, labels, strict=True) if other == label]
        called = f" ({', '.join(synonyms[label])})" if synonyms and synonyms[label] else ""
        raise InputError(
            f"Got the classes {twice} in {source}, which are all class {label}{called}. Expected one each. "
            "Merge them."
        )


def _find(name, lower, plain):
    """Class numbers under a name, exactly spelt or nearly so; a wnid's lemmas if it isn't known itself."""
    found = lower.get(lower_name(name)) or plain.get(plain_name(name), [])
    label = imagenet_ids().get(name.lower())
    if not found and label is not None:
        lemmas = imagenet_classes()[label].lemmas
        found = sorted({label for lemma in lemmas for label in plain.get(plain_name(lemma), [])})
    return found


def _unknown(wrong, names, labels, synonyms, source, own_order):
    nameless, last = not any(synonyms), len(synonyms) - 1
    several = next((name for name in wrong if labels[name]), None)
    if several:
        return (
            f"Got the class {several!r} in {source}, which is the name of the classes {labels[several]}. "
            "Expected one. Call it by its number or its wnid."
        )
    if nameless and own_order:
        fix = f"Choose a teacher of {len(names)} classes, or another data set."
    elif _all_numbers(names):
        fix = f"As all are numbers, they are class numbers, from 0 to {last}."
    elif nameless:
        fix = f"These classes have no names: call those of the data set by their numbers, 0 to {last}."
    else:
        fix = f"{nearest(wrong[0], synonyms)} Rename these classes, or move them away."
    return (
        f"Got {len(wrong)} of {len(names)} classes in {source} that are none of the {len(synonyms)} known "
        f"ones: {listed([repr(name) for name in wrong], _SHOWN)}. Expected classes of the teacher, or of the "
        f"class names that were given. {fix}"
    )
