"""The student as a SavedModel, in the form TensorFlow Serving loads.

Scope: what makes up the folder, and in which order. What can be asked is in `signatures.py`, how it is drawn
in `inference.py`.

`keras.export.ExportArchive` writes the graph: a plain `tf.saved_model.save` of a module with Keras
variables loads in Python and fails in the C++ loader of TensorFlow Serving. The archive is not told
to track the generator: what an endpoint uses is saved anyway, and tracking would write every weight
twice (keras issue 23553). It does track the lookup tables, which it wouldn't find.
"""

import dataclasses
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..errors import ExistingFileError
from ..files import write_archive
from ..networks.student import StudentGenerator
from ..teachers.catalog import check_truncation
from . import warm_up
from .arguments import check_generator, names_as_text
from .inference import inference_graph
from .model_card import model_card, parameters
from .same_images import check_same_images
from .signatures import ClassNames, distinct_names, signatures

NAMES_FILE = "class_names.txt"


def export_saved_model(
    generator,
    path,
    *,
    class_names=None,
    truncation=None,
    teacher=None,
    report=None,
    rewrite=True,
) -> Path:
    """Writes a generator as a SavedModel that needs none of this package's code to run.

    The signature `serving_default` takes `z` float32 `[B, latent_dim]` and `label` int64 `[B]` in
    `[0, num_classes)`, and returns `image` float32 `[B, image_size, image_size, 3]` in [-1, 1]. `sample`,
    `sample_uint8` and `sample_by_name` take class, seed and truncation, and return finished pictures; see
    `signatures`. A student's images are the same bit by bit whatever they are drawn with.

    Beside the model lie a `model_card.md` and requests that warm up a server. The folder is written aside and
    renamed into place, so that a server watching its parent never sees half a model.

    Args:
        generator: A Keras model called as `generator((latents, labels), training=False)`, with the
            attributes `latent_dim`, `num_classes` and `image_size`, such as `StudentGenerator`.
        path: The folder to write. Servers expect a version number as its name: "saved_model/1".
        class_names: Name per label, written to `class_names.txt` in the folder; `sample_by_name` knows them.
            Names of several classes, and empty ones, get their label added: "crane (134)". None: the labels.
        truncation: Scalar in (0, 1] that the generator was trained at, written to `config.json` there.
            `load_generator` reads both files, and servers ignore them. A folder inside its run needs no
            `config.json`: that of the run says more, and this one would hide it.
        teacher: Handle or folder of the teacher, for the model card.
        report: What `tinygan distill` or `tinygan evaluate` wrote as JSON, as a dict, for the model card.
        rewrite: Whether a `StudentGenerator` is folded into a graph that draws the same images in less time;
            see `inference`. That they are the same is checked: to 1e-5 in [-1, 1], or to ten times what the
            last bit of the latents does, but never more than 1e-3. Other models are exported as they are.

    Returns:
        The path written.

    Raises:
        FileExistsError: `path` exists. A published version is never replaced.
        TypeError: `generator` lacks one of the attributes.
        ValueError: names that are not one line per class, or a truncation out of range.
        ArithmeticError: the rewritten graph draws other images, or the generator's are not finite.

    Example:
        export_saved_model(model.ema_student, "runs/demo/saved_model/1")
        export_saved_model(student, "serving/tinygan/1", class_names=names, truncation=0.5)
        served = tf.saved_model.load("runs/demo/saved_model/1").signatures["sample_uint8"]
        images = served(label=labels, seed=seeds, truncation=truncations)["image"]
    """
    path = Path(path)
    check_generator(generator)
    if path.exists():
        raise ExistingFileError(
            f"{path} exists already, and an exported version is never replaced. "
            "Export to a new version number, or remove that folder first."
        )
    texts = _side_files(generator, class_names, truncation)
    names = distinct_names(class_names, generator.num_classes)
    notes = []
    if not warm_up.can_write():
        notes.append(f"Exported {warm_up.MISSING}")
        warnings.warn(f"{path}: exported {warm_up.MISSING}", stacklevel=2)
    draw = _drawing(generator, rewrite)
    texts["model_card.md"] = model_card(generator, names, truncation, teacher, report, notes)

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, NAMES_FILE)
        file.write_text(names_as_text(names, len(names)), encoding="utf-8")
        tables = ClassNames(file)
        archive = keras.export.ExportArchive()
        archive.track(tables)
        for name, (function, inputs) in signatures(draw, generator, tables).items():
            archive.add_endpoint(name, function, inputs)
        # The graph doesn't tell any more how many the student has.
        count = tf.Variable(parameters(generator), dtype=tf.int64)
        archive.add_variable_collection("parameters", [count])

        def write_warm_up(folder):
            if not notes:
                warm_up.write_warm_up(folder, generator.latent_dim, names[0])

        return write_archive(_Folder(archive, texts, write_warm_up), path)


@dataclasses.dataclass(frozen=True)
class _Folder:
    """An archive that comes with other files, so that they appear together."""

    archive: keras.export.ExportArchive
    texts: dict
    write_warm_up: Callable

    def write_out(self, folder, verbose):
        self.archive.write_out(folder, verbose=verbose)
        for name, text in self.texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        self.write_warm_up(folder)


def _side_files(generator, class_names, truncation) -> dict:
    """Text by file name of what a generator's folder says about it."""
    texts = {}
    if class_names is not None:
        texts[NAMES_FILE] = names_as_text(class_names, generator.num_classes)
    if truncation is not None:
        truncation = check_truncation(truncation, "an exported generator")
        texts["config.json"] = json.dumps({"truncation": truncation}) + "\n"
    return texts


def _drawing(generator, rewrite):
    """Returns a `tf.function` of latents and labels in range to images, traced once for all signatures."""
    size = generator.image_size
    # Variables must exist before the function is traced; the first call of a model makes them.
    latents = np.zeros((1, generator.latent_dim), "float32")
    generator((latents, np.zeros(1, "int32")), training=False)
    rewrite = rewrite and isinstance(generator, StudentGenerator)

    def draw(z, label):
        # The signature promises float32 also for a student that computes in bfloat16 or float16.
        images = tf.cast(generator((z, label), training=False), tf.float32)
        return tf.ensure_shape(images, (None, size, size, 3))

    inputs = [
        tf.TensorSpec((None, generator.latent_dim), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    ]
    function = inference_graph(generator).row_by_row if rewrite else draw
    function = tf.function(function, input_signature=inputs, autograph=False)
    if rewrite:
        check_same_images(function, generator)
    return function
