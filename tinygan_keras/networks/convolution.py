"""What convolutions and the activation behind them need to be quick.

A 1x1 convolution is a product of two matrices, and is computed as one. The gradient of a leaky ReLU is taken
from its output, so that convolution, bias and activation can become one kernel.
"""

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


@tf.custom_gradient
def leaky_relu(features):
    """`max(x, 0.01 x)`. Its gradient looks at the sign of the output, which is that of the input."""
    outputs = tf.nn.leaky_relu(features, 0.01)

    def gradient(upstream):
        return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=outputs, alpha=0.01)

    return outputs, gradient
