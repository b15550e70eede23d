"""The law of z, against SciPy's truncated normal and against the uniform law it must not be."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tinygan_keras.latents import sample_latents, truncated_normal

COUNT, LATENT_DIM = 4000, 16
LAW = stats.truncnorm(-2.0, 2.0)


@pytest.fixture(scope="module")
def latents():
    return sample_latents(COUNT, LATENT_DIM, seed=7)


def test_shape_and_type(latents):
    assert latents.shape == (COUNT, LATENT_DIM)
    assert latents.dtype == np.float32


@pytest.mark.parametrize("truncation", [1.0, 0.5, 0.02])
def test_no_value_lies_beyond_two_truncations(truncation):
    latents = sample_latents(COUNT, LATENT_DIM, truncation, seed=1)
    assert 1.9 * truncation < np.abs(latents).max() <= 2.0 * truncation


def test_moments_are_those_of_the_truncated_normal(latents):
    draws = latents.size
    assert abs(latents.mean()) < 4 * LAW.std() / np.sqrt(draws)
    assert latents.var() == pytest.approx(LAW.var(), rel=0.02)
    assert (latents**4).mean() == pytest.approx(LAW.moment(4), rel=0.04)


def test_distribution_is_truncated_normal_and_not_uniform(latents):
    values = latents.ravel()
    assert stats.kstest(values, LAW.cdf).pvalue > 1e-3
    assert stats.kstest(values, stats.uniform(-2.0, 4.0).cdf).pvalue < 1e-9


def test_columns_are_independent(latents):
    correlation = np.corrcoef(latents, rowvar=False) - np.eye(LATENT_DIM)
    assert np.abs(correlation).max() < 5 / np.sqrt(COUNT)


def test_truncation_scales_the_same_draw(latents):
    np.testing.assert_allclose(
        sample_latents(COUNT, LATENT_DIM, 0.5, seed=7), 0.5 * latents, rtol=1e-6
    )


def test_same_seed_same_latents(latents):
    np.testing.assert_array_equal(sample_latents(COUNT, LATENT_DIM, seed=7), latents)


def test_other_seed_other_latents(latents):
    other = sample_latents(COUNT, LATENT_DIM, seed=8)
    assert abs(np.corrcoef(other.ravel(), latents.ravel())[0, 1]) < 0.02


def test_global_seed_does_not_matter(latents):
    tf.random.set_seed(123)
    np.testing.assert_array_equal(sample_latents(COUNT, LATENT_DIM, seed=7), latents)


def test_graph_draws_the_same_latents_as_eager_code():
    drawn = tf.function(lambda seed: truncated_normal((5, 3), seed, 0.5))(tf.constant([3, 1]))
    np.testing.assert_array_equal(drawn, truncated_normal((5, 3), (3, 1), 0.5))
