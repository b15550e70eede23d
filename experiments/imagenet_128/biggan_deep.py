"""BigGAN-deep as a pure function of arrays: sizes, random weights, and measured batch-norm statistics.

Scope: what `make_stand_in.py` writes to disk. A generator that one can train is
`tinygan_keras.teachers.biggan`.

At 128 px this is Table 8 of Brock et al. (arXiv:1809.11096): pairs of bottleneck blocks (1x1, 3x3, 3x3, 1x1,
each behind a class-conditional batch norm of all latents and the class embedding), shortcuts that drop
channels and repeat pixels, attention at half the image's side, spectral normalisation, batch-norm statistics
for 51 truncations. It has 50,388,609 parameters; the publisher states 50.39 million.

An image takes 11.3 billion multiply-adds. 2.4 of them are filters of the last convolution whose result
is dropped (the original has as many as channels, and the stated count needs them), 0.7 are the two
products inside the attention; what is left is the 8.3 billion of Chang & Lu's table.

The smaller images take the widths of https://github.com/ajbrock/BigGAN-PyTorch at these sizes.
"""

import itertools
import math

import numpy as np
import tensorflow as tf

WIDTHS = {  # feature maps at 4x4 and after each doubling, in units of `channels`
    128: (16, 16, 8, 4, 2, 1),
    64: (16, 16, 8, 4, 2),
    32: (4, 4, 4, 4),
}
CHANNELS = {128: 128, 64: 64, 32: 64}
EMBEDDING_DIM = 128
STATISTICS_ROWS = 51  # truncation 0, 0.02, ..., 1
MEASURED_ROWS = (0, 25, 50)  # the others lie on lines between them
MEASURED_IMAGES = 16
BOTTLENECK = 4


