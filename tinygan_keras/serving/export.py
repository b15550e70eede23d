"""The student as a SavedModel, in the form TensorFlow Serving loads.

Scope: one signature, `serving_default`, from latents and labels to images.

`keras.export.ExportArchive` writes it: a plain `tf.saved_model.save` of a module with Keras
variables loads in Python and fails in the C++ loader of TensorFlow Serving. The archive is not told
to track the generator: what an endpoint uses is saved anyway, and tracking would write every weight
twice (keras issue 23553).
"""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..files import write_archive
from ..teachers.catalog import check_truncation


def export_saved_model(generator, path, *, class_names=None, truncation=None) -> Path:
    """Writes a generator as a SavedModel that needs none of this package's code to run.

    The signature `serving_default` takes `z` float32 `[B, latent_dim]` and `label` int64 `[B]` in
    `[0, num_classes)`, and returns `image` float32 `[B, image_size, image_size, 3]` in [-1, 1].
    A label out of range is answered with an error that says so.

    The folder is written aside and renamed into place, so that a server watching its parent never
    sees half a model.

    Args:
        generator: A Keras model called as `generator((latents, labels), training=False)`, with the
            attributes `latent_dim`, `num_classes` and `image_size`, such as `StudentGenerator`.
        path: The folder to write. Servers expect a version number as its name: "saved_model/1".
        class_names: Name per label, written to `class_names.txt` in the folder.
        truncation: Scalar in (0, 1] that the generator was trained at, written to `config.json` there.
            `load_generator` reads both files, and servers ignore them. They are for folders that leave
            their run: inside it the files of the run say more, and these would hide them.

    Returns:
        The path written.

    Raises:
        FileExistsError: `path` exists. A published version is never replaced.
        TypeError: `generator` lacks one of the attributes.
        ValueError: names that are not one line per class, or a truncation out of range.

    Example:
        export_saved_model(model.ema_student, "runs/demo/saved_model/1")
        export_saved_model(student, "serving/tinygan/1", class_names=names, truncation=0.5)
        served = tf.saved_model.load("runs/demo/saved_model/1").signatures["serving_default"]
        images = served(z=latents, label=labels)["image"]
    """
    path = Path(path)
    _check_arguments(generator, path)
    texts = _side_files(generator, class_names, truncation)

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", *_serving_default(generator))

    return write_archive(_WithTexts(archive, texts), path)


@dataclasses.dataclass(frozen=True)
class _WithTexts:
    """An archive that comes with text files, so that they appear together."""

    archive: keras.export.ExportArchive
    texts: dict

    def write_out(self, folder, verbose):
        self.archive.write_out(folder, verbose=verbose)
        for name, text in self.texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")


def _side_files(generator, class_names, truncation) -> dict:
    """Text by file name of what a generator's folder says about it."""
    texts = {}
    if class_names is not None:
        names = [str(name) for name in class_names]
        text = "".join(f"{name}\n" for name in names)
        if len(names) != generator.num_classes or text.splitlines() != names:
            raise ValueError(
                f"Got the class names {names}. Expected {generator.num_classes}, a name of one line per "
                "class. Give those of the data that the generator was trained on."
            )
        texts["class_names.txt"] = text
    if truncation is not None:
        truncation = check_truncation(truncation, "an exported generator")
        texts["config.json"] = json.dumps({"truncation": truncation}) + "\n"
    return texts


def _serving_default(generator):
    """Returns the function behind the signature `serving_default`, and its input specification."""
    size = generator.image_size

    def generate(z, label):
        label = _checked_label(label, generator.num_classes)
        images = generator((z, tf.cast(label, tf.int32)), training=False)
        # The signature promises float32 also for a student that computes in bfloat16 or float16.
        return {"image": tf.ensure_shape(tf.cast(images, tf.float32), (None, size, size, 3))}

    # Variables must exist before the function is traced; the first call of a model makes them.
    latents = np.zeros((1, generator.latent_dim), "float32")
    generator((latents, np.zeros(1, "int32")), training=False)
    return generate, [
        tf.TensorSpec((None, generator.latent_dim), tf.float32, "z"),
        tf.TensorSpec((None,), tf.int64, "label"),
    ]


def _checked_label(label, num_classes):
    """Passes `label` on if it is in range. On a GPU a bad one would silently give a grey image."""
    message = f"label is out of range. Expected whole numbers from 0 to {num_classes - 1}."
    in_range = (label >= 0) & (label < num_classes)
    # Asserts reach a client only if what they check flows on through them.
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(in_range), [message, label])]):
        return tf.identity(label)


def _check_arguments(generator, path):
    missing = [
        name for name in ("latent_dim", "num_classes", "image_size") if not hasattr(generator, name)
    ]
    if missing:
        raise TypeError(
            f"Got a generator of type {type(generator).__name__} without {', '.join(missing)}. "
            "Expected a generator such as StudentGenerator; of a TinyGAN, pass model.ema_student."
        )
    if path.exists():
        raise FileExistsError(
            f"{path} exists already, and an exported version is never replaced. "
            "Export to a new version number, or remove that folder first."
        )
