"""The law of z: a standard normal cut off at two standard deviations, times the truncation.

This is DeepMind's recipe for BigGAN, `z = truncation * TN[-2, 2]`, and the paper's for fresh latents.
(An earlier program drew them from a uniform law by mistake; a test rules that out.)
"""

import numpy as np
import tensorflow as tf


def truncated_normal(shape, seed, truncation=1.0):
    """Draws latents as a TensorFlow tensor, a pure function of its arguments.

    Args:
        shape: For example `(batch, latent_dim)`.
        seed: Two integers (or an int `[2]` tensor); the same seed gives the same latents.
        truncation: Scalar in (0, 1]; the latents lie in [-2 * truncation, 2 * truncation].

    Returns:
        Float32 tensor of that shape.
    """
    return truncation * tf.random.stateless_truncated_normal(shape, seed, alg="philox")


def sample_latents(count: int, latent_dim: int, truncation=1.0, seed=0) -> np.ndarray:
    """Draws latents `[count, latent_dim]` as a NumPy array; see `truncated_normal`."""
    return truncated_normal((count, latent_dim), (seed, 0), truncation).numpy()
