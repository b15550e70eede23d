"""What goes wrong between a client and a model server: the server's reason, and how to mend it.

Scope: one class of errors whose codes are gRPC's, whichever transport a request took. A class per code was
tried and left: who handles them asks for the code anyway, and REST can't tell all of them apart.
"""

import re

from ..errors import UserError

PASSING = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
"""Codes of a server that may have time again in a moment."""

MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading an answer raises that has another form than TensorFlow Serving's."""

_TOO_LARGE = r"larger than m"  # "larger than max", "larger than maximum": a message, or a batch
_MENDS = (
    # Code, a pattern in the server's reason, and what to do; the first that fits.
    (
        None,
        r"serving signature .*not found",
        "Expected a model that `tinygan export` wrote, with the signatures sample and sample_by_name. Ask "
        "for another model, or export the student again.",
    ),
    (
        None,
        r"version label",
        "Expected one of the version_labels in the server's models.config. Check label= (--version_label=).",
    ),
    (
        None,
        r"certificate verify failed",
        "Expected a certificate for this host that this machine trusts. Name the authority's file in the "
        "environment as SSL_CERT_FILE, or correct the host.",
    ),
    (
        None,
        r"\bSSL\w*Error:",
        "Expected a server that speaks TLS. Give http:// for one that doesn't, as TensorFlow Serving itself.",
    ),
    (None, _TOO_LARGE, "Give a smaller batch_size=."),
    (
        "NOT_FOUND",
        "",
        "Expected a model and a version that the server has loaded. Check model= and version= against its "
        "models.config, and its log for what it couldn't load.",
    ),
    (
        "INVALID_ARGUMENT",
        "",
        "Expected a model that takes what this client sends. Export the student again with this version of "
        "tinygan-keras.",
    ),
    (
        "DEADLINE_EXCEEDED",
        "",
        "Expected an answer in time. Give a larger timeout= or a smaller batch_size=.",
    ),
    (
        "UNAVAILABLE",
        "",
        "Expected a running server. Start it, or check the address: http:// is for the REST port, by custom "
        "8501, and grpc:// for the gRPC port, by custom 8500.",
    ),
    (
        "RESOURCE_EXHAUSTED",
        "",
        "Expected a server with time for this. Give larger retries= and timeout=, or the server more threads "
        "(--rest_api_num_threads, --grpc_max_threads).",
    ),
)


class ServingError(UserError, OSError):
    """A model server refused a request, or didn't answer it.

    Attributes:
        code: gRPC's name of it, such as "NOT_FOUND", over REST too. There 400 is always
            "INVALID_ARGUMENT": it stands for several codes.
        reason: The server's own words.
        target: The `Target` that was asked.
        tries: How often it was asked.
    """

    def __init__(self, code: str, reason: str, target, tries: int = 1):
        self.code, self.reason, self.target, self.tries = code, reason.strip(), target, tries
        times = f" after {tries} tries" if tries > 1 else ""
        reason = self.reason.rstrip(".") or "no reason was given"
        super().__init__(f"Got {code} from {target}{times}: {reason}. {_mend(code, reason)}")

    def __reduce__(
        self,
    ):  # exceptions are rebuilt from their message, which isn't what this one takes
        return type(self), (self.code, self.reason, self.target, self.tries)

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.code in PASSING and not re.search(_TOO_LARGE, self.reason, re.IGNORECASE)


def malformed(answer: str, target) -> ServingError:
    """Returns the error for an answer that can't be read; `answer` is its beginning."""
    return ServingError("UNKNOWN", f"an answer that isn't TensorFlow Serving's: {answer}", target)


def _mend(code, reason) -> str:
    for wanted, pattern, mend in _MENDS:
        if wanted in (None, code) and re.search(pattern, reason, re.IGNORECASE):
            return mend
    return (
        "Expected TensorFlow Serving and a model that `tinygan export` wrote. Check the address, the port "
        "and the model; the server's log may say more."
    )
