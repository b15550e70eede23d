"""The student as a graph that only draws: the same images with fewer and larger operations.

Scope: a built `StudentGenerator` in, plain float32 `tf.Variable`s and a callable out; no files.

What is folded, all of it exact but for rounding:
- every conditional batch norm into a scale and a shift per class. Those of all norms are one row of a table,
  or one product with the class embedding, whichever is smaller: with 10 classes the table is, with 1000 the
  embedding. There the table is 6.5 times as large (the 128 px student would be 2.4 times), and 2 % quicker.
- the biases of depthwise convolutions into those of the pointwise ones behind them, and these into the shift;
  the bias of the shortcut, which the upsampling doesn't change, into the residual's.
- the final batch norm into the last convolutions on both paths.
- the last convolution into one that draws 2x2 pixels at once: a vector unit has room for their 12 channels,
  and of 3 leaves most of itself empty.

Two ways to draw. A call draws a batch by operations that every runtime knows. `row_by_row` takes one image
at a time, so that the scale of its class can be part of the kernel of a convolution, which is then fused with
normalisation and ReLU; maps stay in the cache, rows run side by side, and an image is the same bit by bit
whatever it is drawn with. It is the quicker one on CPUs, at a batch of 8 more than at 1. On a GPU, where
nobody has measured it, a batch at once is likely to be.

Rejected: folding inside the graph from the student's own variables, which costs more operations than it
saves; upsampling folded into the depthwise convolution behind it, as the two treat borders differently; XLA,
whose depthwise convolutions take ten times as long on CPUs; strips of the largest maps, which cost copies.
"""

import numpy as np
import tensorflow as tf

from ..networks.layers import upsample
from ..networks.student import StudentGenerator


def inference_graph(student) -> "InferenceGraph":
    """Folds a student into a graph for inference.

    Args:
        student: A built `StudentGenerator`; it is read, not kept.

    Raises:
        TypeError: it is another model, of whose layers nothing is known.

    Example:
        graph = inference_graph(model.ema_student)
        images = graph(latents, labels)
    """
    if not isinstance(student, StudentGenerator):
        raise TypeError(
            f"Got a {type(student).__name__}. Expected a StudentGenerator, whose layers are known by name. "
            "Call another generator itself: generator((latents, labels), training=False)."
        )
    return InferenceGraph(student)


class InferenceGraph(tf.Module):
    """Draws the images that `student((latents, labels), training=False)` draws, in float32.

    Args:
        student: A `StudentGenerator`; see `inference_graph`.

    Call arguments:
        z: Latents float32 `[B, latent_dim]`.
        label: Int `[B]` in [0, num_classes).

    Returns:
        Images float32 `[B, image_size, image_size, 3]` in [-1, 1].

    Attributes:
        latent_dim, num_classes, image_size: As of the student.
        variables: Tuple of float32 `tf.Variable`s, all that it needs.
    """

    def __init__(self, student):
        super().__init__(name="inference_graph")
        self.latent_dim = student.latent_dim
        self.num_classes = student.num_classes
        self.image_size = student.image_size
        count = len(student.channels) - 1
        self.classes = _ClassVectors(student, count)

        layer = student.get_layer("projection")
        self.start = (4, 4, student.channels[0])
        self.projection_kernel = _variable(_values(layer.kernel), "projection_kernel")
        self.projection_bias = _variable(_values(layer.bias), "projection_bias")
        final = _folded_norm(student.get_layer("final_norm"))
        self.blocks = [
            _Block(student, index, *(final if index == count - 1 else (1.0, 0.0)))
            for index in range(count)
        ]
        layer = student.get_layer("to_rgb")
        self.rgb_kernel = _variable(_four_pixels(_values(layer.kernel)), "rgb_kernel")
        self.rgb_bias = _variable(np.tile(_values(layer.bias), 4), "rgb_bias")

    def __call__(self, z, label):
        return self._draw(z, label, _normalized, _normalized_product)

    def row_by_row(self, z, label):
        """Draws one image after the other, several at a time; arguments and images as of a call."""
        image = tf.TensorSpec((self.image_size, self.image_size, 3), tf.float32)

        def draw_row(row):
            z, label = row
            return self._draw(z[None], label[None], _normalized_row, _normalized_row_product)[0]

        return tf.map_fn(draw_row, (z, label), fn_output_signature=image)

    def _draw(self, z, label, normalized, normalized_product):
        features = tf.nn.bias_add(tf.matmul(z, self.projection_kernel), self.projection_bias)
        features = tf.reshape(features, (-1, *self.start))
        vectors = self.classes(label)
        for index, block in enumerate(self.blocks):
            of_block = vectors[4 * index : 4 * index + 4]
            features = block(features, *of_block, normalized, normalized_product)
        colours = tf.nn.conv2d(tf.nn.relu(features), self.rgb_kernel, 2, "SAME")
        return tf.nn.depth_to_space(tf.tanh(tf.nn.bias_add(colours, self.rgb_bias)), 2)


class _ClassVectors(tf.Module):
    """Labels `[B]` to scale and shift, `[B, C]` each, of the first norm, of the second, and so on."""

    def __init__(self, student, count):
        super().__init__()
        norms = [
            _folded_conditional_norm(student, i, part) for i in range(count) for part in (0, 1)
        ]
        parts = [part for scale_and_shift in norms for part in scale_and_shift]
        self.sizes = tuple(len(bias) for _, bias in parts)
        kernel, bias = (np.concatenate(values, -1) for values in zip(*parts, strict=True))
        embedding = _values(student.get_layer("class_embedding").embeddings)
        self.is_table = len(embedding) * bias.size <= embedding.size + kernel.size + bias.size
        if self.is_table:
            self.table = _variable(embedding @ kernel + bias, "class_table")
        else:
            self.embedding = _variable(embedding, "class_embedding")
            self.kernel, self.bias = _variable(kernel, "kernel"), _variable(bias, "bias")

    def __call__(self, label):
        if self.is_table:
            rows = tf.gather(self.table, label)
        else:
            embedded = tf.gather(self.embedding, label)
            rows = tf.nn.bias_add(tf.matmul(embedded, self.kernel), self.bias)
        return tf.split(rows, self.sizes, axis=-1)


