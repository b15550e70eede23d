"""Layers that the networks share: convolutions, spectral normalisation, attention, upsampling.

Rejected: `keras.layers.SpectralNormalization` overwrites its kernel at every training call and its
gradient ignores sigma; ours divides by sigma(W) inside the call and leaves the kernel alone
(Miyato et al., arXiv:1802.05957). `keras.layers.UpSampling2D` resizes in half precision, too.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

PACKAGE = "tinygan_keras"


def add_bias(features, bias):
    """`tf.nn.bias_add`, which is fused with the product before it, unlike a sum; no bias where it is None."""
    if bias is None:
        return features
    bias = ops.cast(bias, features.dtype)
    if features.dtype == "float32":
        return tf.nn.bias_add(features, bias)
    return _add_half_precision_bias(features, bias)


@tf.custom_gradient
def _add_half_precision_bias(features, bias):
    """With a gradient that is summed in float32: TensorFlow's own on CPUs is summed in bfloat16.

    Of that little is right where pixels are many: of 131,072 normal numbers it is off by 84 %.
    """

    def gradient(upstream):
        pixels = tf.reshape(upstream, (-1, upstream.shape[-1]))
        ones = tf.ones((1, tf.shape(pixels)[0]), upstream.dtype)
        return upstream, tf.reshape(tf.matmul(ones, pixels), (-1,))

    return tf.nn.bias_add(features, bias), gradient


@keras.saving.register_keras_serializable(PACKAGE)
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, with 1x1 kernels as matrix products: on CPUs two thirds of the time."""

    def call(self, inputs):
        if (*self.kernel_size, *self.strides) != (1, 1, 1, 1):
            return self.activation(add_bias(self.convolution_op(inputs, self.kernel), self.bias))
        pixels = ops.reshape(inputs, (-1, inputs.shape[-1]))
        outputs = ops.matmul(pixels, ops.reshape(self.kernel, self.kernel.shape[2:]))
        outputs = add_bias(outputs, self.bias)
        return self.activation(ops.reshape(outputs, (-1, *inputs.shape[1:-1], self.filters)))


@keras.saving.register_keras_serializable(PACKAGE)
class DepthwiseConv2D(layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with `add_bias`."""

    def call(self, inputs):
        convolution = ops.depthwise_conv(inputs, self.kernel, self.strides, self.padding)
        return self.activation(add_bias(convolution, self.bias))


@tf.custom_gradient
def leaky_relu(features):
    """`max(x, 0.01 x)`, one kernel with convolution and bias: its gradient needs only the output's sign."""
    outputs = tf.nn.leaky_relu(features, 0.01)

    def gradient(upstream):
        return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=outputs, alpha=0.01)

    return outputs, gradient


class _SpectralNorm:
    """Mixin: one power iteration per training call, else `u` is only read; gradient through W / sigma(W)."""

    is_normalized = False  # True: of an imported network, whose kernel is divided already

    def _add_power_iteration_vector(self, columns: int):
        self.u = self.add_weight(
            name="u",
            shape=(1, columns),
            initializer=keras.initializers.RandomNormal(seed=1),
            trainable=False,
            autocast=False,
            aggregation="none",  # replicas see the same kernel, so their vectors stay equal
        )

    # Keras' own layers save just the variables that they know; `u` would silently be left out.
    def save_own_variables(self, store):
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        layers.Layer.load_own_variables(self, store)

    def _normalized(self, kernel, training: bool):
        if self.is_normalized:
            return kernel
        kernel = ops.cast(kernel, "float32")
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        v = ops.stop_gradient(_unit(ops.matmul(self.u, ops.transpose(matrix))))
        product = ops.matmul(v, matrix)
        u = ops.stop_gradient(_unit(product))
        if training:
            self.u.assign(u)
        sigma = ops.sum(product * u)
        return ops.cast(kernel / sigma, self.compute_dtype)


