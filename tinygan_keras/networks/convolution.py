"""Convolutions of the student: a 1x1 convolution is a product of two matrices, and is computed as one."""

import keras
import tensorflow as tf
from keras import layers, ops

from .layers import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, with 1x1 kernels as matrix products.

    On CPUs a matrix product is a third quicker than the convolution, above all in the gradient for the
    kernel; `experiments/benchmarks/step.py` shows what it means for a step. The class bears Keras' name, by
    which layers are found in saved files.
    """

    def call(self, inputs):
        if (*self.kernel_size, *self.strides) != (1, 1, 1, 1):
            return super().call(inputs)
        pixels = ops.reshape(inputs, (-1, inputs.shape[-1]))
        outputs = ops.matmul(pixels, ops.reshape(self.kernel, self.kernel.shape[2:]))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)  # fused with the product, unlike a sum
        return self.activation(ops.reshape(outputs, (-1, *inputs.shape[1:-1], self.filters)))
