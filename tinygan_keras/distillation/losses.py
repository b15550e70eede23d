"""The six terms of TinyGAN and their two weighted sums: pure functions, tensors to scalar.

Scope: the formulas of Chang & Lu, ACCV 2020 (arXiv:2009.13829). `L_KD_S` and `L_GAN_S` are the same function
of different images, and so are `L_KD_D` and `L_GAN_D`. Nothing here is state: the pixel weight that falls
during training is an argument.

The hinge comes from TF-GAN, through the one file that may touch it. With `adversarial_loss="relativistic"`
the four adversarial terms compare two images of a pair instead.
"""

import dataclasses
from functools import partial

import numpy as np
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

ADVERSARIAL_LOSSES = ("hinge", "relativistic")


def feature_distillation(teacher_features, student_features, weights):
    """`L_KD_feat = sum_i alpha_i * mean |D_i(T(z, y), y) - D_i(S(z, y), y)|`.

    Args:
        teacher_features: List of feature maps float `[B, H_i, W_i, C_i]` of teacher images; constants.
        student_features: The same maps of the student images for the same latents and labels.
        weights: List of `alpha_i`, one per map.

    Returns:
        Scalar float32.

    Raises:
        InputError: the three lists differ in length.
    """
    counts = len(teacher_features), len(student_features), len(weights)
    if len(set(counts)) > 1:
        raise InputError(
            f"Got {counts[0]} teacher maps, {counts[1]} student maps and {counts[2]} weights. Expected one "
            "weight per feature map. Set as many feature_weights as the discriminator has stages."
        )
    triples = zip(weights, teacher_features, student_features, strict=True)
    return sum(weight * _distance(teacher, student) for weight, teacher, student in triples)


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
    logits = ops.cast(generated_logits, "float32")
    return tfgan.losses().wasserstein_hinge_generator_loss(logits, loss_collection=None)


def discriminator_adversarial(real_logits, generated_logits):
    """`L_KD_D` and `L_GAN_D`: `mean max(0, 1 - D(real)) + mean max(0, 1 + D(generated))`.

    Args:
        real_logits: Float `[B, 1]`, logits for what counts as real (teacher's or real images).
        generated_logits: Float `[B, 1]`, logits for the student's images.

    Returns:
        Scalar float32.

    Reference: Lim & Ye, arXiv:1705.02894.
    """
    logits = ops.cast(real_logits, "float32"), ops.cast(generated_logits, "float32")
    return tfgan.losses().wasserstein_hinge_discriminator_loss(*logits, loss_collection=None)


def relativistic(preferred_logits, other_logits):
    """`mean log(1 + exp(D(other) - D(preferred)))`: how far the one of each pair is from being preferred.

    `L_KD_D` of the pairs (T(z, y), S(z, y)), `L_GAN_D` of (real, generated), and swapped `L_KD_S` and
    `L_GAN_S`: the student is told how its image compares with the teacher's of the same latents, where the
    hinge tells it how its images compare with all others. Without fresh latents `L_GAN_S` is `L_KD_S`: the
    student meets real images through the discriminator alone, which knows them.

    Args:
        preferred_logits: Float `[B, 1]`, the discriminator's logits for what should have the higher ones.
        other_logits: Float `[B, 1]`, row by row those of the other images.

    Returns:
        Scalar float32.

    Reference: Jolicoeur-Martineau, arXiv:1807.00734; Huang et al., arXiv:2501.05441, here without its
    gradient penalties: the discriminator is spectrally normalised.
    """
    difference = ops.cast(other_logits, "float32") - ops.cast(preferred_logits, "float32")
    return ops.mean(ops.softplus(difference))


def _distance(constant, value):
    difference = ops.stop_gradient(ops.cast(constant, "float32")) - ops.cast(value, "float32")
    return ops.mean(ops.abs(difference))


