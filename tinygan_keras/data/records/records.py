"""One sample of a cache: which latent and label it has, and how it lies in a file.

Number i's latent is drawn by its own key, (seed, i), and its label is the i-th of the classes in turns: a
pure function of the settings, whoever draws it and in whatever batch. The latent is stored as well, at
512 bytes beside the 30 kB of an image of 128 px: the student has to learn from exactly what the teacher
drew with, and generators of random numbers differ in last bits between devices and versions.

A record is a `tf.train.Example` with `image` (bytes: PNG, or the levels themselves), `label`, `index` and
`latent`. The first record of a file also has `cache` and `teacher`, the identity of the cache and the
content hash of the teacher, so that a file can be told from others without its side file.
"""

import functools

import numpy as np
import tensorflow as tf

from ...images import to_uint8
from ...latents import truncated_normal
from ..real_images.preprocessing import to_float

_PNG_COMPRESSION = 3  # encodes 1.4 times as fast as zlib's 6, files are up to an eighth larger


def labels_of(manifest, indices) -> np.ndarray:
    """Int32 `[B]` labels of the samples with these numbers."""
    classes = np.asarray(manifest.classes, "int32")
    return classes[np.asarray(indices) % len(classes)]


def latents_of(manifest, indices) -> np.ndarray:
    """Float32 `[B, latent_dim]` latents of the samples with these numbers."""
    indices = tf.constant(np.asarray(indices), tf.int64)
    with tf.device("CPU:0"):  # other devices may round otherwise
        return _drawn_latents(manifest.latent_dim)(
            indices, tf.constant(manifest.seed, tf.int64), tf.constant(manifest.truncation)
        ).numpy()


@functools.cache
def _drawn_latents(latent_dim):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), _scalar(tf.int64), _scalar()])
    def draw(indices, seed, truncation):
        return tf.map_fn(
            lambda index: truncated_normal((latent_dim,), tf.stack([seed, index]), truncation),
            indices,
            fn_output_signature=tf.TensorSpec([latent_dim], tf.float32),
        )

    return draw


def encode(manifest, indices, latents, labels, images) -> list:
    """Turns samples into records.

    Args:
        manifest: `Manifest`.
        indices: Ints `[N]`.
        latents: Float32 `[N, latent_dim]`.
        labels: Int `[N]`.
        images: Float32 `[N, S, S, 3]` in [-1, 1], or more of them: the rest is dropped.

    Returns:
        List of N bytes.

    Raises:
        ValueError: a value of an image is NaN.
    """
    levels = to_uint8(images[: len(indices)])
    if manifest.encoding == "png":
        contents = _png(tf.constant(levels)).numpy()
    else:
        contents = [image.tobytes() for image in levels]
    records = []
    for index, latent, label, content in zip(indices, latents, labels, contents, strict=True):
        example = tf.train.Example()
        feature = example.features.feature
        feature["image"].bytes_list.value.append(content)
        feature["index"].int64_list.value.append(int(index))
        feature["label"].int64_list.value.append(int(label))
        feature["latent"].float_list.value.extend(latent.tolist())
        if index % manifest.shard_size == 0:
            feature["cache"].bytes_list.value.append(manifest.identity.encode())
            feature["teacher"].bytes_list.value.append(manifest.content_hash.encode())
        # A map of features has no order of its own, and two workers have to write the same bytes.
        records.append(example.SerializeToString(deterministic=True))
    return records


@tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
def _png(levels):
    return tf.map_fn(
        lambda image: tf.io.encode_png(image, compression=_PNG_COMPRESSION),
        levels,
        fn_output_signature=tf.string,
    )


def decoder(manifest, with_index=False):
    """Returns the function from records, a string tensor `[B]`, to what a student learns from.

    It gives a dict of `latent` float32 `[B, latent_dim]`, `label` int32 `[B]`, `teacher_image` float32
    `[B, S, S, 3]` in [-1, 1] and, if asked for, `index` int64 `[B]`.
    """
    size = manifest.image_size
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "latent": tf.io.FixedLenFeature([manifest.latent_dim], tf.float32),
    }
    if with_index:
        features["index"] = tf.io.FixedLenFeature([], tf.int64)

    def levels_of(content):
        if manifest.encoding == "png":
            return tf.ensure_shape(tf.io.decode_png(content, channels=3), [size, size, 3])
        return tf.reshape(tf.io.decode_raw(content, tf.uint8), [size, size, 3])

    def decode(records):
        parsed = tf.io.parse_example(records, features)
        levels = tf.map_fn(
            levels_of,
            parsed["image"],
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        )
        batch = {
            "latent": parsed["latent"],
            "label": tf.cast(parsed["label"], tf.int32),
            "teacher_image": to_float(levels),
        }
        return {**batch, "index": parsed["index"]} if with_index else batch

    return decode


def _scalar(dtype=tf.float32):
    return tf.TensorSpec([], dtype)
