"""Runs a frozen classifier over images: the features behind Frechet distances, the logits behind accuracy.

Scope: from a name to a `FeatureExtractor`, and from images of any origin to what a classifier takes, batch by
batch. How a classifier is found in a SavedModel is in `classifiers.py`; what is computed from the result is
`metrics/`.

Every image is rounded to the 256 levels of uint8 before it is resized and before the classifier gets it.
Real images are stored that way and generated ones are not; without the rounding a part of the distance
would measure storage.

A Frechet distance moves by several points with the kernel that resizes images and with antialiasing, so
neither has a silent default. All kernels are `tf.image.resize`'s, with pixel centres at one half. Pillow's
bicubic, which other programs use, is close to `"bicubic+antialias"` and not equal to it.

Reference: Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation, arXiv:2104.11222.
"""

import difflib
import os

import numpy as np
import tensorflow as tf

from ...errors import InputError, MissingFileError
from ...files import user_path
from ...images import to_float, to_uint8
from ...teachers import download
from . import keras_inception
from .classifiers import ROLE, Classifier, load_folder, load_saved_model

INCEPTION = "inception"
INCEPTION_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
NAMES = (INCEPTION, keras_inception.NAME)

RANGE = "[-1, 1], rounded to uint8"
# Name: method of `tf.image.resize`, antialias.
KERNELS = {
    "bilinear": ("bilinear", False),
    "bilinear+antialias": ("bilinear", True),
    "bicubic": ("bicubic", False),
    "bicubic+antialias": ("bicubic", True),
    "area": ("area", False),
}
_RANGE_TOLERANCE = 1e-3  # an eighth of one uint8 level
_INCEPTION_SIZES = {"input_size": 299, "feature_dim": 2048, "num_classes": 1008}
# TF-GAN's CIFAR example brings images to its Inception with `tf.image.resize` and this method.
_INCEPTION_KERNEL = "bilinear"
_SMALL_BATCH, _LARGE_BATCH = 50, 250
_SMALL_IMAGE = 64


