"""Writes tiny classifiers in the forms in which feature extractors come.

write_colour_classifier()  a SavedModel with a signature; the form of the embedded classifier
write_inception()          the interface of TF-GAN's Inception, in each of the two formats of a Hub module
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

tf1 = tf.compat.v1

FEATURE_DIM, NUM_CLASSES = 2048, 1008


class ColourClassifier(tf.Module):
    """Features are the mean colour and a constant; logits are three times the features."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    def classify(self, images):
        colour = tf.reduce_mean(images, (1, 2))
        features = tf.concat([colour, tf.ones_like(colour[:, :1])], -1)
        return {"features": features, "logits": self.factor * features}


def write_colour_classifier(
    folder, size, signature="serving_default", names=None, dtype=tf.float32, batch=None
):
    """Writes a SavedModel with one signature and returns its folder.

    Args:
        folder: Where to; created if needed.
        size: Pixels per side, or None for any.
        signature: Name of the only signature.
        names: Output names by the classifier's own; those left out aren't written.
        dtype: Type of the images.
        batch: A fixed number of images, or None.
    """
    module = ColourClassifier()

    def function(images):
        result = module.classify(tf.cast(images, tf.float32))
        chosen = names or {name: name for name in result}
        return {new: result[name] for name, new in chosen.items()}

    spec = tf.TensorSpec((batch, size, size, 3), dtype, name="images")
    concrete = tf.function(function).get_concrete_function(images=spec)
    tf.saved_model.save(module, str(folder), signatures={signature: concrete})
    return Path(folder)


def inception_outputs(images):
    """What the look-alikes of `write_inception` make of float32 images `[B, S, S, 3]`, in NumPy.

    Features are a fixed mixture of the mean colour and of the first pixel; the latter shows how images
    were resized. Logits are twice the first features.
    """
    images = np.asarray(images, "float32")
    colours = np.concatenate([images.mean((1, 2)), images[:, 0, 0]], axis=1)
    features = np.tanh(colours @ _mixture())
    return features, 2 * features[:, :NUM_CLASSES]


def write_inception(folder, form="callable", feature_dim=FEATURE_DIM):
    """Writes a look-alike of TF-GAN's Inception and returns its folder.

    Args:
        folder: Where to; created if needed.
        form: "callable": a TF2 SavedModel without signatures that takes images of every shape, as
            TF-GAN's own tests write it; "tf1": TF1 Hub format with the signature `default`, images of
            299 pixels, and `pool_3` of shape `[B, 1, 1, 2048]`.
        feature_dim: Length of `pool_3`.
    """
    folder = Path(folder)
    if form == "callable":
        tf.saved_model.save(_CallableInception(feature_dim), str(folder), signatures={})
    else:
        _write_tf1_inception(folder, feature_dim)
    return folder


class _CallableInception(tf.Module):
    def __init__(self, feature_dim):
        super().__init__()
        self.mixture = tf.Variable(_mixture()[:, :feature_dim])

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def __call__(self, images):
        features = _features(images, self.mixture)
        return {"pool_3": features, "logits": 2 * features[:, :NUM_CLASSES]}


def _write_tf1_inception(folder, feature_dim):
    (folder / "variables").mkdir(parents=True)
    with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
        images = tf1.placeholder(tf.float32, [None, 299, 299, 3], "images")
        value = _mixture()[:, :feature_dim]
        mixture = tf1.get_variable(
            "mixture", value.shape, initializer=tf1.constant_initializer(value)
        )
        features = _features(images, mixture)
        outputs = {
            "default": features,
            "pool_3": features[:, None, None, :],
            "logits": 2 * features[:, :NUM_CLASSES],
        }
        meta_graph = tf1.train.export_meta_graph(strip_default_attrs=True)
        meta_graph.signature_def["default"].CopyFrom(
            tf1.saved_model.signature_def_utils.predict_signature_def({"images": images}, outputs)
        )
        saver = tf1.train.Saver(sharded=True)  # made after the export: a hub module has none
        with tf1.Session(graph=graph) as session:
            session.run(tf1.global_variables_initializer())
            prefix = str(folder / "variables" / "variables")
            saver.save(session, prefix, write_meta_graph=False, write_state=False)
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    saved_model.meta_graphs.append(meta_graph)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # ModuleDef{format: FORMAT_V3}


def _features(images, mixture):
    colours = tf.concat([tf.reduce_mean(images, (1, 2)), images[:, 0, 0]], axis=1)
    return tf.tanh(tf.matmul(colours, mixture))


def _mixture():
    return np.random.default_rng(0).standard_normal((6, FEATURE_DIM)).astype("float32")
