"""Writes a set of records: threads encode what the caller makes, another thread writes whole shards.

A shard is written when all its records are there, so a kill costs the shard that is being made and the one
that is being written; finished ones are never made again.

Rejected: appending to a shard as examples come. A half-written file couldn't be told apart from a whole
one, and would have to be cut off at the right place.
"""

import concurrent.futures
import contextlib
import io
import os

import numpy as np
import tensorflow as tf

from ...errors import ExistingFileError, InputError
from ...files import UNFINISHED, new_file, user_path
from ...images import check_labels
from .record_format import (
    SETTINGS_FILE,
    RecordSettings,
    check_folder,
    check_numbers,
    differences,
    encode,
    new_settings,
)
from .record_set import (
    file_errors,
    missing_shards,
    names_in,
    progress_bar,
    read_bytes,
    read_settings,
)

_ENCODERS = min(8, os.cpu_count() or 1)
_AHEAD = 256  # examples that are made and not yet encoded: bounds the memory
_ATTEMPTS = 3


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
) -> list:
    """Writes a set of records, or goes on where an earlier call was stopped.

    Several workers may write into one folder, or each into its own: the folders can be copied into one.

    Args:
        folder: Where to: a folder, new or with a set of these settings that was begun; or a URL such as gs://.
        settings: Dict of all that decides what the images are, of what JSON can hold: `kind` ("teacher
            samples" or "real images"), `image_size`, `num_classes` (None without labels), and optionally
            `class_names`, `encoding` ("png" by default, or "raw": larger, and quicker to read), `latent_dim`
            where examples have latents, and what else distinguishes two sets, such as a hash of their source.
        count: Number of records in all, 1 or more.
        shard_size: Records per file; the last one holds the rest. Reading holds up to six shards in memory.
        examples_of: Function `(start, stop)` that gives the examples with these numbers, an iterable of dicts
            `image` uint8 `[S, S, 3]`, `label` int, and optionally `latent` float32 `[Z]`, `seed` int and
            `name` str. It is called once for each shard, always with the same numbers, and has to give the
            same each time. Batches mix the records of few shards, so put examples in random order.
        worker, workers: This worker makes the shards k with `k % workers == worker`.
        progress: Show a progress bar.
        runner: List of str, options of an Apache Beam pipeline that makes the shards; None to make them here.
        labels: Int `[count]`, the labels of all examples, read at once when the set is opened; or None.
        arrays: Dict of further small arrays to keep, by name.
        provenance: Dict of what is worth knowing and decides nothing, such as the place of the source.
        load_examples: With a runner, function without arguments that gives `examples_of`, once per worker
            process; both have to be picklable. None: `examples_of` is pickled itself.

    Returns:
        List of str, the names of the shards that other workers have to make still.

    Raises:
        InputError: bad settings; or the folder holds a set with others, whose differences are listed.
        UnusableFileError: the folder or a file can't be written. What was finished stays.
    """
    check_numbers(shard_size, worker, workers, settings.get("encoding", "png"), count=count)
    folder = os.fspath(user_path(folder))
    arrays = dict(arrays or {})
    if labels is not None:
        arrays["labels"] = check_labels(labels, count, settings["num_classes"], folder)
    files = {name: _npy(array) for name, array in arrays.items()}
    wanted = new_settings(settings, count, shard_size, files, provenance)
    _prepare_folder(folder, wanted, files)
    missing = missing_shards(folder, wanted, range(worker, wanted.shards, workers))
    if runner is None:
        bar = progress_bar(sum(len(wanted.indices(shard)) for shard in missing), progress)
        write_shards(folder, wanted, missing, examples_of, bar)
    elif missing:
        from .beam_pipeline import run_pipeline

        run_pipeline(folder, wanted, missing, load_examples or (lambda: examples_of), runner)
    _check_same(folder, wanted)  # behind a URL, another worker may have begun at the same moment
    missing = missing_shards(folder, wanted, range(wanted.shards))
    if not missing:
        for name in names_in(folder):
            if UNFINISHED in name:  # of writers that were killed
                _remove(os.path.join(folder, name))
    return [wanted.shard_name(shard) for shard in missing]


def write_shards(folder, record_settings: RecordSettings, shards, examples_of, bar=None):
    """Makes these shards, whether or not they are there."""
    with (
        concurrent.futures.ThreadPoolExecutor(_ENCODERS) as encoders,
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        writing = None
        for shard in shards:
            encoded = _encoded(record_settings, shard, examples_of, encoders, bar)
            if writing:
                writing.result()  # one shard at a time, and an error stops the making
            writing = writer.submit(_write_shard, folder, record_settings, shard, encoded)
        if writing:
            writing.result()


def _encoded(record_settings, shard, examples_of, encoders, bar) -> list:
    """Makes the examples of a shard; returns the futures of their records."""
    encoded, indices = [], record_settings.indices(shard)
    examples = examples_of(indices.start, indices.stop)
    for index, example in zip(indices, examples, strict=True):
        encoded.append(encoders.submit(encode, record_settings, index, example))
        if len(encoded) > _AHEAD:
            encoded[-_AHEAD].result()
        if bar:
            bar.add(1)
    return encoded


def _write_shard(folder, record_settings, shard, encoded):
    path = record_settings.shard_path(folder, shard)
    records = [future.result() for future in encoded]
    try:
        with (
            new_file(path) as aside,
            file_errors(path),
            tf.io.TFRecordWriter(os.fspath(aside)) as writer,
        ):
            for record in records:
                writer.write(record)
    except OSError:
        # Another writer of the same shard may have finished the set, and removed ours as left over.
        if not tf.io.gfile.exists(path):
            raise


def _prepare_folder(folder, wanted, files):
    """Makes the folder with its settings and arrays, or checks that those there are of the same set."""
    path = os.path.join(folder, SETTINGS_FILE)
    if read_bytes(path) is None:
        if tf.io.gfile.isdir(folder):
            check_folder(names_in(folder), folder)
        with contextlib.suppress(ExistingFileError):  # another worker was quicker
            _write_bytes(path, wanted.to_text().encode(), replace=False)
    _check_same(folder, wanted)
    for name, data in files.items():
        path = os.path.join(folder, f"{name}.npy")
        if read_bytes(path) != data:
            _write_bytes(path, data)


def _check_same(folder, wanted):
    if lines := differences(wanted, read_settings(folder)):
        listed = "\n  ".join(lines)
        raise InputError(
            f"Got settings that differ from those of the set in {folder}:\n  {listed}\nExpected the same: "
            "records of different settings are never mixed. Choose another folder, or these settings."
        )


def _write_bytes(path, data, replace=True):
    for attempt in range(_ATTEMPTS):
        try:
            with (
                new_file(path, replace) as aside,
                file_errors(path),
                tf.io.gfile.GFile(os.fspath(aside), "wb") as file,
            ):
                file.write(data)
            return
        except ExistingFileError:
            raise
        except OSError:
            # Another command may have tried the folder and removed it again, or have taken the unfinished
            # file for that of a killed one.
            if attempt == _ATTEMPTS - 1:
                raise


def _remove(path):
    """Removes what another may have removed before; what stays does no harm."""
    with contextlib.suppress(tf.errors.OpError):
        tf.io.gfile.remove(path)


def _npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=False)
    return stream.getvalue()