class FeatureExtractor:
    """A frozen classifier as a function from images to features and logits.

    The classifier takes images float32 `[B, S, S, 3]` in [-1, 1] and returns `features` (or `pool_3`)
    float32 `[B, F]` and `logits` float32 `[B, C]`: through the signature `serving_default` or `default` of
    its SavedModel, or by a call of the loaded module.

    Args:
        path: The folder of a SavedModel or of a TF1 Hub module; or a loaded `Classifier`. Handles and
            names are the matter of `load_extractor`.
        batch_size: Images per call of the classifier. The last batch is filled up to this size, so that
            the classifier only ever sees one shape.
        resize: What to do with images of another size than S. None refuses them; otherwise a kernel:
            "bilinear", "bilinear+antialias", "bicubic", "bicubic+antialias" or "area". Images of size S
            are never resampled.
        input_size: S, for a classifier that takes every size.

    Attributes:
        hash: SHA-256 (hex) of the graph and the variables. Two Frechet distances may be compared only
            if it is equal.
        input_size: S.  feature_dim: F.  num_classes: C.
        name: The folder's own name, or the name or handle given to `load_extractor`.
        path: The folder, or None.

    Raises:
        FileNotFoundError: there is no SavedModel in the folder.
        ValueError: it takes or returns something else, or `resize` is unknown.

    Example:
        extractor = FeatureExtractor("saved_models/fashion_classifier")
        features, logits = extractor(images)
    """

    def __init__(self, path, batch_size: int = 250, resize=None, input_size: int | None = None):
        _check_kernel(resize)
        if batch_size < 1:
            raise InputError(f"Got batch_size={batch_size}. Expected at least one image per batch.")
        classifier = path if isinstance(path, Classifier) else load_folder(path, input_size)
        self.batch_size = batch_size
        self.resize = resize
        self.name, self.path, self.hash = classifier.name, classifier.path, classifier.hash
        self.input_size = classifier.input_size
        self.feature_dim, self.num_classes = classifier.feature_dim, classifier.num_classes
        self._classifier = classifier

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
        images = np.asarray(images)
        self._check_images(images)
        features = np.empty((len(images), self.feature_dim), "float32")
        logits = np.empty((len(images), self.num_classes), "float32")
        for start in range(0, len(images), self.batch_size):
            rows = slice(start, min(start + self.batch_size, len(images)))
            count = rows.stop - rows.start
            batch_features, batch_logits = self._classifier.classify(self._prepared(images[rows]))
            features[rows] = batch_features[:count]
            logits[rows] = batch_logits[:count]
        finite = np.isfinite(features).all(axis=1) & np.isfinite(logits).all(axis=1)
        if not finite.all():
            raise InputError(
                f"Got features of {self.name} that are not finite for {np.sum(~finite)} of {len(images)} "
                f"images, the first of them image {finite.argmin()}. Expected finite numbers; the feature "
                "extractor is damaged."
            )
        return features, logits

    def protocol(self, image_size: int | None = None) -> dict:
        """What a figure of images of `image_size` (None: S) depends on; refuses sizes that a call refuses."""
        image_size = self.input_size if image_size is None else int(image_size)
        self._check_size(image_size, image_size)
        return {
            "extractor": self.name,
            "extractor_hash": self.hash,
            "feature_dim": self.feature_dim,
            "input_size": self.input_size,
            "range": RANGE,
            "resize": describe(self.resize, image_size, self.input_size),
        }

    def _prepared(self, images):
        """One full batch as the classifier wants it."""
        # In NumPy and not in the classifier's graph: there TensorFlow merges the scaling into the first
        # convolution, which changes the last bits of every feature.
        batch = to_float(images if images.dtype == np.uint8 else to_uint8(images))
        if missing := self.batch_size - len(batch):
            batch = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
        batch = tf.constant(batch)
        if batch.shape[1] == self.input_size:
            return batch
        return resized(batch, self.input_size, self.resize)

    def _check_images(self, images):
        if images.ndim != 4 or images.shape[3] != 3 or not len(images):
            size = "S" if self.resize else self.input_size
            raise InputError(
                f"Got images of shape {images.shape}. Expected at least one RGB image, (N, {size}, {size}, "
                "3). Repeat a grey channel: np.repeat(images, 3, axis=-1)."
            )
        self._check_size(*images.shape[1:3])
        if images.dtype == np.uint8:
            return
        if not np.issubdtype(images.dtype, np.floating):
            raise InputError(
                f"Got images of type {images.dtype}. Expected uint8 in [0, 255] or float in [-1, 1]."
            )
        sound = (np.abs(images) <= 1 + _RANGE_TOLERANCE).all((1, 2, 3))  # not where a value is NaN
        if not sound.all():
            finite = np.isfinite(images).all((1, 2, 3))
            what = "out of range" if finite.all() else "that are NaN or infinite"
            bad = ~sound if finite.all() else ~finite
            raise InputError(
                f"Got {bad.sum()} of {len(images)} float images with values {what}; the first is image "
                f"{bad.argmax()}. Expected finite values in [-1, 1]; images in [0, 255] go in as uint8, or "
                "through images.to_float, and NaN comes from a training that has diverged."
            )

    def _check_size(self, height, width):
        size = self.input_size
        if height != width:
            raise InputError(
                f"Got images of {height}x{width} pixels. Expected squares, such as (N, {size}, {size}, "
                "3); crop them or fill them up first, since resizing would distort them."
            )
        if height != size and self.resize is None:
            raise InputError(
                f"Got images of {height}x{height} pixels. Expected (N, {size}, {size}, 3), as "
                f"{self.name} takes them; choose a kernel to resize them with, such as "
                'resize="bilinear", or a feature extractor of their size.'
            )


