"""Writes a set of records: threads encode what the caller makes, another thread writes whole shards.

A shard is written when all its records are there, so a kill costs the shard that is being made and the one
that is being written; finished ones are never made again. Rejected: appending to a shard as examples come,
since a half-written file couldn't be told apart from a whole one.
"""

import concurrent.futures
import contextlib
import functools
import io
import json
import os

import numpy as np
import tensorflow as tf

from ...errors import ExistingFileError, InputError, MissingFileError
from ...files import (
    UNFINISHED,
    check_room,
    content_hash,
    file_errors,
    new_file,
    plain,
    user_path,
    write_bytes,
)
from ...progress import progress_bar
from .record_format import (
    FORMAT,
    SETTINGS_FILE,
    RecordSettings,
    check_folder,
    encode,
    read_bytes,
    read_settings,
)
from .record_set import missing_shards, names_in

_ENCODERS = min(8, os.cpu_count() or 1)
_AHEAD = 256  # examples that are made and not yet encoded: bounds the memory
_ATTEMPTS = 3
_SAMPLED = 16  # examples whose size tells that of all


def write_records(
    folder,
    settings: dict,
    count: int,
    shard_size: int,
    examples_of,
    worker=0,
    workers=1,
    progress=True,
    runner=None,
    *,
    labels=None,
    arrays=None,
    provenance=None,
    load_examples=None,
    check=None,
) -> list:
    """Writes a set of records, or goes on with one; returns the names of the shards that are missing still.

    `settings` are all that decides what the images are, `arrays` small arrays to keep by name, `provenance`
    what is worth knowing and decides nothing. `examples_of(start, stop)` gives dicts `image` uint8
    `[S, S, 3]`, perhaps `label` int, `latent` float32 `[Z]`, `seed` int, `name` str, the same each time and
    in random order, since batches mix few shards. In the processes of the Beam pipeline with the options
    `runner`, the picklable `load_examples()` gives it. `check` takes the numbers of the records to be made.
    """
    folder = os.fspath(user_path(folder))
    arrays = dict(arrays or {})
    if labels is not None:
        arrays["labels"] = np.asarray(labels, "int32")
    files = {name: _npy(array) for name, array in arrays.items()}
    fixed = {"encoding": "png", "class_names": None, **settings}
    fixed |= {"count": count, "shard_size": shard_size, "format": FORMAT}
    fixed["arrays"] = {name: content_hash(data) for name, data in files.items()}
    wanted = RecordSettings(plain(fixed), plain(provenance or {}))
    names = names_in(folder) if tf.io.gfile.isdir(folder) else []
    check_folder(names, folder)
    if SETTINGS_FILE in names:
        _check_same(folder, wanted)
    missing = missing_shards(folder, wanted, range(worker, wanted.shards, workers))
    if check and missing:
        check(np.concatenate([wanted.indices(shard) for shard in missing]))
    _prepare_folder(folder, wanted, files)
    if runner is None:
        bar = progress_bar(sum(len(wanted.indices(shard)) for shard in missing), visible=progress)
        write_shards(folder, wanted, missing, examples_of, bar)
    elif missing:
        from .beam_pipeline import run_pipeline

        run_pipeline(folder, wanted, missing, load_examples, runner)
    _check_same(folder, wanted)  # behind a URL, another worker may have begun at the same moment
    missing = missing_shards(folder, wanted, range(wanted.shards))
    if not missing:
        for name in names_in(folder):
            if UNFINISHED in name:  # of writers that were killed; one that lives writes it again
                with contextlib.suppress(tf.errors.OpError):
                    tf.io.gfile.remove(os.path.join(folder, name))
    return [wanted.shard_name(shard) for shard in missing]


def write_shards(folder, record_settings: RecordSettings, shards, examples_of, bar=None):
    """Makes these shards, whether or not they are there, as long as the disk can hold all that are left."""
    left = sum(len(record_settings.indices(shard)) for shard in shards)
    with (
        concurrent.futures.ThreadPoolExecutor(_ENCODERS) as encoders,
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        writing = None
        for shard in shards:
            check = functools.partial(_check_room_for, folder, left)
            encoded = _encoded(record_settings, shard, examples_of, encoders, bar, check)
            left -= len(encoded)
            if writing:
                writing.result()  # one shard at a time, and an error stops the making
            path = record_settings.shard_path(folder, shard)
            writing = writer.submit(_insist, _write_shard, path, encoded)
        if writing:
            writing.result()


def _check_room_for(folder, count, sample):
    """Refuses a disk that can't hold so many records like those of the sample."""
    size = sum(len(record.result()) for record in sample) / len(sample)
    check_room(folder, int(count * size), f"{count:,} records")


def _encoded(record_settings, shard, examples_of, encoders, bar, check) -> list:
    """Makes the examples of a shard; returns their records. `check` gets the first of them."""
    encoded, indices = [], record_settings.indices(shard)
    examples = examples_of(indices.start, indices.stop)
    for index, example in zip(indices, examples, strict=True):
        encoded.append(encoders.submit(encode, record_settings, index, example))
        if len(encoded) > _AHEAD:
            encoded[-_AHEAD].result()
        if len(encoded) == min(_SAMPLED, len(indices)):
            check(encoded)  # before the others cost time, and again with each shard
        if bar:
            bar.add(1)
    return [record.result() for record in encoded]


def _write_shard(path, records):
    with (
        new_file(path) as aside,
        file_errors(path, tensorflow=True),
        tf.io.TFRecordWriter(os.fspath(aside)) as writer,
    ):
        for record in records:
            writer.write(record)


def _prepare_folder(folder, wanted, files):
    """Makes the folder with its settings and arrays, or checks that those there are of the same set."""
    path = os.path.join(folder, SETTINGS_FILE)
    if read_bytes(path) is None:
        with contextlib.suppress(ExistingFileError):  # another worker was quicker
            _insist(write_bytes, path, wanted.to_text().encode(), False)
    _check_same(folder, wanted)
    for name, data in files.items():
        path = os.path.join(folder, f"{name}.npy")
        if read_bytes(path) != data:
            _insist(write_bytes, path, data)


def _check_same(folder, wanted):
    mine, theirs = dict(wanted.settings), dict(read_settings(folder).settings)
    arrays, their_arrays = mine.pop("arrays"), theirs.pop("arrays")
    if mine == theirs:  # else other settings say why the arrays differ
        mine, theirs = arrays, their_arrays
    lines = [
        f"\n  {name}: {_short(mine.get(name))}, in the folder {_short(theirs.get(name))}"
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]
    if lines:
        raise InputError(
            f"Got settings that differ from those of the set in {folder}:{''.join(lines)}\nExpected the "
            "same: records of different settings are never mixed. Choose another folder, or these settings."
        )


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 70 else f"{text[:60]}... ({len(text):,} characters)"


def _insist(write, *arguments):
    """Calls `write` again where another command removed the folder, or the file as that of a killed one."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return write(*arguments)
        except MissingFileError:
            if not attempts_left:
                raise


def _npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=False)
    return stream.getvalue()
