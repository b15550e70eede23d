"""Draws with a student of LiteRT, ONNX Runtime or OpenVINO as with any other generator.

Scope: reading; `serving.edge` writes. A form with a static batch draws any number of images, in portions of
that size. `load_generator` takes such a folder too; here the number of threads can be told.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from ..errors import InputError, MissingFileError
from ..generators.generator import Generator
from ..generators.side_files import read_class_names
from .forms import FORMS, LITERT, ONNX, OPENVINO, Form, needed


def load_runtime(path, threads: int | None = None) -> Generator:
    """Loads what `tinygan export --format=litert`, `onnx` or `openvino` wrote.

    Args:
        path: The exported folder, or the model's file in it.
        threads: CPU threads; None for all.

    Returns:
        A `Generator`. Its `draw` takes latents `[B, latent_dim]` and labels `[B]`, as arrays or
        tensors, and returns float32 `[B, image_size, image_size, 3]` in [-1, 1].

    Raises:
        FileNotFoundError: there is no such folder, or it is no export.
        ImportError: the runtime isn't installed; the message names the extra.
        ValueError: the files can't be read.

    Example:
        generator = load_runtime("edge/student_int8")
        images = generator.draw(latents, labels)
        evaluate(generator, "saved_models/fashion_classifier", reference="fashion_mnist")
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    config = _read_config(path, folder)
    form = FORMS[config["format"]]
    threads = threads or os.cpu_count() or 1
    try:
        run = _OPENERS[form](folder / form.file, threads)
    except ImportError:
        raise
    except Exception as error:  # of a damaged file, each runtime raises what it likes
        raise InputError(
            f"Got {folder / form.file}, which can't be loaded: {error}. Expected a whole file. Copy it "
            "again, or export the student again."
        ) from error
    return Generator(
        draw=_drawing(run, config),
        latent_dim=config["latent_dim"],
        num_classes=config["num_classes"],
        class_names=read_class_names(folder),
        truncation=config["truncation"],
        image_size=config["image_size"],
        source=str(path),
        format=f"{form.name} {config['precision']}",
        content_hash=_content_hash(folder, form),
        parameters=config.get("parameters"),
    )


def is_edge_export(path: Path, config: dict) -> bool:
    """Whether a path is that of a folder, or of the model's file in it, whose config.json is `config`."""
    form = FORMS.get(config.get("format"))
    return form is not None and (path.is_dir() or path.name == form.file)


def model_files(folder: Path, form: Form) -> list:
    """The files of the model; OpenVINO's has its weights beside it."""
    main = folder / form.file
    return [main, main.with_suffix(".bin")] if form is OPENVINO else [main]


def _read_config(path, folder):
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        form = FORMS[config["format"]]
        there = all(name.is_file() for name in model_files(folder, form))
    except (OSError, ValueError, KeyError, TypeError):
        there = False
    if not there:
        raise MissingFileError(
            f"Got {str(path)!r}. Expected a folder that `tinygan export` wrote, with a config.json and one "
            f"of {', '.join(form.file for form in FORMS.values())}. Export the student again."
        )
    return config


def _drawing(run, config):
    """Returns `draw` for a function of arrays of the form's batch."""
    size, classes = config["batch_size"], config["num_classes"]

    def draw(latents, labels):
        latents, labels = np.asarray(latents, "float32"), np.asarray(labels)
        # Runtimes differ in what they do then, from an error to some image.
        if len(latents) != len(labels):
            raise InputError(
                f"Got {len(latents)} latents and {len(labels)} labels. Expected a label per latent vector."
            )
        whole = np.issubdtype(labels.dtype, np.integer)
        if labels.size and not (whole and 0 <= labels.min() <= labels.max() < classes):
            raise InputError(
                f"Got labels from {labels.min()} to {labels.max()}. Expected whole numbers from 0 to "
                f"{classes - 1}."
            )
        labels = labels.astype("int32")
        if size in (None, len(labels)):
            return run(latents, labels)
        missing = -len(labels) % size
        latents = np.pad(latents, ((0, missing), (0, 0)))
        padded = np.pad(labels, (0, missing))
        starts = range(0, len(padded), size)
        parts = [
            run(latents[start : start + size], padded[start : start + size]) for start in starts
        ]
        return np.concatenate(parts)[: len(labels)]

    return draw


def _content_hash(folder, form) -> str:
    digest = hashlib.sha256()
    for file in model_files(folder, form):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _open_litert(file, threads):
    interpreter = needed("ai_edge_litert.interpreter", LITERT).Interpreter(
        model_path=str(file), num_threads=threads
    )
    signature = interpreter.get_signature_runner("serving_default")
    return lambda latents, labels: signature(z=latents, label=labels)["image"]


def _open_onnx(file, threads):
    onnxruntime = needed("onnxruntime", ONNX)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda latents, labels: session.run(["image"], {"z": latents, "label": labels})[0]


def _open_openvino(file, threads):
    core = needed("openvino", OPENVINO).Core()
    # It computes in bfloat16 otherwise where the processor can.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = core.compile_model(str(file), "CPU", hints)
    return lambda latents, labels: np.array(model({"z": latents, "label": labels})["image"])


_OPENERS = {LITERT: _open_litert, ONNX: _open_onnx, OPENVINO: _open_openvino}
