"""A frozen, class-conditional teacher from TensorFlow Hub or from a folder.

Teachers that are trained here (`own_teacher.py`) are saved in the same format.

Rejected: `hub.KerasLayer`, which Keras 3 refuses or tracks nothing of. Being a Keras layer or a `tf.Module`:
every checkpoint of a student would carry the teacher.
"""

import functools
import os
import re

import tensorflow as tf
from absl import logging

from ..errors import InputError
from ..latents import sample_latents
from ..networks.network import check_class_weights, count_parameters
from . import download
from .catalog import DEEPMIND, check_truncation
from .module_graph import OutputGraph, outside

_STATE_NAMES = re.compile(
    r"(^|/)(u0?|prev_truncation|accumulat\w+|moving_\w+|(mean|variance)_table)(:\d+)?$"
)
_EMBEDDING_NAMES = re.compile(r"(^|/)(linear/w|\w*embedding\w*)(/|:|$)")  # DeepMind's, and ours
_IS_OPEN = {"z": [True, False], "y": [True, False], "truncation": []}  # which axes have any size
_EXPECTED = (
    "Expected a signature `default` with float32 inputs z [None, latent_dim], y [None, num_classes] "
    "(one-hot) and truncation [], and a float32 output `default` [None, size, size, 3] in [-1, 1]."
)
_TOLERANCE = 1e-3


