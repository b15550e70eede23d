"""Finds a generator in any of the forms a run leaves, or a teacher, and loads it for drawing."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from ..errors import InputError, MissingFileError
from ..images import to_uint8
from ..runtimes.edge_runtimes import is_edge_export, load_runtime
from ..teachers import download
from ..teachers.catalog import check_truncation, nearest_handles
from ..teachers.hub import HubTeacher
from .loaded import (
    DEFAULT_TRUNCATION,
    LoadedGenerator,
    as_generator,
    count_parameters,
    from_student,
    from_teacher,
)
from .side_files import STUDENT_FILE, read_class_names, read_config, which_weights

__all__ = ["LoadedGenerator", "as_generator", "generate_images", "load_generator", "load_student"]

FORMS = (
    "a run folder with student.keras, a .keras file, a folder that `tinygan export` wrote, or a teacher: "
    "its folder or its TensorFlow Hub handle"
)


def load_student(path) -> keras.Model:
    """Loads the student of a run folder, or a `.keras` file.

    Raises:
        FileNotFoundError: there is neither.
    """
    path = Path(path)
    file = path / STUDENT_FILE if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise MissingFileError(
            f"Got {str(path)!r}. Expected a run folder with student.keras or a .keras file. Give the "
            "folder that `tinygan distill --workdir=...` wrote."
        )
    return keras.saving.load_model(file, compile=False)


def load_generator(path, truncation=None) -> LoadedGenerator:
    """Loads a student in any form, or a teacher.

    A `config.json` and a `class_names.txt` are read where they lie: in the folder, beside the `.keras`
    file, or in the run folder around an exported SavedModel.

    Args:
        path: A run folder, a `.keras` file, a folder that `tinygan export` wrote (a SavedModel, or a
            student of a small runtime), a teacher's folder, or a TensorFlow Hub handle that starts with
            https://.
        truncation: Scalar in (0, 1]; None for that of `config.json`, and then 0.5 for a teacher. A
            teacher draws at it. Students draw the same at any; it is the one for their latents.

    Raises:
        FileNotFoundError: it is none of them.
        ImportError: the runtime of an export isn't installed; the message names the extra.
        ValueError: a SavedModel with other signatures, a `config.json` that can't be read, or a
            truncation out of range.

    Example:
        generator = load_generator("saved_models/tinygan_fashion_32")
        images = generator.draw(latents, labels)
    """
    source = str(path)
    if "://" in source:
        return from_teacher(HubTeacher(source, _teachers(truncation)), source)
    path = Path(path).expanduser()
    if not path.exists():
        raise MissingFileError(
            f"Got {source!r}, which doesn't exist. Expected {FORMS}.{_did_you_mean(source)}"
        )
    config, class_names = read_config(path), read_class_names(path)
    if truncation is None:
        truncation = config.get("truncation")
    if truncation is not None:
        truncation = check_truncation(truncation, source)

    if is_edge_export(path, config):
        return dataclasses.replace(load_runtime(path), truncation=truncation)
    signatures = _signatures(path)
    if signatures and "default" in signatures:
        teacher = HubTeacher(path, _teachers(truncation))
        return from_teacher(teacher, source, class_names)
    known = {
        "source": source,
        "class_names": class_names,
        "truncation": truncation,
        "weights": which_weights(config, path),
        "teacher": config.get("teacher"),
    }
    if signatures is not None:
        return _saved_model(path, known)
    form = "run folder" if path.is_dir() else "keras file"
    return from_student(load_student(path), {**known, "form": form})


def _teachers(truncation):
    return DEFAULT_TRUNCATION if truncation is None else truncation  # 0 is one of BigGAN-deep's


def _saved_model(path, known):
    module = tf.saved_model.load(str(path))
    signature = module.signatures.get("serving_default")
    inputs = signature.structured_input_signature[1] if signature else {}
    outputs = signature.structured_outputs if signature else {}
    if set(inputs) != {"z", "label"} or set(outputs) != {"image"}:
        raise InputError(
            f"Got {path} with the signatures {sorted(module.signatures)}; serving_default takes "
            f"{sorted(inputs)} and returns {sorted(outputs)}. Expected serving_default(z, label) -> image, "
            "as `tinygan export` writes it, or the signature `default` of a teacher."
        )

    def draw(latents, labels, module=module):  # a signature doesn't keep its module alive
        return signature(z=latents, label=tf.cast(labels, tf.int64))["image"]

    names = known["class_names"]
    return LoadedGenerator(
        draw=draw,
        latent_dim=inputs["z"].shape[1],
        num_classes=len(names) if names else None,
        image_size=outputs["image"].shape[1],
        form="saved model",
        content_hash=download.content_hash(str(path)),
        parameters=_parameters(module, signature),
        mix=None,
        **known,
    )


def _parameters(module, signature):
    """The student's, which a folded graph tells in a variable of that name."""
    told = getattr(module, "parameters", None)
    if isinstance(told, Sequence) and len(told) == 1 and told[0].dtype == tf.int64:
        return int(told[0])
    return count_parameters(signature.trainable_variables) or None


def _signatures(folder):
    """The names of a SavedModel's signatures, without loading it; None if it is none."""
    file = folder / "saved_model.pb"
    if not file.is_file():
        return ["default"] if (folder / "saved_model.pbtxt").is_file() else None
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise InputError(
            f"Got {file}, which can't be read: {error}. Expected a SavedModel. The copy is probably "
            "incomplete: fetch or export it again."
        ) from error
    return {name for graph in saved_model.meta_graphs for name in graph.signature_def}


def _did_you_mean(handle):
    handles = nearest_handles(handle)
    return f" Did you mean {' or '.join(handles)}?" if handles else ""


def generate_images(draw, latents, labels, batch_size=256) -> np.ndarray:
    """Draws any number of images in batches.

    Args:
        draw: Callable `(latents [B, Z], labels [B]) -> images` in [-1, 1].
        latents: Float32 `[N, Z]`.
        labels: Int `[N]`.
        batch_size: Images per call.

    Returns:
        Images uint8 `[N, S, S, 3]`.
    """
    parts = []
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        parts.append(to_uint8(draw(tf.constant(latents[rows]), tf.constant(labels[rows]))))
    return np.concatenate(parts)
