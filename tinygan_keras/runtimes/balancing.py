"""Rewrites a student so that eight bits lose little, without changing its images.

Scope: the weights. A quantised feature map has one scale for all channels: a channel of small values next to
one of large values is rounded away. Two exact rewrites give all channels about the same range:

- What a batch normalisation does with moving mean and variance moves into the layers before it and out of
  the shortcut behind it, so that feature maps are stored normalised.
- Each channel of a depthwise convolution is divided by its largest value, and the row of the pointwise
  convolution that reads it is multiplied by it.

On the embedded student LiteRT's int8 images had a PSNR of 20 dB without and 29 dB with them. This is the
idea of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv:1906.04721, with ranges taken from generated images.

Rejected: integer scales per channel of feature maps, which neither runtime has.
"""

import keras
import numpy as np

from ..networks.student import StudentGenerator


def balanced_student(student: StudentGenerator, latents, labels) -> StudentGenerator:
    """Returns a student with other weights that gives the same images.

    Args:
        student: The student; it isn't changed.
        latents: Float32 `[N, latent_dim]` on which the ranges of channels are measured.
        labels: Int `[N]`.

    Returns:
        A `StudentGenerator` whose moving means are 0, whose moving standard deviations are 1, and whose
        depthwise convolutions have no bias and reach 1 in every channel.

    Example:
        same = balanced_student(student, latents, labels)
    """
    balanced = student.copy(dtype="float32")
    get = balanced.get_layer
    blocks = [f"block_{index}" for index in range(len(student.channels) - 1)]

    for index, block in enumerate(blocks):
        mean, deviation = _absorbed_statistics(get(f"{block}_norm_0"))
        _write_normalized(get, blocks[index - 1] if index else None, mean, deviation)
        _scale_inputs(get(f"{block}_shortcut"), deviation, mean)
        mean, deviation = _absorbed_statistics(get(f"{block}_norm_1"))
        _scale_outputs(get(f"{block}_pointwise_0"), 1 / deviation, -mean / deviation)
    _write_normalized(get, blocks[-1], *_absorbed_statistics(get("final_norm")))

    pairs = [
        (get(f"{block}_depthwise_{part}"), get(f"{block}_pointwise_{part}"))
        for block in blocks
        for part in (0, 1)
    ]
    for depthwise, pointwise in pairs:
        kernel, bias = _values(depthwise)
        _scale_inputs(pointwise, np.ones_like(bias), bias)
        _assign(depthwise, kernel, np.zeros_like(bias))
    largest = _largest_values(balanced, [depthwise for depthwise, _ in pairs], latents, labels)
    for (depthwise, pointwise), largest_values in zip(pairs, largest, strict=True):
        kernel, bias = _values(depthwise)
        _assign(depthwise, kernel / largest_values[:, None], bias)
        _scale_inputs(pointwise, largest_values, np.zeros_like(bias))
    return balanced


def _write_normalized(get, block, mean, deviation):
    """Makes the layers that write a feature map write it normalised; `block` None: those of the first."""
    if block is None:
        positions = get("projection").units // len(mean)
        factor, shift = 1 / deviation, -mean / deviation
        _scale_outputs(get("projection"), np.tile(factor, positions), np.tile(shift, positions))
        return
    # The map is a sum of two, and the shift is needed once.
    _scale_outputs(get(f"{block}_pointwise_1"), 1 / deviation, -mean / deviation)
    _scale_outputs(get(f"{block}_shortcut"), 1 / deviation, 0.0)


def _absorbed_statistics(norm):
    """Returns mean and standard deviation of a normalisation, float64 `[C]`, and sets them to 0 and 1."""
    mean = np.asarray(norm.moving_mean, "float64")
    variance = np.asarray(norm.moving_variance, "float64")
    norm.moving_mean.assign(np.zeros_like(mean))
    norm.moving_variance.assign(np.full_like(variance, 1 - norm.epsilon))
    return mean, np.sqrt(variance + norm.epsilon)


def _scale_outputs(layer, factor, shift):
    kernel, bias = _values(layer)
    _assign(layer, kernel * factor, bias * factor + shift)


def _scale_inputs(layer, factor, shift):
    """Makes a 1x1 convolution of x give the same from (x - shift) / factor."""
    kernel, bias = _values(layer)
    _assign(layer, kernel * factor[:, None], bias + shift @ kernel[0, 0])


def _largest_values(student, layers, latents, labels, batch_size=32):
    """The largest magnitude in each channel of each layer's output; 1 for a channel of zeros."""
    outputs = keras.Model(student.inputs, [layer.output for layer in layers])
    largest = [0.0] * len(layers)
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        maps = outputs((latents[rows], labels[rows]), training=False)
        reached = [np.abs(features).max(axis=(0, 1, 2)) for features in maps]
        largest = [np.maximum(*pair) for pair in zip(largest, reached, strict=True)]
    return [np.where(values > 0, values, 1.0).astype("float64") for values in largest]


def _values(layer):
    return [np.asarray(value, "float64") for value in (layer.kernel, layer.bias)]


def _assign(layer, kernel, bias):
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
