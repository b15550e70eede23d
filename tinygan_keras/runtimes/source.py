"""The graph of a student that every form is converted from, as a SavedModel on disk.

Scope: one signature, `serving_default(z float32 [B, latent_dim], label int32 [B]) -> image`. All converters
read a SavedModel with its names. Labels are int32, since that is what phones index with.

Floating point takes the folded graph of `serving.inference`. Whole numbers take the student's own layers,
with weights rewritten by `balancing`. Rejected for them: the folded graph, of which LiteRT's int8 took twice
the time at 128 px, and OpenVINO's had a PSNR of 23 dB in place of 34.
"""

import keras
import tensorflow as tf

from ..networks.student import StudentGenerator
from ..saved_model.inference import inference_graph
from .balancing import balanced_student
from .calibration import CALIBRATION_IMAGES, CALIBRATION_SEED, evenly_drawn

SATURATION = 4.0  # tanh(4) is 1 to a tenth of one level of 255


def write_source(student, folder, batch_size: int | None, quantizable_at: float | None = None):
    """Writes the graph that draws what the student draws.

    Args:
        student: A Keras model called as `student((latents, labels), training=False)`, with `latent_dim`.
        folder: The SavedModel folder to write.
        batch_size: None for any.
        quantizable_at: None for floating point. Otherwise the truncation of the latents that it is used with,
            and the graph is one of which eight bits lose little.
    """
    if not isinstance(student, StudentGenerator):  # nothing is known of it but its images
        graph = _called(student)
    elif quantizable_at is None:
        graph = inference_graph(student)
    else:
        drawn = evenly_drawn(student, CALIBRATION_IMAGES, quantizable_at, CALIBRATION_SEED)
        graph = _saturated(balanced_student(student, *drawn))
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serving_default",
        lambda z, label: {"image": tf.cast(graph(z, label), tf.float32)},
        input_signature=[
            tf.TensorSpec((batch_size, student.latent_dim), tf.float32, "z"),
            tf.TensorSpec((batch_size,), tf.int32, "label"),
        ],
    )
    archive.write_out(str(folder), verbose=False)


def _called(student):
    return lambda z, label: student((z, label), training=False)


def _saturated(student):
    """Cuts off what the last convolution gives where tanh is as good as 1.

    Its values reach far into that range, and a quantised map has 256 levels for all of them.
    """
    before_tanh = keras.Model(student.inputs, student.get_layer("to_rgb").output)

    def draw(z, label):
        values = before_tanh((z, label), training=False)
        return tf.tanh(tf.clip_by_value(values, -SATURATION, SATURATION))

    return draw
