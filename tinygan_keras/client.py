"""Images of a student from TensorFlow Serving, over REST or gRPC: as an array, as PNG, or as class folders.

Scope: the signatures `sample` and `sample_by_name` that `export_saved_model` writes. They answer with PNG: a
pair of images of 128 px is 7 KB so and 4 MB as numbers in JSON. Over REST nothing here imports TensorFlow.

Repeating a request is safe: a picture is a function of its class, its seed and its truncation.
"""

import base64
import contextlib
import io
import itertools
import json
import math
import numbers
import re
import ssl
import threading
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import requests
from PIL import Image
from requests.adapters import HTTPAdapter
from urllib3 import exceptions
from urllib3.util import Retry

from .classes.folder_labels import as_file_name
from .errors import InputError, MissingPackageError, UserError
from .files import new_folder, user_path
from .latents import MAX_SEED, check_seeds

# While the server generates one batch, the last is read and the next sent: 0.8 of the time of one by one.
REQUESTS_AT_ONCE = 2

_OUTPUTS = {"image_bytes": bytes, "class_name": str, "valid": bool}
# Of images that are damaged, of several sizes, or larger than any sample.
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
# What reading an answer raises that isn't built like TensorFlow Serving's.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SHOWN = 200  # characters of such an answer


class VersionStatus(NamedTuple):
    """What a server says of one version: `state` is "AVAILABLE" when it can be asked."""

    version: int
    state: str
    error: str


