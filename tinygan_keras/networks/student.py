"""The student generator of TinyGAN: a BigGAN-like generator of depthwise separable convolutions.

Departures from the authors' program: the 1x1 shortcut comes before the bilinear upsampling, with which it
commutes (26 % fewer multiply-adds at 128 px); conditional norms start as `start_at_identity` says.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from ..errors import InputError
from .layers import PACKAGE, BilinearUpsampling, Conv2D, DepthwiseConv2D
from .network import ConditionalNetwork, check_class_weights, float32_weights
from .normalization import BatchNormalization, ConditionalBatchNormalization
from .presets import STUDENTS


@keras.saving.register_keras_serializable(PACKAGE)
class StudentGenerator(ConditionalNetwork):
    """Generates images of classes from latents with few parameters.

    A dense layer makes a 4x4 map of latents; every residual block doubles its side with two
    depthwise 3x3 and pointwise 1x1 convolutions; the class enters through conditional batch
    normalisation from one shared class embedding, and latents may enter there too.

    Args:
        channels: Feature maps at 4x4 and after each block; `len(channels) - 1` blocks.
        latent_dim: Length of z.
        num_classes: Number of classes.
        embedding_dim: Length of the class embedding.
        latents: Where z enters. "dense": all of it into the 4x4 map, as in the paper. "pieces": as in
            BigGAN, cut into `len(channels)` pieces as equal as can be, the first into the 4x4 map, one into
            the conditional norms of each block. "everywhere": as in BigGAN-deep, all of z into every norm,
            and here the first piece alone into the 4x4 map.
        pointwise_first: A block's first pointwise convolution comes before its side doubles, at a quarter
            of the multiply-adds, and the depthwise one after; in the paper's network both come after.
        image_channels: 3, or 1 for the student of a teacher of grey images: the three channels of its images
            are equal, and the last convolution is a third.
        synchronized: Synchronise batch normalisation over replicas.
        start_at_identity: Conditional norms start with scale 1 and shift 0 for every class. With False they
            start as an index on the wrong axis makes it in the authors' program: scale and shift of all
            channels are the sum of the class's embedding (in norms of fewer channels, of as many entries),
            with their embedding 0.36 on average and 1.03 in deviation over classes; plus a small bias.
        dtype: Keras dtype policy, such as "mixed_bfloat16"; None for the global one.

    Call arguments:
        inputs: A pair: latents float `[B, latent_dim]`, labels int `[B]` in [0, num_classes).
        training: Use and update batch statistics.

    Returns:
        Images float32 `[B, S, S, 3]` in [-1, 1], `S = 4 * 2 ** (len(channels) - 1)`.

    Example:
        >>> student = StudentGenerator.from_preset("tinygan_fashion_32")
        >>> student((np.zeros((2, 32), "float32"), np.array([7, 8]))).shape
        TensorShape([2, 32, 32, 3])

    Reference: Chang & Lu, arXiv:2009.13829.
    """

    # Left out of a config, see `get_config`.
    PAPER = {"latents": "dense", "pointwise_first": False, "image_channels": 3}
    ARGUMENTS = ("channels", "latent_dim", "num_classes", "embedding_dim", "synchronized")
    ARGUMENTS += ("start_at_identity", *PAPER)
    PRESETS = STUDENTS
    WEIGHTS = "student.keras"

    def __init__(
        self,
        channels=(512, 512, 256, 128, 64, 32),
        latent_dim=128,
        num_classes=1000,
        embedding_dim=128,
        synchronized=False,
        start_at_identity=True,
        latents="dense",
        pointwise_first=False,
        image_channels=3,
        dtype=None,
        **kwargs,
    ):
        if image_channels not in (1, 3):
            raise InputError(
                f"Got image_channels={image_channels!r}. Expected 3, or 1 for grey images. Set one of them."
            )
        # === Functional Model ===
        dtype = float32_weights(dtype)
        latent = keras.Input((latent_dim,), name="latent")
        labels = keras.Input((), dtype="int32", name="label")
        embed = layers.Embedding(num_classes, embedding_dim, dtype=dtype, name="class_embedding")
        embedding = embed(labels)
        first, *others = _latents_of_stages(latent, latents, len(channels))
        features = layers.Dense(16 * channels[0], dtype=dtype, name="projection")(first)
        features = layers.Reshape((4, 4, channels[0]), dtype=dtype, name="reshape")(features)
        options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": synchronized, "dtype": dtype}
        conditional = partial(
            ConditionalBatchNormalization, start_at_identity=start_at_identity, **options
        )
        residual_block = partial(
            _residual_block,
            conditional_norm=conditional,
            pointwise_first=pointwise_first,
            dtype=dtype,
        )
        for index, filters in enumerate(channels[1:]):
            block, condition = f"block_{index}", embedding
            if others:
                join = layers.Concatenate(dtype=dtype, name=f"{block}_condition")
                condition = join([embedding, others[index]])
            features = residual_block(features, condition, filters, name=block)
        features = BatchNormalization(name="final_norm", **options)(features)
        to_rgb = Conv2D(image_channels, 3, padding="same", dtype=dtype, name="to_rgb")
        features = to_rgb(ops.relu(features))
        if image_channels == 1:
            features = layers.Concatenate(dtype=dtype, name="grey")([features] * 3)
        images = layers.Activation("tanh", dtype="float32", name="image")(features)
        super().__init__((latent, labels), images, dtype=dtype, **kwargs)

        # === Config ===
        self.channels = tuple(channels)
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim
        self.synchronized = synchronized
        self.start_at_identity = start_at_identity
        self.latents = latents
        self.pointwise_first = pointwise_first
        self.image_channels = image_channels
        self.image_size = images.shape[1]

    def get_config(self):
        config = super().get_config()
        # What is as in the paper is left out, as it was before there was a choice: hashes of students stay.
        left_out = {name for name, value in self.PAPER.items() if config[name] == value}
        return {name: value for name, value in config.items() if name not in left_out}

    def mix(self, latents, class_weights):
        """Generates images between classes: the class embedding of each is a weighted sum of rows.

        Args:
            latents: Float `[B, latent_dim]`.
            class_weights: Float `[B, num_classes]`; a one-hot row gives the image of that class.

        Returns:
            Images float32 `[B, S, S, 3]` in [-1, 1], as the student generates them outside of training.

        Raises:
            InputError: the weights have another shape, or are not finite.

        Example:
            >>> student = StudentGenerator.from_preset("tinygan_fashion_32")
            >>> halfway = 0.5 * keras.ops.one_hot([7], 10) + 0.5 * keras.ops.one_hot([9], 10)
            >>> student.mix(np.zeros((1, 32)), halfway).shape
            TensorShape([1, 32, 32, 3])
        """
        latents = ops.convert_to_tensor(latents, "float32")
        class_weights = check_class_weights(class_weights, latents, self.num_classes)
        layer = self.get_layer("class_embedding")
        vectors = ops.matmul(class_weights, ops.cast(layer.embeddings, "float32"))
        # Made for every call, as Keras would save a graph that is kept as an attribute. It costs 1 ms.
        from_vectors = keras.Function([self.inputs[0], layer.output], self.outputs[0])
        return from_vectors([latents, ops.cast(vectors, layer.compute_dtype)])

    def set_class_embedding(self, table):
        """Starts the class embedding from another one.

        The authors' program starts it from a file of 128 centred, uncorrelated columns of falling energy, and
        doesn't say what they were computed from. The teacher's embedding is the nearest thing at hand.

        Args:
            table: Float `[num_classes, embedding_dim]`, for example `teacher.class_embedding`.

        Raises:
            InputError: the shape is another one.
        """
        embeddings = self.get_layer("class_embedding").embeddings
        if tuple(np.shape(table)) != tuple(embeddings.shape):
            raise InputError(
                f"Got a class embedding of shape {np.shape(table)}. Expected {embeddings.shape}. Build "
                "the student with the same num_classes and embedding_dim."
            )
        embeddings.assign(table)


def _latents_of_stages(latent, latents, stages) -> list:
    """What of z the 4x4 map gets and, if the blocks get any, what each of them."""
    if latents not in ("dense", "pieces", "everywhere"):
        raise InputError(
            f"Got latents={latents!r}. Expected dense, pieces or everywhere. Leave it out for dense."
        )
    if latents == "dense":
        return [latent]
    length = latent.shape[-1]
    if length < stages:
        raise InputError(
            f"Got latent_dim={length} with latents={latents!r}. Expected {stages} or more: the 4x4 map gets "
            "one piece, and so does each block. Change latent_dim or channels."
        )
    ends = [length * stage // stages for stage in range(1, stages)]
    pieces = ops.split(latent, ends, axis=-1)
    return pieces if latents == "pieces" else [pieces[0], *[latent] * (stages - 1)]


def _residual_block(features, condition, filters, conditional_norm, pointwise_first, dtype, name):
    def norm(x, part):
        return ops.relu(conditional_norm(name=f"{name}_norm_{part}")([x, condition]))

    def depthwise(x, part):
        options = {"padding": "same", "dtype": dtype}
        return DepthwiseConv2D(3, name=f"{name}_depthwise_{part}", **options)(x)

    def pointwise(x, part):
        return Conv2D(filters, 1, dtype=dtype, name=f"{name}_{part}")(x)

    def upsample(x, part):
        return BilinearUpsampling(dtype=dtype, name=f"{name}_{part}")(x)

    residual = norm(features, 0)
    if pointwise_first:
        residual = upsample(pointwise(residual, "pointwise_0"), "upsampled")
        residual = depthwise(residual, 0)
    else:
        residual = depthwise(upsample(residual, "upsampled"), 0)
        residual = pointwise(residual, "pointwise_0")
    residual = pointwise(depthwise(norm(residual, 1), 1), "pointwise_1")
    # A cast of nothing: the depth of the shortcut decides the order of the weights, which hashes and the
    # optimisers' checkpoints depend on.
    shortcut = ops.cast(pointwise(features, "shortcut"), features.dtype)
    return residual + upsample(shortcut, "shortcut_upsampled")
