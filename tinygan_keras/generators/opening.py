"""Makes a `Generator` of whatever generates: a student in any format, a teacher, a model in memory."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import parse_saved_model

from ..embedded import find, names_like
from ..errors import InputError, MissingFileError
from ..files import content_hash, is_url
from ..latents import resolve_truncation
from ..networks.network import check_class_weights, count_parameters
from ..networks.student import StudentGenerator
from ..teachers import download
from ..teachers.catalog import check_truncation, did_you_mean
from ..teachers.hub import HubTeacher
from .generator import Generator, truncation_of
from .side_files import STUDENT_FILE, read_class_names, read_config, which_weights

_SIZES = ("latent_dim", "num_classes", "image_size")


def open_generator(model, truncation=None) -> Generator:
    """Opens a student in any format, a teacher, or a model in memory.

    A `config.json` and a `class_names.txt` are read where they lie: in the folder, beside the `.keras`
    file, or in the run folder around an exported SavedModel.

    Args:
        model: The name of an embedded model, such as "tinygan_fashion_32"; a run folder, a `.keras` file,
            a folder that `tinygan export` wrote (a SavedModel, or a student of a small runtime), a
            teacher's folder, or a TensorFlow Hub handle that starts with https://; or one of them on the
            Hugging Face Hub, `"hf://OWNER/NAME[@REVISION][/FILE]"`. A path that exists comes before a name.
            Or what is in memory: a `Generator`, a `HubTeacher`, a student, or any Keras model that is called
            with a pair of latents and labels and has `latent_dim`, `num_classes` and `image_size`. One that
            is trained further generates with its new weights, under its old hash.
        truncation: Scalar in [0, 1], the scale of the latents, and of a teacher that of its statistics; None
            for that of `config.json`, and else 0.5 for a teacher.

    Raises:
        MissingFileError: it is none of them.
        ImportError: the runtime of an export isn't installed; the message names the extra.
        InputError: a SavedModel with other signatures, a `config.json` that can't be read, a truncation out
            of range, or a model that is no generator.

    Example:
        >>> generator = open_generator("tinygan_fashion_32")
        >>> generator.generate("Sneaker", seeds=7).shape
        (1, 32, 32, 3)
    """
    if isinstance(model, (str, os.PathLike)):
        return _from_path(model, truncation)
    if isinstance(model, HubTeacher):
        generator = _from_teacher(model, model.handle, read_class_names(Path(model.folder)))
    elif isinstance(model, Generator):
        generator = model
    else:
        name = f"{getattr(model, 'name', type(model).__name__)} in memory"
        generator = _from_keras(model, {"source": name, "format": "keras model"})
    if truncation is None:
        return generator
    return dataclasses.replace(generator, truncation=truncation_of(generator, truncation))


load_generator = open_generator
"""The former name of `open_generator`."""


def load_student(path) -> keras.Model:
    """Loads the student of a run folder, or a `.keras` file."""
    source, path = os.fspath(path), Path(find(path))
    file = path / STUDENT_FILE if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise MissingFileError(
            f"Got {source!r}, in which there is no student. Expected a run folder with student.keras or a "
            ".keras file. Give the folder that `tinygan distill --workdir=...` wrote, or import a PyTorch "
            "checkpoint (tinygan import)."
        )
    if not zipfile.is_zipfile(file):
        raise InputError(
            f"Got {file}, which isn't a whole archive. Expected a model that Keras saved. The copy is "
            "probably incomplete: fetch it again."
        )
    return keras.saving.load_model(file, compile=False)


def _from_path(path, truncation):
    source, path = str(path), find(path)
    if is_url(path):
        return _from_teacher(HubTeacher(source, resolve_truncation(truncation)), source)
    if not path.exists():
        raise MissingFileError(
            f"Got {source!r}, which doesn't exist. Expected a run folder with student.keras, a .keras file, "
            "a folder that `tinygan export` wrote, a teacher (its folder or its TensorFlow Hub handle), "
            f"hf://OWNER/NAME, or the name of an embedded model.{did_you_mean(source) or names_like(source)}"
        )
    path = download.module_folder(path)
    config, class_names = read_config(path), read_class_names(path)
    truncation = config.get("truncation") if truncation is None else truncation
    if truncation is not None:
        truncation = check_truncation(truncation, source)

    from ..runtimes.formats import FORMATS, open_runtime  # it imports this room

    runtime = FORMATS.get(config.get("format"))
    if runtime and (path.is_dir() or path.name == runtime.file):
        return dataclasses.replace(open_runtime(path), source=source, truncation=truncation)
    signatures = _signatures(path)
    if signatures and "default" in signatures:
        return _from_teacher(HubTeacher(path, resolve_truncation(truncation)), source, class_names)
    known = {"source": source, "class_names": class_names, "truncation": truncation}
    known |= {"weights": which_weights(config, path), "teacher": config.get("teacher")}
    if signatures is not None:
        return _from_saved_model(path, known)
    format = "run folder" if path.is_dir() else "keras file"
    return _from_keras(load_student(source), {**known, "format": format})


def _from_teacher(teacher, source, class_names=None):
    _check_class_names(class_names, teacher.num_classes, source)
    names = (*_SIZES, "truncation", "content_hash", "parameters", "mix")
    known = {name: getattr(teacher, name) for name in names}
    return Generator(teacher, source=source, format="teacher", class_names=class_names, **known)


def _from_keras(student, known: dict):
    """A Keras model as a generator; `known` holds the fields that the model itself doesn't say."""
    if not isinstance(student, keras.Model) or not all(hasattr(student, name) for name in _SIZES):
        raise InputError(
            f"Got {known['source']}, of type {type(student).__name__}. Expected a Keras model with "
            f"{', '.join(_SIZES)}, such as StudentGenerator; of a TinyGAN, its ema_student."
        )
    _check_class_names(known.get("class_names"), student.num_classes, known["source"])

    @tf.function(reduce_retracing=True)
    def draw(latents, labels):
        return student((latents, labels), training=False)

    can_mix = isinstance(student, StudentGenerator)
    mix_in_graph = tf.function(student.mix, reduce_retracing=True) if can_mix else None

    def mix(latents, class_weights):
        latents = tf.convert_to_tensor(latents)
        # Here, since the graph that follows can't refuse single values.
        class_weights = check_class_weights(class_weights, latents, student.num_classes)
        return mix_in_graph(latents, class_weights)

    # A .keras file holds the time of its writing, so the hash is not over that; nor over what only decides
    # the weights at the start.
    config = student.get_config()
    config = {key: config[key] for key in config if key not in ("name", "start_at_identity")}
    config = json.dumps(config, sort_keys=True, default=str)
    return Generator(
        draw=draw,
        **{name: getattr(student, name) for name in _SIZES},
        content_hash=content_hash(config, *(np.asarray(variable) for variable in student.weights)),
        parameters=count_parameters(student),
        mix=mix if can_mix else None,
        **known,
    )


