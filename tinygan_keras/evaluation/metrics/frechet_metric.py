"""`FrechetDistance`: the Frechet distance as a Keras metric, for `validation_data` and Keras' own callbacks.

Rejected: computing it inside a traced step. Keras asks for the results of all metrics after every batch, each
of which would be a decomposition. Outside the step, where it is computed, it asks after the last batch only.
"""

import os
import warnings

import keras
import numpy as np
import tensorflow as tf

from ...errors import InputError
from ...files import content_hash
from ...networks.layers import PACKAGE
from ..extractors.extractor import open_extractor
from ..real_statistics import open_real_statistics
from .frechet import frechet_distance


@keras.saving.register_keras_serializable(PACKAGE)
class FrechetDistance(keras.metrics.Metric):
    """The Frechet distance of generated images to real ones, collected batch by batch.

    It is the `frechet_distance` of `evaluate`, up to rounding, of the images since the last reset. Each image
    takes a pass of the extractor, and the distance of 2,048 features a second or more at the end: compile it
    into `TinyGAN`, which leaves it out of training steps, or update it in a `test_step`.

    Args:
        extractor: A `FeatureExtractor`, or what `load_extractor` takes.
        reference: Real images or their statistics, as for `evaluate`. None: the real images are the first
            argument of `update_state`.
        resize: Kernel that brings images to the extractor's size, where that is given by name.
        name: In logs; after `val_` in those of `fit`.

    Raises:
        InputError: the reference was taken with another extractor, size or resizing.

    Example:
        distance = tg.metrics.FrechetDistance("fashion_classifier", "fashion_mnist_10k")
        model.compile(metrics=[distance])
        keep = keras.callbacks.ModelCheckpoint("best.keras", "val_frechet_distance", save_best_only=True)
        model.fit(batches, validation_data=validation_batches, callbacks=[keep])

    Reference: Heusel et al., arXiv:1706.08500.
    """

    def __init__(
        self,
        extractor="inception",
        reference=None,
        resize=None,
        name="frechet_distance",
        dtype=None,
    ):
        super().__init__(dtype=dtype, name=name)
        self._settings = {"extractor": extractor, "reference": reference, "resize": resize}
        self.extractor = extractor = open_extractor(extractor, resize)
        self.real = open_real_statistics(reference, extractor, progress=False)
        length = extractor.feature_dim
        if self.real is not None:  # the rest is known with the first images
            self.real.check_length(extractor)
        # Sums of features less a point near their mean: they add up over batches and devices.
        self._origin = np.zeros(length) if self.real is None else self.real.mean
        self._generated = self._sums("generated", length)
        self._given = self._sums("real", length) if self.real is None else None
        # The distance that is known, and of which sums, as their hash.
        self._known = None, None
        self._direction = "down"  # for Keras' callbacks with mode="auto"

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Takes in a batch of images.

        Args:
            y_true: Real images like `y_pred`, if there is no `reference`; else it isn't looked at.
            y_pred: Generated images, float `[B, S, S, 3]` in [-1, 1], or uint8.
            sample_weight: None; every image counts alike.
        """
        if sample_weight is not None:
            raise InputError(
                "Got sample_weight for a Frechet distance. Expected None: every image counts alike. Leave "
                "it out of the batches."
            )
        if self.real is not None:  # while the step is traced
            for note in self.real.check(self.extractor, int(y_pred.shape[1])):
                warnings.warn(note, stacklevel=2)
        self._add(self._generated, y_pred)
        if self._given is not None:
            self._add(self._given, y_true)

    def result(self):
        """The distance, a scalar; NaN inside a traced step, and of fewer than two images."""
        unknown = tf.constant(np.nan, self.dtype)
        if not tf.executing_eagerly():
            return unknown
        sides = [self._generated] if self._given is None else [self._generated, self._given]
        sides = [[keras.ops.convert_to_numpy(part) for part in sums] for sums in sides]
        # Keras asks several times for what takes a decomposition.
        key = content_hash(*(part for sums in sides for part in sums))
        if key != self._known[0]:
            self._known = key, self._distance(*sides)
        distance = self._known[1]
        return unknown if distance is None else tf.constant(distance, self.dtype)

    def get_config(self):
        named = {
            key: os.fspath(value) if isinstance(value, os.PathLike) else value
            for key, value in self._settings.items()
            if value is None or isinstance(value, (str, os.PathLike))
        }
        unnamed = sorted(set(self._settings) - set(named))
        return {**super().get_config(), **named, **({"unnamed": unnamed} if unnamed else {})}

    @classmethod
    def from_config(cls, config):
        if config.get("unnamed"):
            raise InputError(
                f"Got a saved FrechetDistance whose {' and '.join(config['unnamed'])} had no name. Expected "
                "names. Load the model with compile=False and compile it again, or give the metric names."
            )
        return cls(**config)

    def _sums(self, name, length):
        shapes = {"count": (), "sum": (length,), "products": (length, length), "dark": ()}
        return [
            self.add_variable(shape, "zeros", dtype="float64", name=f"{name}_{part}")
            for part, shape in shapes.items()
        ]

    def _add(self, sums, images):
        features = tf.cast(self.extractor.features_in_graph(images), tf.float64) - self._origin
        count, total, products, dark = sums
        count.assign_add(tf.cast(tf.shape(features)[0], tf.float64))
        total.assign_add(tf.reduce_sum(features, 0))
        products.assign_add(tf.matmul(features, features, transpose_a=True))
        if images.dtype == "uint8":
            below = tf.ones(tf.shape(features)[:1], tf.bool)
        else:
            below = tf.reduce_any(images < 0, axis=(1, 2, 3))
        dark.assign_add(tf.reduce_sum(tf.cast(below, tf.float64)))

    def _distance(self, generated, given=None):
        """The distance, None where it isn't known."""
        real = self._moments(*given) if given else (self.real.mean, self.real.covariance)
        sides = self._moments(*generated), real
        # NaN is for EarlyStopping and TerminateOnNaN to see: a student may have diverged.
        if not all(side is not None and np.isfinite(side[1]).all() for side in sides):
            return None
        return frechet_distance(*sides[0], *sides[1])

    def _moments(self, count, total, products, dark):
        """Mean and covariance, or None of fewer than two images."""
        if count < 2:
            return None
        if not dark:
            warnings.warn(
                f"Got {count:,.0f} images without a value below 0 for {self.name}. Expected [-1, 1]. Take "
                "2 * images - 1 of images in [0, 1].",
                stacklevel=3,
            )
        mean = total / count
        covariance = (products - count * np.outer(mean, mean)) / (count - 1)
        return self._origin + mean, (covariance + covariance.T) / 2