class Generator:
    """BigGAN-deep as a pure function, its weights and statistics as arrays."""

    def __init__(self, image_size=128, num_classes=1000, channels=None, latent_dim=128):
        channels = channels or CHANNELS[image_size]
        widths = [width * channels for width in WIDTHS[image_size]]
        self.image_size, self.num_classes, self.latent_dim = image_size, num_classes, latent_dim
        self.attention_size = image_size // 2
        self.blocks = []  # (name, channels in, channels out, doubles the side)
        for width, following in itertools.pairwise(widths):
            for outputs, doubles in ((width, False), (following, True)):
                number = f"_{len(self.blocks)}" if self.blocks else ""
                self.blocks.append((f"Generator/GBlock{number}", width, outputs, doubles))
        self.first_width, self.last_width = widths[0], widths[-1]
        self.weights, self.power_vectors = {}, {}
        self.statistics = {}  # name of a batch norm: mean and variance [51, C]

    def initialize(self, seed):
        """Draws the weights, 200 MB of them in the published design."""
        random = np.random.default_rng(seed)
        self.weights = {
            name: _initial_weight(name, shape, random) for name, shape in self.shapes().items()
        }
        self.power_vectors = {
            f"{name.removesuffix('/w')}/u0": _power_vector(weight, random)
            for name, weight in self.weights.items()
            if name.endswith("/w") and name != "linear/w"
        }

    def shapes(self) -> dict:
        """Shape of every parameter by its name in the original."""
        condition = self.latent_dim + EMBEDDING_DIM
        shapes = {"linear/w": (self.num_classes, EMBEDDING_DIM)}
        shapes["Generator/GenZ/G_linear/w"] = (condition, 16 * self.first_width)
        shapes["Generator/GenZ/G_linear/b"] = (16 * self.first_width,)
        for block, inputs, outputs, _ in self.blocks:
            hidden = max(1, inputs // BOTTLENECK)
            edges = (inputs, hidden, hidden, hidden, outputs)
            for index, size in enumerate((1, 3, 3, 1)):
                shapes[f"{block}/conv{index}/w"] = (size, size, edges[index], edges[index + 1])
                shapes[f"{block}/conv{index}/b"] = (edges[index + 1],)
                norm = f"{block}/BatchNorm{f'_{index}' if index else ''}"
                shapes[f"{norm}/scale/w"] = shapes[f"{norm}/offset/w"] = (condition, edges[index])
        attended = self.blocks[-2][1]  # the width of the last but one resolution
        narrow, half = max(1, attended // 8), max(1, attended // 2)
        for name, inputs, outputs in (
            ("theta", attended, narrow),
            ("phi", attended, narrow),
            ("g", attended, half),
            ("o_conv", half, attended),
        ):
            shapes[f"Generator/attention/{name}/w"] = (1, 1, inputs, outputs)
        shapes["Generator/attention/gamma"] = ()
        shapes["Generator/BatchNorm/scale"] = shapes["Generator/BatchNorm/offset"] = (
            self.last_width,
        )
        # As many filters as channels, of which three are used: so the original, and its count.
        shapes["Generator/conv_to_rgb/w"] = (3, 3, self.last_width, max(3, self.last_width))
        shapes["Generator/conv_to_rgb/b"] = (max(3, self.last_width),)
        return shapes

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes().values())

    def images(self, z, y, weight, normalize):
        """The generator itself.

        Args:
            z: Float `[B, latent_dim]`.
            y: Float one-hot `[B, num_classes]`.
            weight: Function of a name; returns the tensor, spectrally normalised.
            normalize: Function of features and the name of a batch norm; returns them whitened.
        """
        condition = tf.concat([z, tf.matmul(y, weight("linear/w"))], axis=1)

        def conditional(features, norm):
            scale = 1.0 + tf.matmul(condition, weight(f"{norm}/scale/w"))
            offset = tf.matmul(condition, weight(f"{norm}/offset/w"))
            features = normalize(features, norm) * scale[:, None, None] + offset[:, None, None]
            return tf.nn.relu(features)

        name = "Generator/GenZ/G_linear"
        features = tf.matmul(condition, weight(f"{name}/w")) + weight(f"{name}/b")
        features = tf.reshape(features, [-1, 4, 4, self.first_width])
        for block, _, outputs, doubles in self.blocks:
            residual = features
            for index in range(4):
                residual = conditional(residual, f"{block}/BatchNorm{f'_{index}' if index else ''}")
                if doubles and index == 1:
                    residual = _repeat_pixels(residual)
                residual = _convolve(residual, f"{block}/conv{index}", weight)
            shortcut = features[..., :outputs]
            features = residual + (_repeat_pixels(shortcut) if doubles else shortcut)
            if doubles and features.shape[1] == self.attention_size:
                features = _attend(features, weight)
        scale, offset = (weight(f"Generator/BatchNorm/{part}") for part in ("scale", "offset"))
        features = tf.nn.relu(normalize(features, "Generator/BatchNorm") * scale + offset)
        return tf.tanh(_convolve(features, "Generator/conv_to_rgb", weight)[..., :3])

    def measure_statistics(self):
        """Fills `statistics` from batches at a few truncations, as standing statistics are measured."""
        cache = {}

        def weight(name):
            if name not in cache:
                cache[name] = self._normalized(name)
            return cache[name]

        measured = {}

        def by_batch(features, norm):
            mean, variance = tf.nn.moments(features, (0, 1, 2))
            measured.setdefault(norm, []).append((mean.numpy(), variance.numpy()))
            return whiten(features, mean, variance)

        y = tf.one_hot(np.arange(MEASURED_IMAGES) * 7 % self.num_classes, self.num_classes)
        for row in MEASURED_ROWS:
            shape = (MEASURED_IMAGES, self.latent_dim)
            z = tf.random.stateless_truncated_normal(shape, (row, 0), alg="philox")
            self.images(z * row / (STATISTICS_ROWS - 1), y, weight, by_batch)
        rows = np.arange(STATISTICS_ROWS)
        for norm, points in measured.items():
            tables = [np.stack(column) for column in zip(*points, strict=True)]
            self.statistics[norm] = tuple(
                np.stack([np.interp(rows, MEASURED_ROWS, channel) for channel in table.T], axis=1)
                for table in tables
            )

    def _normalized(self, name):
        kernel = tf.constant(self.weights[name])
        vector = self.power_vectors.get(f"{name.removesuffix('/w')}/u0")
        return kernel if vector is None else spectral_norm(kernel, tf.constant(vector))


def _initial_weight(name, shape, random):
    if name.endswith("/w"):
        return random.standard_normal(shape, "float32")
    started_at_zero = name.endswith(("/b", "/offset"))
    return np.full(shape, 0.0 if started_at_zero else 1.0, "float32")


def _power_vector(kernel, random):
    """A vector near the largest singular one, as training would have left it."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    vector = random.standard_normal((1, matrix.shape[1]), "float32")
    for _ in range(4):
        vector = vector @ matrix.T @ matrix
        vector /= np.linalg.norm(vector)
    return vector


def spectral_norm(kernel, vector):
    matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
    left = tf.nn.l2_normalize(tf.matmul(vector, matrix, transpose_b=True))
    right = tf.nn.l2_normalize(tf.matmul(left, matrix))
    return kernel / tf.reduce_sum(tf.matmul(left, matrix) * right)


def whiten(features, mean, variance):
    return (features - mean) * tf.math.rsqrt(variance + 1e-4)


def _repeat_pixels(features):
    _, height, width, _ = features.shape
    return tf.image.resize(features, [2 * height, 2 * width], method="nearest")


def _convolve(features, name, weight):
    return tf.nn.conv2d(features, weight(f"{name}/w"), 1, "SAME") + weight(f"{name}/b")


def _attend(features, weight):
    _, height, width, _ = features.shape
    name = "Generator/attention"

    def projected(part, pooled):
        values = tf.nn.conv2d(features, weight(f"{name}/{part}/w"), 1, "SAME")
        values = tf.nn.max_pool2d(values, 2, 2, "SAME") if pooled else values
        return tf.reshape(values, [-1, values.shape[1] * values.shape[2], values.shape[3]])

    scores = tf.matmul(projected("theta", False), projected("phi", True), transpose_b=True)
    attended = tf.matmul(tf.nn.softmax(scores), projected("g", True))
    attended = tf.reshape(attended, [-1, height, width, attended.shape[-1]])
    attended = tf.nn.conv2d(attended, weight(f"{name}/o_conv/w"), 1, "SAME")
    return features + weight(f"{name}/gamma") * attended