def _unit(vector):
    return vector * ops.rsqrt(ops.sum(ops.square(vector)) + 1e-24)


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralConv2D(_SpectralNorm, layers.Conv2D):
    """`keras.layers.Conv2D` with its kernel divided by its largest singular value."""

    def build(self, input_shape):
        super().build(input_shape)
        self._add_power_iteration_vector(self.filters)

    def call(self, inputs, training=False):
        outputs = self.convolution_op(inputs, self._normalized(self.kernel, training))
        return self.activation(add_bias(outputs, self.bias))


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralDense(_SpectralNorm, layers.Dense):
    """`keras.layers.Dense` with spectral normalisation."""

    def build(self, input_shape):
        super().build(input_shape)
        self._add_power_iteration_vector(self.units)

    def call(self, inputs, training=False):
        outputs = ops.matmul(inputs, self._normalized(self.kernel, training))
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralEmbedding(_SpectralNorm, layers.Embedding):
    """`keras.layers.Embedding` with spectral normalisation."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self._add_power_iteration_vector(self.output_dim)

    def call(self, inputs, training=False):
        return ops.take(self._normalized(self.embeddings, training), ops.cast(inputs, "int32"), 0)

    def compute_output_spec(self, inputs, training=False):
        return super().compute_output_spec(inputs)


@keras.saving.register_keras_serializable(PACKAGE)
class SelfAttention(layers.Layer):
    """`x + gamma * attention(x)` of SAGAN (arXiv:1805.08318), keys and values pooled; gamma starts at 0."""

    def build(self, input_shape):
        channels = input_shape[-1]

        def project(filters, name, shape=input_shape):
            options = {"use_bias": False, "kernel_initializer": "orthogonal"}
            layer = SpectralConv2D(filters, 1, dtype=self.dtype_policy, name=name, **options)
            layer.build(shape)
            return layer

        self.query = project(channels // 8, "query")
        self.key = project(channels // 8, "key")
        self.value = project(channels // 2, "value")
        self.output_projection = project(channels, "output", (*input_shape[:3], channels // 2))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, inputs, training=False):
        def flat(x):
            return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))

        query = flat(self.query(inputs, training=training))
        key = flat(ops.max_pool(self.key(inputs, training=training), 2))
        value = flat(ops.max_pool(self.value(inputs, training=training), 2))
        weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))))
        shape = (-1, *inputs.shape[1:3], value.shape[-1])
        attended = ops.reshape(ops.matmul(weights, value), shape)
        return inputs + self.gamma * self.output_projection(attended, training=training)


def upsample(features):
    """Doubles height and width of a feature map `[B, H, W, C]`: each pixel becomes four."""
    _, height, width, _ = features.shape
    return ops.image.resize(features, (2 * height, 2 * width), interpolation="nearest")


@keras.saving.register_keras_serializable(PACKAGE)
class BilinearUpsampling(layers.Layer):
    """Doubles height and width of a feature map `[B, H, W, C]` bilinearly, with half-pixel centres.

    TensorFlow resizes into float32 whatever it is given. In half precision two matrix products, one for each
    axis, take less than half the time, and aren't cast to and fro. Only in training: what a student costs
    when it generates is counted without them, in all precisions.
    """

    def call(self, inputs, training=False):
        _, height, width, channels = inputs.shape
        if not training or inputs.dtype == "float32":
            size, wide = (2 * height, 2 * width), ops.cast(inputs, "float32")
            return ops.cast(ops.image.resize(wide, size, interpolation="bilinear"), inputs.dtype)
        rows, columns = (_doubling(side, inputs.dtype) for side in (height, width))
        wide = tf.matmul(columns, tf.reshape(inputs, (-1, width, channels)))
        doubled = tf.matmul(rows, tf.reshape(wide, (-1, height, 2 * width * channels)))
        return tf.reshape(doubled, (-1, 2 * height, 2 * width, channels))

    def compute_output_spec(self, inputs, training=False):
        batch, height, width, channels = inputs.shape
        shape = (batch, 2 * height, 2 * width, channels)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def _doubling(side, dtype):
    """The weights of each of `2 * side` pixels, `[2 * side, side]`."""
    centres = np.clip(np.arange(2 * side) / 2 - 0.25, 0, side - 1)
    return tf.constant(np.maximum(0, 1 - abs(centres[:, None] - np.arange(side))), dtype)
