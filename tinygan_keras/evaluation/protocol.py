"""Whether figures may be compared: everything that moves them has to be equal.

A protocol is a plain dict, nested where that helps, of what a figure depends on. Values that are equal in
JSON count as equal, so that a result read from a file compares with one in memory. None means that nobody
knows.
"""

import difflib
import json
from collections.abc import Iterable, Mapping

from ..errors import InputError, UserError
from ..files import plain


class ProtocolError(UserError, ValueError):
    """Figures of different protocols were to be compared; `lines` has a line per differing key."""

    def __init__(self, message: str, lines: Iterable[str] = ()):
        super().__init__(message)
        self.lines = list(lines)


def check_comparable(protocols: dict, ignore=()) -> list[str]:
    """Refuses a comparison of figures, protocols by name, that were made in different ways.

    `ignore` holds dotted names that don't matter, such as "seed" or "versions.keras"; that of a nested dict
    covers all that is in it. Returns a line for each key that only some of them know, to be shown.
    """
    different, unknown = differences(protocols, ignore)
    if different:
        listing = "\n".join(f"  {line}" for line in different)
        raise ProtocolError(
            f"Got evaluations that were made in different ways:\n{listing}\n"
            "Expected one protocol, since each of these moves the figures. Evaluate again with equal "
            "settings, or name in `ignore` what doesn't matter here.",
            different,
        )
    return unknown


def differences(protocols: dict, ignore=()) -> tuple[list[str], list[str]]:
    """A line for each key of which protocols know different values, and for each that only some know.

    Example:
        >>> differences({"runs/a": {"truncation": 1.0}, "runs/b": {"truncation": 0.5}})
        (['truncation: 1.0 (runs/a), 0.5 (runs/b)'], [])
    """
    for name, protocol in protocols.items():
        if not isinstance(protocol, Mapping):
            raise InputError(
                f"Got {protocol!r} as the protocol of {name}. Expected a dict, without which figures can't "
                "be compared. Evaluate it again."
            )
    leaves = dict(_leaves([plain(dict(protocol)) for protocol in protocols.values()]))
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    _check_ignored(ignore, leaves)
    different, unknown = [], []
    for key, values in leaves.items():
        if any(f"{key}.".startswith(f"{name}.") for name in ignore):
            continue
        groups = _groups(protocols, values)
        known = sum(value is not None for value, _ in groups)
        if known > 1:
            different.append(_line(key, groups))
        elif known < len(groups) and known:
            unknown.append(_line(key, groups))
    return different, unknown


def _groups(names, values) -> list:
    """Pairs of a value and the names that have it, the unknown last."""
    groups = []
    for name, value in zip(names, values, strict=True):
        members = next((members for other, members in groups if other == value), None)
        if members is None:
            groups.append((value, [name]))
        else:
            members.append(name)
    return sorted(groups, key=lambda group: group[0] is None)


def _line(key, groups) -> str:
    parts = []
    for value, members in groups:
        text = "unknown" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
        parts.append(f"{text} ({', '.join(members)})")
    return f"{key}: {', '.join(parts)}"


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
    """Refuses names that no protocol has."""
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
