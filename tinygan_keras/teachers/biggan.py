"""A BigGAN that one can train: the generator and discriminator behind the embedded teacher.

`own_teacher.py` trains them. Kept from BigGAN (Brock et al., arXiv:1809.11096): conditional batch
normalisation on one shared class embedding, hierarchical latents (each block sees its own piece of z),
self-attention, spectral normalisation and orthogonal initialisation in both networks, and "standing
statistics": measured after training for a row of truncation values, and interpolated between them.
Rejected: moving averages of the statistics. They describe truncation 1 alone and lag behind the EMA.
"""

import keras
from keras import layers, ops

from ..errors import InputError
from ..networks.layers import (
    PACKAGE,
    SelfAttention,
    SpectralConv2D,
    SpectralDense,
    SpectralEmbedding,
    upsample,
)
from ..networks.normalization import ConditionalBatchNormalization


@keras.saving.register_keras_serializable(PACKAGE)
class StandingBatchNormalization(ConditionalBatchNormalization):
    """Conditional batch norm with one row of statistics per truncation, linear between the rows.

    `accumulate=(row, count)` averages a batch's statistics into a row that already holds `count` batches.
    """

    def __init__(self, rows=21, **kwargs):
        super().__init__(**kwargs)
        self.rows = rows

    def _add_statistics(self, channels):
        shape = (self.rows, channels)
        self.mean_table = self._add_statistic("mean_table", shape, "zeros")
        self.variance_table = self._add_statistic("variance_table", shape, "ones")

    def call(self, inputs, training=False, truncation=1.0, accumulate=None):
        features, condition = inputs
        if not training and accumulate is None:
            return self._normalize(features, condition, *self._standing_statistics(truncation))
        outputs, mean, variance = self._normalize_by_batch(features, condition)
        if accumulate is not None:
            row, count = accumulate
            chosen = ops.cast(ops.arange(self.rows) == row, "float32")[:, None]
            for table, batch in ((self.mean_table, mean), (self.variance_table, variance)):
                table.assign_add(chosen * (batch[None] - table) / (ops.cast(count, "float32") + 1))
        return outputs

    def _standing_statistics(self, truncation):
        position = ops.clip(ops.cast(truncation, "float32"), 0.0, 1.0) * (self.rows - 1)
        distance = ops.abs(ops.arange(self.rows, dtype="float32") - position)
        weights = ops.maximum(0.0, 1.0 - distance)  # two neighbouring rows share the weight
        return ops.matmul(weights, self.mean_table), ops.matmul(weights, self.variance_table)

    def get_config(self):
        return {**super().get_config(), "rows": self.rows}


class _GeneratorBlock(layers.Layer):
    """BN-ReLU-up-conv, BN-ReLU-conv, and a 1x1 shortcut (before the upsampling, with which it commutes)."""

    def __init__(self, filters, rows, **kwargs):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.norms = [StandingBatchNormalization(rows, name=f"norm_{i}", **policy) for i in (0, 1)]
        self.convolutions = [_conv(filters, 3, name=f"conv_{i}", **policy) for i in (0, 1)]
        self.shortcut = _conv(filters, 1, name="shortcut", **policy)

    def call(self, features, condition, training=False, truncation=1.0, accumulate=None):
        statistics = {"training": training, "truncation": truncation, "accumulate": accumulate}
        residual = upsample(ops.relu(self.norms[0]([features, condition], **statistics)))
        residual = self.convolutions[0](residual, training=training)
        residual = ops.relu(self.norms[1]([residual, condition], **statistics))
        residual = self.convolutions[1](residual, training=training)
        return residual + upsample(self.shortcut(features, training=training))


def _conv(filters, size, **kwargs):
    return SpectralConv2D(filters, size, padding="same", kernel_initializer="orthogonal", **kwargs)