class ServingClient:
    """Generates images with a model on TensorFlow Serving.

    A picture is a function of its class, its seed and its truncation, whatever else is asked for with it (of
    an export with `rewrite=False`, pixels may differ by one level between requests of other sizes).

    Args:
        address: "http://127.0.0.1:8501" for REST, "https://..." where something with TLS stands before it,
            or "grpc://127.0.0.1:8500" for gRPC, which needs the extra `serving`, imports TensorFlow and
            has no TLS here.
        model: The model's name on the server.
        version: Number of a version; None for the latest, which may change between two requests.
        label: Version label, such as "stable", in place of a number.
        timeout: Seconds for one request, with its retries and the pauses between them.
        retries: How often a request is repeated that the server had no time for, or that didn't reach it;
            at most 100. gRPC itself repeats at most 4 times.
        batch_size: Images per request, at most `max_batch_size` of a server that batches. Two requests are
            sent at once.

    Raises:
        InputError: an argument can't be used.
        MissingPackageError: gRPC without the extra `serving`.

    Example:
        with ServingClient("http://127.0.0.1:8501") as client:
            images = client.images(["Sneaker", 8], seeds=[0, 1], truncation=0.5)  # uint8 [2, 32, 32, 3]
            client.save("pictures", ["Sneaker"] * 100, seeds=7)  # seeds 7, 8, ..., 106
    """

    def __init__(
        self,
        address,
        model="tinygan",
        version=None,
        label=None,
        timeout=30.0,
        retries=5,
        batch_size=32,
    ):
        self.target = _checked_target(address, model, version, label)
        self.timeout = _checked("timeout", timeout, numbers.Real, 0.001, 1_000_000)
        self.retries = _checked("retries", retries, numbers.Integral, 0, 100)
        self.batch_size = _checked("batch_size", batch_size, numbers.Integral, 1, 1_000_000)
        transport = GrpcTransport if self.target.address.startswith("grpc") else RestTransport
        self._transport = transport(self.target, self.timeout, self.retries)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Closes the connection."""
        self._transport.close()

    def images(self, classes, seeds=0, truncation=0.5) -> np.ndarray:
        """Generates images.

        Args:
            classes: Numbers or names `[N]`, mixed at will. A string is always a name, "8" too.
            seeds: Whole numbers `[N]` from 0 to 2**63 - 1, or one to start from: s, s + 1, ..., s + N - 1.
            truncation: In [0, 1]; one number, or one per image.

        Returns:
            uint8 `[N, S, S, 3]`, in the order of the arguments.

        Raises:
            InputError: arguments that no model can take, or a class that this model doesn't have.
            ServingError: the server refused a request, or didn't answer.
        """
        pngs = self.pngs(classes, seeds, truncation)
        try:
            return np.stack([np.asarray(Image.open(io.BytesIO(p)).convert("RGB")) for p in pngs])
        except _UNREADABLE as error:
            raise _malformed(f"its images can't be read ({error})", self.target) from error

    def pngs(self, classes, seeds=0, truncation=0.5, strict=True) -> list:
        """Generates images as PNG files; arguments as in `images`.

        Args:
            strict: Whether a row without an image is an error; otherwise it is None.

        Returns:
            List of N bytes.
        """
        rows = _checked_rows(classes, seeds, truncation)
        generated = {place: png for place, png, _ in self._generate(rows, strict)}
        return [generated[place] for place in range(len(rows.classes))]

    def save(self, folder, classes, seeds=0, truncation=0.5) -> list:
        """Generates images into a folder for each class; arguments as in `images`.

        `tinygan evaluate`, `keras.utils.image_dataset_from_directory` and others read such folders.

        Args:
            folder: A new folder, which appears when it is whole.

        Returns:
            List of N paths with row and seed, such as "pictures/Sneaker/00000_seed_7.png".

        Raises:
            ExistingFileError: `folder` exists.
            InputError: two classes would share a folder; and as in `images`.
        """
        rows, folder = _checked_rows(classes, seeds, truncation), user_path(folder)
        names, classes_of = {}, defaultdict(set)
        with new_folder(folder) as unfinished:
            for place, png, class_name in self._generate(rows):
                class_ = rows.classes[place]
                class_folder = as_file_name(class_name or str(class_))
                # Some file systems take "Polo" and "polo" for one name.
                classes = classes_of[class_folder.casefold()]
                classes |= {class_name, class_} if isinstance(class_, int) else {class_name}
                if len(classes) > len(set(map(type, classes))):  # two names, or two numbers
                    raise InputError(
                        f"Got the classes {sorted(classes, key=str)} for the folder {class_folder!r}. "
                        "Expected one name and one number. Save them into different folders."
                    )
                names[place] = Path(class_folder, f"{place:05d}_seed_{rows.seeds[place]}.png")
                (unfinished / class_folder).mkdir(parents=True, exist_ok=True)
                (unfinished / names[place]).write_bytes(png)
        return [folder / names[place] for place in range(len(rows.classes))]

    def predict(self, signature: str, inputs: dict) -> dict:
        """Runs any signature of the model, such as `serving_default` for latents of one's own.

        Args:
            signature: Its name; see `metadata`.
            inputs: NumPy array `[B, ...]` by name.

        Returns:
            List of B values by name; bytes where the name ends in `_bytes`.

        Raises:
            ServingError: the server refused it, or didn't answer.
        """
        return self._transport.predict(signature, inputs)

    def status(self) -> list:
        """Returns a `VersionStatus` for every version of the model that the server knows.

        Raises:
            ServingError: there is no such model, or no answer.
        """
        return self._transport.ask("status", _versions)

    def metadata(self) -> dict:
        """Returns types and shapes of every signature of the model.

        Raises:
            ServingError: there is no such model, or no answer.

        Example:
            client.metadata()["sample"]["inputs"]  # {"label": "int64 [?]", "seed": "int64 [?]", ...}
        """
        return self._transport.ask("metadata", _signatures)

    def _generate(self, rows, strict=True):
        """Yields place, PNG and class name of every row; classes by number first, then by name."""
        has_name = np.array([isinstance(class_, str) for class_ in rows.classes])
        batches = []
        for places in (np.flatnonzero(~has_name), np.flatnonzero(has_name)):
            starts = range(0, len(places), self.batch_size)
            batches += [places[start : start + self.batch_size] for start in starts]
        pool = ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(batches)), "serving-client")
        try:
            answers = pool.map(self._ask, itertools.repeat(rows), batches)
            for places, columns in zip(batches, answers, strict=True):
                for place, png, class_name, valid in zip(places, *columns, strict=True):
                    if not valid and strict:
                        raise InputError(
                            f"Got row {place}, class {rows.classes[place]!r}, seed {rows.seeds[place]}, "
                            f"truncation {rows.truncations[place]:g}, without an image (valid is false) from "
                            f"{self.target}. Expected a class that the model has: a number below its number "
                            "of classes, or a name as in class_names.txt of the exported folder."
                        )
                    yield place, (png if valid else None), class_name
        finally:
            pool.shutdown(cancel_futures=True)  # what wasn't begun is not asked for any more

    def _ask(self, rows, places) -> list:
        """The outputs of one request, as columns; all its classes are numbers, or all are names."""
        classes = rows.classes[places].tolist()
        inputs = {"seed": rows.seeds[places], "truncation": rows.truncations[places]}
        if isinstance(classes[0], str):
            signature, inputs["class_name"] = "sample_by_name", np.array(classes, object)
        else:
            signature, inputs["label"] = "sample", np.array(classes, "int64")
        outputs = self.predict(signature, inputs)
        for name, kind in _OUTPUTS.items():
            values = outputs.get(name, [])
            if [type(value) for value in values] != [kind] * len(classes):
                got = f"{len(values)} values of {name}, or with some of another type"
                reason = f"the signature {signature} answered {len(classes)} rows with {got}"
                raise ServingError("FAILED_PRECONDITION", reason, self.target)
        return [outputs[name] for name in _OUTPUTS]


class ServingError(UserError, OSError):
    """A model server refused a request, or didn't answer it.

    Attributes:
        code: gRPC's name of it, such as "NOT_FOUND", over REST too. There 400 is always
            "INVALID_ARGUMENT": it stands for several codes.
        reason: The server's own words, on one line; control characters are escaped.
        target: The `Target` that was asked.
    """

    def __init__(self, code: str, reason: str, target):
        words = " ".join(reason.split())
        self.reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
        self.code, self.target = code, target
        shown = f"{code} from {target}: {self.reason.rstrip('.') or 'no reason was given'}"
        fixes = (fix for pattern, fix in _FIXES.items() if re.search(pattern, shown, re.IGNORECASE))
        super().__init__(
            f"Got {shown}. Expected TensorFlow Serving and a model that `tinygan export` wrote. {next(fixes)}"
        )

    def __reduce__(self):  # else pickle would rebuild it from its message alone
        return type(self), (self.code, self.reason, self.target)


_FIXES = {
    # A pattern in "CODE from ADDRESS: reason", and what to do; the first that fits.
    r"serving signature .*not found": "Ask for another model, or export it again.",
    r"version label:": "Give one of the version_labels in the server's models.config.",
    r"certificate verify failed": "Name the certificate authority's file in the environment as "
    "SSL_CERT_FILE, or correct the host.",
    r"\bSSL\w*Error:": "Give http:// for a server without TLS, as TensorFlow Serving itself.",
    r"doesn't speak HTTP": "Give grpc:// for the gRPC port, 8500 by default; REST has 8501 by default.",
    r"larger than m": "Give a smaller batch_size=.",  # "than max" of a message, "than maximum" of a batch
    r"HTTP status 504": "That is the server's own limit, whatever timeout= says: start it with a larger "
    "--rest_api_timeout_in_ms, or give a smaller batch_size=.",
    r"^NOT_FOUND": "Check model= and version= against its models.config, and its log for failed loads.",
    r"^INVALID_ARGUMENT": "Export the student again with this version of tinygan-keras.",
    r"^DEADLINE_EXCEEDED": "Give a larger timeout= or a smaller batch_size=.",
    r"^UNAVAILABLE": "Start it, or check the address: http:// is for the REST port, 8501 by default, and "
    "grpc:// for the gRPC port, 8500 by default.",
    r"^RESOURCE_EXHAUSTED": "Start it with --grpc_max_threads=64, or give larger retries= and timeout=.",
    r"": "Check the address, the port and the model; the server's log may say more.",
}


class Target(NamedTuple):
    """One model of one server; without version and label, its latest version."""

    address: str
    model: str
    version: int | None = None
    label: str | None = None

    def __str__(self):
        version = "" if self.version is None else f", version {self.version}"
        label = "" if self.label is None else f", version label {self.label!r}"
        return f"{self.address} for the model {self.model!r}{version}{label}"


def _checked_target(address, model, version, label) -> Target:
    try:
        # One word, since blanks and ends of lines would be left out in silence.
        parts = urlsplit(address if _is_text(address) and address.split() == [address] else "")
        complete = parts.scheme in ("http", "https", "grpc") and parts.hostname and parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        complete = False
    if not complete or "@" in parts.netloc or "".join(parts[2:]).strip("/"):
        shown = re.sub(r"^(\W(?:\w+://)?)?.*@", r"\1...@", repr(address))  # no password in a log
        raise InputError(
            f"Got the address {shown}. Expected a scheme, a host and a port and nothing else, such as "
            "'http://127.0.0.1:8501' or 'https://...' for REST, or 'grpc://127.0.0.1:8500' for gRPC. Leave "
            "out any user, password, path or #fragment: they aren't sent."
        )
    if version is not None and label is not None:
        raise InputError(
            f"Got version={version!r} and label={label!r}. Expected one of the two, or neither for the "
            "latest version. Leave one out."
        )
    names = {"model": model} if label is None else {"model": model, "label": label}
    for key, name in names.items():
        if not _is_text(name) or set(name) & set("/:"):
            raise InputError(
                f"Got {key}={name!r}. Expected a name without / and :. Give one of the server's "
                "models.config, such as 'tinygan' for a model or 'stable' for a label."
            )
    if version is not None:
        version = _checked("version", version, numbers.Integral, 0, MAX_SEED)
    return Target(f"{parts.scheme}://{parts.netloc}", model, version, label)


def _checked(name, value, kind, least, most):
    if not _is_number(value, kind, least, most):
        number = "a whole number" if kind is numbers.Integral else "a number"
        raise InputError(
            f"Got {name}={value!r}. Expected {number} from {least} to {most}. Leave it out for the default."
        )
    return int(value) if kind is numbers.Integral else float(value)  # sums of NumPy's overflow


class _Rows(NamedTuple):
    """What pictures are functions of, as columns `[N]`."""

    classes: np.ndarray  # of int and str
    seeds: np.ndarray  # int64
    truncations: np.ndarray  # float32


def _checked_rows(classes, seeds, truncation) -> _Rows:
    """Columns of one length; which classes there are only the server knows."""
    classes, truncations = np.array(classes, object), np.array(truncation, object)
    if classes.ndim != 1 or not classes.size:
        raise InputError(
            f"Got classes={classes.tolist()!r}. Expected a list, one for every picture, such as ['Sneaker']."
        )
    for place, class_ in enumerate(classes):
        if not (_is_text(class_) if isinstance(class_, str) else _is_number(class_)):
            raise InputError(
                f"Got the class {class_!r} in row {place}. Expected a number from 0 to 2**63 - 1, or a name."
            )
        classes[place] = class_ if isinstance(class_, str) else int(class_)
    if truncations.ndim == 0:
        truncations = np.tile(truncations, len(classes))
    fit = all(_is_number(value, numbers.Real, 0, 1) for value in truncations)
    if not fit or truncations.shape != classes.shape:
        raise InputError(
            f"Got truncation={truncation!r} for {len(classes)} pictures. Expected a number in [0, 1], or one "
            "for each. Leave it out for 0.5."
        )
    return _Rows(classes, check_seeds(seeds, len(classes)), truncations.astype("float32"))


def _is_number(value, kind=numbers.Integral, least=0, most=MAX_SEED) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most


def _is_text(value) -> bool:
    """Whether it can be sent; half a surrogate pair, as of a damaged file name, can't."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value != ""


