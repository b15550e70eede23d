"""The formats of small runtimes: what they are, and opening what `tinygan export` wrote in one of them.

TensorFlow is imported when something is opened, not for the help and the mistakes of the command line.
"""

import importlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError, MissingFileError, MissingPackageError
from ..files import content_hash, read_json, user_path
from ..images import check_labels


class Format(NamedTuple):
    """A format, named as in --format, as its module here, and as its extra."""

    name: str
    file: str  # the model's, in an exported folder
    precisions: tuple
    batch: int | None  # the default; None: any
    packages: tuple  # modules that writing needs


_THREE = ("float32", "float16", "int8")
LITERT = Format("litert", "model.tflite", _THREE, 1, ("ai_edge_litert.interpreter",))
ONNX = Format("onnx", "model.onnx", ("float32", "int8"), None, ("onnx", "onnxruntime", "tf2onnx"))
OPENVINO = Format("openvino", "model.xml", ("float32", "int8"), None, ("openvino", "nncf"))
FORMATS = {format.name: format for format in (LITERT, ONNX, OPENVINO)}


def check_format(format: Format, precision, batch_size):
    """Raises InputError for a precision that the format doesn't have, or a batch size that none has."""
    if precision not in format.precisions:
        raise InputError(
            f"Got precision {precision!r} for {format.name}. Expected one of {', '.join(format.precisions)}."
        )
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size >= 1
    if not whole and (batch_size is not None or format.batch):
        raise InputError(
            f"Got batch_size={batch_size!r} for {format.name}. Expected a whole number from 1. Leave it out "
            f"for {format.batch or 'any batch'}."
        )


def needed(module: str, format: Format):
    """Imports an optional module; MissingPackageError names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{module} can't be imported: {error}. Expected the packages of an optional part: pip install "
            f'"tinygan-keras[{format.name}]".'
        ) from error


def model_files(folder: Path, format: Format) -> list:
    """The files of the model; OpenVINO's has its weights beside it."""
    main = folder / format.file
    return [main, main.with_suffix(".bin")] if format is OPENVINO else [main]


def open_runtime(path, threads: int | None = None):
    """Opens an exported folder, or the model's file in it, as `open_generator` does, with CPU `threads`."""
    # Here, as both import TensorFlow.
    from ..generators.generator import Generator
    from ..generators.side_files import read_class_names

    path = Path(user_path(path))
    folder = path if path.is_dir() else path.parent
    file = folder / "config.json"
    config = read_json(file) if file.is_file() else {}
    format = FORMATS.get(config.get("format"))
    if not format or not all(file.is_file() for file in model_files(folder, format)):
        raise MissingFileError(
            f"Got {str(path)!r}. Expected a folder that `tinygan export` wrote, with a config.json and one "
            f"of {', '.join(format.file for format in FORMATS.values())}. Export the student again."
        )
    runtime = importlib.import_module(f".{format.name}", __package__)
    try:
        run = runtime.open_model(folder / format.file, threads or os.cpu_count() or 1)
    except ImportError:
        raise
    except Exception as error:  # of a damaged file, each runtime raises what it likes
        raise InputError(
            f"Got {folder / format.file}, which can't be loaded: {error}. Expected a whole file. Copy it "
            "again, or export the student again."
        ) from error
    return Generator(
        draw=_in_portions(run, config),
        latent_dim=config["latent_dim"],
        num_classes=config["num_classes"],
        class_names=read_class_names(folder),
        truncation=config["truncation"],
        image_size=config["image_size"],
        source=str(path),
        format=f"{format.name} {config['precision']}",
        content_hash=content_hash(*model_files(folder, format)),
        parameters=config.get("parameters"),
    )


def _in_portions(run, config):
    """Returns `draw` for a function of arrays of the format's batch."""
    size, classes = config["batch_size"], config["num_classes"]

    def draw(latents, labels):
        latents = np.asarray(latents, "float32")
        # Runtimes differ in what they do with others, from an error to some image.
        labels = check_labels(labels, len(latents), classes, "the latents")
        if size in (None, len(labels)):
            return run(latents, labels)
        missing = -len(labels) % size
        latents = np.pad(latents, ((0, missing), (0, 0))).reshape(-1, size, latents.shape[1])
        padded = np.pad(labels, (0, missing)).reshape(-1, size)
        return np.concatenate([*map(run, latents, padded)])[: len(labels)]

    return draw
