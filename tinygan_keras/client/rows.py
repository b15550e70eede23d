"""The rows of a request: a class, a seed and a truncation for every image, checked and put into batches.

Scope: what can be known without the model. Which classes it has only the server knows; it answers a row that
it can't draw with `valid` false.
"""

import numbers
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .target import is_text

LARGEST_NUMBER = 2**63 - 1  # classes and seeds are int64


class Row(NamedTuple):
    """What one image is made of."""

    class_: int | str
    seed: int
    truncation: float


class Batch(NamedTuple):
    """Rows that go into one request, and their places among all."""

    signature: str
    places: list
    inputs: dict


def checked_rows(classes, seeds, truncation) -> list:
    """Returns a `Row` for every image.

    Args:
        classes: Numbers or names `[N]`.
        seeds: Whole numbers `[N]`.
        truncation: One number, or one per row.

    Raises:
        ValueError: nothing to draw, other lengths, or a value that no model can take.
    """
    classes, seeds = _listed("classes", classes), _listed("seeds", seeds)
    several = _dimensions(truncation) > 0
    truncations = _listed("truncation", truncation) if several else [truncation] * len(classes)
    if not classes or not len(classes) == len(seeds) == len(truncations):
        raise InputError(
            f"Got {len(classes)} classes, {len(seeds)} seeds and {len(truncations)} truncations. Expected as "
            "many of each, at least one, or one truncation for all. Give every image a class and a seed."
        )
    columns = {"class": classes, "seed": seeds, "truncation": truncations}
    for name, is_right, expected in _CHECKS:
        for place, value in enumerate(columns[name]):
            if not is_right(value):
                raise InputError(f"Got the {name} {value!r} in row {place}. Expected {expected}.")
    return [
        Row(str(c) if isinstance(c, str) else int(c), int(s), float(t))
        for c, s, t in zip(classes, seeds, truncations, strict=True)
    ]


def batches(rows, batch_size: int) -> list:
    """Puts rows into batches of one signature: classes by number, then classes by name."""
    found = []
    for signature, kind in (("sample", int), ("sample_by_name", str)):
        places = [place for place, row in enumerate(rows) if isinstance(row.class_, kind)]
        for start in range(0, len(places), batch_size):
            some = places[start : start + batch_size]
            found.append(Batch(signature, some, _inputs([rows[place] for place in some])))
    return found


def refusal(row: Row, place: int, target) -> str:
    """Says that the server couldn't draw a row."""
    return (
        f"Got row {place}, class {row.class_!r}, seed {row.seed}, truncation {row.truncation:g}, without an "
        f"image (valid is false) from {target}. Expected a class that the model has: a number below its "
        "number of classes, or a name as in assets/class_names.txt of the exported folder. Correct the class."
    )


def _inputs(rows) -> dict:
    classes = [row.class_ for row in rows]
    if isinstance(classes[0], str):
        inputs = {"class_name": np.array(classes, object)}
    else:
        inputs = {"label": np.array(classes, "int64")}
    inputs["seed"] = np.array([row.seed for row in rows], "int64")
    inputs["truncation"] = np.array([row.truncation for row in rows], "float32")
    return inputs


def _listed(name, values) -> list:
    if _dimensions(values) != 1:
        raise InputError(
            f"Got {name}={values!r}. Expected a list, one for every image. Write one alone as [{values!r}]."
        )
    return list(values)


def _dimensions(values) -> int:
    try:
        return np.ndim(values)
    except ValueError:  # lists of several lengths
        return 2


def _is_number(value) -> bool:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and 0 <= value <= LARGEST_NUMBER


def _is_class(value) -> bool:
    return bool(value) and is_text(value) if isinstance(value, str) else _is_number(value)


def _is_truncation(value) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and 0 < value <= 1 and np.float32(value) > 0  # which NaN isn't, either


_CHECKS = (
    ("class", _is_class, "a number from 0 to 2**63 - 1, or a name. Correct it"),
    ("seed", _is_number, "a whole number from 0 to 2**63 - 1. Take the remainder by 2**63"),
    ("truncation", _is_truncation, "a number in (0, 1]. The usual one is 0.5"),
)
