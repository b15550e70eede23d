"""Images of a student from a model server, as PNG, as NumPy or as files.

Scope: the signatures that `export_saved_model` writes, `sample` and `sample_by_name`. They answer with PNG: a
pair of images of 128 px is 7 KB so and 4 MB as numbers in JSON. What goes over the wire is in `rest.py` and
`grpc_transport.py`. Over REST nothing here imports TensorFlow.
"""

import io
import numbers
import reprlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import ExistingFileError, InputError
from .class_folders import ClassFolders
from .errors import MALFORMED, ServingError, malformed
from .retries import ask
from .rows import batches, checked_rows, refusal
from .target import checked_target

# While the server draws one batch, the last is read and the next sent: 0.8 of the time of one by one.
REQUESTS_AT_ONCE = 2
_OUTPUTS = {"image_bytes": bytes, "class_name": str, "valid": bool}
# Damaged, of several sizes, or larger than any sample.
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_LARGEST = 1e6  # seconds, tries, images: a slip of the pen above


class VersionStatus(NamedTuple):
    """What a server says of one version: `state` is "AVAILABLE" when it can be asked."""

    version: int
    state: str
    error: str


class ServingClient:
    """Draws images with a model on TensorFlow Serving.

    Every image is a function of its class, its seed and its truncation, whatever else is asked for with it
    (of an export with `rewrite=False`, pixels may differ by one level between requests of other sizes).
    Without a version the server takes its latest, which may change between two requests.

    Classes are numbers or names, mixed at will. A string is always a name, "8" too.

    Args:
        address: "http://127.0.0.1:8501" for REST, "https://..." where something with TLS stands before it,
            or "grpc://127.0.0.1:8500" for gRPC, which needs the extra `serving`, imports TensorFlow and
            has no TLS here.
        model: The model's name on the server.
        version: Number of a version; None for the latest.
        label: Version label, such as "stable", in place of a number.
        timeout: Seconds for one request, repetitions and the pauses between them included.
        retries: How often a request is repeated that the server had no time for, or that didn't reach it.
        batch_size: Images per request, at most `max_batch_size` of a server that batches. Two requests are
            under way at once.

    Raises:
        ValueError: an argument of another form.
        ImportError: gRPC without the extra `serving`.

    Example:
        with ServingClient("http://127.0.0.1:8501") as client:
            images = client.images(["Sneaker", 8], seeds=[0, 1], truncation=0.5)  # uint8 [2, 32, 32, 3]
            client.save("pictures", ["Sneaker"] * 100, seeds=range(100))
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
        self.target = checked_target(address, model, version, label)
        self.timeout = _checked("timeout", timeout, numbers.Real, 0.001)
        self.retries = _checked("retries", retries, numbers.Integral, 0)
        self.batch_size = _checked("batch_size", batch_size, numbers.Integral, 1)
        self._transport = _transport(self.target)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Closes the connection."""
        self._transport.close()

    def images(self, classes, seeds, truncation=0.5) -> np.ndarray:
        """Draws images.

        Args:
            classes: Numbers or names `[N]`.
            seeds: Whole numbers `[N]` from 0 to 2**63 - 1.
            truncation: In (0, 1]; one number, or one per image.

        Returns:
            uint8 `[N, S, S, 3]`, in the order of the arguments.

        Raises:
            ValueError: arguments that no model can take, or a row that the server couldn't draw.
            ServingError: the server refused a request, or didn't answer.
        """
        pngs = self.pngs(classes, seeds, truncation)
        try:
            return np.stack([np.asarray(Image.open(io.BytesIO(p)).convert("RGB")) for p in pngs])
        except _UNREADABLE as error:
            raise malformed(f"its images can't be read ({error})", self.target) from error

    def pngs(self, classes, seeds, truncation=0.5, strict=True) -> list:
        """Draws images as PNG files; arguments as in `images`.

        Args:
            strict: Whether a row that the server couldn't draw, such as one of a class it doesn't have, is an
                error; otherwise it is None.

        Returns:
            List of N bytes.
        """
        drawn = dict(self._draw(checked_rows(classes, seeds, truncation), strict))
        return [drawn[place][0] for place in range(len(drawn))]

    def save(self, folder, classes, seeds, truncation=0.5) -> list:
        """Draws images into a folder for each class; arguments as in `images`.

        `tinygan evaluate`, `keras.utils.image_dataset_from_directory` and others read such folders. A file is
        named after the number of its row and its seed, so that it can be drawn again.

        Args:
            folder: Where the folders of the classes are made. It must not exist, and appears when it is
                whole.

        Returns:
            List of N paths, such as "pictures/Sneaker/00000_seed_7.png".

        Raises:
            FileExistsError: `folder` exists.
            ValueError: two classes would share a folder; and as in `images`.
        """
        rows, folder, paths = checked_rows(classes, seeds, truncation), Path(folder), {}
        if folder.exists():
            raise ExistingFileError(
                f"Got {folder}, which exists already. Expected a new folder, so that images of several "
                "requests don't mix. Choose another name, or remove it first."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}-unfinished-"
        ) as aside:
            unfinished = Path(aside) / folder.name
            folders = ClassFolders(unfinished)
            for place, (png, class_name) in self._draw(rows):
                path = folders.path(place, rows[place], class_name)
                path.write_bytes(png)
                paths[place] = folder / path.relative_to(unfinished)
            unfinished.rename(folder)
        return [paths[place] for place in range(len(rows))]

    def status(self) -> list:
        """Returns a `VersionStatus` for every version of the model that the server knows.

        Raises:
            ServingError: there is no such model, or no answer.
        """
        versions = ask(self._transport.status, self.retries, self.timeout)
        try:
            return [
                VersionStatus(
                    int(version["version"]),
                    version.get("state", "UNKNOWN"),
                    version.get("status", {}).get("error_message", ""),
                )
                for version in versions
            ]
        except MALFORMED as error:
            raise malformed(f"its versions are {reprlib.repr(versions)}", self.target) from error

    def metadata(self) -> dict:
        """Returns types and shapes of every signature of the model.

        Raises:
            ServingError: there is no such model, or no answer.

        Example:
            client.metadata()["sample"]["inputs"]  # {"label": "int64 [?]", "seed": "int64 [?]", ...}
        """
        signatures = ask(self._transport.signatures, self.retries, self.timeout)
        try:
            return {
                name: {
                    side: {key: _described(info) for key, info in definition.get(side, {}).items()}
                    for side in ("inputs", "outputs")
                }
                for name, definition in sorted(signatures.items())
                if not name.startswith("__")  # TensorFlow's own
            }
        except MALFORMED as error:
            raise malformed(
                f"its signatures are {reprlib.repr(signatures)}", self.target
            ) from error

    def _draw(self, rows, strict=True):
        """Yields the place of every row, and its PNG and class name; not in the order of the rows."""
        parts = batches(rows, self.batch_size)
        pool = ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(parts)), "serving-client")
        try:
            for part, outputs in zip(parts, pool.map(self._predict, parts), strict=True):
                columns = (outputs[name] for name in _OUTPUTS)
                for place, png, class_name, valid in zip(part.places, *columns, strict=True):
                    if not valid and strict:
                        raise InputError(refusal(rows[place], place, self.target))
                    yield place, (png if valid else None, class_name)
        finally:
            # What wasn't begun is not asked for any more.
            pool.shutdown(cancel_futures=True)

    def _predict(self, part) -> dict:
        def call(seconds):
            return self._transport.predict(part.signature, part.inputs, seconds)

        outputs = ask(call, self.retries, self.timeout)
        expected = len(part.places)
        for name, kind in _OUTPUTS.items():
            values = outputs.get(name, ())
            if len(values) != expected or not all(isinstance(value, kind) for value in values):
                got = {key: len(values) for key, values in outputs.items()}
                reason = (
                    f"the signature {part.signature} answered {expected} rows with values {got}, or "
                    f"with a {name} of another type"
                )
                raise ServingError("FAILED_PRECONDITION", reason, self.target)
        return outputs


def _transport(target):
    if target.scheme == "grpc":
        from .grpc_transport import GrpcTransport

        return GrpcTransport(target)
    from .rest import RestTransport

    return RestTransport(target)


def _checked(name, value, kind, least):
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= _LARGEST:
        number = "a whole number" if kind is numbers.Integral else "a number"
        raise InputError(
            f"Got {name}={value!r}. Expected {number} from {least} to a million. Leave it out for the usual "
            "one."
        )
    return int(value) if kind is numbers.Integral else float(value)  # sums of NumPy's overflow


def _described(info) -> str:
    """Type and shape, from the JSON form of a `TensorInfo`."""
    name = info.get("dtype", "DT_INVALID")
    kind = "float32" if name == "DT_FLOAT" else name.removeprefix("DT_").lower()
    sizes = [size["size"] for size in info.get("tensor_shape", {}).get("dim", [])]
    return f"{kind} [{', '.join('?' if size == '-1' else size for size in sizes)}]"
