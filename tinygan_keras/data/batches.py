"""The batches of a distillation, as a `tf.data.Dataset`: what belongs to a step, put together.

Batch number k is a pure function of the seed and k, so a resumed run sees exactly the batches that it would
have seen; starting at step k costs nothing, or, where records come from shards, reading a few of these.
"""

import tensorflow as tf

from ..classes.selection import class_numbers
from ..latents import resolve_truncation, truncated_normal
from .shuffling import shared_by_replicas


def distillation_batches(
    source,
    real,
    batch_size: int,
    seed=0,
    truncation=None,
    start_step=0,
    classes=None,
    horizontal_flip=False,
) -> tf.data.Dataset:
    """Endless batches for `TinyGAN.fit`.

    Args:
        source: `TeacherSamples`, `TeacherCache`, or anything else with `latent_dim` and
            `batches(batch_size, seed, start_step)`; or a live teacher, with `latent_dim` and `num_classes`,
            for which latents and labels are made here and whose images `TinyGAN` computes.
        real: Real images for the GAN terms, as `open_images` or `load_fashion_mnist` gives them, or anything
            else with `batches(batch_size, seed, start_step)`; None for data-free training.
        batch_size: Examples per batch; the shape is static.
        seed: Seed of order, latents, labels and flips.
        truncation: Scale of the latents that are made here, in [0, 1]; None for the source's, and 1 where it
            has none.
        start_step: Number of the first batch.
        classes: Classes of a live teacher; None for all. Samples and real images bring theirs.
        horizontal_flip: Mirror half of the real images, chosen at random each time.

    Returns:
        Data set of dicts as `TinyGAN` takes them, images float32 in [-1, 1]: `latent` `[B, Z]`, `label`
        `[B]`, `teacher_image` `[B, S, S, 3]` (absent with a live teacher), and, with real images, `image`,
        `image_label` and `fresh_latent` `[B, Z]`. Where the latents of a cache were given, fresh ones are
        those of the batch, each at the place of the next: of their distribution, whatever it is.

    Raises:
        InputError: there is no teacher sample, no real image or no such class.

    Example:
        cache = TeacherCache("runs/cache")
        model.fit(distillation_batches(cache, real, batch_size=32), steps_per_epoch=1000)
    """
    truncation = resolve_truncation(truncation, source, default=1.0)
    shape = (batch_size, source.latent_dim)
    steps = tf.data.Dataset.counter(start_step, dtype=tf.int32)

    def fresh(step):
        return {"fresh_latent": truncated_normal(shape, (seed + 5, step), truncation)}

    def live(step):
        place = tf.random.stateless_uniform(shape[:1], (seed + 1, step), 0, len(labels), tf.int32)
        latent = truncated_normal(shape, (seed + 2, step), truncation)
        return {"latent": latent, "label": tf.gather(tf.constant(labels), place)}

    def joined(*dicts):
        batch = {name: value for part in dicts for name, value in part.items()}
        if real is not None and getattr(source, "given_latents", False):
            batch["fresh_latent"] = tf.roll(batch["latent"], 1, axis=0)
        return batch

    if hasattr(source, "batches"):
        streams = [source.batches(batch_size, seed + 3, start_step)]
    else:
        labels = class_numbers(classes, source.num_classes, distinct=True)
        streams = [steps.map(live)]
    if real is not None:
        flip = {"horizontal_flip": True} if horizontal_flip else {}
        streams.append(real.batches(batch_size, seed + 4, start_step, **flip))
        streams.append(steps.map(fresh))
    return shared_by_replicas(tf.data.Dataset.zip(tuple(streams)).map(joined))
