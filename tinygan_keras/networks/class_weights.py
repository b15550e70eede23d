"""How much of each class an image shall have: the check that student and teacher share."""

import numpy as np
import tensorflow as tf

from ..errors import InputError


def checked_class_weights(class_weights, latents, num_classes: int) -> tf.Tensor:
    """Returns class weights as a float32 tensor `[B, num_classes]`, a row per latent.

    Args:
        class_weights: Float `[B, num_classes]`. One-hot rows are classes, other rows are mixtures, such
            as half a sneaker and half a boot; the rows of a mixture usually add up to 1.
        latents: Float `[B, latent_dim]`, which the weights have to go with.
        num_classes: Number of classes.

    Raises:
        ValueError: another shape or type, or weights that are not finite. Values are checked when they
            are known without waiting for a device, that is in eager code.
    """
    weights = tf.convert_to_tensor(class_weights)
    numeric = weights.dtype.is_floating or weights.dtype.is_integer
    if not numeric or not weights.shape.is_compatible_with([None, num_classes]):
        raise InputError(
            f"Got class weights {weights.dtype.name} {weights.shape}. Expected float [batch, "
            f"{num_classes}], a weight per class. Class numbers become weights with "
            f"tf.one_hot(labels, {num_classes})."
        )
    if not latents.shape[:1].is_compatible_with(weights.shape[:1]):
        raise InputError(
            f"Got {latents.shape[0]} latents and {weights.shape[0]} rows of class weights. Expected one "
            "row per latent. Repeat the row for latents of the same mixture."
        )
    values = tf.get_static_value(weights)  # None for weights that only a running graph knows
    wrong = [] if values is None else np.argwhere(~np.isfinite(np.asarray(values, "float64")))
    if len(wrong):
        row, label = wrong[0]
        raise InputError(
            f"Got the class weight {values[row, label]} in row {row} for class {label}. Expected finite "
            "numbers. Check what they are computed from."
        )
    return tf.cast(weights, tf.float32)
