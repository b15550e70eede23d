"""Latents: standard normal numbers cut off at two standard deviations, times the truncation.

This is DeepMind's distribution for BigGAN, `z = truncation * TN[-2, 2]`, and the paper's for fresh latents.

There is one rule for pictures: the latents of a picture are a function of its seed, their length and the
truncation, wherever it is generated (command line, data set, cache, SavedModel, server, small runtime). The
rule is written twice, in NumPy (`latents_of_seeds`) and in TensorFlow (`latents_in_graph`), and needs
nothing but 32-bit integers, a logarithm and a polynomial, so that other languages can repeat it:

1. The words x_0, x_1 of Threefry-2x32 with 20 rounds, for the key (seed >> 32, seed mod 2**32) and the
   counter (i, 0). Number i takes x_0.
2. u = (2 * (x_0 >> 9) + 1) / 2**24, a float32 in (0, 1).
3. z_i = truncation * sqrt(2) * erfinv((2 u - 1) * erf(sqrt(2))), the inverse of the distribution function,
   with Giles' polynomial for erfinv, exact to float32 in this range.

Latents inside training (fresh z', those of a live teacher) are a stream keyed by seed and step instead:
`truncated_normal`.

Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011 (Threefry); Giles,
"Approximating the erfinv function", 2010.
"""

import math

import numpy as np

from .errors import InputError

DEFAULT_TRUNCATION = 0.5  # the paper's, where neither the user nor the generator says one
LAW = (
    "truncation * normal cut off at 2 standard deviations, a function of the picture's seed "
    "(Threefry-2x32, inverse distribution function)"
)
MAX_SEED = 2**63 - 1

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ERF_OF_CUT = math.erf(math.sqrt(2.0))  # the cut is at two standard deviations
# Giles' coefficients, from the highest power of (w - 2.5) down, where w = -log(1 - x**2) < 5.
_ERFINV = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)


def latents_of_seeds(seeds, latent_dim: int, truncation=1.0) -> np.ndarray:
    """The latents of pictures, a row per seed.

    Args:
        seeds: Int `[N]`, each from 0 to 2**63 - 1.
        latent_dim: Length Z of a latent vector.
        truncation: Scalar in [0, 1], or float `[N]`; the latents lie in [-2 * truncation, 2 * truncation].

    Returns:
        Float32 `[N, Z]`.

    Example:
        >>> latents_of_seeds([0, 1], 4).shape
        (2, 4)
    """
    seeds = check_seeds(seeds).astype("uint64")
    truncation = np.broadcast_to(np.asarray(truncation, "float32"), seeds.shape)
    key = ((seeds >> 32).astype("uint32")[:, None], seeds.astype("uint32")[:, None])
    counter = np.arange(latent_dim, dtype="uint32")[None]
    with np.errstate(over="ignore"):
        words = _threefry(key, (counter, np.zeros_like(counter)), np.uint32, np)
    uniform = ((words >> np.uint32(9)) * np.uint32(2) + np.uint32(1)).astype("float32") / 2**24
    return truncation[:, None] * _normal(uniform, np.log, np.float32)


def latents_in_graph(seeds, latent_dim: int, truncation):
    """`latents_of_seeds` in TensorFlow, for exported graphs; equal to about 1e-6."""
    import tensorflow as tf

    seeds = tf.cast(seeds, tf.int64)
    low = tf.bitwise.bitwise_and(seeds, tf.constant(0xFFFFFFFF, tf.int64))
    high = tf.bitwise.right_shift(seeds, tf.constant(32, tf.int64))
    key = (tf.cast(high, tf.uint32)[:, None], tf.cast(low, tf.uint32)[:, None])
    counter = tf.cast(tf.range(latent_dim, dtype=tf.int32)[None], tf.uint32)
    counters = (counter, tf.zeros_like(counter))
    words = _threefry(key, counters, lambda n: tf.constant(n, tf.uint32), tf.bitwise)
    # 24 bits fit into int32 and float32 exactly; float32 has no cast from uint32 everywhere.
    level = tf.cast(tf.bitwise.right_shift(words, tf.constant(9, tf.uint32)), tf.int32) * 2 + 1
    uniform = tf.cast(level, tf.float32) / 2**24
    truncation = tf.broadcast_to(tf.cast(truncation, tf.float32), tf.shape(seeds))
    return truncation[:, None] * _normal(uniform, tf.math.log, lambda x: tf.constant(x, tf.float32))


