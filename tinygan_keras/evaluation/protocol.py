"""Whether figures may be compared: everything that moves them has to be equal.

A protocol is a plain dict, nested where that helps, of what a figure depends on: the extractor, the range
and kernel of its images, numbers of images, the rule of the labels, truncation, seed, weights, versions.
Values that are equal in JSON count as equal, so that a result read from a file compares with one in
memory. None means that nobody knows.
"""

import difflib
import json
from collections.abc import Iterable, Mapping

from ..errors import InputError, UserError
from ..files import plain


class ProtocolError(UserError, ValueError):
    """Figures of different protocols were to be compared.

    Attributes:
        lines: List of str, one per differing key.
    """

    def __init__(self, message: str, lines: Iterable[str] = ()):
        super().__init__(message)
        self.lines = list(lines)


def differences(first: dict, second: dict, names=("first", "second"), ignore=()) -> list[str]:
    """A line for each key of which two protocols know different values.

    `ignore` holds dotted names that don't matter, such as "seed" or "versions.keras"; that of a nested dict
    covers all that is in it.

    Example:
        >>> differences({"truncation": 1.0}, {"truncation": 0.5}, ("runs/a", "runs/b"))
        ['truncation: 1.0 (runs/a), 0.5 (runs/b)']
    """
    return _compare(names, (first, second), ignore)[0]


def check_comparable(protocols: dict, ignore=()) -> list[str]:
    """Refuses a comparison of figures, protocols by name, that were made in different ways.

    Returns:
        A line for each key that not all of them know, having None or nothing there, such as
        "seed: 0 (runs/a), unknown (runs/b)". To be shown as a warning.

    Raises:
        ProtocolError: two of them differ; the message shows the lines.
        InputError: a name in `ignore` that no protocol has.
    """
    different, unknown = _compare(list(protocols), list(protocols.values()), ignore)
    if different:
        listing = "\n".join(f"  {line}" for line in different)
        raise ProtocolError(
            f"Got evaluations that were made in different ways:\n{listing}\n"
            "Expected one protocol, since each of these moves the figures. Evaluate again with equal "
            "settings, or name in `ignore` what doesn't matter here.",
            different,
        )
    return unknown


def _compare(names, protocols, ignore):
    """The lines that differ, and the lines that are equal as far as they are known."""
    for name, protocol in zip(names, protocols, strict=True):
        if not isinstance(protocol, Mapping):
            raise InputError(
                f"Got {protocol!r} as the protocol of {name}. Expected a dict; evaluate it again, for "
                "without a protocol its figures can't be compared."
            )
    leaves = dict(_leaves([plain(dict(protocol)) for protocol in protocols]))
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    _check_ignored(ignore, leaves)
    different, unknown = [], []
    for key, values in leaves.items():
        if any(key == name or key.startswith(f"{name}.") for name in ignore):
            continue
        groups = _groups(names, values)
        known = sum(value is not None for value, _ in groups)
        if known > 1:
            different.append(_line(key, groups))
        elif known < len(groups) and known:
            unknown.append(_line(key, groups))
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


def _check_ignored(ignore, leaves):
    parts = [key.split(".") for key in leaves]
    names = {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
    for name in ignore:
        if name not in names:
            near = difflib.get_close_matches(name, sorted(names), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"Got ignore={name!r}, which no protocol has. Expected one of: "
                f"{', '.join(sorted(names))}.{hint}"
            )


def _groups(names, values):
    """Pairs of a value and the names that have it, the unknown last."""
    groups = []
    for name, value in zip(names, values, strict=True):
        for other, members in groups:
            if other == value:
                members.append(name)
                break
        else:
            groups.append((value, [name]))
    return sorted(groups, key=lambda group: group[0] is None)


def _line(key, groups) -> str:
    parts = []
    for value, members in groups:
        text = "unknown" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
        parts.append(f"{text} ({', '.join(members)})")
    return f"{key}: {', '.join(parts)}"
