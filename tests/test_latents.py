"""The one rule of latents: its twin in plain integers, its distribution; seeds and truncation."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tinygan_keras.latents import (
    MAX_SEED,
    check_seeds,
    latents_in_graph,
    latents_of_seeds,
    resolve_truncation,
    sample_latents,
    truncated_normal,
)

COUNT, LATENT_DIM = 4000, 16
DISTRIBUTION = stats.truncnorm(-2.0, 2.0)


@pytest.fixture(scope="module")
def latents():
    return sample_latents(COUNT, LATENT_DIM, seed=7)


# The rule


def threefry(seed, counter):
    """The first word of Threefry-2x32-20 in plain integers, as its authors write it."""
    words, mask = [counter, 0], 0xFFFFFFFF
    key = [seed >> 32, seed & mask]
    key.append(key[0] ^ key[1] ^ 0x1BD11BDA)
    words = [(word + k) & mask for word, k in zip(words, key, strict=False)]
    for number in range(20):
        rotation = (13, 15, 26, 6, 17, 29, 16, 24)[number % 8]
        words[0] = (words[0] + words[1]) & mask
        words[1] = ((words[1] << rotation) | (words[1] >> (32 - rotation))) & mask
        words[1] ^= words[0]
        if number % 4 == 3:
            group = number // 4 + 1
            words[0] = (words[0] + key[group % 3]) & mask
            words[1] = (words[1] + key[(group + 1) % 3] + group) & mask
    return words[0]


def test_twin_is_threefry():
    assert threefry(0, 0) == 0x6B200159  # published with the algorithm


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**40 + 3, MAX_SEED])
def test_latents_are_the_inverse_distribution_of_threefry(seed):
    levels = np.array([threefry(seed, i) >> 9 for i in range(LATENT_DIM)])
    expected = DISTRIBUTION.ppf((2 * levels + 1) / 2**24)
    (found,) = latents_of_seeds([seed], LATENT_DIM)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_graph_gives_the_same_latents():
    seeds = np.array([0, 7, 2**32, 2**40 + 3, MAX_SEED])
    truncation = np.array([0.0, 0.1, 0.5, 0.9, 1.0], "float32")
    in_graph = tf.function(lambda s, t: latents_in_graph(s, LATENT_DIM, t))
    expected = latents_of_seeds(seeds, LATENT_DIM, truncation)
    np.testing.assert_allclose(in_graph(seeds, truncation), expected, atol=1e-6)
    expected = latents_of_seeds(seeds, LATENT_DIM, 0.5)
    np.testing.assert_allclose(in_graph(seeds, 0.5), expected, atol=1e-6)


def test_latents_depend_on_their_own_seed_alone(latents):
    assert latents.shape == (COUNT, LATENT_DIM) and latents.dtype == np.float32
    rows = latents_of_seeds([9, 7], LATENT_DIM)
    np.testing.assert_array_equal(rows, latents[[2, 0]])
    np.testing.assert_array_equal(latents_of_seeds([7], 3)[0], latents[0, :3])
    tf.random.set_seed(123)
    np.testing.assert_array_equal(sample_latents(COUNT, LATENT_DIM, seed=7), latents)
    assert len(np.unique(latents, axis=0)) == COUNT


def test_truncation_scales_the_same_latents(latents):
    half = sample_latents(COUNT, LATENT_DIM, 0.5, seed=7)
    np.testing.assert_allclose(half, 0.5 * latents, rtol=1e-6)
    assert not latents_of_seeds([1, 2], LATENT_DIM, 0.0).any()


# Their distribution


def test_distribution_is_truncated_normal_and_not_uniform(latents):
    values = latents.ravel()
    assert 1.9 < np.abs(values).max() <= 2.0
    assert stats.kstest(values, DISTRIBUTION.cdf).pvalue > 1e-3
    assert stats.kstest(values, stats.uniform(-2.0, 4.0).cdf).pvalue < 1e-9
    assert abs(values.mean()) < 4 * DISTRIBUTION.std() / np.sqrt(values.size)
    assert values.var() == pytest.approx(DISTRIBUTION.var(), rel=0.02)
    assert (values**4).mean() == pytest.approx(DISTRIBUTION.moment(4), rel=0.04)


def test_columns_and_neighbouring_seeds_are_independent(latents):
    correlation = np.corrcoef(latents, rowvar=False) - np.eye(LATENT_DIM)
    assert np.abs(correlation).max() < 5 / np.sqrt(COUNT)
    assert abs(np.corrcoef(latents[1:].ravel(), latents[:-1].ravel())[0, 1]) < 0.02


# Seeds and truncation


@pytest.mark.parametrize(
    ("seeds", "count", "expected"),
    [
        (5, 3, [5, 6, 7]),
        ([5, 5], 2, [5, 5]),
        (range(2, 4), None, [2, 3]),
        (np.int64(MAX_SEED), 1, [MAX_SEED]),
        ([], 0, []),
    ],
)
def test_seeds_are_one_each_or_one_to_start_from(seeds, count, expected):
    found = check_seeds(seeds, count)
    assert found.tolist() == expected and found.dtype == np.int64


@pytest.mark.parametrize(
    ("seeds", "count", "message"),
    [
        (-1, 2, "seeds=-1"),
        ([0, -1], 2, "from 0 to"),
        (0.5, 1, "seeds=0.5"),
        ([True], 1, "whole numbers"),
        (MAX_SEED, 2, "whole numbers"),
        ([2**64], 1, "whole numbers"),
        ([1, 2], 3, "Got 2 seeds for 3 pictures"),
    ],
)
def test_other_seeds_are_refused(seeds, count, message):
    with pytest.raises(ValueError, match=message):
        check_seeds(seeds, count)


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [(None, None, 0.5), (None, 0.3, 0.3), (0.0, 0.3, 0.0), (None, 0.0, 0.0), (1, None, 1.0)],
)
def test_truncation_is_the_given_one_or_the_generator_s(given, own, expected):
    assert resolve_truncation(given, SimpleNamespace(truncation=own)) == expected
    assert resolve_truncation(given, default=own if own is not None else 0.5) == expected


@pytest.mark.parametrize("truncation", [-0.1, 1.5, float("nan"), "half"])
def test_other_truncations_are_refused(truncation):
    with pytest.raises(ValueError, match="Expected a number from 0"):
        resolve_truncation(truncation)


# The stream inside training


def test_stream_is_the_same_in_a_graph():
    in_graph = tf.function(lambda seed: truncated_normal((5, 3), seed, 0.5))
    np.testing.assert_array_equal(
        in_graph(tf.constant([3, 1])), truncated_normal((5, 3), (3, 1), 0.5)
    )