def _versions(answer) -> list:
    """From the JSON of a `GetModelStatusResponse`."""
    versions = answer.get("model_version_status", [])
    found = ((v["version"], v.get("state", "UNKNOWN"), v.get("status", {})) for v in versions)
    return [
        VersionStatus(int(v), state, about.get("error_message", "")) for v, state, about in found
    ]


def _signatures(answer) -> dict:
    """Types and shapes, from the JSON of a `GetModelMetadataResponse`."""
    definitions = answer["metadata"]["signature_def"]["signature_def"]
    return {
        name: {
            side: {key: _described(info) for key, info in definition.get(side, {}).items()}
            for side in ("inputs", "outputs")
        }
        for name, definition in sorted(definitions.items())
        if not name.startswith("__")  # TensorFlow's own
    }


def _described(info) -> str:
    """Type and shape of the JSON of a `TensorInfo`, such as "float32 [?, 6]"."""
    name = info.get("dtype", "DT_INVALID")
    kind = "float32" if name == "DT_FLOAT" else name.removeprefix("DT_").lower()
    sizes = [size["size"] for size in info.get("tensor_shape", {}).get("dim", [])]
    return f"{kind} [{', '.join('?' if size == '-1' else size for size in sizes)}]"


_PATHS = {"predict": ":predict", "status": "", "metadata": "/metadata"}  # over REST
# REST: the code that each HTTP status stands for; of 400 and 500, which are several, the commonest.
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


