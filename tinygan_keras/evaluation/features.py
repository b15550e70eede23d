"""Runs a frozen classifier over images: the features behind Frechet distances, the logits behind accuracy.

Scope: loading one SavedModel folder and calling it in batches. What is computed from the result is
`metrics/`.

Every image is rounded to the 256 levels of uint8 before it is looked at. Real images are stored that
way and generated ones are not; without the rounding a part of the distance would measure storage.
"""

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from ..data.images import to_float, to_uint8

SIGNATURE = "serving_default"
_RANGE_TOLERANCE = 1e-3  # an eighth of one uint8 level


class FeatureExtractor:
    """A classifier in a SavedModel folder, as a function from images to features and logits.

    The folder's signature `serving_default` takes images float32 `[B, S, S, 3]` in [-1, 1] and returns
    `features` float32 `[B, F]` and `logits` float32 `[B, C]`.

    Args:
        path: The SavedModel folder.
        batch_size: Images per call of the classifier. The last batch is filled up to this size, so
            that only one shape is ever traced.

    Attributes:
        hash: SHA-256 (hex) of the graph and the variables. Two Frechet distances may be compared only
            if it is equal.
        input_size: S.  feature_dim: F.  num_classes: C.

    Raises:
        FileNotFoundError: there is no SavedModel in the folder.
        ValueError: its signature is another one.

    Example:
        extractor = FeatureExtractor("saved_models/fashion_classifier")
        features, logits = extractor(images)
    """

    def __init__(self, path, batch_size: int = 250):
        self.path = Path(path)
        if not (self.path / "saved_model.pb").is_file():
            raise FileNotFoundError(
                f"Got feature extractor {str(path)!r}, which holds no saved_model.pb. Expected a "
                "SavedModel folder such as saved_models/fashion_classifier; "
                "experiments/fashion_mnist/train_classifier.py writes one."
            )
        self.batch_size = batch_size
        self.hash = _content_hash(self.path)
        # The loaded object must outlive its signature, which doesn't own the variables.
        self._module = tf.saved_model.load(str(self.path))
        self._classify = self._module.signatures.get(SIGNATURE)
        if self._classify is None:
            raise ValueError(
                f"{self.path} has the signatures {sorted(self._module.signatures)}. Expected "
                f"{SIGNATURE!r}; export the classifier with that endpoint."
            )
        self._input_name, self.input_size = self._check_inputs()
        self.feature_dim, self.num_classes = self._check_outputs()

    def __call__(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Looks at images of any number.

        Args:
            images: uint8 `[N, S, S, 3]`, or float in [-1, 1], which is rounded to uint8 levels.

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
            batch = _quantised(images[start : start + self.batch_size])
            missing = self.batch_size - len(batch)
            padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            outputs = self._classify(**{self._input_name: tf.constant(padded)})
            rows = slice(start, start + len(batch))
            features[rows] = outputs["features"][: len(batch)]
            logits[rows] = outputs["logits"][: len(batch)]
        return features, logits

    def _check_inputs(self):
        inputs = self._classify.structured_input_signature[1]
        shapes = {name: tuple(spec.shape) for name, spec in inputs.items()}
        (name, shape), *others = shapes.items()
        if others or len(shape) != 4 or shape[1] is None or shape[1] != shape[2] or shape[3] != 3:
            raise ValueError(
                f"{self.path} takes {shapes}. Expected one input of shape (None, S, S, 3); export the "
                "classifier with square RGB images of a fixed size."
            )
        return name, shape[1]

    def _check_outputs(self):
        shapes = {n: tuple(s.shape) for n, s in self._classify.structured_outputs.items()}
        for name in ("features", "logits"):
            if len(shapes.get(name, ())) != 2 or shapes[name][1] is None:
                raise ValueError(
                    f"{self.path} returns {shapes}. Expected 'features' [B, F] and 'logits' [B, C] "
                    "with fixed F and C; export the classifier with these two outputs."
                )
        return shapes["features"][1], shapes["logits"][1]

    def _check_images(self, images):
        size = self.input_size
        if images.ndim != 4 or images.shape[1:] != (size, size, 3) or not len(images):
            raise ValueError(
                f"Got images of shape {images.shape}. Expected at least one image, (N, {size}, {size}, "
                "3); resize them, or use a feature extractor of their size."
            )
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                f"Got images of type {images.dtype}. Expected uint8 in [0, 255] or float in [-1, 1]."
            )


def _quantised(images) -> np.ndarray:
    """Float32 images in [-1, 1] that lie on the 256 levels of uint8."""
    if images.dtype == np.uint8:
        return to_float(images)
    low, high = images.min(), images.max()  # not finite as soon as one value isn't
    if not (low >= -1 - _RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):
        raise ValueError(
            f"Got float images with values from {low:.4g} to {high:.4g}. Expected finite values in "
            "[-1, 1]; images in [0, 255] go in as uint8, or through data.images.to_float."
        )
    return to_float(to_uint8(images))


def _content_hash(folder: Path) -> str:
    """SHA-256 over names and contents of what determines the outputs: the graph and the variables."""
    files = [folder / "saved_model.pb", *(folder / "variables").glob("*")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
