"""Layers that the networks share: spectral normalisation, conditional batch normalisation, attention.

Scope: building blocks without any knowledge of losses, teachers or data.

Rejected: `keras.layers.SpectralNormalization` overwrites its kernel at every training call and its
gradient ignores sigma; ours divides by sigma(W) inside the call and leaves the kernel alone
(Miyato et al., arXiv:1802.05957). Batch normalisation from `keras.ops` takes several passes over the feature
map in training; TensorFlow's fused kernel takes about half their time on a CPU.
"""

import keras
import tensorflow as tf
from keras import layers, ops

PACKAGE = "tinygan_keras"


class _SpectralNorm:
    """Mixin: one power iteration per training call, gradient through W / sigma(W)."""

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
    """`keras.layers.Conv2D` with its kernel divided by its largest singular value.

    With `training=True` the stored vector `u` takes one power-iteration step; with
    `training=False` it is only read, so a forward pass for another network's update leaves it alone.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self._add_power_iteration_vector(self.filters)

    def call(self, inputs, training=False):
        outputs = self.convolution_op(inputs, self._normalized(self.kernel, training))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, ops.cast(self.bias, outputs.dtype))
        return self.activation(outputs)


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralDense(_SpectralNorm, layers.Dense):
    """`keras.layers.Dense` with spectral normalisation; see `SpectralConv2D`."""

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
    """`keras.layers.Embedding` with spectral normalisation; see `SpectralConv2D`."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self._add_power_iteration_vector(self.output_dim)

    def call(self, inputs, training=False):
        return ops.take(self._normalized(self.embeddings, training), ops.cast(inputs, "int32"), 0)

    def compute_output_spec(self, inputs, training=False):
        return super().compute_output_spec(inputs)


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalBatchNormalization(layers.Layer):
    """Batch normalisation whose scale and shift are linear in a condition vector.

    `y = scale(c) * (x - mean) / sqrt(variance + epsilon) + shift(c)`, with `scale` starting at 1 and
    `shift` at 0 whatever the condition. (The authors' program initialises the wrong axis of this
    affine map, so that its scale does not start at 1; we do not follow it.)

    Args:
        momentum: Weight of the old value in the moving statistics.
        epsilon: Added to the variance.
        synchronized: Average the statistics over the replicas of a `tf.distribute` strategy.

    Call arguments:
        inputs: A pair: feature map float `[B, H, W, C]`, condition float `[B, K]`.
        training: Normalise with the batch's statistics and update the moving ones.

    Returns:
        Float `[B, H, W, C]`.

    Reference: Dumoulin et al., arXiv:1610.07629; Brock et al., arXiv:1809.11096.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, synchronized=False, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized

    def build(self, input_shape):
        features_shape, condition_shape = input_shape
        channels = features_shape[-1]
        self.affine = layers.Dense(
            2 * channels,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            bias_initializer=_scale_one_shift_zero,
            dtype=self.dtype_policy,
            name="affine",
        )
        self.affine.build(condition_shape)
        self._add_statistics(channels)

    def _add_statistics(self, channels):
        def add(name, initializer):
            return self.add_weight(
                name=name,
                shape=(channels,),
                initializer=initializer,
                trainable=False,
                autocast=False,
                aggregation="none",  # replicas agree if synchronised; else the first one's are saved
            )

        self.moving_mean = add("moving_mean", "zeros")
        self.moving_variance = add("moving_variance", "ones")

    def call(self, inputs, training=False):
        features, condition = inputs
        if not training:
            mean, variance = self.moving_mean, self.moving_variance
            return self._normalize(features, condition, mean, variance)
        outputs, mean, variance = self._normalize_by_batch(features, condition)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _normalize_by_batch(self, features, condition):
        """Returns the outputs, and the batch's mean and variance (both `[C]`)."""
        if self.synchronized:
            wide = ops.cast(features, "float32")
            mean, variance = ops.moments(wide, axes=(0, 1, 2), synchronized=True)
            return self._normalize(features, condition, mean, variance), mean, variance
        ones = ops.ones(features.shape[-1])
        outputs, mean, variance = batch_norm(features, ones, 0.0 * ones, self.epsilon)
        scale, shift = self._scale_and_shift(condition)
        return outputs * self._spread(scale) + self._spread(shift), mean, variance

    def _normalize(self, features, condition, mean, variance):
        """Normalisation and affine map in one multiply and one add."""
        scale, shift = self._scale_and_shift(condition)
        scale = scale * ops.rsqrt(variance + self.epsilon)
        return features * self._spread(scale) + self._spread(shift - mean * scale)

    def _scale_and_shift(self, condition):
        return ops.split(ops.cast(self.affine(condition), "float32"), 2, axis=-1)

    def _spread(self, vectors):
        """`[B, C]` as `[B, 1, 1, C]`, in the type of the feature maps."""
        return ops.cast(vectors[:, None, None, :], self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over channels, by the fused kernel where replicas don't share it."""

    def call(self, inputs, training=False):
        if not training or self.synchronized:
            return super().call(inputs, training=training)
        outputs, mean, variance = batch_norm(inputs, self.gamma, self.beta, self.epsilon)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs


def batch_norm(features, scale, shift, epsilon):
    """Normalises by the batch's own statistics.

    Args:
        features: Float `[B, H, W, C]`.
        scale, shift: Float `[C]`.
        epsilon: Added to the variance.

    Returns:
        Outputs `[B, H, W, C]`; mean and variance float32 `[C]`. The outputs use the biased variance, the
        returned one is unbiased, as in PyTorch's running statistics.
    """
    scale, shift = (ops.cast(x, "float32") for x in (scale, shift))
    return tf.compat.v1.nn.fused_batch_norm(features, scale, shift, epsilon=epsilon)


@keras.saving.register_keras_serializable(PACKAGE)
def _scale_one_shift_zero(shape, dtype=None):
    (size,) = shape
    return ops.concatenate([ops.ones(size // 2, dtype), ops.zeros(size // 2, dtype)])


@keras.saving.register_keras_serializable(PACKAGE)
class SelfAttention(layers.Layer):
    """Non-local block of SAGAN / BigGAN: queries at every position, keys and values max-pooled by 2.

    The output is `x + gamma * attention(x)` with a learned `gamma` that starts at 0.

    Args:
        reduction: Channels of queries and keys are `C // reduction`; of values `C // 2`.

    Reference: Zhang et al., arXiv:1805.08318.
    """

    def __init__(self, reduction=8, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        _, self._height, self._width, channels = input_shape

        def project(filters, name, shape=input_shape):
            layer = SpectralConv2D(
                filters,
                1,
                use_bias=False,
                kernel_initializer="orthogonal",
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build(shape)
            return layer

        self.query = project(channels // self.reduction, "query")
        self.key = project(channels // self.reduction, "key")
        self.value = project(channels // 2, "value")
        self.output_projection = project(channels, "output", (*input_shape[:3], channels // 2))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, inputs, training=False):
        positions = self._height * self._width

        def flat(x, count):
            return ops.reshape(x, (-1, count, x.shape[-1]))

        query = flat(self.query(inputs, training=training), positions)
        key = flat(ops.max_pool(self.key(inputs, training=training), 2), positions // 4)
        value = flat(ops.max_pool(self.value(inputs, training=training), 2), positions // 4)
        weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))))
        attended = ops.matmul(weights, value)
        attended = ops.reshape(attended, (-1, self._height, self._width, attended.shape[-1]))
        return inputs + self.gamma * self.output_projection(attended, training=training)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


def upsample(features, interpolation="nearest"):
    """Doubles height and width of a feature map `[B, H, W, C]`."""
    _, height, width, _ = features.shape
    # In float32, as XLA's gradient of the bilinear resize is that whatever it is given.
    wide = ops.cast(features, "float32") if interpolation == "bilinear" else features
    resized = ops.image.resize(wide, (2 * height, 2 * width), interpolation=interpolation)
    return ops.cast(resized, features.dtype)
