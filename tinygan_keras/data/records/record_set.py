"""A set of records, opened: what it holds, its images by number, its batches in a keyed order, its check."""

import concurrent.futures
import functools
import io
import os

import numpy as np
import tensorflow as tf

from ...classes.folder_labels import listed
from ...embedded import find
from ...errors import InputError, UnusableFileError
from ...files import content_hash, file_errors
from ...progress import progress_bar
from ..shuffling import shared_by_replicas, shuffled_records
from .record_format import RecordSettings, decoder, read_bytes, read_settings

_NAMED_SHARDS = 8
_THREADS = min(8, os.cpu_count() or 1)


class RecordSet:
    """A finished set of records. Opening it reads names and settings; files are checked as they are read."""

    def __init__(self, folder):
        self.folder = os.fspath(find(folder))
        self.record_settings = read_settings(self.folder)
        self.settings = self.record_settings.settings
        self.provenance = self.record_settings.provenance
        self.count, self.image_size = self.settings["count"], self.settings["image_size"]
        self.num_classes = self.settings["num_classes"]
        self.class_names = self.settings["class_names"]
        self.fingerprint = self.record_settings.identity  # where it is the same, so are the images
        self._shard_records = functools.lru_cache(maxsize=2)(self._read_shard)
        signature = [tf.TensorSpec([None], tf.string)]
        self._decode = tf.function(decoder(self.record_settings), input_signature=signature)
        shards = range(self.record_settings.shards)
        if missing := missing_shards(self.folder, self.record_settings, shards):
            names = [self.record_settings.shard_name(shard) for shard in missing]
            raise InputError(
                f"Got {self.folder} with {len(shards) - len(missing):,} of {len(shards):,} shards; missing: "
                f"{listed(names, _NAMED_SHARDS)}. Expected all of them. Give the command that makes the set "
                "again, or copy the other workers' shards into the folder."
            )

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Int32 `[count]`, or None."""
        return self.array("labels")

    def array(self, name: str) -> np.ndarray | None:
        """One of the small arrays that are kept with the records, or None if the set has none such."""
        if name not in self.settings["arrays"]:
            return None
        data = self._sound(*_read_array(self.folder, self.record_settings, name))
        return np.load(io.BytesIO(data), allow_pickle=False)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Returns the images with the numbers from `start` to before `stop`, uint8 `[N, S, S, 3]`."""
        stop = min(stop, self.count)
        parts = [np.empty((0, self.image_size, self.image_size, 3), "uint8")]
        while start < stop:
            shard, first = divmod(start, self.settings["shard_size"])
            records = self._shard_records(shard)[first : first + stop - start]
            parts.append(self._decode(tf.constant(records))["image"].numpy())
            start += len(records)
        return np.concatenate(parts)

    def decoded_batches(self, batch_size, seed, start_step, finish) -> tf.data.Dataset:
        """Endless batches, batch k a function of seed and k: `finish(k, what decoder gives)`."""
        if batch_size > self.count:
            raise InputError(
                f"Got batch_size={batch_size} and {self.folder} with {self.count} records. Expected at "
                "least a batch of them. Make a larger set, or set a smaller batch_size."
            )
        shards = range(self.record_settings.shards)
        files = tf.constant([self.record_settings.shard_path(self.folder, k) for k in shards])
        counts = [len(self.record_settings.indices(k)) for k in shards]

        def read_shard(shard):
            return tf.data.TFRecordDataset(tf.gather(files, shard))

        decode = decoder(self.record_settings)

        def decoded(step, batch):
            return finish(step, decode(batch))

        records = shuffled_records(counts, read_shard, batch_size, seed, start_step)
        parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
        batches = records.enumerate(start_step).map(decoded, **parallel)
        # Several hosts that share the files show some records twice in a pass and others never.
        return shared_by_replicas(batches)

    def _read_shard(self, shard):
        return self._sound(*_read_shard(self.folder, self.record_settings, shard))

    def _sound(self, content, problem):
        if problem:
            raise UnusableFileError(
                f"Got {self.folder}, where {problem}. Expected every file as it was written. Delete it, and "
                "give the command that made the set: it makes what is missing."
            )
        return content

    def __repr__(self):
        size = self.image_size
        return f"{type(self).__name__}({self.folder!r}): {self.count:,} images {size}x{size}x3"


def verify_records(folder, progress=True) -> list:
    """Lists flipped bits, missing and short shards, and those of another set: a line each, with the file."""
    folder = os.fspath(find(folder))
    record_settings = read_settings(folder)
    problems = [_read_array(folder, record_settings, name)[1] for name in record_settings["arrays"]]
    bar = progress_bar(record_settings["count"], visible=progress)

    def check(shard):
        return _read_shard(folder, record_settings, shard)[1]

    shards = range(record_settings.shards)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as executor:
        for shard, problem in enumerate(executor.map(check, shards)):
            problems.append(problem)
            bar.add(len(record_settings.indices(shard)))
    there = {name for name in names_in(folder) if name.endswith(".tfrecord")}
    foreign = there.difference(map(record_settings.shard_name, shards))
    problems += [f"{name} is of another set" for name in sorted(foreign)]
    return [problem for problem in problems if problem]


def missing_shards(folder, record_settings: RecordSettings, shards) -> list:
    """Those of these shards that aren't finished."""
    names = set(names_in(folder)) if tf.io.gfile.isdir(folder) else set()
    return [shard for shard in shards if record_settings.shard_name(shard) not in names]


def names_in(folder) -> list:
    """The names of the files of a folder, sorted."""
    with file_errors(folder, tensorflow=True):
        return sorted(tf.io.gfile.listdir(folder))


def _read_array(folder, record_settings, name) -> tuple:
    """The bytes of a small array, and what is wrong with its file: "" if nothing is."""
    try:
        data = read_bytes(os.path.join(folder, f"{name}.npy"))
    except UnusableFileError as error:
        return b"", f"{name}.npy can't be read: {error.__cause__}"
    if data is None:
        return b"", f"{name}.npy is missing"
    if content_hash(data) != record_settings["arrays"][name]:
        return b"", f"{name}.npy was changed or damaged: its SHA-256 differs"
    return data, ""


def _read_shard(folder, record_settings, shard) -> tuple:
    """The records of a shard, and what is wrong with its file: "" if nothing is."""
    name, indices = record_settings.shard_name(shard), record_settings.indices(shard)
    path = record_settings.shard_path(folder, shard)
    features = {
        "index": tf.io.FixedLenFeature([], tf.int64, -1),
        "set": tf.io.FixedLenFeature([], tf.string, ""),
    }
    try:
        records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
        if len(records) != len(indices):
            return [], f"{name} holds {len(records):,} records instead of {len(indices):,}"
        found = tf.io.parse_example(records, features)
    except tf.errors.NotFoundError:
        return [], f"{name} is missing"
    except tf.errors.OpError as error:
        return [], f"{name} is damaged or can't be read: {error.message.splitlines()[0]}"
    if found["set"][0].numpy().decode(errors="replace") != record_settings.identity:
        return [], f"{name} is of another set"
    if found["index"].numpy().tolist() != list(indices):
        return [], f"{name} holds the records of another shard"
    return records, ""
