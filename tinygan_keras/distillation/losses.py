"""The six objectives of TinyGAN as pure functions, tensors to scalar.

Scope: one function per formula of Chang & Lu, ACCV 2020 (arXiv:2009.13829). `L_KD_S` and `L_GAN_S`
are the same function on different images, and so are `L_KD_D` and `L_GAN_D`. Weights (lambda) are
applied in one place, `TinyGAN`; the per-map weights (alpha) belong to the formula and are given here.

The hinge comes from TF-GAN, through the one file that may touch it.
"""

from keras import ops

from .. import tfgan
from ..errors import InputError


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
        ValueError: the three lists differ in length.
    """
    if not len(teacher_features) == len(student_features) == len(weights):
        raise InputError(
            f"Got {len(teacher_features)} teacher maps, {len(student_features)} student maps and "
            f"{len(weights)} weights. Expected one weight per feature map; set feature_weights to "
            "as many values as the discriminator has stages."
        )
    terms = [
        weight * _mean_absolute_difference(ops.stop_gradient(teacher), student)
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
    return _mean_absolute_difference(ops.stop_gradient(teacher_images), student_images)


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


def _mean_absolute_difference(left, right):
    difference = ops.cast(left, "float32") - ops.cast(right, "float32")
    return ops.mean(ops.abs(difference))
