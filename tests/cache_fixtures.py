"""A teacher that costs nothing, and what the tests of the teacher-sample cache look at."""

import hashlib
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from tinygan_keras.data.records.record_format import decoder
from tinygan_keras.data.teacher_cache import TeacherCache, write_cache
from tinygan_keras.images import to_float

COUNT = 22  # three shards of 8, the last one with 6, in batches of 4
SETTINGS = {"count": COUNT, "shard_size": 8, "batch_size": 4, "progress": False}


class PaintingTeacher:
    """Paints its latents and its label, each in a place of its own; remembers what it was asked for."""

    latent_dim, num_classes, image_size = 4, 5, 8

    def __init__(self, truncation=0.5, content="the files of a teacher", embedding=True, delay=0.0):
        self.truncation, self.handle, self.delay = truncation, "painting/teacher", delay
        self.content_hash = hashlib.sha256(content.encode()).hexdigest()
        table = np.arange(10, dtype="float32").reshape(5, 2)
        self.class_embedding = table if embedding else None
        self.calls = []

    def __call__(self, latents, labels):
        time.sleep(self.delay)
        self.calls.append((latents.numpy(), labels.numpy()))
        rows = tf.concat([latents, tf.cast(labels, tf.float32)[:, None] / 8 - 1], axis=1)
        image = tf.pad(rows, [[0, 0], [0, 3]])[:, :, None, None]
        return tf.tile(image, [1, 1, 8, 3]) * tf.linspace(0.5, 1.0, 8)[None, None, :, None]


def make(folder, teacher=None, **settings):
    """Writes the small cache; returns the names of the shards that are missing."""
    return write_cache(teacher or PaintingTeacher(), folder, **{**SETTINGS, **settings})


def samples(folder):
    """All samples of a cache in the order of their numbers, as a dict of arrays."""
    cache = TeacherCache(folder)
    shards = range(cache.record_settings.shards)
    paths = [cache.record_settings.shard_path(cache.folder, shard) for shard in shards]
    dataset = tf.data.TFRecordDataset(paths)
    found = decoder(cache.record_settings)(tf.constant(list(dataset.as_numpy_iterator())))
    found = {name: value.numpy() for name, value in found.items()}
    return {**found, "teacher_image": to_float(found.pop("image"))}


def files(folder):
    """Content by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
