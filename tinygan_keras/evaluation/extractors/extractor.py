"""From a name to a `FeatureExtractor`, and from images of any origin to features and logits, batch by batch.

Every image is rounded to uint8 before it is resized and before the classifier gets it: real images are
stored that way, and without it a part of the distance would measure storage.

`resizing.py` has the kernels that bring images to a classifier's size.
"""

import os

import numpy as np
import tensorflow as tf

from ...embedded import MODELS, find
from ...errors import InputError, MissingFileError, UserError, nearest_name
from ...images import check_images, to_float, to_uint8
from ...teachers import download
from . import keras_hub_backbones, keras_inception
from .classifiers import ROLE, Classifier, load_folder, load_saved_model
from .resizing import check_kernel, described, resized

INCEPTION = "inception"
INCEPTION_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
NAMES = (INCEPTION, keras_inception.NAME)

RANGE = "[-1, 1], rounded to uint8"
_RANGE_TOLERANCE = 1e-3  # an eighth of one uint8 level
_SMALL_BATCH, _LARGE_BATCH, _SMALL_IMAGE = 50, 250, 64


class FeatureExtractor:
    """A frozen classifier as a function from images to features and logits.

    The classifier takes images float32 `[B, S, S, 3]` in [-1, 1] and returns `features` (or `pool_3`) `[B,
    F]` and `logits` `[B, C]`: by the signature `serving_default` or `default` of its SavedModel, or by a
    call.

    Args:
        path: The folder or embedded name of a SavedModel or TF1 Hub module; or a loaded `Classifier`.
            Handles and other names are the matter of `load_extractor`.
        batch_size: Images per call of the classifier. The last batch is filled up to this size, so that
            the classifier only ever sees one shape.
        resize: What to do with images of another size than S. None refuses them; otherwise a kernel:
            "bilinear", "bilinear+antialias", "bicubic", "bicubic+antialias", "area", "pillow:bicubic",
            "pillow:lanczos", "pillow:bilinear", or one of clean-fid's modes: "clean" (pillow:bicubic),
            "legacy_pytorch" (bilinear) or "legacy_tensorflow" (that of TensorFlow 1).
        input_size: S, for a classifier that takes every size.

    Attributes:
        hash: SHA-256 (hex) of the graph and the variables. Two Frechet distances may be compared only
            if it is equal.
        input_size: S.  feature_dim: F.  num_classes: C, 0 without logits.
        kind: "clip", "dinov2" or "siglip" of a KerasHub backbone, else None.
        name: The folder's own name, or the name or handle given to `load_extractor`.
        path: The folder, or None.

    Raises:
        FileNotFoundError: there is no SavedModel in the folder.
        ValueError: it takes or returns something else, or `resize` is unknown.

    Example:
        extractor = FeatureExtractor("fashion_classifier")
        features, logits = extractor(images)
    """

    def __init__(self, path, batch_size: int = 250, resize=None, input_size: int | None = None):
        check_kernel(resize)
        if batch_size < 1:
            raise InputError(f"Got batch_size={batch_size}. Expected at least one image per batch.")
        classifier = path if isinstance(path, Classifier) else load_folder(path, input_size)
        self.batch_size, self.resize, self._classifier = batch_size, resize, classifier
        self.name, self.path, self.hash = classifier.name, classifier.path, classifier.hash
        self.input_size = classifier.input_size
        self.feature_dim, self.num_classes = classifier.feature_dim, classifier.num_classes
        self.kind = classifier.kind

    def __call__(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 `[N, F]` and logits float32 `[N, C]` of any number of images.

        The rows don't depend on how many images one call gets, as long as every call but the last gets a
        multiple of `batch_size`.

        Args:
            images: uint8 `[N, S, S, 3]`, or float in [-1, 1], which is rounded to uint8 levels. With
                `resize`, squares of any size.

        Raises:
            InputError: no image at all, another size, or values out of [-1, 1] or not finite.
        """
        images = self._stored(np.asarray(images))
        features = np.empty((len(images), self.feature_dim), "float32")
        logits = np.empty((len(images), self.num_classes), "float32")
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            rows = slice(start, start + len(batch))
            outputs = self._classifier.classify(self._prepared(batch))
            features[rows], logits[rows] = (output[: len(batch)] for output in outputs)
        finite = np.isfinite(features).all(axis=1) & np.isfinite(logits).all(axis=1)
        if not finite.all():
            raise InputError(
                f"Got features of {self.name} that are not finite for {np.sum(~finite)} of {len(images)} "
                f"images, the first of them image {finite.argmin()}. Expected numbers. Replace the extractor."
            )
        return features, logits

    def features_in_graph(self, images, rounded=True):
        """The features of a call as a tensor float32 `[B, F]`, also inside a `tf.function`.

        Of images uint8 `[B, S, S, 3]` or float in [-1, 1], which are rounded to uint8 levels, unless
        somebody looks at small differences; then the features of a call, but for their last digits.
        """
        if images.dtype != "uint8":
            images = tf.cast(images, tf.float32)
            in_range = tf.reduce_all(tf.abs(images) <= 1 + _RANGE_TOLERANCE)
            message = "Got images with NaN or values out of range. Expected [-1, 1], or uint8."
            with tf.control_dependencies([tf.debugging.Assert(in_range, [message])]):
                levels = (images + 1.0) * 127.5
            images = tf.clip_by_value(tf.round(levels) if rounded else levels, 0.0, 255.0)
        size = images.shape[1]
        self._check_size(size)
        images = tf.cast(images, tf.float32) / 127.5 - 1.0
        if size != self.input_size:
            images = resized(images, self.input_size, self.resize)
        return self._classifier.classify(images)[0]

    def protocol(self, image_size: int | None = None) -> dict:
        """What a figure of images of `image_size` (None: S) depends on; refuses sizes that a call refuses."""
        image_size = self.input_size if image_size is None else int(image_size)
        self._check_size(image_size)
        resize = "none, images have this size"
        if image_size != self.input_size:
            resize = described(self.resize, self.input_size)
        return {
            "extractor": self.name,
            "extractor_hash": self.hash,
            "feature_dim": self.feature_dim,
            "input_size": self.input_size,
            "range": RANGE,
            "resize": resize,
        }

    def _prepared(self, images):
        """One full batch as the classifier wants it."""
        # In NumPy and not in the classifier's graph: there TensorFlow merges the scaling into the first
        # convolution, which changes the last bits of every feature.
        batch = to_float(images)
        missing = self.batch_size - len(batch)
        batch = tf.constant(np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))))
        if batch.shape[1] == self.input_size:
            return batch
        return resized(batch, self.input_size, self.resize)

    def _stored(self, images):
        """Images as uint8, checked."""
        if np.issubdtype(images.dtype, np.floating):
            bad = ~(np.abs(images) <= 1 + _RANGE_TOLERANCE)  # where a value is NaN too
            if bad.any():
                raise InputError(
                    f"Got float images with NaN or values out of range; the first is image "
                    f"{np.argwhere(bad)[0][0]}. Expected finite values in [-1, 1]. Images in [0, 255] go in "
                    "as uint8; NaN comes from a training that has diverged."
                )
            images = to_uint8(images)
        self._check_size(check_images(images).shape[1])
        return images

    def _check_size(self, height):
        if height != self.input_size and self.resize is None:
            raise InputError(
                f"Got images of {height}x{height} pixels. Expected {self.input_size}x{self.input_size}, as "
                f'{self.name} takes them. Choose a kernel to resize them with, such as resize="bilinear", or '
                "an extractor of their size."
            )


def _located_inception() -> str:
    try:
        return download.locate(INCEPTION_HANDLE, ROLE)
    except UserError as error:
        raise type(error)(
            f"{error}\nOf extractors, fashion_classifier needs no download: the embedded one, for images "
            "like those of Fashion-MNIST."
        ) from error


def open_extractor(extractor, resize: str | None = None) -> FeatureExtractor:
    """The extractor itself, or what `load_extractor` makes of a name or folder and a kernel."""
    if isinstance(extractor, (str, os.PathLike)):
        return load_extractor(extractor, resize=resize)
    if not hasattr(extractor, "feature_dim"):
        raise InputError(
            f"Got an extractor of type {type(extractor).__name__}. Expected a FeatureExtractor, or a name or "
            "folder for load_extractor. Export a network of your own as a SavedModel that returns 'features' "
            "and 'logits'."
        )
    if resize is not None:
        raise InputError(
            f"Got resize={resize!r} and a loaded extractor. Expected None: give it to load_extractor."
        )
    return extractor


def load_extractor(
    name,
    resize: str | None = None,
    batch_size: int | None = None,
    input_size: int | None = None,
) -> FeatureExtractor:
    """Loads a feature extractor.

    Args:
        name: One of
            - the folder of a SavedModel or TF1 Hub module, or an embedded one: "fashion_classifier",
              "cifar10_classifier";
            - a TensorFlow Hub handle, "https://...", or `"hf://OWNER/NAME[@REVISION][/FOLDER]"`;
            - "inception", the Inception network with which TF-GAN measures, from TensorFlow Hub: 299
              pixels, features `pool_3` of 2048 floats, 1008 logits;
            - "keras_inception_v3", `keras.applications.InceptionV3`: 299 pixels, its average pool of 2048
              floats, 1000 logits;
            - "keras_hub:NAME", DINOv2, CLIP or SigLIP of KerasHub (extra `keras-hub`): a preset such as
              "keras_hub:dinov2_base", "keras_hub:hf://OWNER/NAME", or a folder of `save_to_preset`;
              features with the preprocessing of their papers, and no logits.
            A folder that is called like one of the two names goes by "./inception".
        resize: Kernel for images of another size, see `FeatureExtractor`. None is "bilinear" without
            antialias for the two Inception networks, as in TF-GAN's examples, "pillow:bicubic" for backbones
            of KerasHub, and refuses such images for all others.
        batch_size: Images per call of the classifier. None is 250, or 50 for images beyond 64 pixels.
        input_size: Pixels per side, for a folder or handle that takes every size.

    Returns:
        A `FeatureExtractor`. Its `name` is what was given, for a folder its last component.

    Raises:
        FileNotFoundError: neither a name nor a folder with a SavedModel nor a URL.
        ValueError: the module takes or returns something else, or `resize` is unknown.
        OSError: the download failed; the message says how to place a copy by hand.

    Example:
        extractor = load_extractor("inception")
        features, logits = extractor(images)
    """
    check_kernel(resize)  # before a download
    name = os.fspath(name)
    if name in (*NAMES, INCEPTION_HANDLE):
        if input_size not in (None, keras_inception.INPUT_SIZE):
            raise InputError(
                f"Got input_size={input_size} for {name}. Expected None or {keras_inception.INPUT_SIZE}, the "
                "size it was trained with. Leave it out: images of another size are resized."
            )
        if name == keras_inception.NAME:
            classifier = keras_inception.load_keras_inception_v3()
        else:  # its graph takes images of every size, for it was made to run on TPUs
            folder = _located_inception()
            classifier = load_saved_model(folder, INCEPTION, keras_inception.INPUT_SIZE)
        # TF-GAN's CIFAR example brings images to its Inception with `tf.image.resize` and this method.
        resize = resize or "bilinear"
    elif name.startswith(keras_hub_backbones.PREFIX):
        classifier = keras_hub_backbones.load_keras_hub(name, input_size)
        resize = resize or keras_hub_backbones.RESIZE
    elif "://" in name:
        classifier = load_saved_model(download.locate(name, ROLE), name, input_size)
    elif not find(name).exists():
        raise MissingFileError(
            f"Got the {ROLE} {name!r}, which is no name, no URL and no folder. Expected one of "
            f"{', '.join(NAMES)}; keras_hub:NAME; a TensorFlow Hub handle that starts with https://; the "
            f"folder of a SavedModel; or an embedded one of {', '.join(MODELS)}."
            f"{nearest_name(name, (*NAMES, *MODELS))}"
        )
    else:
        classifier = load_folder(name, input_size)
    if batch_size is None:
        batch_size = _LARGE_BATCH if classifier.input_size <= _SMALL_IMAGE else _SMALL_BATCH
    return FeatureExtractor(classifier, batch_size, resize)
