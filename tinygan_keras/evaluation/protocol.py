"""Whether figures may be compared: everything that moves them has to be equal.

A protocol is a plain dict, nested where that helps, of what a figure depends on. Values that are equal in
JSON count as equal, so that a result from a file compares with one in memory. None means that nobody knows.
"""

import json

from ..errors import InputError, UserError, nearest_name
from ..files import plain


class ProtocolError(UserError, ValueError):
    """Figures of different protocols were to be compared."""


def check_comparable(protocols: dict, ignore=()) -> list[str]:
    """Refuses a comparison of figures, protocols by name, that were made in different ways.

    `ignore` is as in `differences`. Returns a line for each key that only some of them know, to be shown.
    """
    different, unknown = differences(protocols, ignore)
    if different:
        listing = "\n".join(f"  {line}" for line in different)
        raise ProtocolError(
            f"Got evaluations that were made in different ways:\n{listing}\n"
            "Expected one protocol, since each of these moves the figures. Evaluate again with equal "
            "settings, or name in `ignore` what doesn't matter here."
        )
    return unknown


def differences(protocols: dict, ignore=()) -> tuple[list[str], list[str]]:
    """A line for each key of which protocols know different values, and for each that only some know.

    `ignore` holds dotted names that don't matter; that of a nested dict covers all that is in it.

    Example:
        >>> differences({"runs/a": {"truncation": 1.0}, "runs/b": {"truncation": 0.5}})
        (['truncation: 1.0 (runs/a), 0.5 (runs/b)'], [])
    """
    leaves = dict(_leaves([plain(protocol) for protocol in protocols.values()]))
    ignored = set()
    for name in (ignore,) if isinstance(ignore, str) else ignore:
        covered = {key for key in leaves if f"{key}.".startswith(f"{name}.")}
        if not covered:
            names = sorted({*leaves, *(key.partition(".")[0] for key in leaves)})
            raise InputError(
                f"Got ignore={name!r}, which no protocol has. Expected one of: {', '.join(names)}."
                + nearest_name(name, names)
            )
        ignored |= covered
    different, unknown = [], []
    for key, values in leaves.items():
        known = [v for i, v in enumerate(values) if v is not None and v not in values[:i]]
        parts = []
        for value in (*known, None):
            names = [name for name, its in zip(protocols, values, strict=True) if its == value]
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
            if names:
                parts.append(f"{'unknown' if value is None else text} ({', '.join(names)})")
        if len(parts) > 1 and key not in ignored:
            lines = different if len(known) > 1 else unknown
            lines.append(f"{key}: {', '.join(parts)}")
    return different, unknown


def _leaves(values, path=""):
    """Yields each dotted key with its value in every protocol."""
    known = [value for value in values if value is not None]
    if not known or not all(isinstance(value, dict) for value in known):
        yield path, values
        return
    for key in dict.fromkeys(key for value in known for key in value):
        parts = [None if value is None else value.get(key) for value in values]
        yield from _leaves(parts, f"{path}.{key}" if path else key)
