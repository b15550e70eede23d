"""From the classes of a data set to the class numbers of a teacher: by name or wnid, never by order.

A folder tree is listed in the order of its names, which is that of ImageNet's ids only if all 1000 wnids are
there. What can't be mapped is refused: an image with a wrong label teaches the wrong thing without a word.
"""

import re

import numpy as np

from ..errors import InputError
from .folder_labels import listed
from .imagenet import imagenet_classes, imagenet_ids
from .selection import class_synonyms, nearest

_SHOWN = 10


def map_classes(names, num_classes: int, class_names=None, source="the data set", own_order=False):
    """Finds the teacher's class number for each class of a data set.

    Numbers are class numbers as they are. Names are compared with `class_names`, or with the lemmas and
    wnids of ImageNet, in upper or lower case, with any other characters than letters and digits equal to
    each other; a wnid also finds the class that is called like one of its lemmas.

    Args:
        names: Names of the classes of the data set, such as those of sub-folders.
        num_classes: Number of classes of the teacher.
        class_names: The teacher's names by class number; None: ImageNet's if there are 1000, and else none.
        source: What people call the data set.
        own_order: The data set counts its classes in an order that is part of it, as CIFAR-10 does. A teacher
            without class names, or with the same, and with as many classes is taken to count them so, too.

    Returns:
        int32 `[len(names)]`.

    Raises:
        ValueError: classes that the teacher does not have, or several for one class of the teacher.
    """
    names = [str(name) for name in names]
    synonyms = class_synonyms(num_classes, class_names)
    nameless = not any(synonyms)
    numbers = all(name.isdecimal() for name in names)
    if numbers and not any(name.isdecimal() for known in synonyms for name in known):
        labels = {name: [int(name)] if int(name) < num_classes else [] for name in names}
    elif own_order and nameless and len(names) == num_classes:
        return np.arange(num_classes, dtype="int32")
    else:
        tables = [_table(synonyms, spelling) for spelling in (str.lower, _plain)]
        labels = {name: _find(name, tables) for name in names}
    wrong = [name for name in names if len(labels[name]) != 1]
    if wrong:
        raise InputError(_unmapped(wrong, names, labels, synonyms, source, own_order))
    found = [labels[name][0] for name in names]
    same = next((label for label in found if found.count(label) > 1), None)
    if same is not None:
        twice = [name for name, label in zip(names, found, strict=True) if label == same]
        called = f" ({', '.join(synonyms[same])})" if synonyms[same] else ""
        raise InputError(
            f"Got the classes {twice} in {source}, which are all class {same}{called} of the teacher. "
            "Expected one each. Merge them."
        )
    return np.array(found, "int32")


def names_by_label(names, labels, num_classes: int, class_names=None):
    """The names to show: the teacher's, or those of the data set if it has all classes, or None.

    Args:
        names: Names of the classes of the data set.
        labels: What `map_classes` made of them.
        num_classes: Number of classes of the teacher.
        class_names: The teacher's names by class number, or None.
    """
    if class_names is not None or len(names) != num_classes:
        return class_names
    return [str(names[place]) for place in np.argsort(labels)]


def _find(name, tables):
    """Class numbers under a name, exactly spelt or nearly so; a wnid's lemmas if it isn't known itself."""
    lower, plain = tables
    found = lower.get(name.lower()) or plain.get(_plain(name), [])
    label = imagenet_ids().get(name.lower())
    if not found and label is not None:
        lemmas = imagenet_classes()[label].lemmas
        found = sorted({label for lemma in lemmas for label in plain.get(_plain(lemma), [])})
    return found


def _table(synonyms, spelling):
    table = {}
    for label, known in enumerate(synonyms):
        for name in dict.fromkeys(map(spelling, known)):
            table.setdefault(name, []).append(label)
    return table


def _plain(name):
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _unmapped(wrong, names, labels, synonyms, source, own_order):
    nameless = not any(synonyms)
    several = next((name for name in wrong if labels[name]), None)
    if several:
        return (
            f"Got the class {several!r} in {source}, which is the name of the classes {labels[several]} of "
            "the teacher. Expected one. Call it by its number or its wnid."
        )
    shown = listed([repr(name) for name in wrong], _SHOWN)
    if nameless and own_order:
        mend = f"Take a teacher of {len(names)} classes, or another data set."
    elif all(name.isdecimal() for name in names):
        mend = f"As all are numbers, they are class numbers, from 0 to {len(synonyms) - 1}."
    elif nameless:
        mend = (
            "The teacher's classes have no names: call those of the data set by the teacher's class numbers, "
            f"0 to {len(synonyms) - 1}."
        )
    else:
        mend = f"{nearest(wrong[0], synonyms)} Rename these classes, or move them away."
    return (
        f"Got {len(wrong)} of {len(names)} classes in {source} that the teacher, which has "
        f"{len(synonyms)}, doesn't have: {shown}. Expected classes of the teacher. {mend}"
    )
