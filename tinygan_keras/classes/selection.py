"""Which classes a text such as "animals", "0-9,17" or "goldfish, Egyptian cat" means.

A name is one class or an error, never a guess: "cat" is in the names of several classes of ImageNet, and one
of them is a panda. Upper and lower case are the same; classes of ImageNet are called by any lemma or by their
wnid. Needs no TensorFlow.
"""

import difflib
import functools
import numbers
import re
import unicodedata

import numpy as np

from ..errors import InputError
from .folder_labels import listed
from .imagenet import ANIMALS, imagenet_classes, imagenet_names

ANIMALS_WORD = "animals"
_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
_WORD = re.compile(r"[\w']+")
_SHOWN = 6


def class_numbers(
    classes,  # None or nothing for all, a number, a text as above, or a sequence of numbers and texts
    num_classes,  # None if unknown, then `classes` are numbers
    class_names=None,  # by label, with commas between synonyms; None: ImageNet's of 1000 classes, else none
    distinct=False,  # whether to return a set, sorted and each once, not one number per mention
) -> np.ndarray:
    """Finds the class numbers int32 `[N]` that a user means."""
    if num_classes is None and class_names is not None:
        num_classes = len(class_names)
    if isinstance(classes, (str, numbers.Integral)) or np.ndim(classes) == 0:
        classes = [] if classes is None or not str(classes).strip() else [classes]
    if not len(classes) and num_classes is None:
        raise InputError(
            "Got no classes, and a model that doesn't say how many it has. Expected class numbers, such as "
            "0-9; or give the run folder instead of the exported model."
        )
    if not len(classes):
        found = range(num_classes)
    elif np.issubdtype(np.asarray(classes).dtype, np.integer):
        found = _checked(classes, num_classes)
    else:
        found, synonyms = [], class_synonyms(num_classes or 0, class_names)
        for item in classes:
            if isinstance(item, str):
                found.extend(_of_text(item, num_classes, class_names, synonyms))
            else:
                found.extend(_checked([item], num_classes))
    found = np.asarray(found, "int32")
    return np.unique(found) if distinct else found


def _checked(labels, num_classes):
    labels, most = np.asarray(labels), (2**31 if num_classes is None else num_classes) - 1
    whole = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    wrong = labels[(labels < 0) | (labels > most)] if whole else labels
    if len(wrong):
        raise InputError(
            f"Got the class {wrong.tolist()[0]}. Expected numbers from 0 to {most}, or names."
        )
    return labels


def _of_text(text, num_classes, class_names, synonyms):
    """The class numbers of names, numbers and ranges, separated by commas."""
    by_name = labels_by_name(synonyms)
    if lower_name(text.strip()) in by_name:  # a name may hold a comma
        return [_find(text.strip(), synonyms)]
    found = []
    for item in (part.strip() for part in text.split(",")):
        if not item:
            raise InputError(
                f"Got the classes {text!r} with nothing between two commas or at an end. Expected a list "
                "such as '0-9,17'."
            )
        if match := _RANGE.fullmatch(item):
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last:
                raise InputError(
                    f"Got the classes {item!r}. Expected the smaller end of a range first. Swap the two."
                )
            _checked([last], num_classes)
            found += range(first, last + 1)
        elif item.lower() != ANIMALS_WORD or ANIMALS_WORD in by_name:
            found.append(_find(item, synonyms))
        elif is_imagenet(num_classes, class_names):
            found += ANIMALS
        else:
            names = f": {listed(list(map(str, class_names)), _SHOWN)}" if class_names else ""
            raise InputError(
                f"Got the classes {ANIMALS_WORD!r} and {num_classes} classes{names}. Expected the 1000 "
                "classes of ImageNet, whose ids 0 to 397 the word means. Give numbers or names."
            )
    return found


def given_names(num_classes: int, class_names) -> tuple | None:
    """Class names as strings, or None where there are none or they only repeat the numbers."""
    names = None if class_names is None else tuple(str(name) for name in class_names)
    return None if names == tuple(str(label) for label in range(num_classes)) else names


def is_imagenet(num_classes: int, class_names=None) -> bool:
    """Says whether class numbers are to be read as ids of ImageNet: 1000 of them, without other names."""
    if num_classes != len(imagenet_classes()):
        return False
    names = given_names(num_classes, class_names)
    if names is None:
        return True
    # Names from lists that differ in details still begin, nearly all of them, with one of the lemmas.
    first = (re.split(r", | \(", name.lower())[0].replace("_", " ") for name in names)
    same = sum(
        name in (known.wnid, *(lemma.lower() for lemma in known.lemmas))
        for name, known in zip(first, imagenet_classes(), strict=False)
    )
    return same >= 0.9 * num_classes


def class_synonyms(num_classes: int, class_names=None) -> tuple:
    """Returns names per class: ImageNet's lemmas and wnids, `class_names` split at commas, or none."""
    if is_imagenet(num_classes, class_names):
        pairs = zip(imagenet_classes(), imagenet_names(), strict=True)
        return tuple(tuple(dict.fromkeys((*c.lemmas, c.wnid, name))) for c, name in pairs)
    names = given_names(num_classes, class_names)
    if names is None:
        return ((),) * num_classes
    return tuple((name, *name.split(", ")) if ", " in name else (name,) for name in names)


def _find(name: str, synonyms) -> int:
    """The one class that has a name, in upper or lower case."""
    labels = labels_by_name(synonyms).get(lower_name(name), ())
    if len(labels) > 1:
        raise InputError(
            f"Got the class {name!r}, which is a name of {len(labels)} classes: "
            f"{_described(labels, synonyms)}. Expected one class. Give its number instead."
        )
    if not labels:
        raise InputError(
            f"Got the class {name!r}. Expected one that exists. {nearest(name, synonyms)}"
        )
    return labels[0]


def nearest(name: str, synonyms) -> str:
    """Names the classes with that word in their names, or else those that are spelt nearly so."""
    by_name = labels_by_name(synonyms)
    if not synonyms:
        return "Nothing says the names of these classes; give numbers."
    if not by_name:
        return f"These {len(synonyms)} classes have no names; give numbers from 0 to {len(synonyms) - 1}."
    wanted = lower_name(name)
    words = set(_WORD.findall(wanted))
    with_word = [known for known in by_name if words and words <= set(_WORD.findall(known))]
    # What is spelt nearly so only helps who made a typing error: "dog" is not far from "dough".
    like = with_word or difflib.get_close_matches(wanted, list(by_name), n=_SHOWN, cutoff=0.7)
    labels = list(dict.fromkeys(label for known in like for label in by_name[known]))
    if not labels:
        return f"Give a number from 0 to {len(synonyms) - 1}, or a name of the class list."
    more = f"; or one of {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"Did you mean {_described(labels[:_SHOWN], synonyms)}{more}?"


def _described(labels, synonyms):
    return "; ".join(f"{label} ({', '.join(synonyms[label])})" for label in labels)


def lower_name(name: str) -> str:
    """A name in lower case and in one form of Unicode: file systems may spell letters with accents as two."""
    return unicodedata.normalize("NFC", name).lower()


@functools.lru_cache(maxsize=8)
def labels_by_name(synonyms, spelling=lower_name) -> dict:
    """Returns the list of labels of each name, as `spelling` spells it."""
    by_name = {}
    for label, names in enumerate(synonyms):
        for name in dict.fromkeys(map(spelling, names)):
            by_name.setdefault(name, []).append(label)
    return by_name