def _threefry(key, counter, word, bits):
    """The first word of Threefry-2x32-20, by the operators that NumPy and TensorFlow share."""
    keys = (*key, key[0] ^ key[1] ^ word(_PARITY))
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = bits.left_shift(x1, word(rotation)) | bits.right_shift(x1, word(32 - rotation))
            x1 = x1 ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + word(group + 1)
    return x0


def _normal(uniform, log, number):
    x = (number(2.0) * uniform - number(1.0)) * number(_ERF_OF_CUT)
    w = -log((number(1.0) - x) * (number(1.0) + x)) - number(2.5)
    polynomial = number(_ERFINV[0])
    for coefficient in _ERFINV[1:]:
        polynomial = polynomial * w + number(coefficient)
    return number(math.sqrt(2.0)) * polynomial * x


def spherical(start, end, share) -> np.ndarray:
    """Latents float32 `[N, Z]` at a share `[N, 1]` of the great circles from `start` to `end`.

    Between nearly equal or opposite ones, and to zero, it is the straight line.

    Reference: Shoemake, Animating rotation with quaternion curves, 1985.
    """
    start, end = np.asarray(start, "float64"), np.asarray(end, "float64")
    norms = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
    cosine = np.sum(start * end, axis=1) / np.where(norms, norms, 1)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    sine = np.sin(angle)
    curved = (sine > 1e-4) & (norms > 0)[:, None]
    units = np.where(curved, sine, 1)
    before, after = (np.where(curved, np.sin(s * angle) / units, s) for s in (1 - share, share))
    return (before * start + after * end).astype("float32")


def check_seeds(seeds, count: int | None = None) -> np.ndarray:
    """Returns seeds as int64 `[N]`, given one per picture, or by an int to start from and `count`."""
    given = np.asarray(seeds)
    first = given.ndim == 0 and count is not None and np.issubdtype(given.dtype, np.integer)
    if first and int(given) + max(0, count - 1) <= MAX_SEED:
        given = int(given) + np.arange(count, dtype="int64")
    if given.size == 0:
        given = given.astype("int64")
    whole = given.ndim == 1 and np.issubdtype(given.dtype, np.integer)
    if not whole or (given.size and not 0 <= int(given.min()) <= int(given.max()) <= MAX_SEED):
        raise InputError(
            f"Got seeds={seeds!r}. Expected whole numbers from 0 to 2**63 - 1, or one to start from. Each "
            "picture has a seed of its own."
        )
    if count is not None and len(given) != count:
        raise InputError(
            f"Got {len(given)} seeds for {count} pictures. Expected one seed per picture, or a single "
            "number to start from."
        )
    return given.astype("int64")


def resolve_truncation(given, generator=None, default=DEFAULT_TRUNCATION) -> float:
    """The given truncation, else the generator's own (if it has one), else the default. 0 is 0."""
    own = getattr(generator, "truncation", None)
    truncation = next(value for value in (given, own, default) if value is not None)
    try:
        fits = 0.0 <= float(truncation) <= 1.0
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(
            f"Got truncation={truncation!r}. Expected a number from 0 (the mean latent) to 1 (the whole "
            "distribution)."
        )
    return float(truncation)


def truncated_normal(shape, seed, truncation=1.0):
    """A stream of latents for training, float32 of that shape, a pure function of two integers, the seed."""
    import tensorflow as tf

    return truncation * tf.random.stateless_truncated_normal(shape, seed, alg="philox")


def sample_latents(count: int, latent_dim: int, truncation=1.0, seed=0) -> np.ndarray:
    """Latents of `count` pictures with the seeds `seed`, `seed + 1`, ...

    Args:
        count: Number N of pictures.
        latent_dim: Length Z of a latent vector.
        truncation: Scalar in [0, 1], or float `[N]`; see `latents_of_seeds`.
        seed: Seed of the first picture, 0 or more.

    Returns:
        Float32 `[N, Z]`.

    Raises:
        InputError: a seed isn't from 0 to 2**63 - 1.
    """
    return latents_of_seeds(check_seeds(seed, count), latent_dim, truncation)
