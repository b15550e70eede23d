"""How many images of each class lie in each shard of a data set of TensorFlow Datasets.

Its metadata doesn't say. With a subset of the classes the counts must be known before training, or no batch
could be found by its number; so all records are read once, and the counts are kept in Keras' home folder.
"""

import hashlib
import os
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ...errors import InputError

_RECORDS = 512
_SHARDS_AT_A_TIME = 16


def shard_class_counts(files, counts, num_classes: int, progress=True) -> np.ndarray:
    """Returns int64 `[shards, num_classes]`, how many records of each label a shard has.

    Args:
        files: Paths of TFRecord files of examples with an int64 feature `label`.
        counts: Records per file, as the metadata has it.
        num_classes: Number of classes of the data set.
        progress: Show a progress bar while reading.

    Raises:
        ValueError: files hold other numbers of records than the metadata says.
        tf.errors.DataLossError: a file is corrupt.
    """
    kept = _kept_in(files, counts, num_classes)
    if kept.is_file():
        with np.load(kept) as archive:
            return archive["counts"]
    found = _read(files, counts, num_classes, progress)
    wrong = [shard for shard, count in enumerate(counts) if found[shard].sum() != count]
    if wrong:
        shard = wrong[0]
        raise InputError(
            f"Got {found[shard].sum():,} labelled records in {files[shard]}, one of {len(wrong)} such files. "
            f"Expected {counts[shard]:,}, by the metadata beside it. Prepare the data set again."
        )
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}.unfinished.npz")  # several workers may count
        np.savez_compressed(unfinished, counts=found)
        unfinished.replace(kept)
    except OSError as error:
        warnings.warn(f"The counts of classes can't be kept in {kept}: {error}", stacklevel=2)
    return found


def parse_label(records):
    """Labels int64 of serialized examples, one or a batch; -1 where there is none."""
    features = {"label": tf.io.FixedLenFeature([], tf.int64, default_value=-1)}
    parse = tf.io.parse_example if records.shape.rank else tf.io.parse_single_example
    return parse(records, features)["label"]


def _read(files, counts, num_classes, progress):
    paths = tf.constant([str(file) for file in files])

    def histograms(shard):
        def count(records):
            labels = tf.cast(parse_label(records), tf.int32)
            labels = tf.boolean_mask(labels, (labels >= 0) & (labels < num_classes))
            return shard, tf.math.bincount(labels, minlength=num_classes, maxlength=num_classes)

        return tf.data.TFRecordDataset(paths[shard]).batch(_RECORDS).map(count)

    shards = tf.data.Dataset.range(len(files)).interleave(
        histograms,
        cycle_length=_SHARDS_AT_A_TIME,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    bar = keras.utils.Progbar(int(np.sum(counts)), unit_name="label", verbose=int(progress))
    found = np.zeros((len(files), num_classes), "int64")
    for shard, histogram in shards.as_numpy_iterator():
        found[shard] += histogram
        bar.add(int(histogram.sum()))
    return found


def _kept_in(files, counts, num_classes):
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    key = hashlib.sha256(f"1 {num_classes}".encode())
    for file, count in zip(files, counts, strict=True):
        status = os.stat(file)
        key.update(f"\n{Path(file).name} {count} {status.st_size} {status.st_mtime_ns}".encode())
    return Path(home, "tinygan_keras", "labels", f"{key.hexdigest()[:24]}.npz")
