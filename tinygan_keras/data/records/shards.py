"""The files of a cache: `shard-00007-of-00391.tfrecord`, and a side file for each that says it is finished.

The side file, of the same name ending in `.json`, appears after its shard was written, flushed and renamed
into place. A shard without one is not there for anybody: it is made again. So N workers on N hosts need
nothing but the folder, or a folder each that are copied into one later.
"""

import concurrent.futures
import hashlib
import json

import tensorflow as tf

from ...errors import InputError
from . import storage
from .manifest import Manifest

_READERS = 16  # small files, perhaps over a network
SUFFIX, SIDE_SUFFIX = ".tfrecord", ".json"


def shard_name(manifest: Manifest, shard: int) -> str:
    """Name of a shard without its ending."""
    return f"shard-{shard:05d}-of-{manifest.shards:05d}"


def shard_path(folder, manifest: Manifest, shard: int) -> str:
    return storage.join(folder, shard_name(manifest, shard) + SUFFIX)


def side_path(folder, manifest: Manifest, shard: int) -> str:
    return storage.join(folder, shard_name(manifest, shard) + SIDE_SUFFIX)


def write_shard(folder, manifest: Manifest, shard: int, records):
    """Writes all records of a shard, and then its side file.

    Twice the same shard at the same time, such as by a cluster that starts a slow task again, is harmless:
    both write the same bytes.

    Raises:
        OSError: a file can't be written.
    """

    def write():
        with storage.unfinished(shard_path(folder, manifest, shard)) as temporary:
            with tf.io.TFRecordWriter(temporary) as writer:
                for record in records:
                    writer.write(record)
            return measured(temporary)

    side = {
        "cache": manifest.identity,
        "teacher": manifest.content_hash,
        "shard": shard,
        "count": len(records),
        **storage.persist(shard_path(folder, manifest, shard), write),
    }
    storage.write_whole(side_path(folder, manifest, shard), _text(side))


def measured(path) -> dict:
    """Length and SHA-256 of a file, as they stand in a side file."""
    digest, length = hashlib.sha256(), 0
    for piece in storage.chunks(path):
        digest.update(piece)
        length += len(piece)
    return {"bytes": length, "sha256": digest.hexdigest()}


def read_side_file(folder, manifest: Manifest, shard: int) -> dict | None:
    """What the side file says about the shard; None if there is none.

    Raises:
        ValueError: it belongs to another cache or shard, or is damaged.
        OSError: it can't be read.
    """
    name = shard_name(manifest, shard) + SIDE_SUFFIX
    data = storage.read(side_path(folder, manifest, shard))
    if data is None:
        return None
    try:
        side = json.loads(data)
        # A flipped bit between the values counts, too.
        readable = _text(side) == data and isinstance(side, dict)
        values = [side[key] for key in ("cache", "teacher", "shard", "count", "bytes", "sha256")]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        readable = False
    if not readable:
        raise InputError(f"{name} was changed, or damaged: it can't be read")
    cache, teacher, number, count, *_ = values
    if teacher != manifest.content_hash:
        raise InputError(foreign_teacher(name, teacher, manifest.content_hash))
    if cache != manifest.identity:
        raise InputError(foreign_cache(name, cache, manifest))
    if (number, count) != (shard, len(manifest.indices(shard))):
        raise InputError(
            f"{name} is that of shard {number} with {count} samples, under another name"
        )
    return side


def foreign_teacher(name, content_hash, expected) -> str:
    return (
        f"{name} is of another teacher: content hash {content_hash[:12]}..., not {expected[:12]}..."
    )


def foreign_cache(name, identity, manifest) -> str:
    return (
        f"{name} is of a cache of this teacher with other settings: identity {identity[:12]}..., not "
        f"{manifest.identity[:12]}..."
    )


def finished_shards(folder, manifest: Manifest, shards=None) -> list:
    """The numbers of the shards that are there, whole as far as their length tells.

    Args:
        folder: The cache.
        manifest: Its `Manifest`.
        shards: Numbers to look for; None for all.

    Raises:
        ValueError: a side file belongs to another cache, or is damaged.
        OSError: the folder or a file can't be read.
    """
    there = set(storage.names_in(folder))

    def is_finished(shard):
        name = shard_name(manifest, shard)
        if not {name + SUFFIX, name + SIDE_SUFFIX} <= there:
            return False
        side = read_side_file(folder, manifest, shard)
        return side is not None and side["bytes"] == storage.size(
            shard_path(folder, manifest, shard)
        )

    shards = range(manifest.shards) if shards is None else shards
    with concurrent.futures.ThreadPoolExecutor(_READERS) as executor:
        try:
            finished = list(executor.map(is_finished, shards))
        except ValueError as error:
            raise InputError(
                f"Got {folder}, where {error}. Expected shards of this cache only. Move the file away: "
                "its shard is made again. tinygan cache --verify lists all such files."
            ) from error
    return [shard for shard, is_there in zip(shards, finished, strict=True) if is_there]


def missing_shards(folder, manifest: Manifest, shards) -> list:
    """Those of these shards that aren't there; what killed writers of them left behind is removed.

    Raises:
        ValueError, OSError: see `finished_shards`.
    """
    finished = set(finished_shards(folder, manifest, shards))
    names = [shard_name(manifest, shard) for shard in shards]
    storage.remove_unfinished(
        folder, [name + suffix for name in names for suffix in (SUFFIX, SIDE_SUFFIX)]
    )
    return [shard for shard in shards if shard not in finished]


def _text(side) -> bytes:
    return (json.dumps(side, indent=1) + "\n").encode()
