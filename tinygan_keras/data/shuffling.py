"""The order of examples: passes without end, each in a keyed permutation.

Batch number k is a pure function of the seed and k. `shuffled_indices` numbers examples in memory.
`shuffled_records` reads files: shards are permuted, and so are the records of a few shards together, a
window; two shards do, as records are stored in random order. Up to three windows are in memory, and starting
anywhere reads one. Rejected: `Dataset.shuffle`, whose state would have to be stored, or replayed from the
first batch on; single records out of permuted files, a seek each.
"""

import numpy as np
import tensorflow as tf

from ..errors import InputError


def shuffled_indices(step, batch_size: int, count: int, seed: int):
    """Int64 `[batch_size]`, the numbers of the examples of batch `step`; each of `count` once a pass."""
    position = tf.cast(step, tf.int64) * batch_size + tf.range(batch_size, dtype=tf.int64)
    return _permuted(position % count, count, seed, position // count, 0)


def shuffled_records(counts, read_shard, batch_size: int, seed: int, start_step=0, window=2):
    """Endless batches of the records of shards: `counts[k]` records are in the data set `read_shard(k)`."""
    if batch_size < 1 or start_step < 0:
        raise InputError(
            f"Got batch_size={batch_size}, start_step={start_step}. Expected 1 or more, and 0 or more."
        )
    counts = np.asarray(counts, "int64")
    windows_per_pass = -(-len(counts) // window)

    def shards_of(number):
        first = number % windows_per_pass * window
        places = tf.range(first, tf.minimum(first + window, len(counts)))
        return _permuted(places, len(counts), seed, number // windows_per_pass, 0)

    passes, skipped = divmod(start_step * batch_size, int(counts.sum()))
    first = passes * windows_per_pass
    while (length := int(counts[shards_of(tf.constant(first, tf.int64))].sum())) <= skipped:
        first, skipped = first + 1, skipped - length

    def records_of(number):
        shards = shards_of(number)
        count = tf.reduce_sum(tf.gather(counts, shards))
        records = tf.data.Dataset.from_tensor_slices(shards).interleave(
            read_shard, cycle_length=window, num_parallel_calls=window, deterministic=True
        )
        # One more than there should be, so that neither too few nor too many pass unnoticed.
        records = records.batch(count + 1).get_single_element()
        message = "A shard was changed while it was used: it holds another number of records."
        same = tf.debugging.assert_equal(tf.size(records, tf.int64), count, message)
        with tf.control_dependencies([same]):
            start = tf.where(number == first, tf.constant(skipped, tf.int64), 0)
        number_of_pass, stream = number // windows_per_pass, number % windows_per_pass + 1
        order = _permuted(tf.range(start, count), count, seed, number_of_pass, stream)
        return tf.gather(records, order)

    numbers = tf.data.Dataset.counter(first, dtype=tf.int64)
    records = numbers.map(records_of, num_parallel_calls=1).prefetch(1).unbatch()
    return records.batch(batch_size, drop_remainder=True)


def shared_by_replicas(batches) -> tf.data.Dataset:
    """Gives each replica its part of a batch: batches take their files by number, so none are to be split."""
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return batches.prefetch(2).with_options(options)


def _permuted(index, count, seed, number_of_pass, stream):
    """Where `index` goes in a permutation of `count` numbers that (seed, pass, stream) chooses."""
    ones, parts = tf.ones_like(index, tf.int64), (seed, number_of_pass, stream)
    keys = [ones * tf.cast(part, tf.int64) for part in parts]
    # The raw op: tf.random.experimental.index_shuffle refuses one key per index in TensorFlow 2.21.
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.stack(keys, axis=-1), max_index=tf.cast(count - 1, tf.int64), rounds=4
    )
