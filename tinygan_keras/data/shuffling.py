"""The order in which examples are passed over again and again: a keyed permutation, not a buffer.

Batch number k is a pure function of the seed and k, so a resumed run sees exactly the batches that it would
have seen. `shuffled_indices` numbers examples that lie in memory; any step can be asked for, at no cost.
`shuffled_records` reads files: shards are permuted, and so are the records of a few shards together, which
are held in memory; starting anywhere costs at most reading these few.

Rejected: `Dataset.shuffle`, whose state would have to be stored, or replayed from the first batch on.
Reading single records out of permuted files: a seek per example, slow on network disks. `array-record` and
`grain`, which do that well, for they read no TFRecords.
"""

import numpy as np
import tensorflow as tf

from ..errors import InputError


def shuffled_indices(step, batch_size: int, count: int, seed: int):
    """Draws the numbers of the examples of one batch; every pass shows each example once.

    Args:
        step: Int or int tensor, the number of the batch.
        batch_size: Examples per batch.
        count: Number of examples, at least 1.
        seed: Seed of the order.

    Returns:
        Int64 tensor `[batch_size]` in [0, count).

    Example:
        >>> int(tf.reduce_sum(shuffled_indices(0, 4, 4, seed=1)))  # 0, 1, 2 and 3 in some order
        6
    """
    position = tf.cast(step, tf.int64) * batch_size + tf.range(batch_size, dtype=tf.int64)
    return _permuted(position % count, count, seed, position // count, 0)


def shuffled_records(
    counts, read_shard, batch_size: int, seed: int, start_step=0, window=4
) -> tf.data.Dataset:
    """Passes over the records of sharded files again and again, each time in another order.

    In every pass the shards are permuted and taken `window` at a time; the records of these are permuted
    together. The last batch of a pass goes on with the next pass. Up to three windows of raw records are
    in memory at a time.

    Args:
        counts: Ints, the number of records of each shard, each at least 1.
        read_shard: Function of an int64 scalar tensor, the number of a shard, that returns a
            `tf.data.Dataset` of its records, always in the same order.
        batch_size: Records per batch; the shape is static.
        seed: Seed of the order.
        start_step: Number of the first batch.
        window: Shards whose records are permuted together.

    Returns:
        Endless data set of batches of records, such as strings `[batch_size]`.

    Raises:
        ValueError: no shard, an empty shard, or a batch size, step or window that is too small.
        tf.errors.InvalidArgumentError: while reading: a shard holds another number of records.

    Example:
        counts, files = [1000, 1000, 417], tf.constant(["0.tfrecord", "1.tfrecord", "2.tfrecord"])
        batches = shuffled_records(counts, lambda i: tf.data.TFRecordDataset(files[i]), 64, seed=0)
    """
    counts = np.asarray(counts, "int64")
    if counts.ndim != 1 or not counts.size or counts.min() < 1:
        raise InputError(
            f"Got shards of {counts.tolist()} records. Expected one shard or more, none of them empty."
        )
    if batch_size < 1 or start_step < 0 or window < 1:
        raise InputError(
            f"Got batch_size={batch_size}, start_step={start_step}, window={window}. Expected a batch "
            "and a window of 1 or more and a step of 0 or more."
        )
    shards = len(counts)
    windows = -(-shards // window)  # per pass

    def shards_of(window_number):
        number_of_pass, place = window_number // windows, window_number % windows
        places = tf.range(place * window, tf.minimum((place + 1) * window, shards))
        return _permuted(places, shards, seed, number_of_pass, 0)

    position = start_step * batch_size
    first, skipped = position // int(counts.sum()) * windows, position % int(counts.sum())
    while (length := int(counts[shards_of(tf.constant(first, tf.int64))].sum())) <= skipped:
        first, skipped = first + 1, skipped - length

    def records_of(window_number):
        chosen = shards_of(window_number)
        count = tf.reduce_sum(tf.gather(counts, chosen))
        records = tf.data.Dataset.from_tensor_slices(chosen).interleave(
            read_shard, cycle_length=window, num_parallel_calls=window, deterministic=True
        )
        # One more than there should be, so that neither too few nor too many pass unnoticed.
        records = records.batch(count + 1).get_single_element()
        found = tf.size(records, tf.int64)
        message = "A shard was changed while it was used: it holds another number of records."
        with tf.control_dependencies([tf.debugging.assert_equal(found, count, message)]):
            start = tf.where(window_number == first, tf.constant(skipped, tf.int64), 0)
        number_of_pass, place = window_number // windows, window_number % windows
        order = _permuted(tf.range(start, count), count, seed, number_of_pass, place + 1)
        return tf.gather(records, order)

    numbers = tf.data.Dataset.counter(first, dtype=tf.int64)
    records = numbers.map(records_of, num_parallel_calls=1).prefetch(1).unbatch()
    return records.batch(batch_size, drop_remainder=True)


def _permuted(index, count, seed, number_of_pass, stream):
    """Where `index` goes in a permutation of `count` numbers that (seed, pass, stream) chooses."""
    shape = tf.shape(index)
    keys = [
        tf.broadcast_to(tf.cast(key, tf.int64), shape) for key in (seed, number_of_pass, stream)
    ]
    # The raw op: tf.random.experimental.index_shuffle refuses one key per index in TensorFlow 2.21.
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.stack(keys, axis=-1), max_index=tf.cast(count - 1, tf.int64), rounds=4
    )
