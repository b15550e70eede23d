"""The batches of a distillation, as a `tf.data.Dataset`.

Batch number k is a pure function of the seed and k: shuffling is a keyed permutation of the indices, one
key per pass over the data, not a buffer. A resumed run therefore sees exactly the batches that it would
have seen, and starting at step k costs nothing, or, where records come from shards, reading a few of these.

Scope: what belongs to a step, put together. Teacher images come from memory, from a cache, or, by
`TinyGAN`, from a live teacher; real images from memory or from files, or there are none at all.
"""

import tensorflow as tf

from ..classes.selection import class_numbers
from ..errors import InputError
from ..latents import truncated_normal
from .fashion_mnist import LabelledImages
from .real_images.arrays import RealArrays
from .real_images.preprocessing import to_float
from .shuffling import shuffled_indices
from .teacher_samples import TeacherSamples


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
        source: `TeacherSamples`; a cache of them, with `latent_dim`, `num_classes` and
            `batches(batch_size, seed, start_step)`; or a live teacher, for which latents and labels are
            drawn here and whose images `TinyGAN` computes: anything else with `latent_dim` and `num_classes`.
        real: Real images for the GAN terms: `LabelledImages`, `RealImages`, or anything else with
            `batches(batch_size, seed, start_step)`; None for data-free training.
        batch_size: Examples per batch; the shape is static.
        seed: Seed of order, latents, labels and flips.
        truncation: Scale of the latents that are drawn here; None for the source's, and 1 where it has none.
        start_step: Number of the first batch.
        classes: Labels to draw for a live teacher; None for all. Samples and real images bring theirs.
        horizontal_flip: Mirror half of the real images, chosen at random each time.

    Returns:
        Data set of dicts as `TinyGAN` takes them, images float32 in [-1, 1].

    Raises:
        ValueError: there is no teacher sample, no real image or no class.
    """
    kept = isinstance(source, TeacherSamples)
    cached = not kept and hasattr(source, "batches")
    for name, examples in (
        ("teacher samples", source if kept else None),
        ("real", real if isinstance(real, LabelledImages) else None),
    ):
        if examples is not None and not len(examples.labels):
            raise InputError(
                f"Got an empty data set: no {name} images. Expected at least one; for data-free "
                "training pass real=None."
            )
    latent_dim = source.latents.shape[1] if kept else source.latent_dim
    if truncation is None:
        truncation = getattr(source, "truncation", 1.0)
    makers = []
    if kept:
        makers.append(_kept_samples(source, batch_size, seed + 3))
    elif not cached:
        labels = class_numbers(classes, source.num_classes, distinct=True)
        makers.append(_drawn(labels, (batch_size, latent_dim), seed, truncation))
    if isinstance(real, LabelledImages):
        real = RealArrays(real.images, real.labels, None, num_classes=1 + real.labels.max())
    if real is not None:
        shape = (batch_size, latent_dim)
        makers.append(
            lambda step: {"fresh_latent": truncated_normal(shape, (seed + 5, step), truncation)}
        )

    def batch(step, *others):
        example = {}
        for other in others:
            example.update(other)
        for make in makers:
            example.update(make(step))
        return example

    streams = [tf.data.Dataset.counter(start_step, dtype=tf.int32)]
    if cached:
        streams.append(source.batches(batch_size, seed + 3, start_step))
    if real is not None:
        flip = {"horizontal_flip": True} if horizontal_flip else {}
        streams.append(real.batches(batch_size, seed + 4, start_step, **flip))
    steps = tf.data.Dataset.zip(tuple(streams))
    batches = steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    options = tf.data.Options()
    # Batches are drawn by number, so there are no files to shard; each replica gets its part of a batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def _kept_samples(samples, batch_size, seed):
    """Function of a step: the batch of teacher samples in memory."""
    latents, labels, images = (tf.constant(array) for array in samples)

    def make(step):
        index = shuffled_indices(step, batch_size, len(samples.labels), seed)
        return {
            "latent": tf.gather(latents, index),
            "label": tf.gather(labels, index),
            "teacher_image": to_float(tf.gather(images, index)),
        }

    return make


def _drawn(classes, shape, seed, truncation):
    """Function of a step: latents and labels for a live teacher."""

    def make(step):
        place = tf.random.stateless_uniform(shape[:1], (seed + 1, step), 0, len(classes), tf.int32)
        return {
            "latent": truncated_normal(shape, (seed + 2, step), truncation),
            "label": tf.gather(tf.constant(classes), place),
        }

    return make