class HubTeacher:
    """A frozen generator: images for latents and labels.

    Calls are pure where the module allows it: they work in eager code, in `tf.function`, with
    `jit_compile=True`, and inside a strategy's replicas, each with variables on its own device. No gradient
    flows through a call. Neither Keras nor TensorFlow tracks a teacher, so no checkpoint and no saved model
    holds it.

    Args:
        handle: A folder that holds `saved_model.pb` (TF1 Hub format or TF2 SavedModel), the embedded
            `"biggan_fashion_32"`, a TensorFlow Hub handle such as
            `"https://tfhub.dev/deepmind/biggan-deep-128/1"`, or such a folder on the Hugging Face Hub,
            `"hf://OWNER/NAME[@REVISION][/FOLDER]"`.
        truncation: Scalar in [0, 1]; DeepMind's `biggan` modules begin at 0.02. It selects the batch-norm
            statistics and doesn't scale the latents: take those of the same truncation. It can't be changed.
        pure: `"auto"` reduces the module to a pure graph if that is possible and generates the same images,
            and else calls it as it is; True insists on it; False never does it.

    Attributes:
        image_size, latent_dim, num_classes: int, read from the module's signature.
        is_pure: bool, whether the calls are pure. If not, keep them out of XLA-compiled functions.
        parameters: int, floats in the variables that the output reads, without batch-norm statistics and
            the vectors of spectral normalisation.
        folder: str, where the module's files are.
        class_embedding: float32 `[num_classes, K]`, the module's shared class embedding, from which a run
            starts the student's; None where it isn't known which variable that is.
        content_hash: str, SHA-256 of the module's files; it names the teacher in reports.

    Call arguments:
        latents: Float `[B, latent_dim]`.
        labels: Int `[B]` in [0, num_classes); in a graph, values are not checked.

    Returns of a call:
        Images float32 `[B, image_size, image_size, 3]` in [-1, 1].

    Raises:
        InputError: a mistyped handle, a truncation out of range, a module with another signature, or a
            call with the wrong shape, type or label.
        MissingFileError: no folder, URL or name.
        UnusableFileError: the download failed; the message says how to place a copy by hand.

    Example:
        >>> teacher = HubTeacher("biggan_fashion_32", truncation=0.5)
        >>> images = teacher(sample_latents(4, teacher.latent_dim, 0.5), [0, 1, 2, 3])
        >>> images.shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, handle, truncation=0.5, pure="auto"):
        if pure not in ("auto", True, False):
            raise InputError(f'Got pure={pure!r}; expected "auto", True or False.')
        self.handle = os.fspath(handle)
        self._truncation = check_truncation(truncation, self.handle)
        self.folder = download.locate(self.handle)
        # A module loaded inside a strategy's scope gets variables that its functions can't find.
        outside(self._load, pure)

    def _load(self, pure):
        module = download.load(self.folder, self.handle)
        signature = _checked_signature(module, self.handle)
        specs = signature.structured_input_signature[1]
        self.latent_dim, self.num_classes = specs["z"].shape[1], specs["y"].shape[1]

        latents = sample_latents(2, self.latent_dim, self.truncation)
        classes = tf.one_hot([0, self.num_classes - 1], self.num_classes)
        inputs = self._signature_inputs(tf.constant(latents), classes)
        # Modules such as biggan-128/1 keep the statistics of the truncation before, for one call.
        signature(**inputs)
        expected_images = signature(**inputs)["default"]
        self.image_size = _checked_size(expected_images, self.handle)
        names = ("latent_dim", "image_size", "num_classes") if self.handle in DEEPMIND else ()
        found = {name: getattr(self, name) for name in names}
        expected = {name: getattr(DEEPMIND[self.handle], name) for name in names}
        if found != expected:
            raise InputError(
                f"Got a module with {found} in {self.folder}; {self.handle} has {expected}. Another "
                "module's files were placed there: delete the folder and fetch it again."
            )

        graph = OutputGraph(signature)
        is_tf1 = hasattr(module, "graph")  # the loader of TF1 modules puts their one graph there
        self.parameters = _count_parameters(graph.variables, has_flags=not is_tf1)
        self.class_embedding = _class_embedding(graph.variables, self.num_classes)
        reason = self._use_graph(graph, inputs, expected_images) if pure else "pure=False"
        self.is_pure = not reason
        if reason and pure is True:
            raise InputError(
                f"Got pure=True, but {self.handle} can't be reduced to a pure graph: {reason}. "
                'Use pure="auto" and keep the teacher out of XLA-compiled functions.'
            )
        if not self.is_pure:
            logging.info("%s is called as it is: %s", self.handle, reason)
            self._module = module  # its variables live as long as it does
            self._generate = lambda **inputs: signature(**inputs)["default"]
            self._trace()

    def _use_graph(self, graph, inputs, expected_images):
        """Generates with the reduced graph from now on; returns why not, or None."""
        if graph.obstacles:
            return f"the output depends on {', '.join(graph.obstacles)}"
        self._generate = graph
        self._trace()
        images = self._eager(inputs["z"], inputs["y"])
        difference = float(tf.reduce_max(tf.abs(images - expected_images)))
        if not difference <= _TOLERANCE:
            return f"its images then differ by {difference:.2g}"
        return None

    def _trace(self):
        # One graph for every batch size; it also runs where tf.functions are set to run eagerly.
        self._eager = tf.function(self._draw, autograph=False).get_concrete_function(
            tf.TensorSpec([None, self.latent_dim], tf.float32),
            tf.TensorSpec([None, self.num_classes], tf.float32),
        )

    @property
    def truncation(self) -> float:
        """Scalar in [0, 1], that of the statistics and of the latents it takes."""
        return self._truncation

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the module's graph and weights; it names the teacher."""
        return download.module_hash(self.folder)

    def __call__(self, latents, labels):
        latents = self._checked_latents(latents)
        labels = self._checked_labels(labels, latents.shape[0])
        return self._call(latents, tf.one_hot(labels, self.num_classes))

    def mix(self, latents, class_weights):
        """Generates images between classes, for class weights float `[B, num_classes]`.

        A one-hot row gives the image of that class. Latents, images and errors are those of a call.
        """
        latents = self._checked_latents(latents)
        return self._call(latents, check_class_weights(class_weights, latents, self.num_classes))

    def _call(self, latents, class_weights):
        draw = self._eager if tf.executing_eagerly() else self._draw
        return draw(latents, class_weights)

    def _draw(self, latents, class_weights):
        images = self._generate(**self._signature_inputs(latents, class_weights))
        images.set_shape([latents.shape[0], self.image_size, self.image_size, 3])
        return tf.stop_gradient(images)

    def _signature_inputs(self, latents, class_weights):
        return {"z": latents, "y": class_weights, "truncation": tf.constant(self.truncation)}

    def _checked_latents(self, latents):
        latents = tf.convert_to_tensor(latents)
        expected = tf.TensorShape([None, self.latent_dim])
        if not latents.dtype.is_floating or not latents.shape.is_compatible_with(expected):
            raise InputError(
                f"Got latents {latents.dtype.name} {latents.shape}; {self.handle} expects float "
                f"[batch, {self.latent_dim}]. Make them with sample_latents(count, "
                f"{self.latent_dim}, truncation={self.truncation:g})."
            )
        return tf.cast(latents, tf.float32)

    def _checked_labels(self, labels, count):
        labels = tf.convert_to_tensor(labels)
        if not labels.dtype.is_integer or not labels.shape.is_compatible_with([count]):
            raise InputError(
                f"Got labels {labels.dtype.name} {labels.shape} for {count} latents; expected int [batch], a "
                "class number per latent. One-hot labels become those with tf.argmax(labels, axis=-1)."
            )
        values = tf.get_static_value(labels)  # None for a label that only a running graph knows
        wrong = [] if values is None else values[(values < 0) | (values >= self.num_classes)]
        if len(wrong):
            raise InputError(
                f"Got the label {wrong[0]}; {self.handle} has {self.num_classes} classes and expects "
                f"labels in [0, {self.num_classes - 1}]. Check the class numbers of the data set."
            )
        return tf.cast(labels, tf.int32)

    def __repr__(self):
        return (
            f"HubTeacher({self.handle!r}, truncation={self.truncation:g}): {self.num_classes} classes, "
            f"latents of length {self.latent_dim}, images {self.image_size}x{self.image_size}x3, "
            f"{self.parameters:,} parameters, {'pure' if self.is_pure else 'not pure'}"
        )


