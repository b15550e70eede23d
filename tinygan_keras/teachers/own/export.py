"""Writes a trained `BigGANGenerator` in the form of DeepMind's modules, for `HubTeacher` to load.

Signature `default`: `z` float32 `[B, Z]`, `y` float32 one-hot `[B, C]`, `truncation` float32 scalar;
returns `default`, images float32 `[B, S, S, 3]` in [-1, 1]. As in DeepMind's modules the caller scales z;
the truncation only selects the batch-norm statistics.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ...errors import ExistingFileError
from ...files import write_archive
from ...latents import truncated_normal


def measure_standing_statistics(generator, batches=8, batch_size=512, seed=0, progress=True):
    """Fills a `BigGANGenerator`'s batch-norm statistics, row by row of truncation from 0 to 1.

    Args:
        generator: The generator, usually the averaged one.
        batches: Batches averaged per row.
        batch_size: Latents per batch; labels take turns.
        seed: Seed of the latents.
        progress: Show a progress bar.
    """
    rows = generator.truncation_rows
    labels = tf.range(batch_size) % generator.num_classes

    @tf.function
    def accumulate(truncation, row, count):
        shape = (batch_size, generator.latent_dim)
        latents = truncated_normal(shape, tf.stack([seed, row * batches + count]), truncation)
        generator((latents, labels), accumulate=(row, count))

    bar = keras.utils.Progbar(rows * batches, unit_name="batch", verbose=int(progress))
    for row in range(rows):
        for count in range(batches):
            truncation = np.float32(row / (rows - 1))
            accumulate(tf.constant(truncation), tf.constant(row), tf.constant(count))
            bar.add(1)


def save_teacher(generator, path) -> Path:
    """Writes the folder `path`, a SavedModel that `HubTeacher(path)` loads.

    Args:
        generator: A `BigGANGenerator` with measured standing statistics.
        path: Folder to write; it must not exist.

    Returns:
        The path written.

    Raises:
        FileExistsError: `path` exists.
    """
    path = Path(path)
    if path.exists():
        raise ExistingFileError(f"{path} exists. Remove it first, or save under another name.")
    archive = keras.export.ExportArchive()

    def default(z, y, truncation):
        return {"default": generator((z, y), training=False, truncation=truncation)}

    archive.add_endpoint(
        "default",
        default,
        input_signature=[
            tf.TensorSpec((None, generator.latent_dim), tf.float32, "z"),
            tf.TensorSpec((None, generator.num_classes), tf.float32, "y"),
            tf.TensorSpec((), tf.float32, "truncation"),
        ],
    )
    return write_archive(archive, path)
