"""The order of examples: every one once a pass, the same for the same seed, from any step on."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.data.shuffling import shuffled_indices, shuffled_records


def take(dataset, count):
    return [batch.tolist() for batch in dataset.take(count).as_numpy_iterator()]


class Shards:
    """Shards of consecutive numbers; remembers which were read."""

    def __init__(self, counts):
        self.counts = list(counts)
        self.starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.read = []

    def __call__(self, index):
        def remember(number):
            self.read.append(int(number))
            return np.int64(0)

        (zero,) = (tf.numpy_function(remember, [index], tf.int64),)
        start, count = tf.gather(self.starts, index), tf.gather(self.counts, index)
        return tf.data.Dataset.range(start + zero, start + tf.cast(count, tf.int64))

    def batches(self, batch_size, seed=0, start_step=0, window=2):
        return shuffled_records(self.counts, self, batch_size, seed, start_step, window)


def test_indices_pass_over_everything_and_are_reshuffled():
    batches = [shuffled_indices(step, 4, 10, seed=7).numpy() for step in range(5)]
    seen = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(seen[:10]), np.arange(10))
    np.testing.assert_array_equal(np.sort(seen[10:]), np.arange(10))
    assert not np.array_equal(seen[:10], seen[10:])


def test_indices_of_a_given_seed_stay_what_they_were():
    """A resumed run of an earlier version sees the batches that it would have seen."""
    np.testing.assert_array_equal(shuffled_indices(0, 8, 12, seed=3), GOLDEN)
    np.testing.assert_array_equal(shuffled_indices(5, 3, 1, seed=3), [0, 0, 0])


GOLDEN = [11, 7, 9, 3, 6, 4, 10, 5]


@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_every_pass_shows_every_record_once_in_another_order(window):
    shards = Shards([5, 3, 4, 1, 6])
    seen = np.ravel(take(shards.batches(19, seed=1, window=window), 3))
    for start in (0, 19, 38):
        np.testing.assert_array_equal(np.sort(seen[start : start + 19]), np.arange(19))
    assert not np.array_equal(seen[:19], seen[19:38])


def test_records_of_a_window_are_mixed():
    (seen,) = take(Shards([50, 50]).batches(100, window=2), 1)
    first_half = np.mean(np.array(seen[:50]) < 50)
    assert 0.2 < first_half < 0.8
    (apart,) = take(Shards([50, 50]).batches(100, window=1), 1)
    assert np.mean(np.array(apart[:50]) < 50) in (0, 1)


@pytest.mark.parametrize("batch_size", [4, 25])
def test_starting_at_any_step_continues_the_same_sequence(batch_size):
    shards = Shards([5, 3, 4, 1, 6])
    steps = -(-45 // batch_size)  # more than two passes
    whole = take(shards.batches(batch_size, seed=3), steps)
    for start in (1, steps // 2, steps - 1):
        rest = take(shards.batches(batch_size, seed=3, start_step=start), min(6, steps - start))
        assert rest == whole[start : start + 6], start


def test_starting_late_reads_no_shard_before_its_window():
    shards = Shards([10] * 8)
    iterator = iter(shards.batches(5, start_step=3 * 16 + 9))  # pass 3, record 45: third window
    next(iterator)
    late = set(shards.read[:2])
    whole = Shards([10] * 8)
    take(whole.batches(80, start_step=3), 1)
    assert late == set(whole.read[4:6])


def test_the_order_depends_on_the_seed_alone():
    one, again, other = (take(Shards([9, 9]).batches(6, seed=s), 3) for s in (0, 0, 1))
    assert one == again and one != other


def test_a_shard_of_another_length_is_noticed():
    for wrong in (4, 6):
        shards = Shards([5, 5])
        shards.counts[1] = wrong
        batches = shuffled_records([5, 5], shards, 2, 0)
        with pytest.raises(tf.errors.InvalidArgumentError, match="another number of records"):
            take(batches, 10)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("start_step", -1)])
def test_bad_input_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        shuffled_records([3], None, **{"batch_size": 2, "seed": 0, name: value})
