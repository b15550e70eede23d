"""Writes tiny BigGAN look-alikes in the two formats that TensorFlow Hub loads.

All modules of this file draw with the same numbers, so they agree on every image once warm:

    write_tf1_module(design="stateless")  like DeepMind's `/2`: statistics are a function of truncation
    write_tf1_module(design="stateful")   like `/1`: the first call after a new truncation is wrong
    write_tf1_module(design="branching")  statistics come out of a branch: can't be purified
    write_tf2_module()                    a SavedModel as TensorFlow 2 writes it

Like the originals, the TF1 modules carry raw weights beside the moving averages that the graph reads.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

tf1 = tf.compat.v1

LATENT_DIM = 8
NUM_CLASSES = 12
IMAGE_SIZE = 16
CHANNELS = 6
EMBEDDING_DIM = 4
STATISTICS_ROWS = 11

_CONDITION_DIM = LATENT_DIM + EMBEDDING_DIM
_BLOCKS = ("GBlock", "GBlock_1")
_NORMS = tuple(f"{block}/BatchNorm" for block in _BLOCKS) + ("BatchNorm",)
_KERNELS = {
    "linear/w": (NUM_CLASSES, EMBEDDING_DIM),
    "GenZ/G_linear/w": (_CONDITION_DIM, 16 * CHANNELS),
    **{f"{block}/conv0/w": (3, 3, CHANNELS, CHANNELS) for block in _BLOCKS},
    **{f"{block}/BatchNorm/scale/w": (_CONDITION_DIM, CHANNELS) for block in _BLOCKS},
    "attention/theta/w": (1, 1, CHANNELS, CHANNELS // 2),
    "attention/phi/w": (1, 1, CHANNELS, CHANNELS // 2),
    "attention/g/w": (1, 1, CHANNELS, CHANNELS),
    "conv_to_rgb/w": (3, 3, CHANNELS, 3),
}

PARAMETERS = sum(int(np.prod(shape)) for shape in _KERNELS.values())
"""What an honest count of this generator gives: the kernels, once."""


def latents_and_labels(count=4, seed=0):
    """Float32 `[count, LATENT_DIM]` and int32 `[count]`, as NumPy arrays."""
    random = np.random.default_rng(seed)
    latents = 0.5 * np.clip(random.standard_normal((count, LATENT_DIM)), -2, 2)
    return latents.astype("float32"), random.integers(0, NUM_CLASSES, count, "int32")


def write_tf1_module(folder, design="stateless", signature="default", output="default"):
    """Writes a module in TF1 Hub format and returns its folder as a string.

    Args:
        folder: Where to; created if needed.
        design: `"stateless"`, `"stateful"` or `"branching"`, see the top of this file.
        signature: Name of the only signature.
        output: Name of the signature's only output.
    """
    folder = Path(folder)
    (folder / "variables").mkdir(parents=True)
    # The originals date from 2018: their conditionals are Switch and Merge nodes, not functions.
    had_functional_control_flow = tf1.control_flow_v2_enabled()
    tf1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
            inputs, images = _tf1_graph(design)
            meta_graph = tf1.train.export_meta_graph(strip_default_attrs=True)
            meta_graph.signature_def[signature].CopyFrom(
                tf1.saved_model.signature_def_utils.predict_signature_def(inputs, {output: images})
            )
            saver = tf1.train.Saver(sharded=True)  # made after the export: a hub module has none
            with tf1.Session(graph=graph) as session:
                session.run(tf1.global_variables_initializer())
                prefix = str(folder / "variables" / "variables")
                saver.save(session, prefix, write_meta_graph=False, write_state=False)
    finally:
        if had_functional_control_flow:
            tf1.enable_control_flow_v2()
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.append(meta_graph)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef{format: FORMAT_V3}
    return str(folder)


def write_tf2_module(folder, generate=None, state=None, specs=None, signature="default"):
    """Writes the twin of `write_tf1_module` as a TF2 SavedModel; returns its folder as a string.

    Args:
        folder: Where to; created if needed.
        generate: Function that replaces the generator, for modules that are wrong on purpose.
        state: Variable that `generate` uses.
        specs: Replaces input specs by name; a None leaves that input out.
        signature: Name of the only signature.
    """
    generator = _TF2Generator()
    generator.state = state
    inputs = {
        "z": tf.TensorSpec([None, LATENT_DIM], tf.float32, "z"),
        "y": tf.TensorSpec([None, NUM_CLASSES], tf.float32, "y"),
        "truncation": tf.TensorSpec([], tf.float32, "truncation"),
        **(specs or {}),
    }
    inputs = {name: spec for name, spec in inputs.items() if spec is not None}
    function = tf.function(generate or generator.generate, autograph=False)
    signatures = {signature: function.get_concrete_function(**inputs)}
    tf.saved_model.save(generator, str(folder), signatures=signatures)
    return str(folder)


class _TF2Generator(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = {
            name.replace("/", "."): tf.Variable(_kernel(name), name=name) for name in _KERNELS
        }
        self.power_vectors = {
            name.replace("/", "."): tf.Variable(_power_vector(name), trainable=False)
            for name in _KERNELS
        }
        self.ignored = tf.Variable(tf.ones([1000]), name="ignored_by_the_output")

    def generate(self, z, y, truncation):
        def kernel(name):
            name = name.replace("/", ".")
            return _spectral_norm(self.weights[name], self.power_vectors[name])

        def statistics(name):
            return _interpolated_statistics(name, truncation)

        return {"default": _generate(z, y, kernel, statistics)}


def _tf1_graph(design):
    z = tf1.placeholder(tf.float32, [None, LATENT_DIM], "z")
    y = tf1.placeholder(tf.float32, [None, NUM_CLASSES], "y")
    truncation = tf1.placeholder(tf.float32, [], "truncation")

    def variable(name, value, trainable=False):
        value = np.asarray(value, "float32")
        initializer = tf1.constant_initializer(value)
        return tf1.get_variable(name, value.shape, initializer=initializer, trainable=trainable)

    def kernel(name):
        variable(name, np.zeros_like(_kernel(name)), trainable=True)
        average = variable(f"{name}/ema_0.9999", _kernel(name))
        power_vector = variable(f"{name.removesuffix('/w')}/u0", _power_vector(name))
        return _spectral_norm(average, power_vector)

    def statistics(name):
        return _interpolated_statistics(name, truncation)

    if design == "stateless":
        return {"z": z, "y": y, "truncation": truncation}, _generate(z, y, kernel, statistics)

    previous = variable("prev_truncation", -1.0)
    stored = [variable(f"{name}/accumulated_mean", np.zeros(CHANNELS)) for name in _NORMS]
    stored += [variable(f"{name}/accumulated_var", np.ones(CHANNELS)) for name in _NORMS]
    fresh = [statistics(name)[i] for i in (0, 1) for name in _NORMS]
    before = [table.read_value() for table in stored]

    def update():
        with tf.control_dependencies([previous.assign(truncation)]):
            return [table.assign(value) for table, value in zip(stored, fresh, strict=True)]

    # Reading first and rewriting afterwards is what makes the first call of the originals wrong.
    with tf.control_dependencies(before):
        changed = tf.not_equal(previous, truncation)
        after = tf1.cond(changed, update, lambda: [table.read_value() for table in stored])
    values = after if design == "branching" else before
    used = {name: (values[i], values[i + len(_NORMS)]) for i, name in enumerate(_NORMS)}
    images = _generate(z, y, kernel, used.__getitem__)
    with tf.control_dependencies(after):
        images = tf.identity(images, name="G_trunc_output")
    return {"z": z, "y": y, "truncation": truncation}, images


def _generate(z, y, kernel, statistics):
    """The generator itself. `kernel(name)` and `statistics(name)` hand over tensors."""
    condition = tf.concat([z, tf.matmul(y, kernel("linear/w"))], axis=1)
    features = tf.matmul(condition, kernel("GenZ/G_linear/w"))
    features = tf.reshape(features, [-1, 4, 4, CHANNELS])
    for block in _BLOCKS:
        scale = 1.0 + tf.matmul(condition, kernel(f"{block}/BatchNorm/scale/w"))
        residual = _normalize(features, *statistics(f"{block}/BatchNorm"))
        residual = _upsample(tf.nn.relu(residual * scale[:, None, None, :]))
        features = _upsample(features) + _convolve(residual, kernel(f"{block}/conv0/w"))
        if features.shape[1] == 8:
            features = _attend(features, kernel)
    features = tf.nn.relu(_normalize(features, *statistics("BatchNorm")))
    return tf.tanh(_convolve(features, kernel("conv_to_rgb/w")))


def _attend(features, kernel):
    _, height, width, channels = features.shape

    def flat(name):
        projected = _convolve(features, kernel(f"attention/{name}/w"))
        return tf.reshape(projected, [-1, height * width, projected.shape[-1]])

    weights = tf.nn.softmax(tf.matmul(flat("theta"), flat("phi"), transpose_b=True))
    attended = tf.matmul(weights, flat("g"))
    return features + 0.5 * tf.reshape(attended, [-1, height, width, channels])


def _convolve(features, kernel):
    return tf.nn.conv2d(features, kernel, 1, "SAME")


def _upsample(features):
    _, height, width, _ = features.shape
    return tf.image.resize(features, [2 * height, 2 * width], method="nearest")


def _normalize(features, mean, variance):
    return (features - mean) * tf.math.rsqrt(variance + 1e-4)


def _spectral_norm(kernel, power_vector):
    matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
    left = tf.nn.l2_normalize(tf.matmul(power_vector, matrix, transpose_b=True))
    right = tf.nn.l2_normalize(tf.matmul(left, matrix))
    return kernel / tf.reduce_sum(tf.matmul(left, matrix) * right)


def _interpolated_statistics(name, truncation):
    """Mean and variance `[CHANNELS]`, linear between the rows of a table over truncation [0, 1]."""
    random = _random(f"{name}/statistics")
    rows = np.linspace(0.0, 1.0, STATISTICS_ROWS)[:, None]
    means = 0.3 * rows * random.standard_normal(CHANNELS)
    variances = (0.2 + rows) * random.uniform(0.5, 1.5, CHANNELS)
    position = truncation * (STATISTICS_ROWS - 1)
    weights = tf.maximum(0.0, 1.0 - tf.abs(tf.range(float(STATISTICS_ROWS)) - position))
    return tuple(
        tf.linalg.matvec(tf.constant(table, tf.float32), weights, transpose_a=True)
        for table in (means, variances)
    )


def _kernel(name):
    return _random(name).standard_normal(_KERNELS[name]).astype("float32")


def _power_vector(name):
    return _random(f"{name}/u0").standard_normal((1, _KERNELS[name][-1])).astype("float32")


def _random(name):
    return np.random.default_rng(list(name.encode()))
