"""The student as a graph that only generates: the same images in less time, by TensorFlow's own tools.

The last normalisation moves into the convolutions before it, which saves two passes over the largest maps.
Weights become constants, so that what depends on them alone is computed once. Images are made one by one,
several side by side: maps stay in the cache, and an image is the same bit by bit in any batch.

Rejected: a graph of our own operations with every normalisation folded (the figures are in
`experiments/benchmarks/README.md`); XLA, whose depthwise convolutions take ten times as long on CPUs.
"""

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ..networks.student import StudentGenerator


def inference_student(student: StudentGenerator) -> StudentGenerator:
    """Returns a student in float32 that gives the same images with a last normalisation that does nothing."""
    twin = student.copy(dtype="float32")
    norm = twin.get_layer("final_norm")
    mean, deviation = take_statistics(norm)
    scale = np.asarray(norm.gamma, "float64") / deviation
    shift = np.asarray(norm.beta, "float64") - mean * scale
    scale_map(twin, len(student.channels) - 2, scale, shift)
    norm.gamma.assign(np.ones(norm.gamma.shape))
    norm.beta.assign(np.zeros(norm.beta.shape))
    return twin


def take_statistics(norm):
    """Returns mean and standard deviation of a normalisation, float64 `[C]`, and sets them to 0 and 1."""
    mean = np.asarray(norm.moving_mean, "float64")
    variance = np.asarray(norm.moving_variance, "float64")
    norm.moving_mean.assign(np.zeros_like(mean))
    norm.moving_variance.assign(np.full_like(variance, 1 - norm.epsilon))
    return mean, np.sqrt(variance + norm.epsilon)


def scale_map(student, block: int, factor, shift):
    """Makes block number `block`, or -1, the projection, write its map times `[C]` and plus `[C]`."""
    if block < 0:
        scale_outputs(student.get_layer("projection"), np.tile(factor, 16), np.tile(shift, 16))
        return
    # The map is a sum of two, and the shift is needed once.
    scale_outputs(student.get_layer(f"block_{block}_pointwise_1"), factor, shift)
    scale_outputs(student.get_layer(f"block_{block}_shortcut"), factor, 0.0)


def scale_outputs(layer, factor, shift):
    """Makes a convolution or dense layer give its outputs times `[C]` and plus `[C]`."""
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    factors = factor[:, None] if depthwise else factor
    layer.kernel.assign(np.asarray(layer.kernel, "float64") * factors)
    layer.bias.assign(np.asarray(layer.bias, "float64") * factor + shift)


def row_by_row(student: StudentGenerator):
    """Returns a function of tensors: latents float32 `[B, Z]` and labels int64 `[B]` to images float32."""
    size = student.image_size
    inputs = [tf.TensorSpec((1, student.latent_dim)), tf.TensorSpec((1,), tf.int64)]
    twin = inference_student(student)
    traced = tf.function(lambda z, label: twin((z, label), training=False), autograph=False)
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function(*inputs))

    def draw(z, label):
        def draw_row(row):
            return tf.ensure_shape(frozen(row[0][None], row[1][None])[0], (1, size, size, 3))[0]

        image = tf.TensorSpec((size, size, 3), tf.float32)
        return tf.map_fn(draw_row, (z, label), fn_output_signature=image)

    return draw
