"""The gradients of one training step: of the discriminator's objective, and of the student's.

Scope: which tape sees what. Every image is drawn once, and what a step doesn't use is left out. Nothing
here is state; `TinyGAN` applies the gradients.

Decisions:
- Two tapes meet at the images. The objective is differentiated down to the images, and from there into the
  student, so that the discriminator's update can lie between the student's pass and its gradient.
- `S(z, y)` and `S(z', y)` are two batches, each with statistics of its own. Between adversarial steps the
  second one only serves the discriminator, and nothing is differentiated through it.
- Where XLA can't compile a whole step, it compiles the student's passes and the gradients down to images
  one by one, and the optimisers stay outside.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..errors import InputError


class Drawn(NamedTuple):
    """`S(z, y)` and `S(z', y)`, each with the tape that saw it drawn; the latter None if data-free."""

    images: Any
    tape: tf.GradientTape
    fresh_images: Any
    fresh_tape: tf.GradientTape | None


def draw(model, batch) -> Drawn:
    """Draws the student's images of one step, in training mode."""
    student = _compiled(model, lambda *inputs: model.student(inputs, training=True))
    with tf.GradientTape() as tape:
        images = student(batch["latent"], batch["label"])
    if "image" not in batch:
        return Drawn(images, tape, None, None)
    with tf.GradientTape() as fresh_tape:
        fresh_images = student(batch["fresh_latent"], batch["image_label"])
    return Drawn(images, tape, fresh_images, fresh_tape)


def of_discriminator(model, batch, drawn: Drawn):
    """Returns the terms of `L_D`, and its gradients for the discriminator's variables."""

    def compute(batch, images, fresh_images):
        with tf.GradientTape() as tape:
            terms = model.objectives.discriminator_terms(
                model.discriminator, batch, images, fresh_images, training=True
            )
            loss = _scaled(terms["d_loss"], model.d_optimizer)
        return terms, tape.gradient(loss, model.discriminator.trainable_variables)

    return _compiled(model, compute)(batch, drawn.images, drawn.fresh_images)


def of_student(model, batch, drawn: Drawn, adversarial):
    """Returns the terms of `L_S`, and its gradients for the student's variables.

    Args:
        adversarial: Bool, or bool scalar tensor: whether the adversarial terms count at this step.
    """

    def compute(batch, images, adversarial):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            terms = model.objectives.student_terms(
                model.discriminator, batch, images, model.pixel_weight, adversarial
            )
            loss = _scaled(terms["g_loss"], model.g_optimizer)
        return terms, tape.gradient(loss, images)

    terms, image_gradients = _compiled(model, compute)(batch, drawn.images, adversarial)
    gradients = _into_student(model, drawn.tape, drawn.images, image_gradients)
    if drawn.fresh_images is not None:
        term, more = _on_adversarial_steps(
            model, adversarial, lambda: _of_fresh_images(model, batch, drawn)
        )
        terms["adversarial_gan"] = term
        terms["g_loss"] += model.objectives.adversarial_gan_weight * term
        gradients = [a + b for a, b in zip(gradients, more, strict=True)]
    return terms, gradients


def _of_fresh_images(model, batch, drawn):
    """Returns `L_GAN_S`, without its weight, and the gradients of the weighted one for the student."""

    def compute(batch, images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            term = model.objectives.fresh_term(model.discriminator, batch, images)
            weighted = model.objectives.adversarial_gan_weight * term
            loss = _scaled(weighted, model.g_optimizer)
        return term, tape.gradient(loss, images)

    term, image_gradients = _compiled(model, compute)(batch, drawn.fresh_images)
    return term, _into_student(model, drawn.fresh_tape, drawn.fresh_images, image_gradients)


def _into_student(model, tape, images, image_gradients):
    """Carries gradients for images on into the student: a dense one for each of its variables."""
    gradients = tape.gradient(
        images, model.student.trainable_variables, output_gradients=image_gradients
    )
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _on_adversarial_steps(model, adversarial, compute):
    """A term and gradients, where they count; zeros where they don't."""

    def zeros():
        return tf.constant(0.0), [
            tf.zeros(v.shape, v.dtype) for v in model.student.trainable_variables
        ]

    if isinstance(adversarial, bool):
        return compute() if adversarial else zeros()
    return tf.cond(adversarial, compute, zeros)


def apply(optimizer, gradients, variables):
    """Applies one replica's gradients.

    Optimisers of Keras clip gradients, and look for infinite ones, before they add those of all replicas.
    One that does so gets the sum at the first replica, and nothing at the others.
    """
    context = tf.distribute.get_replica_context()
    judges = _is_scaling(optimizer) or any(
        getattr(optimizer, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue")
    )
    if judges and context.num_replicas_in_sync > 1:
        first = tf.equal(context.replica_id_in_sync_group, 0)
        summed = context.all_reduce("sum", gradients)
        gradients = [tf.where(first, total, tf.zeros_like(total)) for total in summed]
    optimizer.apply(gradients, variables)


def scaling_optimizer(optimizer, network):
    """Returns the optimiser, or the paper's; in float16 with loss scaling, or gradients vanish.

    Raises:
        ValueError: gradients have to be scaled on several workers.
    """
    if optimizer is None:
        optimizer = keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.9)
    optimizer = keras.optimizers.get(optimizer)
    if network.compute_dtype == "float16" and not _is_scaling(optimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    workers = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    if workers and _is_scaling(optimizer):
        raise InputError(
            "Got float16 on several workers. Expected a type that needs no scaling of the loss: whether a "
            "step counts is found by each worker alone, and they would wait for each other for ever. Set the "
            "dtype policy to mixed_bfloat16, or train on the devices of one host."
        )
    return optimizer


def _is_scaling(optimizer):
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _scaled(loss, optimizer):
    """The loss an optimiser gets: it sums over replicas, and may scale for half precision."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return optimizer.scale_loss(loss / replicas)


def _compiled(model, function):
    return tf.function(function, jit_compile=True) if model.compiles_parts else function