def _checked_signature(module, handle):
    """The module's signature `default`, its inputs and outputs checked by name, type and shape."""
    signatures = getattr(module, "signatures", {})
    found = f"the signatures {sorted(signatures)}"
    if "default" in signatures:
        signature = signatures["default"]
        specs = signature.structured_input_signature[1]
        fits = specs.keys() == _IS_OPEN.keys() and all(
            spec.dtype == tf.float32
            and spec.shape.rank == len(_IS_OPEN[name])
            and [size is None for size in spec.shape] == _IS_OPEN[name]
            for name, spec in specs.items()
        )
        if fits and "default" in signature.structured_outputs:
            return signature
        inputs = {name: f"{spec.dtype.name} {spec.shape}" for name, spec in sorted(specs.items())}
        found = f"the inputs {inputs} and the outputs {sorted(signature.structured_outputs)}"
    raise InputError(
        f"Got {found} in {handle}. {_EXPECTED} Save the generator with such a signature; "
        "teachers/own_teacher.py shows how."
    )


def _checked_size(images, handle):
    """The size of the images that the module really generates; the signature may leave it open."""
    shape = images.shape
    fits = images.dtype == tf.float32 and shape.rank == 4 and shape[-1] == 3
    if not fits or shape[1] != shape[2]:
        raise InputError(f"Got images {images.dtype.name} {shape} from {handle}. {_EXPECTED}")
    lowest, highest = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if not (lowest >= -1.001 and highest <= 1.001):
        raise InputError(
            f"Got images with values from {lowest:.3g} to {highest:.3g} from {handle}. {_EXPECTED} "
            "Rescale them inside the signature, for example uint8 with x / 127.5 - 1."
        )
    return shape[1]


def _count_parameters(variables, has_flags):
    """Floats in the variables that the output reads, without what training doesn't learn by gradient."""
    # In a TF1 module the flag `trainable` is useless, since the graph reads moving averages of the trained
    # weights; there, and if nothing is trainable, state is recognised by its names.
    floats = [variable for variable in variables if variable.dtype.is_floating]
    counted = [variable for variable in floats if variable.trainable] if has_flags else []
    return count_parameters(counted or [v for v in floats if not _STATE_NAMES.search(v.name)])


def _class_embedding(variables, num_classes):
    tables = [v for v in variables if v.shape.rank == 2 and v.shape[0] == num_classes]
    if len(tables) > 1:  # another matrix happens to have as many rows
        tables = [table for table in tables if _EMBEDDING_NAMES.search(table.name)]
    return tables[0].numpy() if len(tables) == 1 else None
