"""The six terms of TinyGAN and their two weighted sums: pure functions, tensors to scalar.

Scope: the formulas of Chang & Lu, ACCV 2020 (arXiv:2009.13829). `L_KD_S` and `L_GAN_S` are the same function
of different images, and so are `L_KD_D` and `L_GAN_D`. Nothing here is state: the pixel weight that falls
during training is an argument.

The hinge comes from TF-GAN, through the one file that may touch it.
"""

import dataclasses

from keras import ops

from .. import tfgan
from ..errors import InputError

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
"""The names of the terms and sums in the logs of a training."""


def feature_distillation(teacher_features, student_features, weights):
    """`L_KD_feat = sum_i alpha_i * mean |D_i(T(z, y), y) - D_i(S(z, y), y)|`.

    The teacher's features are constants: no gradient flows through them.

    Args:
        teacher_features: List of feature maps float `[B, H_i, W_i, C_i]` of teacher images.
        student_features: The same maps of the student images for the same latents and labels.
        weights: List of `alpha_i`, one per map.

    Returns:
        Scalar float32.

    Raises:
        InputError: the three lists differ in length.
    """
    if not len(teacher_features) == len(student_features) == len(weights):
        raise InputError(
            f"Got {len(teacher_features)} teacher maps, {len(student_features)} student maps and "
            f"{len(weights)} weights. Expected one weight per feature map; set feature_weights to "
            "as many values as the discriminator has stages."
        )
    terms = [
        weight * _distance(teacher, student)
        for weight, teacher, student in zip(
            weights, teacher_features, student_features, strict=True
        )
    ]
    return sum(terms)


def pixel_distillation(teacher_images, student_images):
    """`L_KD_pix = mean |T(z, y) - S(z, y)|`.

    Args:
        teacher_images: Float `[B, H, W, 3]` in [-1, 1]; a constant.
        student_images: Float `[B, H, W, 3]` in [-1, 1], for the same latents and labels.

    Returns:
        Scalar float32.
    """
    return _distance(teacher_images, student_images)


def generator_adversarial(generated_logits):
    """`L_KD_S` and `L_GAN_S`: `-mean D(S(z, y), y)`, the generator's side of the hinge loss.

    Args:
        generated_logits: Float `[B, 1]`, the discriminator's logits for the student's images.

    Returns:
        Scalar float32.

    Reference: Lim & Ye, arXiv:1705.02894.
    """
    return tfgan.losses().wasserstein_hinge_generator_loss(
        ops.cast(generated_logits, "float32"), loss_collection=None
    )


def discriminator_adversarial(real_logits, generated_logits):
    """`L_KD_D` and `L_GAN_D`: `mean max(0, 1 - D(real)) + mean max(0, 1 + D(generated))`.

    Args:
        real_logits: Float `[B, 1]`, logits for what counts as real (teacher's or real images).
        generated_logits: Float `[B, 1]`, logits for the student's images.

    Returns:
        Scalar float32.

    Reference: Lim & Ye, arXiv:1705.02894.
    """
    return tfgan.losses().wasserstein_hinge_discriminator_loss(
        ops.cast(real_logits, "float32"),
        ops.cast(generated_logits, "float32"),
        loss_collection=None,
    )


def _distance(constant, value):
    difference = ops.stop_gradient(ops.cast(constant, "float32")) - ops.cast(value, "float32")
    return ops.mean(ops.abs(difference))


@dataclasses.dataclass(frozen=True)
class Objectives:
    """The two sums, `L_S` and `L_D`, with their weights; `TinyGAN.compile` says what each means."""

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

    def discriminator_terms(self, discriminator, batch, images, fresh_images, training):
        """`d_loss = L_KD_D + lambda_4 L_GAN_D` and its terms.

        Args:
            discriminator: See `TinyGAN`. It sees all images as one batch.
            batch: Dict with "teacher_image", "label" and, beside `fresh_images`, "image" and "image_label".
            images: `S(z, y)` float `[B, S, S, 3]`; a constant here.
            fresh_images: `S(z', y)` with the labels of the real images, or None (data-free).
            training: Whether power iteration takes a step.
        """
        pieces, labels = [batch["teacher_image"], images], [batch["label"]] * 2
        if fresh_images is not None:
            pieces += [batch["image"], fresh_images]
            labels += [batch["image_label"]] * 2
        labels = [ops.cast(piece, "int32") for piece in labels]
        inputs = (ops.stop_gradient(ops.concatenate(pieces)), ops.concatenate(labels))
        logits = ops.split(discriminator(inputs, training=training)["logits"], len(pieces))
        terms = {"discriminator_distillation": discriminator_adversarial(*logits[:2])}
        d_loss = terms["discriminator_distillation"]
        if fresh_images is not None:
            terms["discriminator_gan"] = discriminator_adversarial(*logits[2:])
            d_loss = d_loss + self.discriminator_gan_weight * terms["discriminator_gan"]
        return {**terms, "d_loss": d_loss}

    def student_terms(self, discriminator, batch, images, pixel_weight, adversarial):
        """`g_loss = L_KD_feat + lambda_1 L_KD_pix + lambda_2 L_KD_S` and its terms, on `S(z, y)`.

        Args:
            discriminator: See `TinyGAN`; it is read, not changed.
            batch: Dict with "teacher_image" and "label".
            images: `S(z, y)` float `[B, S, S, 3]`.
            pixel_weight: The present lambda_1.
            adversarial: Bool scalar, whether `L_KD_S` counts.
        """
        labels = batch["label"]
        teacher = discriminator((batch["teacher_image"], labels), training=False)
        student = discriminator((images, labels), training=False)
        terms = {
            "feature_distillation": feature_distillation(
                teacher["features"], student["features"], self.feature_weights
            ),
            "pixel_distillation": pixel_distillation(batch["teacher_image"], images),
            "adversarial_distillation": generator_adversarial(student["logits"]),
        }
        weight = self.adversarial_distillation_weight * ops.cast(adversarial, "float32")
        g_loss = terms["feature_distillation"] + pixel_weight * terms["pixel_distillation"]
        g_loss += weight * terms["adversarial_distillation"]
        return {**terms, "g_loss": g_loss}

    def fresh_terms(self, discriminator, batch, fresh_images):
        """`L_GAN_S` on `S(z', y)`, and what it adds to `g_loss`: `lambda_3 L_GAN_S`."""
        outputs = discriminator((fresh_images, batch["image_label"]), training=False)
        term = generator_adversarial(outputs["logits"])
        return {"adversarial_gan": term, "g_loss": self.adversarial_gan_weight * term}


def default_feature_weights(stages: int) -> tuple:
    """The paper's alpha_i, 1/32 to 1/4 and then 1, for a discriminator of `stages` stages."""
    return (*(2.0 ** (index - stages) for index in range(stages - 1)), 1.0)
