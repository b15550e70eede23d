"""The two weighted objectives of TinyGAN, put together from the six losses.

Scope: `L_S` and `L_D` of Chang & Lu (arXiv:2009.13829) on the outputs of given networks. Nothing here is
state: the pixel weight that falls during training and the step are arguments.
"""

import dataclasses

import keras
from keras import ops

from ..errors import InputError
from . import losses

METRICS = (
    "g_loss",
    "feature_distillation",
    "pixel_distillation",
    "adversarial_distillation",
    "adversarial_gan",
    "d_loss",
    "discriminator_distillation",
    "discriminator_gan",
)


@dataclasses.dataclass(frozen=True)
class Objectives:
    """The weights of the objectives; what each means is said at `TinyGAN.compile`."""

    feature_weights: tuple | None
    pixel_weight: float
    pixel_weight_decay: float
    adversarial_distillation_weight: float
    adversarial_gan_weight: float
    discriminator_gan_weight: float
    adversarial_interval: int

    def __post_init__(self):
        for name, value in self.settings().items():
            if name.endswith(("weight", "decay")) and not value >= 0:
                raise InputError(f"Got {name}={value}. Expected 0 (term left out) or more.")
        if self.adversarial_interval < 1:
            raise InputError(
                f"Got adversarial_interval={self.adversarial_interval}. Expected 1 (every step) or "
                "more; to leave the adversarial terms out, set their weights to 0."
            )

    def for_stages(self, stages: int) -> "Objectives":
        """The same objectives for a discriminator of that many stages, feature weights filled in."""
        weights = self.feature_weights
        weights = default_feature_weights(stages) if weights is None else weights
        if len(weights) != stages:
            raise InputError(
                f"Got {len(weights)} feature_weights. Expected {stages}, one for each stage of the "
                "discriminator, from the image side up."
            )
        if min(weights) < 0:
            raise InputError(f"Got feature_weights={weights}. Expected 0 or more each.")
        return dataclasses.replace(self, feature_weights=tuple(float(w) for w in weights))

    def settings(self) -> dict:
        """The weights as keywords of `TinyGAN.compile`."""
        return dataclasses.asdict(self)

    def discriminator_terms(self, discriminator, batch, student_images, fresh_images, training):
        """Returns `d_loss` and its terms; everything is one batch to the discriminator.

        Args:
            discriminator: See `TinyGAN`.
            batch: Dict with "teacher_image" and, beside `fresh_images`, "image".
            student_images: `S(z, y)` float `[B, S, S, 3]`; a constant here.
            fresh_images: `S(z', y)` with the labels of the real images, or None (data-free).
            training: Whether power iteration takes a step.
        """
        images = [batch["teacher_image"], ops.stop_gradient(student_images)]
        labels = [batch["label"], batch["label"]]
        if fresh_images is not None:
            images += [ops.cast(batch["image"], "float32"), ops.stop_gradient(fresh_images)]
            labels += [batch["image_label"], batch["image_label"]]
        inputs = (ops.concatenate(images, axis=0), join_labels(*labels))
        outputs = discriminator(inputs, training=training)
        logits = ops.split(outputs["logits"], len(images), axis=0)
        terms = {"discriminator_distillation": losses.discriminator_adversarial(*logits[:2])}
        d_loss = terms["discriminator_distillation"]
        if fresh_images is not None:
            terms["discriminator_gan"] = losses.discriminator_adversarial(*logits[2:])
            d_loss = d_loss + self.discriminator_gan_weight * terms["discriminator_gan"]
        return {**terms, "d_loss": d_loss}

    def student_terms(self, discriminator, batch, student_images, pixel_weight, adversarial):
        """Returns `g_loss` and its terms on `S(z, y)`; the discriminator is read, not changed.

        Args:
            discriminator, batch, student_images: As in `discriminator_terms`.
            pixel_weight: The present lambda_1.
            adversarial: Bool scalar, whether the adversarial term counts.
        """
        labels = batch["label"]
        teacher = discriminator((batch["teacher_image"], labels), training=False)
        student = discriminator((student_images, labels), training=False)
        terms = {
            "feature_distillation": losses.feature_distillation(
                teacher["features"], student["features"], self.feature_weights
            ),
            "pixel_distillation": losses.pixel_distillation(batch["teacher_image"], student_images),
            "adversarial_distillation": losses.generator_adversarial(student["logits"]),
        }
        weight = self.adversarial_distillation_weight * ops.cast(adversarial, "float32")
        g_loss = terms["feature_distillation"] + pixel_weight * terms["pixel_distillation"]
        g_loss += weight * terms["adversarial_distillation"]
        return {**terms, "g_loss": g_loss}

    def fresh_term(self, discriminator, batch, fresh_images):
        """Returns `L_GAN_S`, the student's term on `S(z', y)`, without its weight."""
        outputs = discriminator((fresh_images, batch["image_label"]), training=False)
        return losses.generator_adversarial(outputs["logits"])


class PixelWeightDecay(keras.callbacks.Callback):
    """Lowers the pixel weight of a `TinyGAN` after every epoch, never below 0."""

    def on_epoch_end(self, epoch, logs=None):
        lowered = float(self.model.pixel_weight.numpy()) - self.model.objectives.pixel_weight_decay
        self.model.pixel_weight.assign(max(0.0, lowered))


def default_feature_weights(stages: int) -> tuple:
    """The paper's alpha_i, 1/32 to 1/4 and then 1, for a discriminator of `stages` stages."""
    return (*(2.0 ** (index - stages) for index in range(stages - 1)), 1.0)


def join_labels(*labels):
    """Concatenates label vectors of possibly different integer types into one int32 vector."""
    return ops.concatenate([ops.cast(label, "int32") for label in labels], axis=0)
