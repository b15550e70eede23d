"""Runs a frozen classifier over images: the features behind Frechet distances, the logits behind accuracy.

Scope: from images of any origin to the one form that a classifier sees, batch by batch. Which classifiers
there are is in `loading.py`, how one is found in a SavedModel in `classifiers.py`; what is computed
from the result is `metrics/`.

Every image is rounded to the 256 levels of uint8 before it is looked at, and before it is resized. Real
images are stored that way and generated ones are not; without the rounding a part of the distance would
measure storage.
"""

import numpy as np
import tensorflow as tf

from ...errors import InputError
from ...images import to_float, to_uint8
from . import resizing
from .classifiers import Classifier, load_folder

RANGE = "[-1, 1], rounded to uint8"
_RANGE_TOLERANCE = 1e-3  # an eighth of one uint8 level


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
        if resize is not None:
            resizing.check_kernel(resize)
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
        """Looks at images of any number.

        The rows don't depend on how many images one call gets, as long as every call but the last gets a
        multiple of `batch_size`.

        Args:
            images: uint8 `[N, S, S, 3]`, or float in [-1, 1], which is rounded to uint8 levels. With
                `resize`, squares of any size.

        Returns:
            Features float32 `[N, F]` and logits float32 `[N, C]`.

        Raises:
            ValueError: no image at all, another size, or values out of [-1, 1] or not finite.
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
        return features, logits

    def protocol(self, image_size: int | None = None) -> dict:
        """The extractor's part of what a figure depends on.

        Args:
            image_size: Pixels per side of the images to look at; None for S.

        Returns:
            `extractor`, `extractor_hash`, `feature_dim`, `input_size`, `range` and `resize`, as JSON knows
            them.

        Raises:
            ValueError: images of this size are refused.
        """
        image_size = self.input_size if image_size is None else int(image_size)
        self._check_size(image_size, image_size)
        return {
            "extractor": self.name,
            "extractor_hash": self.hash,
            "feature_dim": self.feature_dim,
            "input_size": self.input_size,
            "range": RANGE,
            "resize": resizing.describe(self.resize, image_size, self.input_size),
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
        return resizing.resize(batch, self.input_size, self.resize)

    def _check_images(self, images):
        if images.ndim != 4 or images.shape[3] != 3 or not len(images):
            size = "S" if self.resize else self.input_size
            grey = images.ndim == 4 and images.shape[3] == 1
            hint = (
                "repeat the grey channel: np.repeat(images, 3, axis=-1)" if grey else "stack them"
            )
            raise InputError(
                f"Got images of shape {images.shape}. Expected at least one image, (N, {size}, {size}, "
                f"3); {hint}."
            )
        self._check_size(*images.shape[1:3])
        if images.dtype == np.uint8:
            return
        if not np.issubdtype(images.dtype, np.floating):
            raise InputError(
                f"Got images of type {images.dtype}. Expected uint8 in [0, 255] or float in [-1, 1]."
            )
        low, high = images.min(), images.max()  # not finite as soon as one value isn't
        if not (low >= -1 - _RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):
            raise InputError(_wrong_values(images))

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


def _wrong_values(images) -> str:
    finite = np.isfinite(images).all((1, 2, 3))
    if not finite.all():
        return (
            f"Got {(~finite).sum()} of {len(images)} images with values that are NaN or infinite; the "
            f"first is image {finite.argmin()}. Expected finite values in [-1, 1]; look for the first "
            "training step after which the generator's weights are not finite."
        )
    wrong = (np.abs(images) > 1 + _RANGE_TOLERANCE).any((1, 2, 3))
    return (
        f"Got {wrong.sum()} of {len(images)} float images with values out of range, from "
        f"{images.min():.4g} to {images.max():.4g}; the first is image {wrong.argmax()}. Expected finite "
        "values in [-1, 1]; images in [0, 255] go in as uint8, or through data.images.to_float."
    )
