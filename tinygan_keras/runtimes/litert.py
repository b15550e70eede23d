"""The student in LiteRT (TensorFlow Lite), the quickest runtime at batch 1, on phones and on CPUs.

The batch is static, since XNNPACK plans a graph for one. A graph that needs TensorFlow's own operators
(Flex) or custom ones is refused, as the small runtime doesn't have them.
"""

import warnings

import tensorflow as tf

from ..errors import InputError
from .conversion import EdgeExport, export_format
from .formats import LITERT, needed

# Of a student of experiments/recipes 64 cost 0.21 of Frechet distance, and 20 cost 0.16.
CALIBRATION_IMAGES = 20


def export_litert(
    student, path, precision="float32", batch_size=1, *, class_names=None, truncation=None
) -> EdgeExport:
    """Writes a student as a LiteRT model: a folder with `model.tflite`, `config.json` and `class_names.txt`.

    The model's signature `serving_default` takes `z` float32 `[batch_size, latent_dim]` and `label` int32
    `[batch_size]` in `[0, num_classes)` and returns `image` float32 `[batch_size, S, S, 3]` in [-1, 1], in
    every precision. A label out of range is an error of the runtime.

    The images are compared with the student's before the folder gets its name: `check_equivalence` has the
    bounds.

    Args:
        student: A Keras model called as `student((latents, labels), training=False)`, with the attributes
            `latent_dim`, `num_classes` and `image_size`, such as `StudentGenerator`.
        path: The folder to write.
        precision: "float32"; "float16": weights of half the size, the same arithmetic; "int8": weights and
            arithmetic, calibrated on 20 images of the student's own.
        batch_size: Images per call, at least 1.
        class_names: Name per label, written to `class_names.txt`.
        truncation: Scalar in [0, 1] that the student was trained at, and the scale of the latents for
            calibration and comparison; None for 0.5.

    Raises:
        ExistingFileError: `path` exists. An export is never replaced.
        MissingPackageError: the extra `litert` isn't installed.
        TypeError: `student` lacks one of the attributes.
        InputError: a precision, batch size, truncation or names that can't be; or images that differ.

    Example:
        exported = export_litert(student, "edge/student_int8", "int8", truncation=0.5)
        exported.bytes / exported.float32_bytes  # about 0.4
        images = open_generator("edge/student_int8").generate(seeds=7)
    """
    arguments = (student, path, precision, batch_size, class_names, truncation)
    return export_format(LITERT, _convert, *arguments)


def open_model(file, threads):
    """Returns a function of latents float32 and labels int32 of the file's batch to images."""
    litert = needed("ai_edge_litert.interpreter", LITERT)
    interpreter = litert.Interpreter(model_path=str(file), num_threads=threads)
    signature = interpreter.get_signature_runner("serving_default")
    return lambda latents, labels: signature(z=latents, label=labels)["image"]


def _convert(order, folder, scratch):
    source = order.write_source(scratch / "source")
    converter = tf.lite.TFLiteConverter.from_saved_model(source)
    (scratch / LITERT.file).write_bytes(_converted(converter))
    if order.precision == "float32":
        return
    converter = tf.lite.TFLiteConverter.from_saved_model(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if order.precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    else:
        batches = order.calibration_batches(CALIBRATION_IMAGES)
        converter.representative_dataset = lambda: iter(batches)
        # All of it in whole numbers, or an error; only z and the image are float32 outside.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (folder / LITERT.file).write_bytes(_converted(converter))


def _converted(converter) -> bytes:
    with warnings.catch_warnings():
        # Calibration runs on TensorFlow's own interpreter, which says that it will move.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        try:
            return converter.convert()
        except Exception as error:  # the converter's own error is no public class
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"Got a graph that LiteRT can't hold: {reason}. Expected its built-in operators only, as "
                "StudentGenerator has. Replace the layers that need others."
            ) from error
