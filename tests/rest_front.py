"""The REST API of TensorFlow Serving over a `ModelServer` of `prediction_service.py`.

Scope: the forms of its addresses, JSON in rows (`instances`) and columns (`inputs`), binary values as
{"b64": ...}, and the HTTP status of every code.
"""

import base64
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
from prediction_service import Dropped, Refusal, type_name

STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<what>:predict|/metadata)?",
    re.IGNORECASE,
)


class RestFront:
    """Listens in threads of its own until it is closed."""

    def __init__(self, server):
        class Handler(_Handler):
            model_server = server

        self._http = _Listener(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the sixth of several clients would wait a second otherwise


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def log_message(self, *arguments):
        """Tests look at answers, not at a log."""

    def _answer(self, method):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, answer = 200, self._result(method, body)
        except Refusal as refusal:
            status, answer = STATUS.get(refusal.code, 500), {"error": refusal.message}
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except ConnectionError:  # the client is gone
            self.close_connection = True

    def _result(self, method, body):
        match = _PATH.fullmatch(self.path)
        if not match or (match["what"] == ":predict") != (method == "POST"):
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: {method} {self.path}")
        version = int(match["version"]) if match["version"] else None
        spec = unquote(match["name"]), version, unquote(match["label"] or "")
        if match["what"] == ":predict":
            return _predict(self.model_server, spec, body)
        if match["what"]:
            return _metadata(*self.model_server.metadata(spec), spec[0])
        return {
            "model_version_status": [
                {
                    "version": str(number),
                    "state": state,
                    "status": {"error_code": "UNKNOWN" if error else "OK", "error_message": error},
                }
                for number, state, error in self.model_server.versions(spec)
            ]
        }


def _metadata(version, signatures, name):
    from google.protobuf import json_format

    every = {
        key: json_format.MessageToDict(
            signature, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for key, signature in signatures.items()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": every}},
    }


def _predict(server, spec, body):
    try:
        request = json.loads(body)
    except ValueError as error:
        raise Refusal("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise Refusal("INVALID_ARGUMENT", "Expected either 'inputs' or 'instances' in the request.")

    def read_inputs(definition):
        values = request.get("inputs") if "inputs" in request else _columns(request["instances"])
        if not isinstance(values, dict):
            raise Refusal("INVALID_ARGUMENT", "Request is expected to be a map of named inputs.")
        if (
            "inputs" in request
        ):  # of columns the server takes what the signature has, and no look at others
            values = {name: value for name, value in values.items() if name in definition.inputs}
        return {name: _array(value, _type_of(definition, name)) for name, value in values.items()}

    signature = request.get("signature_name", "")
    try:
        _, definition, outputs = server.predict(spec, signature, read_inputs)
    except Refusal as refusal:
        if refusal.code == "FAILED_PRECONDITION" and "Serving signature" in refusal.message:
            # The JSON can't be read without the signature, and who reads it says it in other words.
            message = f'Serving signature name: "{signature}" not found in signature def'
            raise Refusal("INVALID_ARGUMENT", message) from refusal
        raise
    columns = {name: _plain(name, outputs[name]) for name in definition.outputs}
    one = next(iter(columns)) if len(columns) == 1 else None
    if "inputs" in request:
        return {"outputs": columns[one] if one else columns}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"predictions": columns[one] if one else rows}


def _columns(instances):
    if not isinstance(instances, list) or not all(isinstance(row, dict) for row in instances):
        raise Refusal("INVALID_ARGUMENT", "'instances' is expected to be a list of objects.")
    names = list(instances[0]) if instances else []
    if any(set(row) != set(names) for row in instances):
        raise Refusal(
            "INVALID_ARGUMENT", "Failed to process element: all instances need the same keys."
        )
    return {name: [row[name] for row in instances] for name in names}


def _type_of(definition, name):
    if name not in definition.inputs:
        wanted = ",".join(sorted(definition.inputs))
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Failed to process element: '{name}' is not an input of the signature ({wanted}).",
        )
    return type_name(definition.inputs[name])


def _array(values, kind):
    shape, flat = [], [values]
    while any(isinstance(value, list) for value in flat):
        sizes = {len(value) if isinstance(value, list) else None for value in flat}
        if len(sizes) > 1:
            raise Refusal("INVALID_ARGUMENT", "Encountered list at unexpected size or level.")
        shape.append(sizes.pop())
        flat = [part for value in flat for part in value]
    dtype = {"float": "float32", "string": object}.get(kind, kind)
    return np.array([_scalar(value, kind) for value in flat], dtype).reshape(shape)


def _scalar(value, kind):
    if kind == "string":
        if isinstance(value, dict) and set(value) == {"b64"}:
            return base64.b64decode(value["b64"])
        if isinstance(value, str):
            return value.encode()
    elif kind == "float":
        if type(value) in (int, float):
            return value
    elif type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise Refusal(
        "INVALID_ARGUMENT", f"JSON Value: {json.dumps(value)} is not of expected type: {kind}"
    )


def _plain(name, array):
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return [value.decode() for value in array]