class RestTransport:
    """Speaks with the REST port of TensorFlow Serving, on a connection of its own for each request.

    Columns go out, since they are shorter than rows. No compression is asked for: it takes the server longer
    than it saves. Of the environment (proxies, .netrc) only certificates are used.
    """

    def __init__(self, target, timeout, retries):
        self.target, self.timeout, self.retries = target, timeout, retries
        self._url = f"{target.address}/v1/models/{quote(target.model, safe='')}"
        if target.version is not None:
            self._url += f"/versions/{target.version}"
        elif target.label is not None:
            self._url += f"/labels/{quote(target.label, safe='')}"

    def close(self):
        pass  # no connection outlives its request

    def predict(self, signature: str, inputs: dict) -> dict:
        def outputs_of(answer):
            outputs = answer["outputs"]
            if isinstance(outputs, list):  # a single output comes without its name
                (name,) = self.ask("metadata", _signatures)[signature]["outputs"]
                outputs = {name: outputs}
            for name, values in outputs.items():
                if not isinstance(values, list):
                    raise TypeError(f"{name} has no rows")
                if name.endswith("_bytes"):
                    outputs[name] = [base64.b64decode(value["b64"]) for value in values]
            return outputs

        columns = {name: array.tolist() for name, array in inputs.items()}
        return self.ask("predict", outputs_of, {"signature_name": signature, "inputs": columns})

    def ask(self, call: str, read, body=None):
        """Returns what the function `read` makes of the answer's JSON."""
        try:
            status, content = _within(self.timeout, self._send, call, body)
        except (OSError, UnicodeError, exceptions.HTTPError) as error:
            raise ServingError(*_failure(error, self.timeout), self.target) from error
        shown = repr(content[:_SHOWN].decode(errors="replace"))
        try:
            answer = json.loads(content)
            if status == 200:
                return read(answer)
            reason = answer["error"].strip()
            if status == 504:
                reason += " (HTTP status 504)"  # the server's own limit, not this client's
        except _MALFORMED as error:
            if status == 200:
                raise _malformed(shown, self.target) from error
            reason = f"HTTP status {status}: {shown}"
        raise ServingError(_CODES.get(status, "UNKNOWN"), reason, self.target)

    def _send(self, call, body):
        """Returns status and content of the answer, after as many tries as there may be."""
        retry = _Retry(self.retries, **_RETRIES)
        retry.end = time.monotonic() + self.timeout
        url, method = self._url + _PATHS[call], "POST" if body else "GET"
        request = requests.Request(method, url, json=body, headers={"Accept-Encoding": "identity"})
        trusted = ssl.get_default_verify_paths()  # what SSL_CERT_FILE names, or the system's
        verify = trusted.cafile or trusted.capath or True
        with contextlib.closing(HTTPAdapter(max_retries=retry)) as adapter:
            response = adapter.send(request.prepare(), timeout=self.timeout, verify=verify)
            return response.status_code, response.content


