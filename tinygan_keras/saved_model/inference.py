"""The student as a graph that only generates: the same images in less time, by TensorFlow's own tools.

Scope: a `StudentGenerator` in, a `tf.function` out; no files.

- Everything is float32, whatever the student was trained in.
- The last normalisation moves into the convolutions before it, which saves two passes over the largest maps.
- Weights become constants, so that TensorFlow computes once, at the first call, what depends on them alone.
- Images are made one by one, several side by side: maps stay in the cache, and an image is the same bit by
  bit in any batch.

Rejected: a graph of our own operations with every normalisation folded (the figures are in
`experiments/benchmarks/README.md`); XLA, whose depthwise convolutions take ten times as long on CPUs.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ..networks.student import StudentGenerator


def inference_student(student: StudentGenerator) -> StudentGenerator:
    """Returns a student in float32 that gives the same images with a last normalisation that does nothing."""
    twin = student.copy(dtype="float32")
    norm = twin.get_layer("final_norm")
    mean, variance, gamma, beta = (
        np.asarray(values, "float64")
        for values in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    last = f"block_{len(student.channels) - 2}"
    # The map is a sum of two, and the shift is needed once.
    for layer, shift in (
        (twin.get_layer(f"{last}_pointwise_1"), beta - mean * scale),
        (twin.get_layer(f"{last}_shortcut"), 0.0),
    ):
        layer.kernel.assign(np.asarray(layer.kernel, "float64") * scale)
        layer.bias.assign(np.asarray(layer.bias, "float64") * scale + shift)
    for variable, value in (
        (norm.moving_mean, 0.0),
        (norm.moving_variance, 1.0 - norm.epsilon),
        (norm.gamma, 1.0),
        (norm.beta, 0.0),
    ):
        variable.assign(np.full(variable.shape, value))
    return twin


def row_by_row(student: StudentGenerator):
    """Returns a function of latents float32 `[B, Z]` and labels int64 `[B]` to images float32 `[B, S, S, 3]`.

    It is a function of tensors, to be called in a `tf.function`; the student is read, not kept.
    """
    size = student.image_size
    inputs = [
        tf.TensorSpec((1, student.latent_dim), tf.float32),
        tf.TensorSpec((1,), tf.int64),
    ]
    twin = inference_student(student)
    traced = tf.function(lambda z, label: twin((z, label), training=False), autograph=False)
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function(*inputs))

    def draw(z, label):
        def draw_row(row):
            return tf.ensure_shape(frozen(row[0][None], row[1][None])[0], (1, size, size, 3))[0]

        image = tf.TensorSpec((size, size, 3), tf.float32)
        return tf.map_fn(draw_row, (z, label), fn_output_signature=image)

    return draw
