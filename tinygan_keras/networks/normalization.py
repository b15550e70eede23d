"""Batch normalisation, by class and plain: TensorFlow's fused kernel, or statistics that replicas share.

Normalised is with the biased variance, kept is the unbiased one, as PyTorch does it. Moving statistics are
not averaged over replicas: those agree if synchronised; else the first one's are saved.

Rejected: `keras.ops.moments` on a single device. It takes several passes over the feature map in training;
TensorFlow's fused kernel takes about half their time on a CPU, but can't share statistics.
"""

import keras
import tensorflow as tf
from keras import layers, ops

from .layers import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalBatchNormalization(layers.Layer):
    """Batch normalisation whose scale and shift are linear in a condition vector (arXiv:1610.07629)."""

    def __init__(
        self, momentum=0.9, epsilon=1e-5, synchronized=False, start_at_identity=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.start_at_identity = start_at_identity

    def build(self, input_shape):
        (*_, channels), condition_shape = input_shape
        if self.start_at_identity:
            kernel, bias = keras.initializers.RandomNormal(stddev=0.02), _scale_one_shift_zero
        else:  # for each channel the sum of the condition's first entries, as many as there are channels
            bound = condition_shape[-1] ** -0.5
            kernel, bias = _ones_in_first_rows, keras.initializers.RandomUniform(-bound, bound)
        self.affine = layers.Dense(
            2 * channels,
            kernel_initializer=kernel,
            bias_initializer=bias,
            dtype=self.dtype_policy,
            name="affine",
        )
        self.affine.build(condition_shape)
        self._add_statistics(channels)

    def _add_statistics(self, channels):
        self.moving_mean = self._add_statistic("moving_mean", (channels,), "zeros")
        self.moving_variance = self._add_statistic("moving_variance", (channels,), "ones")

    def _add_statistic(self, name, shape, initializer):
        options = {"trainable": False, "autocast": False, "aggregation": "none"}
        return self.add_weight(name=name, shape=shape, initializer=initializer, **options)

    def call(self, inputs, training=False):
        features, condition = inputs
        if not training:
            mean, variance = self.moving_mean, self.moving_variance
            return self._normalize(features, condition, mean, variance)
        outputs, mean, variance = self._normalize_by_batch(features, condition)
        _move_statistics(self, mean, variance)
        return outputs

    def _normalize_by_batch(self, features, condition):
        """Returns the outputs, and the batch's mean and variance (both `[C]`)."""
        ones = ops.ones(features.shape[-1])
        outputs, mean, variance = batch_norm(self, features, ones, 0.0 * ones)
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
        names = ("momentum", "epsilon", "synchronized", "start_at_identity")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over channels, by the fused kernel where replicas don't share it."""

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs)
        outputs, mean, variance = batch_norm(self, inputs, self.gamma, self.beta)
        _move_statistics(self, mean, variance)
        return outputs


def _move_statistics(layer, mean, variance):
    for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + batch * (1.0 - layer.momentum))


def batch_norm(layer, features, scale, shift):
    """Normalises `[B, H, W, C]` by the batch's statistics; returns outputs, mean and unbiased variance."""
    scale, shift = (ops.cast(x, "float32") for x in (scale, shift))
    if not layer.synchronized:
        return tf.compat.v1.nn.fused_batch_norm(features, scale, shift, epsilon=layer.epsilon)
    mean, variance = ops.moments(ops.cast(features, "float32"), axes=(0, 1, 2), synchronized=True)
    scale = scale * ops.rsqrt(variance + layer.epsilon)
    shift = shift - mean * scale
    outputs = features * ops.cast(scale, features.dtype) + ops.cast(shift, features.dtype)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    count = ops.cast(replicas * tf.size(features[..., 0]), "float32")
    return outputs, mean, variance * count / ops.maximum(count - 1.0, 1.0)


@keras.saving.register_keras_serializable(PACKAGE)
def _scale_one_shift_zero(shape, dtype=None):
    (size,) = shape
    return ops.concatenate([ops.ones(size // 2, dtype), ops.zeros(size // 2, dtype)])


@keras.saving.register_keras_serializable(PACKAGE)
def _ones_in_first_rows(shape, dtype=None):
    rows = ops.arange(shape[0])[:, None] < shape[1] // 2
    return ops.cast(ops.broadcast_to(rows, shape), dtype)
