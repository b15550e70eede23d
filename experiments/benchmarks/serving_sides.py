"""The ways to draw that `serving.py` times, each in a process of its own that waits for its turn.

Scope: what runs in those processes. Each way is a function of the folder with the student's files that
returns `draw(latents, labels)`; latents float32 `[B, Z]`, labels int64 `[B]`, images in any layout.
"""

import functools
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

STUDENT, EXPORTED = "student.keras", "exported/1"


def plain(folder):
    """The student as Keras draws it, in a graph."""
    import tensorflow as tf

    from tinygan_keras.generators.opening import load_student

    return in_graph(load_student(folder / STUDENT), tf)


def in_graph(model, tf):
    function = tf.function(
        lambda z, label: model((z, label), training=False), reduce_retracing=True
    )
    return lambda z, label: function(tf.constant(z), tf.constant(label, tf.int32)).numpy()


def keras_layers(folder):
    """The same network of Keras' own layers, the shortcut after the upsampling as the authors have it."""
    import keras
    import tensorflow as tf
    from keras import layers, ops

    from tinygan_keras.generators.opening import load_student
    from tinygan_keras.networks.normalization import ConditionalBatchNormalization

    student = load_student(folder / STUDENT)
    latents, labels = student.inputs
    table = layers.Embedding(student.num_classes, student.embedding_dim, name="class_embedding")
    embedding = table(labels)
    x = layers.Dense(16 * student.channels[0], name="projection")(latents)
    x = layers.Reshape((4, 4, student.channels[0]))(x)
    for index, filters in enumerate(student.channels[1:]):
        name = f"block_{index}"
        shortcut = layers.UpSampling2D(interpolation="bilinear")(x)
        shortcut = layers.Conv2D(filters, 1, name=f"{name}_shortcut")(shortcut)
        for part in (0, 1):
            norm = ConditionalBatchNormalization(name=f"{name}_norm_{part}")
            x = ops.relu(norm([x, embedding]))
            if part == 0:
                x = layers.UpSampling2D(interpolation="bilinear")(x)
            x = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise_{part}")(x)
            x = layers.Conv2D(filters, 1, name=f"{name}_pointwise_{part}")(x)
        x = x + shortcut
    x = ops.relu(layers.BatchNormalization(epsilon=1e-5, name="final_norm")(x))
    x = ops.tanh(layers.Conv2D(3, 3, padding="same", name="to_rgb")(x))
    model = keras.Model((latents, labels), x)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(student.get_layer(layer.name).get_weights())
    return in_graph(model, tf)


def exported(folder):
    """The signature `serving_default` of the export."""
    import tensorflow as tf

    module = tf.saved_model.load(folder / EXPORTED)
    signature = module.signatures["serving_default"]

    def draw(z, label, module=module):  # a signature doesn't keep its module alive
        return signature(z=tf.constant(z), label=tf.constant(label))["image"].numpy()

    return draw


def pytorch(folder, channels_last=False):
    """The twin in PyTorch, with the student's weights."""
    import torch

    from experiments.pytorch_twin import networks, weights
    from tinygan_keras.generators.opening import load_student

    student = load_student(folder / STUDENT)
    twin = networks.Student(
        student.channels, student.latent_dim, student.num_classes, student.embedding_dim
    )
    weights.load(twin, student)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    twin = twin.to(memory_format=layout).eval()

    @torch.inference_mode()
    def draw(z, label):
        return twin(torch.from_numpy(z), torch.from_numpy(label)).numpy()

    return draw


def pytorch_channels_last(folder):
    """The same in the layout of TensorFlow's maps."""
    return pytorch(folder, channels_last=True)


def runtime(folder, name):
    """One of the small runtimes."""
    from tinygan_keras.runtimes.formats import open_runtime

    return open_runtime(folder / name).draw


def teacher(folder):
    """A module of biggan-deep-128's size."""
    import tensorflow as tf

    from tinygan_keras.teachers.hub import HubTeacher

    module = HubTeacher(os.readlink(folder / "teacher"), truncation=0.5)
    return lambda z, label: module(tf.constant(z), tf.constant(label, tf.int32)).numpy()


RUNTIMES = {
    "LiteRT float32": ("litert", "float32"),
    "LiteRT int8": ("litert", "int8"),
    "ONNX Runtime float32": ("onnx", "float32"),
    "OpenVINO float32": ("openvino", "float32"),
    "OpenVINO int8": ("openvino", "int8"),
}
"""Format and precision of every small runtime that is timed, at batch 1; its folder has its name."""

WAYS = {
    "Keras graph": plain,
    "Keras' own layers": keras_layers,
    "exported": exported,
    "PyTorch, NCHW": pytorch,
    "PyTorch, channels last": pytorch_channels_last,
    "teacher": teacher,
    **{name: functools.partial(runtime, name=name) for name in RUNTIMES},
}


def serve(pipe, name, folder):
    """The life of such a process: answers a batch size and a time with the seconds of every call."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    draw = WAYS[name](Path(folder))
    while question := pipe.recv():
        z, label, seconds = question
        durations, images = [], None
        while not durations or sum(durations) < seconds:
            start = time.perf_counter()
            images = draw(z, label)
            durations.append(time.perf_counter() - start)
        if images.shape[1] == 3:
            images = images.transpose(0, 2, 3, 1)
        pipe.send((durations, np.ascontiguousarray(images[:2])))


def first_requests(pipe, folder, warm):
    """Answers with the seconds of the first requests after loading, and of later ones.

    It loads as TensorFlow Serving does, into a session, and replays the warm-up requests if `warm`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    export = Path(folder, EXPORTED)
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        definitions = tf.compat.v1.saved_model.load(session, ["serve"], str(export)).signature_def

    def ask(signature, inputs):
        definition = definitions[signature]
        feeds = {definition.inputs[name].name: value for name, value in inputs.items()}
        start = time.perf_counter()
        session.run({name: info.name for name, info in definition.outputs.items()}, feeds)
        return time.perf_counter() - start

    start = time.perf_counter()
    if warm:
        file = export / "assets.extra" / "tf_serving_warmup_requests"
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            request = PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            ask(request.model_spec.signature_name, inputs)
    replayed = time.perf_counter() - start
    row = {"seed": np.array([3]), "truncation": np.float32([0.5]), "label": np.array([1])}
    first = ask("sample", row)
    later = [ask("sample", row) for _ in range(30)]
    pipe.send((first, later, replayed))
