"""Inception v3 (arXiv:1512.00567) with the ImageNet weights that Keras downloads, for `FeatureExtractor`.

Another network than TF-GAN's Inception, with other features: distances of the two can't be compared.
"""

import http.client
import os
from pathlib import Path

import keras
import tensorflow as tf

from ...errors import UnusableFileError
from ...files import content_hash
from ...teachers.download import stalled_connections_fail
from ...teachers.module_graph import outside
from .classifiers import Classifier

NAME = "keras_inception_v3"
INPUT_SIZE = 299
WEIGHTS_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
WEIGHTS_HOST = "storage.googleapis.com"
_WEIGHTS_URL = f"https://{WEIGHTS_HOST}/tensorflow/keras-applications/inception_v3/{WEIGHTS_FILE}"
# Keras raises a bare Exception or a ValueError for these two.
_DOWNLOAD_PROBLEMS = ("URL fetch failure", "Incomplete or corrupted file")


def load_keras_inception_v3(weights="imagenet") -> Classifier:
    """`keras.applications.InceptionV3`: its global average pool and its logits before the softmax.

    `weights` is "imagenet", which Keras downloads once (92 MB); None gives random ones, for tests.
    """
    model = outside(_build, weights)

    @tf.function(autograph=False)
    def classify(images):
        outputs = model(images, training=False)
        return outputs["features"], outputs["logits"]

    widths = (model.output[name].shape[-1] for name in ("features", "logits"))
    return Classifier(classify, INPUT_SIZE, *widths, _hash(model), NAME, owner=model)


def _build(weights):
    """The network, built in a thread of its own by `outside`: policies are kept per thread."""
    keras.config.set_dtype_policy("float32")  # the caller's may be half precision
    try:
        with stalled_connections_fail():
            inception = keras.applications.InceptionV3(weights=weights, classifier_activation=None)
    except Exception as error:
        failed = isinstance(error, (OSError, http.client.HTTPException))
        if not failed and not str(error).startswith(_DOWNLOAD_PROBLEMS):
            raise
        raise UnusableFileError(_how_to_place_the_weights(error)) from error
    pool = inception.get_layer("avg_pool").output
    return keras.Model(inception.input, {"features": pool, "logits": inception.output})


def _hash(model) -> str:
    # Without names: Keras numbers layers, and the numbers depend on what was built before.
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    return content_hash("keras.applications.InceptionV3", *weights)


def _how_to_place_the_weights(error) -> str:
    home = os.environ.get("KERAS_HOME")
    setting = f"is {home}" if home else "is not set, so ~/.keras is used"
    folder = Path(home or Path.home() / ".keras", "models")
    return (
        f"Got no weights for {NAME}: {type(error).__name__}: {error}\n"
        f"Expected an answer from {WEIGHTS_HOST}, or an intact copy in Keras' cache; KERAS_HOME {setting}.\n"
        f"To place a copy by hand, download {_WEIGHTS_URL} on any machine and put it into {folder} under its "
        f"own name, {WEIGHTS_FILE}. Keras checks its MD5 and downloads it again if it differs."
    )