_RETRIES = {
    "allowed_methods": None,  # all
    "status_forcelist": (429, 503),  # of what stands before the server, which lets requests wait
    "raise_on_status": False,
    "respect_retry_after_header": False,
    # No pause before the first repetition; then 0.2, 0.4, 0.8, ... seconds, and up to 0.2 more.
    "backoff_factor": 0.1,
    "backoff_jitter": 0.2,
    "backoff_max": 5.0,
}


class _Retry(Retry):
    """Repeats what may pass in a moment while there is time: no timeouts, no other errors."""

    end = math.inf  # of time.monotonic()

    def new(self, **changes):
        retry = super().new(**changes)
        retry.end = self.end
        return retry

    def is_exhausted(self):
        return super().is_exhausted() or time.monotonic() + self.get_backoff_time() >= self.end

    def increment(self, method=None, url=None, response=None, error=None, *more, **options):
        if error is not None and not _is_passing(error):
            raise error
        return super().increment(method, url, response, error, *more, **options)


def _within(seconds, call, *arguments):
    """Calls in a thread of its own, since a socket's timeout starts anew with every byte that comes."""
    future = Future()

    def work():
        try:
            future.set_result(call(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result(seconds)


def _is_passing(error) -> bool:
    """Whether a connection that failed may succeed in a moment."""
    if isinstance(error, exceptions.ProtocolError):
        return isinstance(error.args[-1], (ConnectionError, IncompleteRead))
    unknown_host = isinstance(error, exceptions.NameResolutionError)
    return isinstance(error, exceptions.NewConnectionError) and not unknown_host


def _failure(error, timeout):
    """Code and reason of what happened on the socket, inside what urllib3 and requests made of it."""
    while isinstance(inner := getattr(error, "reason", None) or (*error.args, None)[0], Exception):
        error = inner
    if _is_passing(error):
        return "UNAVAILABLE", str(error)
    if isinstance(error, exceptions.ProtocolError):
        return "UNKNOWN", f"what answers there doesn't speak HTTP ({str(error.args[-1])[:40]})"
    is_late = isinstance(error, (TimeoutError, exceptions.TimeoutError))
    if is_late and not isinstance(error, exceptions.NameResolutionError):  # urllib3 calls it one
        return "DEADLINE_EXCEEDED", f"no answer within {timeout:.3g} seconds"
    return "UNKNOWN", f"{type(error).__name__}: {error}"


def _malformed(answer: str, target) -> ServingError:
    return ServingError("UNKNOWN", f"an answer that isn't TensorFlow Serving's: {answer}", target)


class GrpcTransport:
    """Speaks with the gRPC port by TensorFlow Serving's own stubs; methods as of `RestTransport`."""

    def __init__(self, target, timeout, retries):
        try:
            import grpc
            from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
            from tensorflow_serving.apis.model_pb2 import ModelSpec
        except ImportError as error:
            raise MissingPackageError(
                f"gRPC can't be imported: {error}. Expected the package tensorflow-serving-api, which is an "
                'optional part: pip install "tinygan-keras[serving]". Without it, give the address of the '
                "REST port, such as 'http://127.0.0.1:8501'."
            ) from error
        self.target, self.timeout = target, timeout
        version = None if target.version is None else {"value": target.version}
        self._spec = ModelSpec(name=target.model, version=version, version_label=target.label)
        attempts = min(retries, 4) + 1  # 5 is the most that gRPC takes
        policy = {"maxAttempts": attempts, **_GRPC_RETRIES}
        config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]} if retries else {}
        options = [("grpc.service_config", json.dumps(config)), *_GRPC_OPTIONS]
        self._channel = grpc.insecure_channel(target.address.removeprefix("grpc://"), options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def predict(self, signature: str, inputs: dict) -> dict:
        from tensorflow import make_tensor_proto
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        tensors = {name: make_tensor_proto(array) for name, array in inputs.items()}
        request = PredictRequest(inputs=tensors, model_spec={"signature_name": signature})
        return self._ask(self._predictions.Predict, request, _grpc_outputs)

    def ask(self, call: str, read):
        from google.protobuf.json_format import MessageToDict
        from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
        from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

        if call == "status":
            method, request = self._models.GetModelStatus, GetModelStatusRequest()
        else:
            method = self._predictions.GetModelMetadata
            request = GetModelMetadataRequest(metadata_field=["signature_def"])
        names = {"preserving_proto_field_name": True}
        return self._ask(method, request, lambda response: read(MessageToDict(response, **names)))

    def _ask(self, method, request, read):
        import grpc
        from google.protobuf.message import DecodeError

        request.model_spec.MergeFrom(self._spec)
        try:
            response = method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise ServingError(error.code().name, error.details() or "", self.target) from error
        try:
            return read(response)
        except (*_MALFORMED, DecodeError) as error:
            raise _malformed(f"{error} in {str(response)[:_SHOWN]!r}", self.target) from error


_GRPC_RETRIES = {
    # 0.2, 0.5, 1.25 and 3.1 seconds, a fifth more or less.
    "initialBackoff": "0.2s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2.5,
    "retryableStatusCodes": ["RESOURCE_EXHAUSTED", "UNAVAILABLE"],
}
_GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # 4 MB otherwise
    # A lost connection is tried again as often as the client asks, not once in two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),  # as over REST
]


def _grpc_outputs(response) -> dict:
    import tensorflow as tf

    outputs = {}
    for name, tensor in response.outputs.items():
        outputs[name] = tf.make_ndarray(tensor).tolist()
        if not isinstance(outputs[name], list):
            raise TypeError(f"{name} has no rows")
        if tensor.dtype == tf.string.as_datatype_enum and not name.endswith("_bytes"):
            outputs[name] = [value.decode(errors="replace") for value in outputs[name]]
    return outputs
