"""A model that costs nothing, with the signatures of an exported student, for tests of what is around it."""

import io

import numpy as np
from PIL import Image
from prediction_service import Refusal
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

CLASS_NAMES = ("T-shirt/top", "Sneaker", "Häschen")
IMAGE_SIZE = 4
_TYPES = {"float": 1, "uint8": 4, "string": 7, "int64": 9, "bool": 10}  # of types.proto
_ROW = {"seed": "int64", "truncation": "float"}
_PNG = {"image_bytes": "string", "class_name": "string", "valid": "bool"}


def painted(label, seed, truncation=0.5) -> np.ndarray:
    """The image of a row, which says all of it: uint8 `[4, 4, 3]`."""
    text = f"{label}/{seed}/{np.float32(truncation):.6f}".encode().ljust(3 * IMAGE_SIZE**2, b".")
    return np.frombuffer(text, "uint8").reshape(IMAGE_SIZE, IMAGE_SIZE, 3)


class PaintedModel:
    """A backend for `ModelServer` that answers with `painted` images.

    Args:
        signatures: Which of an exported student's signatures it has.
    """

    def __init__(self, signatures=("serving_default", "sample", "sample_uint8", "sample_by_name")):
        every = {
            "serving_default": _signature({"z": "float", "label": "int64"}, {"image": "float"}),
            "sample": _signature({"label": "int64", **_ROW}, _PNG),
            "sample_uint8": _signature(
                {"label": "int64", **_ROW},
                {"image": "uint8", "class_name": "string", "valid": "bool"},
            ),
            "sample_by_name": _signature({"class_name": "string", **_ROW}, _PNG),
        }
        self.signatures = {name: every[name] for name in signatures}

    def run(self, signature, inputs):
        if signature == "serving_default":
            return {"image": np.zeros((len(inputs["z"]), IMAGE_SIZE, IMAGE_SIZE, 3), "float32")}
        if len({array.shape for array in inputs.values()}) > 1 or inputs["seed"].ndim != 1:
            raise Refusal("INVALID_ARGUMENT", "Expected inputs of shape [B], all of one length.")
        if signature == "sample_by_name":
            names = [name.decode() for name in inputs["class_name"]]
            labels = [CLASS_NAMES.index(name) if name in CLASS_NAMES else -1 for name in names]
        else:
            labels = inputs["label"]
        valid, images, names = [], [], []
        for row in zip(labels, inputs["seed"], inputs["truncation"], strict=True):
            valid.append(0 <= row[0] < len(CLASS_NAMES) and row[1] >= 0 and 0 <= row[2] <= 1)
            images.append(painted(*row) if valid[-1] else 0 * painted(0, 0))
            names.append(CLASS_NAMES[row[0]].encode() if valid[-1] else b"")
        outputs = {"class_name": _objects(names), "valid": np.array(valid, bool)}
        if signature == "sample_uint8":
            return {"image": np.stack(images), **outputs}
        return {"image_bytes": _objects(as_png(image) for image in images), **outputs}


def as_png(image) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _objects(values):
    values = list(values)
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _signature(inputs, outputs):
    definition = SignatureDef(method_name="tensorflow/serving/predict")
    for tensors, types in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for name, kind in types.items():
            tensors[name].name, tensors[name].dtype = f"{name}:0", _TYPES[kind]
            tensors[name].tensor_shape.dim.add(size=-1)
    return definition