def load_extractor(
    name,
    resize: str | None = None,
    batch_size: int | None = None,
    input_size: int | None = None,
) -> FeatureExtractor:
    """Loads a feature extractor.

    Args:
        name: One of
            - the folder of a SavedModel or TF1 Hub module, such as "saved_models/fashion_classifier";
            - a TensorFlow Hub handle, "https://...";
            - "inception", the Inception network with which TF-GAN measures, from TensorFlow Hub: 299
              pixels, features `pool_3` of 2048 floats, 1008 logits;
            - "keras_inception_v3", `keras.applications.InceptionV3`: 299 pixels, its average pool of 2048
              floats, 1000 logits.
            Every one of them gets float images in [-1, 1]. A folder that is called like one of the two
            names goes by "./inception".
        resize: Kernel for images of another size, see `FeatureExtractor`. None is "bilinear" without
            antialias for the two Inception networks, as in TF-GAN's examples, and refuses such images for
            all others.
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
    _check_kernel(resize)  # before a download
    name = os.fspath(name)
    if name in (*NAMES, INCEPTION_HANDLE):
        if input_size not in (None, _INCEPTION_SIZES["input_size"]):
            raise InputError(
                f"Got input_size={input_size} for {name}. Expected None or {_INCEPTION_SIZES['input_size']}, "
                "the size it was trained with; images of another size are resized to it."
            )
        classifier = (
            keras_inception.load_keras_inception_v3()
            if name == keras_inception.NAME
            else _inception()
        )
        resize = resize or _INCEPTION_KERNEL
    elif "://" in name:
        classifier = load_saved_model(download.locate(name, ROLE), name, input_size)
    elif not os.path.exists(user_path(name)):
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise MissingFileError(
            f"Got the {ROLE} {name!r}, which is no name, no URL and no folder. Expected one of "
            f"{', '.join(NAMES)}; a TensorFlow Hub handle that starts with https://; or the folder of a "
            f"SavedModel, such as saved_models/fashion_classifier.{hint}"
        )
    else:
        classifier = load_folder(name, input_size)
    if batch_size is None:
        batch_size = _LARGE_BATCH if classifier.input_size <= _SMALL_IMAGE else _SMALL_BATCH
    return FeatureExtractor(classifier, batch_size, resize)


def _inception() -> Classifier:
    folder = download.locate(INCEPTION_HANDLE, ROLE)
    # Its graph takes images of every size, for it was made to run on TPUs.
    classifier = load_saved_model(folder, INCEPTION, _INCEPTION_SIZES["input_size"])
    found = {key: getattr(classifier, key) for key in _INCEPTION_SIZES}
    if found != _INCEPTION_SIZES:
        raise InputError(
            f"Got a module with {found} in {folder}; {INCEPTION_HANDLE} has {_INCEPTION_SIZES}. Another "
            "module's files were placed there: delete the folder and fetch it again."
        )
    return classifier


def resized(images, size: int, kernel: str):
    """Resizes float images `[B, S, S, 3]` in [-1, 1] to squares by one of `KERNELS`.

    Without antialias a smaller picture depends on few pixels of the larger one; when enlarging it makes no
    difference. "area" takes means and copies. Bicubic overshoots at edges and is cut off there.
    """
    method, antialias = KERNELS[kernel]
    return tf.clip_by_value(
        tf.image.resize(images, (size, size), method, antialias=antialias), -1.0, 1.0
    )


def describe(kernel: str | None, image_size: int, size: int) -> str:
    """What happens to images of `image_size` on their way to `size`, as the protocol puts it.

    Example:
        >>> describe("bilinear", 32, 299)
        'bilinear, antialias False, to 299'
    """
    if image_size == size:
        return "none, images have this size"
    method, antialias = KERNELS[kernel]
    return f"{method}, antialias {antialias}, to {size}"


def _check_kernel(kernel):
    if kernel in (None, *KERNELS):
        return
    near = difflib.get_close_matches(str(kernel), KERNELS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(
        f"Got resize={kernel!r}. Expected one of {', '.join(map(repr, KERNELS))}.{hint}"
    )