@dataclasses.dataclass
class Objectives:
    """The two sums, `L_S` and `L_D`, with their weights; `TinyGAN.compile` says what each means."""

    feature_weights: tuple
    pixel_weight: float
    pixel_weight_decay: float
    adversarial_distillation_weight: float
    adversarial_gan_weight: float
    discriminator_gan_weight: float
    adversarial_interval: int
    reuse_teacher_features: bool = True
    power_iteration_per_call: bool = False
    renew_fresh_latents: bool = False
    fresh_latents: bool = True
    adversarial_loss: str = "hinge"

    def __post_init__(self):
        if self.adversarial_loss not in ADVERSARIAL_LOSSES:
            raise InputError(
                f"Got adversarial_loss={self.adversarial_loss!r}. Expected "
                f"{' or '.join(ADVERSARIAL_LOSSES)}. Leave it out for hinge, the paper's."
            )
        self.feature_weights = tuple(float(weight) for weight in self.feature_weights)
        for name, value in dataclasses.asdict(self).items():
            if name.endswith(("weight", "weights", "decay")) and not np.min(value) >= 0:
                raise InputError(f"Got {name}={value}. Expected 0 (term left out) or more.")
        if self.renew_fresh_latents and not self.fresh_latents:
            raise InputError(
                "Got renew_fresh_latents=True and fresh_latents=False. Expected latents that can be renewed. "
                "Leave one of them out."
            )
        if self.adversarial_interval < 1:
            raise InputError(
                f"Got adversarial_interval={self.adversarial_interval}. Expected 1 (every step) or "
                "more; to leave the adversarial terms out, set their weights to 0."
            )

    def discriminator_terms(self, discriminator, batch, images, fresh_images, training):
        """`d_loss = L_KD_D + lambda_4 L_GAN_D`, its terms, and what is reused of the teacher's images."""
        compare = relativistic if self.is_relativistic else discriminator_adversarial
        pieces, labels = [batch["teacher_image"], images], [batch["label"]] * 2
        if "image" in batch:
            pieces.append(batch["image"])
            labels.append(batch["image_label"])
        if fresh_images is not None:
            pieces.append(fresh_images)
            labels.append(batch["image_label"])
        pieces = [ops.stop_gradient(piece) for piece in pieces]
        labels = [ops.cast(piece, "int32") for piece in labels]
        if training and self.power_iteration_per_call:
            pairs = zip(pieces, labels, strict=True)
            outputs = [discriminator(pair, training=True) for pair in pairs]
            logits, features = [each["logits"] for each in outputs], outputs[0]["features"]
        else:  # all images as one batch, the teacher's first
            inputs = (ops.concatenate(pieces), ops.concatenate(labels))
            outputs = discriminator(inputs, training=training)
            logits, features = ops.split(outputs["logits"], len(pieces)), outputs["features"]
        terms = {"discriminator_distillation": compare(*logits[:2])}
        if training and self.reuse_teacher_features:
            maps = [each[: ops.shape(images)[0]] for each in features]
            terms["teacher_outputs"] = {"features": maps, "logits": logits[0]}
        d_loss = terms["discriminator_distillation"]
        if "image" in batch:  # the third piece; its counterpart is the fourth, or the second again
            generated = logits[1] if fresh_images is None else logits[3]
            terms["discriminator_gan"] = compare(logits[2], generated)
            d_loss = d_loss + self.discriminator_gan_weight * terms["discriminator_gan"]
        return {**terms, "d_loss": d_loss}

    def student_terms(
        self,
        discriminator,
        batch,
        images,
        pixel_weight,
        adversarial,
        teacher_outputs=None,
        training=False,
    ):
        """`g_loss = L_KD_feat + lambda_1 L_KD_pix + lambda_2 L_KD_S` and its terms, on `S(z, y)`."""
        iterate = training and self.power_iteration_per_call
        discriminate = partial(discriminator, training=iterate)
        labels, teacher_images = batch["label"], batch["teacher_image"]
        if teacher_outputs is None:
            teacher_outputs = discriminate((teacher_images, labels))
        student = discriminate((images, labels))
        logits = student["logits"]
        if iterate:  # the authors' program takes the logits from a further call
            logits = ops.cond(
                adversarial, lambda: discriminate((images, labels))["logits"], lambda: logits
            )
        feature_maps = teacher_outputs["features"], student["features"]
        terms = {
            "feature_distillation": feature_distillation(*feature_maps, self.feature_weights),
            "pixel_distillation": pixel_distillation(teacher_images, images),
            "adversarial_distillation": self._adversarial(logits, teacher_outputs["logits"]),
        }
        weight = self.adversarial_distillation_weight * ops.cast(adversarial, "float32")
        g_loss = terms["feature_distillation"] + pixel_weight * terms["pixel_distillation"]
        g_loss += weight * terms["adversarial_distillation"]
        if "image" in batch and not self.fresh_latents:
            terms["adversarial_gan"] = terms["adversarial_distillation"]
            weight = self.adversarial_gan_weight * ops.cast(adversarial, "float32")
            g_loss += weight * terms["adversarial_gan"]
        return {**terms, "g_loss": g_loss}

    def fresh_terms(self, discriminator, batch, fresh_images, training=False):
        """`L_GAN_S` on `S(z', y)`, and what it adds to `g_loss`: `lambda_3 L_GAN_S`."""
        iterate = training and self.power_iteration_per_call
        labels, real_logits = batch["image_label"], None
        logits = discriminator((fresh_images, labels), training=iterate)["logits"]
        if self.is_relativistic:
            real_logits = discriminator((batch["image"], labels), training=False)["logits"]
        term = self._adversarial(logits, real_logits)
        return {"adversarial_gan": term, "g_loss": self.adversarial_gan_weight * term}

    @property
    def is_relativistic(self) -> bool:
        """Whether adversarial terms compare the images of a pair."""
        return self.adversarial_loss == "relativistic"

    def _adversarial(self, generated_logits, real_logits):
        """The student's side of an adversarial term; the hinge has no need of what counts as real."""
        if self.is_relativistic:
            return relativistic(generated_logits, real_logits)
        return generator_adversarial(generated_logits)


def default_feature_weights(stages: int) -> tuple:
    """The paper's alpha_i, 1/32 to 1/4 and then 1, for a discriminator of `stages` stages."""
    return (*(2.0 ** (index - stages) for index in range(stages - 1)), 1.0)
