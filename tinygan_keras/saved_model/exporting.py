"""The student as a SavedModel, as TensorFlow Serving loads it: what is in the folder, written in which order.

What can be asked is in `signatures.py`, how it is generated in `inference.py`.

Rejected: `tf.saved_model.save` of a module with Keras variables, which the C++ loader of TensorFlow Serving
can't load; an archive that tracks the generator, which writes every weight twice (keras issue 23553).
"""

import contextlib
import errno
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from ..errors import InputError
from ..files import new_folder, user_path, write_json, write_text
from ..generators.side_files import write_class_names
from ..latents import resolve_truncation
from ..networks.network import count_parameters
from ..networks.student import StudentGenerator
from . import warm_up
from .equivalence import check_equivalence
from .inference import row_by_row
from .model_card import model_card
from .signatures import distinct_names, signatures


def export_saved_model(
    generator, path, *, class_names=None, truncation=None, teacher=None, report=None, rewrite=True
) -> Path:
    """Writes a generator as a SavedModel that needs none of this package's code to run.

    The signature `serving_default` takes `z` float32 `[B, latent_dim]` and `label` int64 `[B]` in
    `[0, num_classes)`, and returns `image` float32 `[B, image_size, image_size, 3]` in [-1, 1]. `sample`,
    `sample_uint8` and `sample_by_name` take class, seed and truncation, and return finished pictures, those
    of `Generator.generate`; see `signatures`. A student's images are the same bit by bit in any batch.

    Beside the model lie a `model_card.md` and requests that warm up a server. The folder is written aside,
    loaded, compared with the generator, and renamed into place: a server that watches its parent never sees
    half a model or a wrong one.

    Args:
        generator: A Keras model called as `generator((latents, labels), training=False)`, with the
            attributes `latent_dim`, `num_classes` and `image_size`, such as `StudentGenerator`.
        path: The folder to write. Servers expect a version number as its name: "saved_model/1".
        class_names: Name per label, written to `class_names.txt` in the folder; `sample_by_name` knows them.
            Names of several classes, and empty ones, get their label added: "crane (134)". None: the labels.
        truncation: Scalar in [0, 1] that the generator was trained at, written to `config.json` there.
            `open_generator` reads both files, and servers ignore them. A folder inside its run needs no
            `config.json`: that of the run says more, and this one would hide it.
        teacher: Handle or folder of the teacher, for the model card.
        report: What `tinygan distill` or `tinygan evaluate` wrote as JSON, as a dict, for the model card.
        rewrite: Whether a `StudentGenerator` becomes a graph of constants that makes images one by one, the
            quicker one on CPUs; see `inference`. False: its own graph, a batch at once, with variables. Other
            models are always exported like that.

    Returns:
        The path written.

    Raises:
        ExistingFileError: `path` exists. A published version is never replaced.
        TypeError: `generator` lacks one of the attributes.
        InputError: names that are not one line per class, a truncation out of range, or images that are not
            finite or differ from the generator's by more than 1e-4.

    Example:
        export_saved_model(model.ema_student, "runs/demo/saved_model/1")
        export_saved_model(student, "serving/tinygan/1", class_names=names, truncation=0.5)
        served = tf.saved_model.load("runs/demo/saved_model/1").signatures["sample_uint8"]
        images = served(label=labels, seed=seeds, truncation=truncations)["image"]
    """
    path = user_path(path)
    class_names, truncation = check_export(generator, class_names, truncation)
    names = distinct_names(class_names, generator.num_classes)
    notes = [] if warm_up.can_write() else [f"Exported {warm_up.MISSING}"]
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    # Variables must exist before the graph is traced; the first call of a model makes them.
    latents = np.zeros((1, generator.latent_dim), "float32")
    generator((latents, np.zeros(1, "int32")), training=False)
    card = model_card(generator, names, truncation, teacher, report, notes)

    with new_folder(path) as folder:
        if isinstance(generator, StudentGenerator):
            generator = generator.copy(dtype="float32")
        try:
            _write_graph(folder, generator, names, rewrite)
            if not notes:
                warm_up.write_warm_up(folder, generator.latent_dim, names[0])
        except tf.errors.ResourceExhaustedError as error:  # TensorFlow's words for a full disk
            raise OSError(errno.ENOSPC, "no space left on device", str(path)) from error
        write_text(folder / "model_card.md", card)
        if class_names is not None:
            write_class_names(folder, class_names)
        if truncation is not None:
            write_json(folder / "config.json", {"truncation": truncation})
        _check_folder(folder, generator, names[0])
    return Path(path)


def check_export(generator, class_names, truncation) -> tuple:
    """Checks what every export is given; returns the names as a list and the truncation, or None."""
    needed = ("latent_dim", "num_classes", "image_size")
    missing = [name for name in needed if not hasattr(generator, name)]
    if missing:
        raise TypeError(
            f"Got a generator of type {type(generator).__name__} without {', '.join(missing)}. Expected one "
            "such as StudentGenerator; of a TinyGAN, pass model.ema_student."
        )
    if class_names is not None:
        class_names = [str(name) for name in class_names]
        lines = "".join(f"{name}\n" for name in class_names).splitlines()
        if len(class_names) != generator.num_classes or lines != class_names:
            raise InputError(
                f"Got the class names {class_names}. Expected {generator.num_classes}, a name of one line "
                "per class. Give those of the data that the generator was trained on."
            )
    return class_names, None if truncation is None else resolve_truncation(truncation)


def _write_graph(folder, generator, names, rewrite):
    size = generator.image_size

    def draw(z, label):
        # The signature promises float32 also for a model that computes in bfloat16 or float16.
        images = tf.cast(generator((z, label), training=False), tf.float32)
        return tf.ensure_shape(images, (None, size, size, 3))

    if rewrite and isinstance(generator, StudentGenerator):
        draw = row_by_row(generator)
    # Traced once for all signatures.
    inputs = [tf.TensorSpec((None, generator.latent_dim)), tf.TensorSpec((None,), tf.int64)]
    draw = tf.function(draw, input_signature=inputs, autograph=False)
    archive = keras.export.ExportArchive()
    for name, (function, inputs) in signatures(draw, generator.latent_dim, names).items():
        archive.add_endpoint(name, function, inputs)
    # Constants don't say how many of them training changed.
    count = tf.Variable(count_parameters(generator), dtype=tf.int64)
    archive.add_variable_collection("parameters", [count])
    archive.write_out(str(folder), verbose=False)


def _check_folder(folder, generator, class_name):
    """Loads what was written as servers do, compares its images, and asks it the requests of the warm-up."""
    with contextlib.closing(tf.compat.v1.Session(graph=tf.Graph())) as session:
        definitions = SavedModelLoader(str(folder)).load(session, ["serve"]).signature_def

        def ask(name, inputs):
            definition = definitions[name]
            feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
            outputs = {key: info.name for key, info in definition.outputs.items()}
            return session.run(outputs, feeds)

        def draw(latents, labels):
            return ask("serving_default", {"z": latents, "label": labels})["image"]

        if isinstance(generator, StudentGenerator):
            check_equivalence(generator, draw)
        for name, inputs in warm_up.requests(1, generator.latent_dim, class_name).items():
            if not np.all(ask(name, inputs).get("valid", True)):
                raise RuntimeError(f"The exported signature {name} doesn't answer {inputs}.")
