"""BigGAN-deep, the network of DeepMind's modules, as a pure function of arrays, and its TF1 Hub module.

Scope: sizes and names of the parameters, the images, and the folder that `HubTeacher` loads.
`import_weights.py` fills it. It can't be trained: `biggan.py` can.

At 128 px this is Table 8 of Brock et al. (arXiv:1809.11096), at 256 and 512 px Tables 9 and 10: pairs of
bottleneck blocks (1x1, 3x3, 3x3, 1x1, each behind a class-conditional batch norm of all latents and the
class embedding), shortcuts that drop channels and repeat pixels, attention at 64 px, spectral normalisation,
batch-norm statistics for 51 truncations. It has 50,388,609 parameters at 128 px; the publisher states
50.39 million.

An image of 128 px takes 11.3 billion multiply-adds. 2.4 of them are filters of the last convolution whose
result is dropped (the original has as many as channels, and the stated count needs them), 0.7 are the two
products inside the attention; what is left is the 8.3 billion of Chang & Lu's table.

The smaller images take the widths of https://github.com/ajbrock/BigGAN-PyTorch at these sizes.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ..errors import InputError
from ..files import new_folder

tf1 = tf.compat.v1

WIDTHS = {  # feature maps at 4x4 and after each doubling, in units of `channels`
    512: (16, 16, 8, 8, 4, 2, 1, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    64: (16, 16, 8, 4, 2),
    32: (4, 4, 4, 4),
}
CHANNELS = {512: 128, 256: 128, 128: 128, 64: 64, 32: 64}
ATTENTION_SIZE = 64  # at most half of the image
STATISTICS_ROWS = 51  # truncation 0, 0.02, ..., 1
BOTTLENECK = 4
AVERAGED = "ema_0.9999"


class BigGANDeep:
    """BigGAN-deep as a pure function of `weights` (see `shapes()`), `power_vectors` and `statistics`.

    A kernel without a power vector is taken as it is, without spectral normalisation; a batch norm's
    statistics are its mean and variance `[51, C]`.

    Args:
        image_size: 32, 64, 128, 256 or 512.
        num_classes: Number of classes.
        channels: Width of the narrowest feature map; None for that of the published design.
        latent_dim: Length of z.
        embedding_dim: Length of the class embedding.

    Raises:
        InputError: there is no design for that size.
    """

    def __init__(
        self, image_size=128, num_classes=1000, channels=None, latent_dim=128, embedding_dim=128
    ):
        if image_size not in WIDTHS:
            raise InputError(
                f"Got image_size={image_size}. Expected one of {sorted(WIDTHS)}. Choose one."
            )
        self.embedding_dim = embedding_dim
        channels = channels or CHANNELS[image_size]
        widths = [width * channels for width in WIDTHS[image_size]]
        self.image_size, self.num_classes, self.latent_dim = image_size, num_classes, latent_dim
        self.attention_size = min(ATTENTION_SIZE, image_size // 2)
        self.blocks = []  # (name, channels in, channels out, doubles the side)
        for width, following in itertools.pairwise(widths):
            for outputs, doubles in ((width, False), (following, True)):
                number = f"_{len(self.blocks)}" if self.blocks else ""
                self.blocks.append((f"Generator/GBlock{number}", width, outputs, doubles))
        self.first_width, self.last_width = widths[0], widths[-1]
        self.attended_width = widths[(self.attention_size // 4).bit_length() - 1]
        self.weights, self.power_vectors, self.statistics = {}, {}, {}

    def shapes(self) -> dict:
        """Shape of every parameter by its name in the original."""
        condition = self.latent_dim + self.embedding_dim
        shapes = {"linear/w": (self.num_classes, self.embedding_dim)}
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
        attended = self.attended_width
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


def write_hub_module(generator: BigGANDeep, path) -> Path:
    """Writes the TF1 Hub format: a meta graph with one signature, a checkpoint beside it, and a marker.

    Variables have the names of the original, and lie there twice, raw and averaged.
    """
    with new_folder(path) as folder:
        _write_module(generator, folder)
    return Path(path)


def _write_module(generator, folder):
    (folder / "variables").mkdir(parents=True)
    values = {}  # variable to array; fed, because constants of 400 MB don't fit into a graph

    def variable(name, value, trainable=False):
        value = np.asarray(value, "float32")
        made = tf1.get_variable(
            name, value.shape, initializer=tf1.zeros_initializer(), trainable=trainable
        )
        values[made] = value
        return made

    tensors = {}

    def weight(name):
        if name not in tensors:
            value = generator.weights[name]
            # Nothing reads the raw copy. It is zero, so that whoever does read it will notice.
            variable(name, np.zeros_like(value), trainable=True)
            tensor = variable(f"{name}/{AVERAGED}", value)
            vector = f"{name.removesuffix('/w')}/u0"
            if vector in generator.power_vectors:
                tensor = spectral_norm(tensor, variable(vector, generator.power_vectors[vector]))
            tensors[name] = tf.identity(tensor)
        return tensors[name]

    with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
        z = tf1.placeholder(tf.float32, [None, generator.latent_dim], "z")
        y = tf1.placeholder(tf.float32, [None, generator.num_classes], "y")
        truncation = tf1.placeholder(tf.float32, [], "truncation")
        position = truncation * (STATISTICS_ROWS - 1)
        # Two neighbouring rows share the weight.
        shares = tf.maximum(0.0, 1.0 - tf.abs(tf.range(float(STATISTICS_ROWS)) - position))

        def normalize(features, norm):
            statistics = (
                tf.linalg.matvec(variable(f"{norm}/{part}_table", table), shares, transpose_a=True)
                for part, table in zip(
                    ("mean", "variance"), generator.statistics[norm], strict=True
                )
            )
            return whiten(features, *statistics)

        images = generator.images(z, y, weight, normalize)
        meta_graph = tf1.train.export_meta_graph(strip_default_attrs=True)
        meta_graph.signature_def["default"].CopyFrom(
            tf1.saved_model.signature_def_utils.predict_signature_def(
                {"z": z, "y": y, "truncation": truncation}, {"default": images}
            )
        )
        saver = tf1.train.Saver(sharded=True)  # made after the export: a hub module has none
        with tf1.Session(graph=graph) as session:
            feeds = {made.initializer.inputs[1]: value for made, value in values.items()}
            initializers = [made.initializer for made in values]
            session.run(initializers, feeds)  # in one call: each costs a second
            prefix = str(folder / "variables" / "variables")
            saver.save(session, prefix, write_meta_graph=False, write_state=False)
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.append(meta_graph)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef{format: FORMAT_V3}
