"""Compares every byte of a cache with the checksums that were taken when it was written."""

import concurrent.futures
import os

import tensorflow as tf

from . import storage
from .manifest import EMBEDDING_FILE, MANIFEST_FILE, sha256
from .progress import Progress
from .reading import read_manifest
from .shards import (
    SIDE_SUFFIX,
    SUFFIX,
    foreign_cache,
    foreign_teacher,
    measured,
    read_side_file,
    shard_name,
    shard_path,
)

_THREADS = min(8, os.cpu_count() or 1)


def verify_cache(folder, content_hash: str | None = None, progress=True) -> list:
    """Finds flipped bits, missing and truncated shards, and shards of another teacher or cache.

    Args:
        folder: The cache.
        content_hash: That of the teacher it should be of; None to leave that open.
        progress: Show images, rate and time left.

    Returns:
        List of str, a problem each, with the name of the file; empty for a cache that is whole.

    Raises:
        FileNotFoundError: there is no cache.
        OSError: the folder or the manifest can't be read.
        ValueError: the manifest was changed, or damaged.

    Example:
        assert not verify_cache("runs/cache")
    """
    manifest = read_manifest(folder)
    problems = []
    if content_hash not in (None, manifest.content_hash):
        problems.append(foreign_teacher(MANIFEST_FILE, manifest.content_hash, content_hash))
    if problem := _checked(_problem_of_embedding, EMBEDDING_FILE, folder, manifest):
        problems.append(problem)
    bar = Progress(manifest.count, visible=progress)

    def check(shard):
        name = shard_name(manifest, shard)
        return _checked(_problem_of_shard, name, folder, manifest, shard)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as executor:
        for shard, problem in enumerate(executor.map(check, range(manifest.shards))):
            problems += [problem] if problem else []
            bar.advance(len(manifest.indices(shard)))
    names = [shard_name(manifest, shard) for shard in range(manifest.shards)]
    known = {name + suffix for name in names for suffix in (SUFFIX, SIDE_SUFFIX)}
    strange = [
        name
        for name in storage.names_in(folder)
        if name.startswith("shard-") and name.endswith((SUFFIX, SIDE_SUFFIX)) and name not in known
    ]
    return problems + [f"{name} is of a cache with another number of shards" for name in strange]


def _checked(problem_of, name, *where) -> str | None:
    """What `problem_of` finds; that a file can't be read is a problem too."""
    try:
        return problem_of(*where)
    except (OSError, tf.errors.OpError) as error:
        return f"{name} can't be read: {error.__cause__ or error}"


def _problem_of_embedding(folder, manifest):
    if manifest.class_embedding is None:
        return None
    data = storage.read(storage.join(folder, EMBEDDING_FILE))
    if data is None:
        return f"{EMBEDDING_FILE} is missing"
    if sha256(data) != manifest.class_embedding:
        return f"{EMBEDDING_FILE} was changed, or damaged: its SHA-256 differs"
    return None


def _problem_of_shard(folder, manifest, shard):
    name = shard_name(manifest, shard) + SUFFIX
    path = shard_path(folder, manifest, shard)
    length = storage.size(path)
    try:
        side = read_side_file(folder, manifest, shard)
    except ValueError as error:
        return str(error)
    if side is None:
        if length is None:
            return f"{name} is missing"
        foreign = _foreign(path, name, manifest)
        return foreign or f"{name} was not finished: it has no side file"
    if length is None:
        return f"{name} is missing, only its side file is there"
    found = measured(path)
    expected = {key: side[key] for key in found}
    if found == expected:
        return None
    foreign = _foreign(path, name, manifest)
    if foreign:
        return foreign
    if found["bytes"] != expected["bytes"]:
        cut = "truncated" if found["bytes"] < expected["bytes"] else "too long"
        return f"{name} is {cut}: {found['bytes']:,} bytes instead of {expected['bytes']:,}"
    return f"{name} was changed, or damaged: its SHA-256 differs from that of its side file"


def _foreign(path, name, manifest) -> str | None:
    """Whether the first record names another cache; None if it names this one, or can't be read."""
    try:
        record = next(iter(tf.data.TFRecordDataset(path).take(1).as_numpy_iterator()), b"")
        features = tf.train.Example.FromString(record).features.feature
        identity = features["cache"].bytes_list.value[0].decode()
        content_hash = features["teacher"].bytes_list.value[0].decode()
    except (tf.errors.OpError, ValueError, IndexError):
        return None
    except Exception as error:  # what the protobuf library raises has another name in each version
        if type(error).__name__ != "DecodeError":
            raise
        return None
    if content_hash != manifest.content_hash:
        return foreign_teacher(name, content_hash, manifest.content_hash)
    return foreign_cache(name, identity, manifest) if identity != manifest.identity else None