@keras.saving.register_keras_serializable(PACKAGE)
class BigGANGenerator(keras.Model):
    """Class-conditional generator in the manner of BigGAN.

    Args:
        channels: Feature maps at 4x4 and after each doubling block, so `len(channels) - 1` blocks;
            `(256, 192, 96, 32)` makes 32x32 images.
        latent_dim: Length of z; a multiple of `len(channels)`, one piece for the 4x4 map, one a block.
        num_classes: Number of classes.
        embedding_dim: Length of the shared class embedding.
        attention_size: Side of the feature map that gets self-attention, or None.
        truncation_rows: Number of standing statistics, evenly spaced over truncation [0, 1].
        image_channels: 3, or 1 for grey images, whose three channels are then equal.

    Call arguments:
        inputs: A pair: latents float `[B, latent_dim]`, and labels int `[B]` in [0, num_classes) or
            float one-hot `[B, num_classes]`.
        training: Normalise with batch statistics instead of the standing ones.
        truncation: Scalar in [0, 1], selects the standing statistics. It doesn't scale z.
        accumulate: `(row, count)`, see `StandingBatchNormalization`.

    Returns:
        Images float32 `[B, S, S, 3]` in [-1, 1], `S = 4 * 2 ** (len(channels) - 1)`.
    """

    def __init__(
        self,
        channels=(256, 192, 96, 32),
        latent_dim=32,
        num_classes=10,
        embedding_dim=32,
        attention_size=16,
        truncation_rows=21,
        image_channels=3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if latent_dim % len(channels):
            raise InputError(
                f"latent_dim={latent_dim} can't be cut into {len(channels)} equal pieces, one for the "
                f"4x4 map and one per block. Choose a multiple of {len(channels)}."
            )
        self.channels = tuple(channels)
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim
        self.attention_size = attention_size
        self.truncation_rows = truncation_rows
        self.image_channels = image_channels
        self.image_size = 4 * 2 ** (len(channels) - 1)

        policy = {"dtype": self.dtype_policy}
        self.embedding = layers.Embedding(
            num_classes, embedding_dim, "orthogonal", name="embedding", **policy
        )
        orthogonal = {"kernel_initializer": "orthogonal", **policy}
        self.projection = SpectralDense(16 * channels[0], name="projection", **orthogonal)
        self.blocks = [
            _GeneratorBlock(filters, truncation_rows, name=f"block_{i}", **policy)
            for i, filters in enumerate(channels[1:])
        ]
        self.attention = SelfAttention(name="attention", **policy) if attention_size else None
        self.final_norm = StandingBatchNormalization(truncation_rows, name="final_norm", **policy)
        self.to_rgb = _conv(image_channels, 3, name="to_rgb", **policy)
        self((ops.zeros((1, latent_dim)), ops.zeros((1,), "int32")))

    def call(self, inputs, training=False, truncation=1.0, accumulate=None):
        latents, labels = inputs
        statistics = {"training": training, "truncation": truncation, "accumulate": accumulate}
        if len(labels.shape) == 1:
            embedded = self.embedding(labels)
        else:
            table = ops.cast(self.embedding.embeddings, self.compute_dtype)
            embedded = ops.matmul(ops.cast(labels, self.compute_dtype), table)
        pieces = ops.split(ops.cast(latents, self.compute_dtype), len(self.channels), axis=-1)
        features = self.projection(pieces[0], training=training)
        features = ops.reshape(features, (-1, 4, 4, self.channels[0]))
        for piece, block in zip(pieces[1:], self.blocks, strict=True):
            condition = ops.concatenate([embedded, piece], axis=-1)
            features = block(features, condition, **statistics)
            if self.attention is not None and features.shape[1] == self.attention_size:
                features = self.attention(features, training=training)
        unconditional = ops.zeros_like(pieces[0])[:, :1]
        features = self.final_norm([features, unconditional], **statistics)
        images = self.to_rgb(ops.relu(features), training=training)
        images = ops.tanh(ops.cast(images, "float32"))
        return images if self.image_channels == 3 else ops.repeat(images, 3, axis=-1)

    def get_config(self):
        names = ("channels", "latent_dim", "num_classes", "embedding_dim")
        names += ("attention_size", "truncation_rows", "image_channels")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class _DiscriminatorBlock(layers.Layer):
    """ReLU-conv, ReLU-conv, average pooling, and a 1x1 shortcut."""

    def __init__(self, filters, first=False, downsample=True, **kwargs):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.first = first
        self.downsample = downsample
        self.convolutions = [_conv(filters, 3, name=f"conv_{i}", **policy) for i in (0, 1)]
        self.shortcut = _conv(filters, 1, name="shortcut", **policy)

    def call(self, inputs, training=False):
        residual = inputs if self.first else ops.relu(inputs)
        residual = self.convolutions[0](residual, training=training)
        residual = self.convolutions[1](ops.relu(residual), training=training)
        if self.downsample:
            residual, inputs = (ops.average_pool(x, 2) for x in (residual, inputs))
        return residual + self.shortcut(inputs, training=training)


@keras.saving.register_keras_serializable(PACKAGE)
class BigGANDiscriminator(keras.Model):
    """Residual projection discriminator, the training partner of `BigGANGenerator`.

    Args:
        channels: Filters of the residual blocks; all but the last halve the image.
        num_classes: Number of classes.

    Call arguments:
        inputs: A pair: images float `[B, S, S, 3]` in [-1, 1], labels int `[B]`.
        training: Take a power-iteration step in every spectrally normalised layer.

    Returns:
        Logits float32 `[B, 1]`.

    Reference: Miyato & Koyama, arXiv:1802.05637.
    """

    def __init__(self, channels=(48, 96, 192, 192), num_classes=10, image_size=32, **kwargs):
        super().__init__(**kwargs)
        self.channels = tuple(channels)
        self.num_classes = num_classes
        self.image_size = image_size
        policy = {"dtype": self.dtype_policy}
        last = len(channels) - 1
        self.blocks = [
            _DiscriminatorBlock(f, first=i == 0, downsample=i < last, name=f"block_{i}", **policy)
            for i, f in enumerate(channels)
        ]
        self.head = SpectralDense(1, kernel_initializer="orthogonal", name="head", **policy)
        self.projection = SpectralEmbedding(
            num_classes, channels[-1], "orthogonal", name="projection", **policy
        )
        self((ops.zeros((1, image_size, image_size, 3)), ops.zeros((1,), "int32")))

    def call(self, inputs, training=False):
        images, labels = inputs
        features = ops.cast(images, self.compute_dtype)
        for block in self.blocks:
            features = block(features, training=training)
        pooled = ops.sum(ops.relu(features), axis=(1, 2))
        matched = ops.sum(pooled * self.projection(labels, training=training), -1, keepdims=True)
        return ops.cast(self.head(pooled, training=training) + matched, "float32")

    def get_config(self):
        names = ("channels", "num_classes", "image_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
