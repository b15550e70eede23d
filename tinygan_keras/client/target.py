"""Which version of which model on which server a request is for.

Scope: the arguments of a client, checked before anything is sent.
"""

import numbers
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import InputError

SCHEMES = ("http", "https", "grpc")
_LARGEST_VERSION = 2**63 - 1  # int64


class Target(NamedTuple):
    """One model of one server; without version and label, its latest version."""

    scheme: str
    host: str
    port: int
    model: str
    version: int | None = None
    label: str | None = None

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self):
        version = "" if self.version is None else f", version {self.version}"
        label = "" if self.label is None else f", version label {self.label!r}"
        return f"{self.address} for the model {self.model!r}{version}{label}"


def checked_target(address, model, version=None, label=None) -> Target:
    """Returns the target that these arguments of `ServingClient` mean.

    Raises:
        ValueError: an address of another form, a version that is no number, or a version and a label.
    """
    scheme, host, port = _split(address)
    if not _is_name(model):
        raise InputError(
            f"Got model={model!r}. Expected the name of a model on the server, without / and :. Give the one "
            "in its models.config, such as 'tinygan'."
        )
    if version is not None and label is not None:
        raise InputError(
            f"Got version={version!r} and label={label!r}. Expected one of the two, or neither for the "
            "latest version. Leave one out."
        )
    number = isinstance(version, numbers.Integral) and not isinstance(version, bool)
    if version is not None and not (number and 0 <= version <= _LARGEST_VERSION):
        raise InputError(
            f"Got version={version!r}. Expected a whole number, the name of an exported folder. Leave it out "
            "for the latest version."
        )
    if label is not None and not _is_name(label):
        raise InputError(
            f"Got label={label!r}. Expected a version label of the server's models.config, such as 'stable'."
        )
    return Target(scheme, host, port, model, None if version is None else int(version), label)


def _is_name(value) -> bool:
    return isinstance(value, str) and bool(value) and not set(value) & set("/:") and is_text(value)


def is_text(value: str) -> bool:
    """Whether a string can be sent; half a surrogate pair, as of a damaged file name, can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _split(address):
    # Of one word, since blanks and ends of lines would be left out in silence.
    readable = isinstance(address, str) and is_text(address) and address.split() == [address]
    try:
        parts = urlsplit(address if readable else "")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        more = ("@" in parts.netloc, parts.path.strip("/"), parts.query, parts.fragment)
    except ValueError:  # a port that is no number, half an IPv6 address
        scheme, host, port, more = "", None, None, ()
    if scheme not in SCHEMES or not host or not port or any(more):
        shown = re.sub("//.*@", "//...@", repr(address))  # a password isn't for a log
        raise InputError(
            f"Got the address {shown}. Expected a scheme, a host and a port and nothing else, such as "
            "'http://127.0.0.1:8501' or 'https://...' for REST, or 'grpc://127.0.0.1:8500' for gRPC. Leave "
            "out any user, password, path or #fragment: they aren't sent."
        )
    return scheme, host, port
