"""Finds a trained student on disk, in any of the forms a run leaves, and loads it for drawing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..data.images import to_uint8
from ..networks import student as _student  # noqa: F401  registers the class of .keras files

FORMS = "a run folder with student.keras, a .keras file, or a SavedModel folder"


class LoadedGenerator(NamedTuple):
    """A generator and what is known about it; None where its files don't say.

    `draw` takes latents float32 `[B, latent_dim]` and labels int `[B]` and returns images float32
    `[B, S, S, 3]` in [-1, 1].
    """

    draw: Callable
    latent_dim: int
    num_classes: int | None
    class_names: tuple | None
    truncation: float | None


def load_student(path) -> keras.Model:
    """Loads the student of a run folder, or a `.keras` file.

    Raises:
        FileNotFoundError: there is neither.
    """
    path = Path(path)
    file = path / "student.keras" if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise FileNotFoundError(
            f"Got {str(path)!r}. Expected a run folder with student.keras or a .keras file. Give the "
            "folder that `tinygan distill --workdir=...` wrote."
        )
    return keras.saving.load_model(file, compile=False)


def load_generator(path) -> LoadedGenerator:
    """Loads a student from any form.

    Args:
        path: A run folder, a `.keras` file, or an exported SavedModel folder.

    Raises:
        FileNotFoundError: it is none of them.
    """
    path = Path(path)
    known = {"class_names": _class_names(path), "truncation": _truncation(path)}
    if (path / "saved_model.pb").is_file():
        return _load_saved_model(path, known)
    if not path.exists():
        raise FileNotFoundError(f"Got {str(path)!r}, which doesn't exist. Expected {FORMS}.")
    student = load_student(path)

    @tf.function(reduce_retracing=True)
    def draw(latents, labels):
        return student((latents, labels), training=False)

    return LoadedGenerator(draw, student.latent_dim, student.num_classes, **known)


def _load_saved_model(path, known):
    module = tf.saved_model.load(str(path))
    signature = module.signatures["serving_default"]

    def draw(latents, labels, module=module):  # a signature doesn't keep its module alive
        return signature(z=latents, label=tf.cast(labels, tf.int64))["image"]

    latent_dim = signature.structured_input_signature[1]["z"].shape[1]
    names = known["class_names"]
    return LoadedGenerator(draw, latent_dim, len(names) if names else None, **known)


def _class_names(path):
    file = _beside(path, "class_names.txt")
    return tuple(file.read_text().splitlines()) if file else None


def _truncation(path):
    file = _beside(path, "config.json")
    return json.loads(file.read_text()).get("truncation") if file else None


def _beside(path, name):
    """The file `name` in the folder itself or in the run folder around it."""
    folders = (path, path.parent, path.parent.parent)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def generate_images(draw, latents, labels, batch_size=256) -> np.ndarray:
    """Draws any number of images in batches.

    Args:
        draw: Callable `(latents [B, Z], labels [B]) -> images` in [-1, 1].
        latents: Float32 `[N, Z]`.
        labels: Int `[N]`.
        batch_size: Images per call.

    Returns:
        Images uint8 `[N, S, S, 3]`.
    """
    parts = []
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        parts.append(to_uint8(draw(tf.constant(latents[rows]), tf.constant(labels[rows]))))
    return np.concatenate(parts)