class _Block(tf.Module):
    """A residual block that gives `scale * features + shift` of the student's features."""

    def __init__(self, student, index, scale, shift):
        super().__init__(name=f"block_{index}")
        layers = {
            kind: student.get_layer(f"block_{index}_{kind}")
            for kind in ("depthwise_0", "depthwise_1", "pointwise_0", "pointwise_1", "shortcut")
        }
        kernels = {kind: _values(layer.kernel) for kind, layer in layers.items()}
        bias = _values(layers["pointwise_1"].bias) + _values(layers["shortcut"].bias)
        bias += _values(layers["depthwise_1"].bias) @ kernels["pointwise_1"][0, 0]
        self.depthwise_0 = _variable(kernels["depthwise_0"], "depthwise_0")
        self.depthwise_1 = _variable(kernels["depthwise_1"], "depthwise_1")
        self.pointwise_0 = _variable(kernels["pointwise_0"][0, 0], "pointwise_0")
        self.pointwise_1 = _variable(kernels["pointwise_1"] * scale, "pointwise_1")
        self.shortcut = _variable(kernels["shortcut"][0, 0] * scale, "shortcut")
        self.bias = _variable(bias * scale + shift, "bias")

    def __call__(
        self, features, scale_0, shift_0, scale_1, shift_1, normalized, normalized_product
    ):
        residual = tf.nn.relu(normalized(features, scale_0, shift_0))
        residual = _depthwise(upsample(residual, "bilinear"), self.depthwise_0)
        residual = tf.nn.relu(normalized_product(residual, self.pointwise_0, scale_1, shift_1))
        residual = _depthwise(residual, self.depthwise_1)
        residual = tf.nn.conv2d(residual, self.pointwise_1, 1, "VALID")
        shortcut = upsample(_pointwise(features, self.shortcut), "bilinear")
        # Of add_n, unlike of +, TensorFlow knows that shapes are equal, and adds as the convolution writes.
        return tf.add_n([tf.nn.bias_add(residual, self.bias), shortcut])


def _normalized(features, scale, shift):
    """Features `[B, H, W, C]`, scale and shift `[B, C]`."""
    return features * scale[:, None, None] + shift[:, None, None]


def _normalized_product(features, kernel, scale, shift):
    return _normalized(_pointwise(features, kernel), scale, shift)


def _normalized_row(features, scale, shift):
    """The same of a batch of one, as a depthwise 1x1 convolution, which is fused with shift and ReLU."""
    scaled = tf.nn.depthwise_conv2d(features, scale[0][None, None, :, None], (1, 1, 1, 1), "VALID")
    return tf.nn.bias_add(scaled, shift[0])


def _normalized_row_product(features, kernel, scale, shift):
    return _pointwise(features, kernel * scale, shift[0])


def _pointwise(features, kernel, bias=None):
    """A 1x1 convolution as a product of matrices, which is quicker."""
    _, height, width, channels = features.shape
    outputs = tf.matmul(tf.reshape(features, (-1, channels)), kernel)
    if bias is not None:
        outputs = tf.nn.bias_add(outputs, bias)
    return tf.reshape(outputs, (-1, height, width, kernel.shape[1]))


def _depthwise(features, kernel):
    return tf.nn.depthwise_conv2d(features, kernel, (1, 1, 1, 1), "SAME")


def _folded_conditional_norm(student, index, part) -> list:
    """Kernels `[E, C]` and biases `[C]` of scale and shift, for maps that lack the biases before it."""
    norm = student.get_layer(f"block_{index}_norm_{part}")
    mean = _values(norm.moving_mean)
    if part == 1:
        pointwise = student.get_layer(f"block_{index}_pointwise_0")
        depthwise = student.get_layer(f"block_{index}_depthwise_0")
        mean -= _values(pointwise.bias) + _values(depthwise.bias) @ _values(pointwise.kernel)[0, 0]
    inverse = 1.0 / np.sqrt(_values(norm.moving_variance) + norm.epsilon)
    kernel, shift_kernel = np.split(_values(norm.affine.kernel), 2, axis=-1)
    bias, shift_bias = np.split(_values(norm.affine.bias), 2)
    kernel, bias = kernel * inverse, bias * inverse
    return [(kernel, bias), (shift_kernel - mean * kernel, shift_bias - mean * bias)]


def _folded_norm(norm):
    scale = _values(norm.gamma) / np.sqrt(_values(norm.moving_variance) + norm.epsilon)
    return scale, _values(norm.beta) - _values(norm.moving_mean) * scale


def _four_pixels(kernel) -> np.ndarray:
    """The kernel `[4, 4, C, 12]` of stride 2 that draws what `[3, 3, C, 3]` draws, as 2x2 pixels of 3."""
    channels = kernel.shape[2]
    four = np.zeros((4, 4, channels, 2, 2, 3))
    for row in (0, 1):
        for column in (0, 1):
            four[row : row + 3, column : column + 3, :, row, column] = kernel
    return four.reshape(4, 4, channels, 12)


def _values(variable) -> np.ndarray:
    """In float64, so that folding rounds once."""
    return np.asarray(variable).astype("float64")


def _variable(values, name):
    return tf.Variable(np.asarray(values, "float32"), trainable=False, name=name)
