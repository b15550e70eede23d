"""Makes a teacher-sample cache: the teacher draws, threads encode, another thread writes whole shards.

A shard is written when all its records are there, so a kill costs the shard that is being drawn and the
one that is being written; whole ones are never made again. The teacher never waits for the encoding, or
only where its images come faster than the processors can encode them.

Rejected: appending to a shard as batches come. A half-written file would have to be told from a whole one,
and cut off at the right place.
"""

import concurrent.futures
import os

import numpy as np
import tensorflow as tf

from ...errors import InputError
from . import storage
from .manifest import (
    EMBEDDING_FILE,
    MANIFEST_FILE,
    Manifest,
    check_is_cache,
    check_numbers,
    differences,
    embedding_file,
    new_manifest,
)
from .progress import Progress
from .reading import read_manifest
from .records import encode, labels_of, latents_of
from .shards import missing_shards, write_shard

_ENCODERS = min(8, os.cpu_count() or 1)
_BATCHES_AHEAD = 2 * _ENCODERS  # drawn and not yet encoded: bounds the memory


def write_cache(
    teacher,
    folder,
    count: int,
    seed=0,
    classes=None,
    shard_size=1024,
    batch_size=32,
    encoding="png",
    worker=0,
    workers=1,
    progress=True,
) -> Manifest:
    """Draws samples and keeps them on disk, or goes on where an earlier call was stopped.

    Sample number i is a function of teacher, truncation, seed, classes and i: its latent has the key
    (seed, i), its label is the i-th of the classes in turns. A shard is always drawn in the same batches
    (the last one filled up with samples that are dropped), so it has the same bytes whoever makes it on
    the same kind of machine; on another, a level may differ by one where its products round otherwise.

    Several workers may write into one folder, or each into its own: the folders can be copied into one.

    Args:
        teacher: `HubTeacher`, or another callable `(latents, labels) -> images` with `latent_dim`,
            `num_classes`, `image_size`, `truncation`, `handle` and `content_hash`. Its `class_embedding`,
            if it has one, is kept too.
        folder: Where to: a folder, new or with a cache of these settings; or a URL such as gs://.
        count: Number of samples in all, 1 or more.
        seed: Seed of the latents, 0 or more.
        classes: Ints, the labels that take turns; None for all of the teacher's.
        shard_size: Samples per file. A multiple of `batch_size` wastes none. Reading holds up to six
            shards in memory: take fewer for images of 256 px and more.
        batch_size: Images per call of the teacher.
        encoding: "png", or "raw" for bytes: larger, and quicker to read.
        worker, workers: This worker makes the shards k with `k % workers == worker`.
        progress: Show images, rate and time left.

    Returns:
        The `Manifest` of the cache. Shards of other workers may be missing still.

    Raises:
        ValueError: bad settings; or the folder holds a cache with others, whose differences are named.
        OSError: the folder or a file can't be written. What was finished stays.

    Example:
        write_cache(HubTeacher("saved_models/biggan_fashion_32"), "runs/cache", count=20_000)
    """
    check_numbers(count, seed, shard_size, batch_size, encoding, worker, workers)
    manifest = new_manifest(teacher, count, seed, classes, shard_size, batch_size, encoding)
    prepare_folder(folder, manifest, getattr(teacher, "class_embedding", None))
    mine = range(worker, manifest.shards, workers)
    missing = missing_shards(folder, manifest, mine)
    total, left = (sum(len(manifest.indices(k)) for k in shards) for shards in (mine, missing))
    write_shards(teacher, folder, manifest, missing, Progress(total, total - left, progress))
    return manifest


def prepare_folder(folder, manifest: Manifest, class_embedding=None):
    """Makes the folder and its manifest, or checks that those that are there are of the same cache.

    A class embedding that is missing or damaged is written again.

    Raises:
        ValueError: the folder holds a cache with other settings, or something else.
        OSError: nothing can be written there.
    """
    with storage.held(folder):
        path = storage.join(folder, MANIFEST_FILE)
        if storage.read(path) is None:
            check_is_cache(storage.names_in(folder), folder)
            storage.write_whole(path, manifest.to_text().encode(), replace=False)
    # Read again even then: a worker with other settings may have been the first.
    if lines := differences(manifest, read_manifest(folder)):
        listed = "\n  ".join(lines)
        raise InputError(
            f"Got settings that differ from those of the cache in {folder}:\n  {listed}\nExpected the "
            "same: samples of different settings are never mixed. Choose another folder, or these settings."
        )
    if manifest.class_embedding:
        path, data = storage.join(folder, EMBEDDING_FILE), embedding_file(class_embedding)
        if storage.read(path) != data:
            storage.write_whole(path, data)


def write_shards(teacher, folder, manifest: Manifest, shards, progress: Progress):
    """Makes these shards, whether or not they are there.

    Raises:
        OSError: a file can't be written.
        ValueError: the teacher drew images of another shape, or NaN.
    """
    with (
        concurrent.futures.ThreadPoolExecutor(_ENCODERS) as encoders,
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        written = []
        for shard in shards:
            encoded = _draw(teacher, manifest, shard, encoders, progress)
            for earlier in written:
                earlier.result()  # one shard at a time, and an error stops the drawing
            written = [writer.submit(_write, folder, manifest, shard, encoded)]
        for last in written:
            last.result()


def _draw(teacher, manifest, shard, encoders, progress):
    """Draws a shard batch by batch; returns the futures of their records."""
    encoded = []
    indices = manifest.indices(shard)
    for start in range(indices.start, indices.stop, manifest.batch_size):
        # Always a whole batch: one graph, and no image depends on where the shard ends.
        batch = np.arange(start, start + manifest.batch_size)
        latents, labels = latents_of(manifest, batch), labels_of(manifest, batch)
        images = np.asarray(teacher(tf.constant(latents), tf.constant(labels)))
        expected = (len(batch), manifest.image_size, manifest.image_size, 3)
        if images.shape != expected:
            raise InputError(
                f"Got images {images.shape} of {manifest.teacher}. Expected {expected}, by the size that "
                "it states. Mend the teacher's image_size."
            )
        kept = batch[batch < indices.stop]
        drawn = (kept, latents[: len(kept)], labels[: len(kept)], images)
        encoded.append(encoders.submit(encode, manifest, *drawn))
        if len(encoded) >= _BATCHES_AHEAD:
            encoded[-_BATCHES_AHEAD].result()
        progress.advance(len(kept))
    return encoded


def _write(folder, manifest, shard, encoded):
    write_shard(folder, manifest, shard, [record for batch in encoded for record in batch.result()])
