"""A teacher-sample cache, opened: what it holds, and its batches in a keyed order."""

import functools
import io

import numpy as np
import tensorflow as tf

from ...classes.folder_labels import listed
from ...errors import InputError, MissingFileError
from ..shuffling import shuffled_records
from . import storage
from .manifest import EMBEDDING_FILE, MANIFEST_FILE, Manifest, parse_manifest, sha256
from .records import decoder
from .shards import finished_shards, shard_name, shard_path

_NAMED_SHARDS = 8
# Samples are independent of each other and all classes are in every shard, so that few have to be mixed.
_WINDOW = 2


class TeacherCache:
    """The samples that `tinygan cache` made.

    Opening reads the manifest and the side files of the shards, and no image: a shard that is not
    finished is never read. Contents are compared with their checksums by `verify_cache`; while they are
    read, TFRecord's own checksums are.

    Args:
        folder: The cache.

    Attributes:
        folder: str.
        manifest: `Manifest`, all its settings.
        count: int, number of samples.
        latent_dim, num_classes, image_size, truncation, classes: of the manifest.
        teacher: str, the handle it was made with.
        content_hash: str, SHA-256 of the teacher's files.

    Raises:
        FileNotFoundError: there is no cache.
        OSError: it can't be read.
        ValueError: shards are missing, or belong to another cache.

    Example:
        cache = TeacherCache("runs/cache")
        for batch in cache.batches(64, seed=0).take(1):
            batch["latent"], batch["label"], batch["teacher_image"]
    """

    def __init__(self, folder):
        self.folder = str(folder)
        self.manifest = read_manifest(folder)
        there, shards = finished_shards(folder, self.manifest), self.manifest.shards
        if len(there) < shards:
            names = [shard_name(self.manifest, k) for k in sorted(set(range(shards)) - set(there))]
            raise InputError(
                f"Got the cache {folder} with {len(there):,} of {shards:,} shards; "
                f"missing: {listed(names, _NAMED_SHARDS)}. Expected all of them. Give the command that "
                "makes it again, or copy the other workers' shards into the folder."
            )
        for name in ("count", "latent_dim", "num_classes", "image_size", "truncation", "classes"):
            setattr(self, name, getattr(self.manifest, name))
        self.teacher, self.content_hash = self.manifest.teacher, self.manifest.content_hash

    @functools.cached_property
    def class_embedding(self) -> np.ndarray | None:
        """Float32 `[num_classes, K]`, the teacher's shared class embedding, or None."""
        if self.manifest.class_embedding is None:
            return None
        data = storage.read(storage.join(self.folder, EMBEDDING_FILE))
        if data is None or sha256(data) != self.manifest.class_embedding:
            problem = "is missing" if data is None else "was changed, or damaged"
            raise InputError(
                f"Got the cache {self.folder}, whose {EMBEDDING_FILE} {problem}. Expected it as it was "
                "written. Give the command that made the cache: it writes it again."
            )
        return np.load(io.BytesIO(data), allow_pickle=False)

    def batches(self, batch_size: int, seed=0, start_step=0) -> tf.data.Dataset:
        """Passes over the samples again and again; batch k is a pure function of the seed and k.

        Args:
            batch_size: Samples per batch; the shape is static.
            seed: Seed of the order.
            start_step: Number of the first batch.

        Returns:
            Endless data set of dicts `latent` float32 `[B, Z]`, `label` int32 `[B]`, `teacher_image`
            float32 `[B, S, S, 3]` in [-1, 1].

        Raises:
            ValueError: there are fewer samples than a batch has.
        """
        records = self._records(batch_size, seed, start_step)
        decode = decoder(self.manifest)
        batches = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        options = tf.data.Options()
        # Each replica gets its part of a batch. Several hosts that share the files show some samples twice
        # in a pass and others never, since a batch takes its files by number.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return batches.prefetch(2).with_options(options)

    def _records(self, batch_size, seed, start_step):
        if batch_size > self.count:
            raise InputError(
                f"Got batch_size={batch_size} and the cache {self.folder} with {self.count} samples. "
                "Expected at least a batch of them. Make a larger cache, or set a smaller batch_size."
            )
        shards = range(self.manifest.shards)
        files = tf.constant([shard_path(self.folder, self.manifest, k) for k in shards])
        counts = [len(self.manifest.indices(k)) for k in shards]

        def read_shard(place):
            return tf.data.TFRecordDataset(tf.gather(files, place))

        return shuffled_records(counts, read_shard, batch_size, seed, start_step, _WINDOW)

    def __repr__(self):
        return (
            f"TeacherCache({self.folder!r}): {self.count:,} samples of {self.teacher}, "
            f"truncation {self.truncation:g}, {len(self.classes)} of {self.num_classes} classes, images "
            f"{self.image_size}x{self.image_size}x3"
        )


def read_manifest(folder) -> Manifest:
    """Reads the settings of a cache.

    Raises:
        FileNotFoundError: the folder has no manifest.
        ValueError: it can't be read, or was changed.
    """
    path = storage.join(folder, MANIFEST_FILE)
    data = storage.read(path)
    if data is None:
        raise MissingFileError(
            f"Got {folder}, which holds no {MANIFEST_FILE}. Expected a folder that tinygan cache wrote. "
            "Check the name, or make the cache."
        )
    return parse_manifest(data.decode(errors="replace"), path)
