"""Which classes a text such as "animals", "0-9,17" or "goldfish, Egyptian cat" means.

Scope: names and numbers; no TensorFlow. A name is one class or an error, never a guess: "cat" is in the
names of several classes of ImageNet, and one of them is a panda.
"""

import difflib
import re

from ..errors import InputError
from .folder_labels import listed
from .imagenet import ANIMALS, imagenet_classes, imagenet_names

ANIMALS_WORD = "animals"
_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
_WORD = re.compile(r"[\w']+")
_SHOWN = 6


def resolve_classes(text: str, num_classes: int, class_names=None) -> tuple:
    """Finds the class numbers that a setting such as `classes` means.

    Args:
        text: "" for all; else a list, separated by commas, of
            numbers and ranges with both ends, such as "0-9,17";
            "animals", the ids 0 to 397 of ImageNet;
            names, in upper or lower case. ImageNet's are any lemma of a class, and wnids.
        num_classes: Number of classes of the teacher.
        class_names: Names by label, with commas between the synonyms of one; None: those of ImageNet if
            there are 1000 classes, and else none. A list of the numbers themselves counts as None.

    Returns:
        Tuple of int, sorted, each once.

    Raises:
        ValueError: no such class, a name that several classes have, a range that is empty.

    Example:
        >>> resolve_classes("0-2, Egyptian cat", 1000)
        (0, 1, 2, 285)
    """
    if not text.strip():
        return tuple(range(num_classes))
    synonyms = class_synonyms(num_classes, class_names)
    found = set()
    for item in (part.strip() for part in text.split(",")):
        if not item:
            raise InputError(
                f"Got the classes {text!r} with nothing between two commas or at an end. Expected a list "
                "such as '0-9,17'. Take out the comma."
            )
        if match := _RANGE.fullmatch(item):
            found.update(_numbers(match, item, num_classes))
        elif item.lower() == ANIMALS_WORD and ANIMALS_WORD not in _by_name(synonyms):
            found.update(_animals(num_classes, class_names))
        else:
            found.add(find_class(item, synonyms))
    return tuple(sorted(found))


def checked_classes(classes, num_classes: int) -> tuple:
    """Returns class numbers sorted, each once; all of them if `classes` is None.

    Raises:
        ValueError: there is none, or one that the teacher doesn't have.
    """
    if classes is None:
        return tuple(range(num_classes))
    labels = sorted({int(label) for label in classes})
    if not labels or labels[0] < 0 or labels[-1] >= num_classes:
        shown = (
            f"{len(labels)} classes from {labels[0]} to {labels[-1]}" if labels else "no classes"
        )
        raise InputError(
            f"Got {shown}. Expected at least one, from 0 to {num_classes - 1}. Pass None for all classes."
        )
    return tuple(labels)


def given_names(num_classes: int, class_names) -> tuple | None:
    """Returns class names as strings, or None where there are none or they only repeat the numbers."""
    if class_names is None:
        return None
    names = tuple(str(name) for name in class_names)
    return None if names == tuple(str(label) for label in range(num_classes)) else names


def is_imagenet(num_classes: int, class_names=None) -> bool:
    """Says whether class numbers are to be read as ids of ImageNet: 1000 of them, without other names."""
    if num_classes != len(imagenet_classes()):
        return False
    names = given_names(num_classes, class_names)
    if names is None:
        return True
    # Names from lists that differ in details still begin, nearly all of them, with one of the lemmas.
    known = zip(names, imagenet_classes(), strict=False)
    same = sum(_first(name.lower()) in _spellings(entry) for name, entry in known)
    return same >= 0.9 * num_classes


def class_synonyms(num_classes: int, class_names=None) -> tuple:
    """Returns a tuple of names per class: ImageNet's lemmas and wnids, or `class_names` split at commas.

    Without names, each tuple is empty.
    """
    if is_imagenet(num_classes, class_names):
        pairs = zip(imagenet_classes(), imagenet_names(), strict=True)
        return tuple(tuple(dict.fromkeys((*c.lemmas, c.wnid, name))) for c, name in pairs)
    names = given_names(num_classes, class_names)
    if names is None:
        return ((),) * num_classes
    return tuple((name, *name.split(", ")) if ", " in name else (name,) for name in names)


def find_class(name: str, synonyms) -> int:
    """Finds the one class that has a name.

    Args:
        name: In upper or lower case.
        synonyms: Of `class_synonyms`.

    Returns:
        The class number.

    Raises:
        ValueError: no class has it, or several.
    """
    labels = _by_name(synonyms).get(name.lower(), ())
    if len(labels) == 1:
        return labels[0]
    if labels:
        raise InputError(
            f"Got the class {name!r}, which {len(labels)} classes are called: "
            f"{'; '.join(_described(label, synonyms) for label in labels)}. Expected one class. Give its "
            "number instead."
        )
    raise InputError(f"Got the class {name!r}. Expected one that exists. {nearest(name, synonyms)}")


def nearest(name: str, synonyms) -> str:
    """Names the classes with that word in their names, or else those that are spelt nearly so."""
    by_name = _by_name(synonyms)
    if not by_name:
        return f"These {len(synonyms)} classes have no names; give numbers from 0 to {len(synonyms) - 1}."
    wanted = name.lower()
    words = set(_WORD.findall(wanted))
    with_word = [known for known in by_name if words and words <= set(_WORD.findall(known))]
    # What is spelt nearly so only helps who made a typing error: "dog" is not far from "dough".
    like = with_word or difflib.get_close_matches(wanted, list(by_name), n=_SHOWN, cutoff=0.7)
    labels = list(dict.fromkeys(label for known in like for label in by_name[known]))
    if not labels:
        return f"Give a number from 0 to {len(synonyms) - 1}, or a name of the class list."
    found = [_described(label, synonyms) for label in labels]
    return f"Did you mean {'; '.join(found[:_SHOWN])}{_and_more(found)}?"


def _and_more(found):
    return f"; or one of {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""


def _numbers(match, item, num_classes):
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last or last >= num_classes:
        raise InputError(
            f"Got the classes {item!r}. Expected numbers from 0 to {num_classes - 1}, and the smaller end of "
            "a range first. Change the setting, or take the teacher that has these classes."
        )
    return range(first, last + 1)


def _animals(num_classes, class_names):
    if not is_imagenet(num_classes, class_names):
        names = listed([str(name) for name in class_names or ()], _SHOWN)
        called = f": {names}" if names else ""
        raise InputError(
            f"Got the classes {ANIMALS_WORD!r} and a teacher of {num_classes} classes{called}. Expected "
            "the 1000 classes of ImageNet, whose ids 0 to 397 the word means. Give numbers or names."
        )
    return ANIMALS


def _by_name(synonyms):
    by_name = {}
    for label, names in enumerate(synonyms):
        for name in dict.fromkeys(name.lower() for name in names):
            by_name.setdefault(name, []).append(label)
    return by_name


def _described(label, synonyms):
    return f"{label} ({', '.join(synonyms[label])})"


def _first(name):
    return re.split(r", | \(", name)[0].replace("_", " ")


def _spellings(known):
    return {known.wnid, *(lemma.lower() for lemma in known.lemmas)}
