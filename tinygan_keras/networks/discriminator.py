"""The student-side discriminator, whose feature maps carry the distillation."""

import keras
from keras import ops

from ..errors import InputError
from .layers import PACKAGE, SpectralConv2D, SpectralDense, SpectralEmbedding, leaky_relu
from .network import ConditionalNetwork, float32_weights
from .presets import DISCRIMINATORS


@keras.saving.register_keras_serializable(PACKAGE)
class Discriminator(ConditionalNetwork):
    """Projection discriminator of spectrally normalised 4x4 stride-2 convolutions.

    Args:
        channels: Filters of the stages, from the image side up; each stage halves the image.
        num_classes: Number of classes.
        image_size: Side of the images.
        class_table_stddev: Standard deviation of the class table at the start; None takes Keras' uniform
            distribution, whose deviation is 0.029. The authors' program has PyTorch's, 1: Adam moves such a
            table 35 times less in a step, as a share of its size.
        dtype: Keras dtype policy, such as "mixed_bfloat16"; None for the global one.

    Call arguments:
        inputs: A pair: images float `[B, S, S, 3]` in [-1, 1], labels int `[B]`.
        training: Take one power-iteration step in every layer. The student's update calls with False, so
            that it leaves the discriminator as it was, but for `power_iteration_per_call` of `TinyGAN`.

    Returns:
        A dict: `logits` float32 `[B, 1]`; `features`, the post-activation maps of the stages.

    Raises:
        InputError: `image_size` can't be halved once per entry of `channels`.

    Example:
        >>> import numpy as np
        >>> discriminator = Discriminator.from_preset("tinygan_fashion_32")
        >>> outputs = discriminator((np.zeros((2, 32, 32, 3), "float32"), np.array([0, 9])))
        >>> outputs["logits"].shape, outputs["features"][-1].shape
        (TensorShape([2, 1]), TensorShape([2, 2, 2, 256]))

    Reference: Chang & Lu, arXiv:2009.13829; Miyato & Koyama, arXiv:1802.05637.
    """

    ARGUMENTS = ("channels", "num_classes", "image_size", "class_table_stddev")
    PRESETS = DISCRIMINATORS

    def __init__(
        self,
        channels=(32, 64, 128, 256, 512),
        num_classes=1000,
        image_size=128,
        class_table_stddev=None,
        dtype=None,
        **kwargs,
    ):
        if image_size % 2 ** len(channels):
            raise InputError(
                f"image_size={image_size} can't be halved {len(channels)} times, once per entry of "
                f"channels. Use fewer channels or a multiple of {2 ** len(channels)}."
            )
        # === Functional Model ===
        dtype = float32_weights(dtype)
        images = keras.Input((image_size, image_size, 3), name="image")
        labels = keras.Input((), dtype="int32", name="label")
        maps, features = [], images
        options = {"padding": "same", "activation": leaky_relu, "dtype": dtype}
        for index, filters in enumerate(channels):
            stage = SpectralConv2D(filters, 4, 2, name=f"stage_{index}", **options)
            features = stage(features)
            maps.append(features)
        pooled = ops.sum(features, axis=(1, 2))
        start = "uniform"
        if class_table_stddev is not None:
            start = keras.initializers.RandomNormal(stddev=class_table_stddev)
        embed = SpectralEmbedding(num_classes, channels[-1], start, dtype=dtype, name="projection")
        matched = ops.sum(pooled * embed(labels), axis=-1, keepdims=True)
        logits = SpectralDense(1, dtype=dtype, name="head")(pooled) + matched
        outputs = {"logits": ops.cast(logits, "float32"), "features": maps}
        super().__init__((images, labels), outputs, dtype=dtype, **kwargs)

        # === Config ===
        self.channels = tuple(channels)
        self.num_classes = num_classes
        self.image_size = image_size
        self.class_table_stddev = class_table_stddev
