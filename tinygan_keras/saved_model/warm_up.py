"""Requests that TensorFlow Serving answers for itself before it lets a new version answer anybody.

The first call of a graph takes many times as long as the next ones. A version that can't answer these is
refused, and the one before goes on serving.
"""

import importlib.util
from pathlib import Path

import numpy as np
import tensorflow as tf

FILE = "assets.extra/tf_serving_warmup_requests"
BATCHES = (1, 8)
MISSING = (
    "without warm-up requests, as the package tensorflow-serving-api is missing: the first request after "
    'loading will be slow. To have them, pip install "tinygan-keras[serving]" and export again.'
)


def can_write() -> bool:
    """Whether TensorFlow Serving's messages are installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warm_up(folder, latent_dim: int, class_name: str):
    """Writes a request of 1 image and one of 8 for every signature of the SavedModel in `folder`."""
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

    file = Path(folder, FILE)
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as records:
        for count in BATCHES:
            for signature, inputs in requests(count, latent_dim, class_name).items():
                request = PredictRequest()
                request.model_spec.name = "tinygan"  # any: the server knows which model it loads
                request.model_spec.signature_name = signature
                for name, value in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                log = PredictionLog(predict_log=PredictLog(request=request))
                records.write(log.SerializeToString())


def requests(count, latent_dim, class_name) -> dict:
    """Inputs by name of a request of `count` images, by signature."""
    label = np.zeros(count, "int64")
    row = {"seed": np.arange(count, dtype="int64"), "truncation": np.full(count, 0.5, "float32")}
    return {
        "serving_default": {"z": np.zeros((count, latent_dim), "float32"), "label": label},
        "sample": {"label": label, **row},
        "sample_uint8": {"label": label, **row},
        "sample_by_name": {"class_name": [class_name] * count, **row},
    }
