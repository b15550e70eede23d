"""What all formats share: arguments checked, converted aside, compared with the student, moved into place.

All are converted from a SavedModel with one signature, `serving_default(z, label) -> image`, whose names they
keep. Labels are int32, since that is what phones index with.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..files import new_folder, user_path, write_json
from ..generators.side_files import write_class_names
from ..latents import resolve_truncation
from ..networks.network import count_parameters
from ..networks.student import StudentGenerator
from ..saved_model.equivalence import check_equivalence, evenly_spread
from ..saved_model.exporting import check_export
from ..saved_model.inference import inference_student
from .balancing import balanced_student, cut_outliers
from .formats import Format, check_format, model_files, needed, open_runtime

CALIBRATION_SEED = 2_000_000  # far from those of training, of evaluation and of the check
# LiteRT and ONNX Runtime take the largest value that they see, which grows with the images.
CALIBRATION_IMAGES = 64
_BATCH = 8  # where a format takes any
_SATURATION = 4.0  # tanh(4) is 1 to a tenth of one level of 255


class EdgeExport(NamedTuple):
    """Sizes, here and in float32, and differences to the student's images in [-1, 1]; the PSNR is in dB."""

    path: Path
    bytes: int
    float32_bytes: int
    max_difference: float
    mean_difference: float
    psnr: float


class Order(NamedTuple):
    """What a format's conversion gets; `truncation` is the scale of the latents for calibration."""

    student: Any
    precision: str
    batch_size: int | None
    truncation: float

    def write_source(self, folder) -> str:
        """Writes the graph to convert as a SavedModel; returns its path."""
        graph, rows = _graph(self), self.batch_size
        z = tf.TensorSpec((rows, self.student.latent_dim), tf.float32, "z")
        label = tf.TensorSpec((rows,), tf.int32, "label")

        def serving_default(z, label):
            return {"image": tf.cast(graph(z, label), tf.float32)}

        archive = keras.export.ExportArchive()
        archive.add_endpoint("serving_default", serving_default, [z, label])
        archive.write_out(str(folder), verbose=False)
        return str(folder)

    def calibration_batches(self, images=CALIBRATION_IMAGES) -> list:
        """Dicts of `z` float32 `[B, latent_dim]` and `label` int32 `[B]`, of so many rows or a few more."""
        size = self.batch_size or _BATCH
        count = -(-images // size) * size
        latents, labels = evenly_spread(self.student, count, self.truncation, CALIBRATION_SEED)
        portions = (slice(start, start + size) for start in range(0, count, size))
        return [{"z": latents[rows], "label": labels[rows]} for rows in portions]


def export_format(
    format: Format, convert: Callable, student, path, precision, batch_size, class_names, truncation
) -> EdgeExport:
    """Writes a student in a format; arguments after the first two, and errors, as of `export_litert`."""
    check_format(format, precision, batch_size)
    for package in format.packages:
        needed(package, format)
    class_names, own = check_export(student, class_names, truncation)
    truncation = resolve_truncation(own)
    path = user_path(path)
    with new_folder(path) as folder, tempfile.TemporaryDirectory() as scratch:
        folder.mkdir()
        scratch = Path(scratch)
        if isinstance(student, StudentGenerator):
            student = student.copy(dtype="float32")
        # Writes the model in float32 to `scratch`, and in another precision to `folder`.
        convert(Order(student, precision, batch_size, truncation), folder, scratch)
        float32_files = model_files(scratch, format)
        for file in float32_files if precision == "float32" else ():
            shutil.copyfile(file, folder / file.name)
        if class_names is not None:
            write_class_names(folder, class_names)
        config = {
            "format": format.name,
            "precision": precision,
            "batch_size": batch_size,
            "latent_dim": student.latent_dim,
            "num_classes": student.num_classes,
            "image_size": student.image_size,
            "truncation": own,
            "parameters": count_parameters(student),
            "bytes": _size(model_files(folder, format)),
            "float32_bytes": _size(float32_files),
        }
        write_json(folder / "config.json", config)
        found = check_equivalence(student, open_runtime(folder).draw, precision, truncation)
        write_json(folder / "config.json", {**config, **found._asdict()})
    return EdgeExport(Path(path), config["bytes"], config["float32_bytes"], *found)


def _graph(order):
    """The function of latents and labels to convert; for int8 with weights rewritten by `balancing`."""
    student = order.student
    known = isinstance(student, StudentGenerator)
    if not known or order.precision != "int8":
        student = inference_student(student) if known else student
        return lambda z, label: student((z, label), training=False)
    measured = evenly_spread(student, CALIBRATION_IMAGES, order.truncation, CALIBRATION_SEED)
    student = cut_outliers(balanced_student(student, *measured), *measured)
    before_tanh = keras.Model(student.inputs, student.get_layer("image").input)

    def draw(z, label):
        # Values reach far into where tanh is 1, and a quantised map has 256 levels for all of them.
        values = before_tanh((z, label), training=False)
        return tf.tanh(tf.clip_by_value(values, -_SATURATION, _SATURATION))

    return draw


def _size(files) -> int:
    return sum(file.stat().st_size for file in files)
