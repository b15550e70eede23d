"""A step of `TinyGAN` whose batch doesn't fit into memory at once: piece by piece, one update per network.

Every piece is generated twice, without a tape for the discriminator's update and with one for the student's,
so that no more than the maps of one piece are held; that costs a third of a step. What is kept of the whole
batch are images, and, with `reuse_teacher_features`, the discriminator's maps of the teacher's images.
Gradients, terms and moving statistics are the means over the pieces. Power iteration starts from the same
vector for each. So a step equals that of the whole batch but for the student's batch normalisation, whose
statistics are those of a piece: the same as on so many devices with statistics of their own.
Rejected: pieces of synchronised statistics. TensorFlow's exchanges of replicas then meet in another order on
one than on the other, and the step fails.
"""

from functools import partial

import tensorflow as tf

from ..errors import InputError


def accumulated_step(model, batch, adversarial) -> dict:
    """Updates both networks of a `TinyGAN` from a batch in `accumulate_steps` pieces; returns the terms."""
    count = model.accumulate_steps
    pieces, of_teacher = _pieces(batch, count), []
    student, discriminator = model.student, model.discriminator

    def learn_to_tell_apart(piece):
        images = student((piece["latent"], piece["label"]), training=True)
        fresh_images = None
        if "fresh_latent" in piece:
            fresh_images = student((piece["fresh_latent"], piece["image_label"]), training=True)
        terms, gradients = model.discriminator_gradients(piece, images, fresh_images)
        of_teacher.append(terms.pop("teacher_outputs", None))
        return terms, [tf.convert_to_tensor(gradient) for gradient in gradients]  # dense ones

    def learn_from_teacher(piece):
        again = partial(_generate_again, model)
        generated = again(piece["latent"], piece["label"])
        return model.student_gradients(piece, generated, of_teacher.pop(0), adversarial, again)

    moving = _moving(student, discriminator)
    d_terms, gradients = _mean_over(pieces, learn_to_tell_apart, moving)
    model.apply_gradients_of(discriminator, gradients)
    g_terms, gradients = _mean_over(pieces, learn_from_teacher, moving, gradients)
    model.apply_gradients_of(student, gradients)
    return {**g_terms, **d_terms}


def _pieces(batch, count) -> list:
    """The batch as so many dicts of equally many rows."""
    rows = batch["latent"].shape[0]
    if rows is not None and rows % count:
        raise InputError(
            f"Got a batch of {rows} rows on a device with accumulate_steps={count}. Expected a multiple of "
            "it. Change the batch size or accumulate_steps, and drop a last batch of fewer rows."
        )
    split = {name: tf.split(value, count) for name, value in batch.items()}
    return [{name: parts[place] for name, parts in split.items()} for place in range(count)]


def _moving(*networks) -> list:
    """What networks change in training without a gradient: moving statistics, vectors of power iteration."""
    return [v for network in networks for v in network.non_trainable_variables]


def _mean_over(pieces, compute, moving, former=()) -> tuple:
    """The means of what `compute` returns of each piece, one after the other; so of what moves in it."""
    before = [tf.identity(variable.value) for variable in moving]
    total = None
    for piece in pieces:
        # Else a graph would compute all pieces at once, and hold all their maps.
        with tf.control_dependencies(list(former) if total is None else tf.nest.flatten(total)):
            _assign(moving, before)
            results = (*compute(piece), [tf.identity(variable.value) for variable in moving])
            total = results if total is None else tf.nest.map_structure(tf.add, total, results)
    terms, gradients, moved = tf.nest.map_structure(lambda value: value / len(pieces), total)
    _assign(moving, moved)
    return terms, gradients


def _generate_again(model, latents, labels) -> tuple:
    """`TinyGAN._generate` of images that were generated before: the statistics have moved already."""
    moving = _moving(model.student)
    before = [tf.identity(variable.value) for variable in moving]
    images, tape = model._generate(latents, labels)
    _assign(moving, before)
    return images, tape


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
