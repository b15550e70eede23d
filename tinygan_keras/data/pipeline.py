"""The batches of a distillation, as a `tf.data.Dataset`.

Batch number k is a pure function of the seed and k: shuffling is a keyed permutation of the indices, one
key per pass over the data, not a buffer. A resumed run therefore sees exactly the batches that it would
have seen, and starting at step k costs nothing.
"""

import tensorflow as tf

from ..teachers.latents import truncated_normal
from .fashion_mnist import LabelledImages
from .teacher_samples import TeacherSamples


def distillation_batches(
    source,
    real: LabelledImages | None,
    batch_size: int,
    seed=0,
    truncation=1.0,
    start_step=0,
) -> tf.data.Dataset:
    """Endless batches for `TinyGAN.fit`.

    Args:
        source: `TeacherSamples`; or a live teacher, for which latents and labels are drawn here and
            whose images `TinyGAN` computes: anything with `latent_dim` and `num_classes`.
        real: Real images for the GAN terms; None for data-free training.
        batch_size: Examples per batch; the shape is static.
        seed: Seed of order, latents and labels.
        truncation: Scale of the latents that are drawn here.
        start_step: Number of the first batch.

    Returns:
        Data set of dicts as `TinyGAN` takes them, images float32 in [-1, 1].

    Raises:
        ValueError: there is no teacher sample or no real image.
    """
    cached = isinstance(source, TeacherSamples)
    for name, examples in (("teacher samples", source if cached else None), ("real", real)):
        if examples is not None and not len(examples.labels):
            raise ValueError(
                f"Got an empty data set: no {name} images. Expected at least one; for data-free "
                "training pass real=None."
            )
    latent_dim = source.latents.shape[1] if cached else source.latent_dim
    if cached:
        kept = [tf.constant(array) for array in source]
    if real is not None:
        real_images, real_labels = tf.constant(real.images), tf.constant(real.labels)

    def batch(step):
        shape = (batch_size, latent_dim)
        if cached:
            index = _shuffled_indices(step, batch_size, len(source.labels), seed + 3)
            latents, labels, images = (tf.gather(array, index) for array in kept)
            example = {"latent": latents, "label": labels, "teacher_image": _to_float(images)}
        else:
            example = {
                "latent": truncated_normal(shape, (seed + 2, step), truncation),
                "label": tf.random.stateless_uniform(
                    (batch_size,), (seed + 1, step), 0, source.num_classes, tf.int32
                ),
            }
        if real is not None:
            index = _shuffled_indices(step, batch_size, len(real.labels), seed + 4)
            example["image"] = _to_float(tf.gather(real_images, index))
            example["image_label"] = tf.gather(real_labels, index)
            example["fresh_latent"] = truncated_normal(shape, (seed + 5, step), truncation)
        return example

    steps = tf.data.Dataset.counter(start_step, dtype=tf.int32)
    batches = steps.map(batch, num_parallel_calls=2).prefetch(2)
    options = tf.data.Options()
    # Batches are drawn by number, so there are no files to shard; each replica gets its part of a batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def _shuffled_indices(step, batch_size, count, seed):
    """Indices of batch `step` when `count` examples are passed over again and again, reshuffled."""
    position = tf.cast(step, tf.int64) * batch_size + tf.range(batch_size, dtype=tf.int64)
    passes = position // count
    keys = tf.stack([tf.fill([batch_size], tf.cast(seed, tf.int64)), passes, 0 * passes], axis=1)
    # The raw op: tf.random.experimental.index_shuffle refuses one key per index in TensorFlow 2.21.
    return tf.raw_ops.RandomIndexShuffle(
        index=position % count, seed=keys, max_index=tf.constant(count - 1, tf.int64), rounds=4
    )


def _to_float(images):
    return tf.cast(images, tf.float32) / 127.5 - 1.0
