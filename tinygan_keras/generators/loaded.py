"""What a generator is to those who draw with it, wherever it comes from, and how one is made in memory."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..networks.class_weights import checked_class_weights
from ..networks.student import StudentGenerator
from ..teachers.hub import HubTeacher
from .side_files import read_class_names

DEFAULT_TRUNCATION = 0.5  # the paper's, where a generator doesn't say its own


@dataclasses.dataclass(frozen=True)
class LoadedGenerator:
    """A generator and what is known about it; None where its files don't say.

    Attributes:
        draw: Callable from latents float32 `[B, latent_dim]` and labels int `[B]` to images float32
            `[B, image_size, image_size, 3]` in [-1, 1].
        latent_dim: int.
        num_classes: int, or None.
        class_names: Tuple of str by label, or None.
        truncation: That of the latents it was trained with, or at which a teacher draws; in (0, 1].
        image_size: int, height and width in pixels.
        source: What it was loaded from, as given.
        form: "run folder", "keras file", "saved model", "teacher", "keras model" (in memory), or a small
            runtime with its precision, such as "litert int8".
        content_hash: SHA-256 (hex) of graph or config and of weights; it names the generator.
        weights: Which weights of the training these are: "exponential moving average" or "last step".
        parameters: int, what training changes by gradient.
        teacher: Handle of the teacher it was distilled from.
        mix: Callable from latents and class weights float32 `[B, num_classes]` to images; None for an
            export, which takes class numbers only.
    """

    draw: Callable
    latent_dim: int
    num_classes: int | None
    class_names: tuple | None
    truncation: float | None
    image_size: int
    source: str
    form: str
    content_hash: str
    weights: str | None
    parameters: int | None
    teacher: str | None
    mix: Callable | None


def as_generator(model) -> LoadedGenerator:
    """Makes a `LoadedGenerator` of what is in memory already.

    Args:
        model: A student, or any Keras model that is called with a pair of latents and labels and has
            `latent_dim`, `num_classes` and `image_size`; a `HubTeacher`; or a `LoadedGenerator`. A model
            that goes on training afterwards draws with its new weights, under its old `content_hash`.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(model, LoadedGenerator):
        return model
    if isinstance(model, HubTeacher):
        return from_teacher(model, model.handle, read_class_names(Path(model.folder)))
    name = f"{getattr(model, 'name', type(model).__name__)} in memory"
    unknown = dict.fromkeys(("class_names", "truncation", "weights", "teacher"))
    return from_student(model, {**unknown, "source": name, "form": "keras model"})


def from_teacher(teacher, source, class_names=None) -> LoadedGenerator:
    """A `HubTeacher` as a generator.

    Raises:
        ValueError: there is not one name per class.
    """
    _check_class_names(class_names, teacher.num_classes, source)
    return LoadedGenerator(
        draw=teacher,
        latent_dim=teacher.latent_dim,
        num_classes=teacher.num_classes,
        class_names=class_names,
        truncation=teacher.truncation,
        image_size=teacher.image_size,
        source=source,
        form="teacher",
        content_hash=teacher.content_hash,
        weights=None,
        parameters=teacher.parameters,
        teacher=None,
        mix=teacher.mix,
    )


def from_student(student, known: dict) -> LoadedGenerator:
    """A Keras model as a generator; `known` holds the fields that the model itself doesn't tell.

    Raises:
        ValueError: it is no generator of images of classes, or there is not one name per class.
    """
    needed = ("latent_dim", "num_classes", "image_size")
    if not isinstance(student, keras.Model) or not all(hasattr(student, name) for name in needed):
        raise InputError(
            f"Got {known['source']}, of type {type(student).__name__}. Expected a Keras model with "
            f"{', '.join(needed)}, such as StudentGenerator; of a TinyGAN, its ema_student."
        )
    _check_class_names(known["class_names"], student.num_classes, known["source"])

    @tf.function(reduce_retracing=True)
    def draw(latents, labels):
        return student((latents, labels), training=False)

    return LoadedGenerator(
        draw=draw,
        latent_dim=student.latent_dim,
        num_classes=student.num_classes,
        image_size=student.image_size,
        content_hash=_content_hash(student),
        parameters=count_parameters(student.trainable_variables),
        mix=_mixing(student) if isinstance(student, StudentGenerator) else None,
        **known,
    )


def _mixing(student):
    in_graph = tf.function(student.mix, reduce_retracing=True)

    def mix(latents, class_weights):
        latents = tf.convert_to_tensor(latents)
        # Here, since the graph that follows can't refuse single values.
        class_weights = checked_class_weights(class_weights, latents, student.num_classes)
        return in_graph(latents, class_weights)

    return mix


def count_parameters(variables) -> int:
    """The number of values in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def _check_class_names(names, num_classes, source):
    if names is not None and len(names) != num_classes:
        raise InputError(
            f"Got {len(names)} names in the class_names.txt of {source}. Expected {num_classes}, one per "
            "class. Mend the file, or take it away."
        )


def _content_hash(student) -> str:
    """SHA-256 over config and weights. A .keras file holds the time of its writing, so not over that."""
    config = {key: value for key, value in student.get_config().items() if key != "name"}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for variable in student.weights:
        values = np.asarray(variable)
        digest.update(f"\n{values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