def _from_saved_model(path, known):
    module = download.load(str(path), str(path), "student")
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

    # An earlier export says the student's in a variable of that name.
    said = getattr(module, "parameters", None)
    if isinstance(said, Sequence) and len(said) == 1 and said[0].dtype == tf.int64:
        parameters = int(said[0])
    else:
        parameters = count_parameters(signature.trainable_variables) or None
    names = known["class_names"]
    return Generator(
        draw=draw,
        latent_dim=inputs["z"].shape[1],
        num_classes=len(names) if names else None,
        image_size=outputs["image"].shape[1],
        format="saved model",
        content_hash=download.module_hash(str(path)),
        parameters=parameters,
        **known,
    )


def _signatures(folder):
    """The names of a SavedModel's signatures, without loading it; None if it is none."""
    if not any((folder / f"saved_model.{ending}").is_file() for ending in ("pb", "pbtxt")):
        return None
    try:
        saved_model = parse_saved_model(str(folder))
    except OSError as error:
        raise InputError(
            f"Got {folder}, which can't be read: {error} Expected a SavedModel. The copy is probably "
            "incomplete: fetch or export it again."
        ) from error
    return {name for graph in saved_model.meta_graphs for name in graph.signature_def}


def _check_class_names(names, num_classes, source):
    if names is not None and len(names) != num_classes:
        raise InputError(
            f"Got {len(names)} names in the class_names.txt of {source}. Expected {num_classes}, one per "
            "class. Fix or delete the file."
        )
