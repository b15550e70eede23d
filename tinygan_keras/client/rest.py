"""The REST transport: JSON over HTTP, with nothing but Python and NumPy.

Scope: one request, one answer. Columns go out (`inputs`), since they are shorter than rows. Every request has
a connection of its own: kept ones save a millisecond of some tens, and fail when the server has closed
them in the meantime. Proxies that the environment names aren't used.
"""

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
from urllib.parse import quote

from .errors import MALFORMED, ServingError, malformed

# The server says the same of several codes; for 400 and 500 the commonest is taken.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SHOWN = 200


class RestTransport:
    """Speaks with the REST port of TensorFlow Serving.

    Args:
        target: A `Target` with the scheme "http" or "https".
    """

    def __init__(self, target):
        self.target = target
        self._path = f"/v1/models/{quote(target.model, safe='')}"
        if target.version is not None:
            self._path += f"/versions/{target.version}"
        elif target.label is not None:
            self._path += f"/labels/{quote(target.label, safe='')}"

    def predict(self, signature: str, inputs: dict, timeout: float) -> dict:
        """Runs one signature.

        Args:
            signature: Its name.
            inputs: NumPy array `[B, ...]` by name.
            timeout: Seconds.

        Returns:
            List of B values by name; bytes where the name ends in `_bytes`.

        Raises:
            ServingError: it was refused, or there was no answer.
        """
        columns = {name: array.tolist() for name, array in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        return self._ask("POST", ":predict", timeout, _outputs, body)

    def status(self, timeout: float) -> list:
        """Returns a dict with `version`, `state` and `status` for every version that the server knows."""
        return self._ask("GET", "", timeout, lambda answer: answer.get("model_version_status", []))

    def signatures(self, timeout: float) -> dict:
        """Returns the model's signatures by name, as the JSON form of `SignatureDef`."""

        def read(answer):
            return answer["metadata"]["signature_def"]["signature_def"]

        return self._ask("GET", "/metadata", timeout, read)

    def close(self):
        """Does nothing: no connection outlives its request."""

    def _ask(self, method, suffix, timeout, read, body=None):
        """Returns what the function `read` makes of the answer."""
        # `allow_nan` would write what isn't JSON.
        text = None if body is None else json.dumps(body, allow_nan=False)
        try:
            with _connected(self.target, timeout) as connection:
                headers = {"Content-Type": "application/json"}
                connection.request(method, self._path + suffix, text, headers)
                response = connection.getresponse()
                status, content = response.status, response.read()
        except TimeoutError as error:
            reason = f"no answer within {timeout:.3g} seconds"
            raise ServingError("DEADLINE_EXCEEDED", reason, self.target) from error
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise ServingError("UNAVAILABLE", _words(error), self.target) from error
        except http.client.HTTPException as error:
            reason = f"what answers there doesn't speak HTTP ({_words(error)})"
            raise ServingError("UNKNOWN", reason, self.target) from error
        except (OSError, UnicodeError) as error:  # no such host, no route to it, no trust in it
            raise ServingError("UNKNOWN", _words(error), self.target) from error
        if status != 200:
            code = _CODES.get(status, "UNKNOWN")
            raise ServingError(code, _reason(status, content), self.target)
        try:
            return read(json.loads(content))
        except MALFORMED as error:
            raise malformed(_shown(content), self.target) from error


@contextlib.contextmanager
def _connected(target, timeout):
    """A connection that is hung up after `timeout` seconds, which a socket's own timeout, per read, isn't.

    Raises:
        TimeoutError: they were over, however the reading ended.
    """
    end, too_late = time.monotonic() + timeout, threading.Event()
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = kinds[target.scheme](target.host, target.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.connect()

        def hang_up(connected=connection.sock):
            too_late.set()
            with contextlib.suppress(OSError):
                # Not that of TLS, which would say goodbye and wait for an answer.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

        timer = threading.Timer(max(end - time.monotonic(), 0.0), hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield connection
        except (OSError, ValueError, http.client.HTTPException) as error:
            if too_late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        if too_late.is_set():
            raise TimeoutError


def _outputs(answer) -> dict:
    return {name: _decoded(name, values) for name, values in answer["outputs"].items()}


def _decoded(name, values) -> list:
    if not isinstance(values, list):
        raise TypeError(f"{name} is no list")
    if name.endswith("_bytes"):
        return [base64.b64decode(value["b64"]) for value in values]
    return values


def _reason(status, body) -> str:
    with contextlib.suppress(*MALFORMED):
        if reason := json.loads(body)["error"].strip():
            return reason
    return f"HTTP status {status}: {_shown(body)}"


def _words(error) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _shown(body) -> str:
    text = body[:_SHOWN].decode(errors="replace").strip()
    return f"{text!r}{'...' if len(body) > _SHOWN else ''}"
