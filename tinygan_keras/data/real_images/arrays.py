"""Real images in memory: Keras' data sets, Fashion-MNIST, `.npz` files."""

import functools

import numpy as np
import tensorflow as tf

from ...errors import InputError
from ..shuffling import shuffled_indices
from .preprocessing import crop_and_resize
from .real_images import RealImages, fingerprint_of


class RealArrays(RealImages):
    """Real images in an array.

    Args:
        images: uint8 `[N, H, W, 3]`; cropped and resized batch by batch if they have another size.
        labels: Int `[N]`, the teacher's class numbers.
        image_size: Height and width of the images of the batches; None for that of the images.
        num_classes, name, class_names, classes: as in `RealImages`.

    Attributes:
        images: uint8 `[count, H, W, 3]`, those of the wanted classes.
        labels: int32 `[count]`.

    Raises:
        ValueError: another type or shape, or labels that the teacher doesn't have.

    Example:
        real = RealArrays(images, labels, image_size=32, num_classes=10)
        model.fit(distillation_batches(teacher, real, batch_size=32), ...)
    """

    def __init__(
        self, images, labels, image_size, num_classes, name="array", class_names=None, classes=None
    ):
        images, labels = np.asarray(images), np.asarray(labels)
        _check(images, labels, num_classes, name)
        super().__init__(name, image_size or images.shape[1], num_classes, class_names, classes)
        self.images, self.labels = images, labels.astype("int32")
        if classes is not None:
            wanted = np.isin(self.labels, self.classes)
            if not wanted.all():
                self.found["left out"] = f"{np.count_nonzero(~wanted):,} images of other classes"
                self.images, self.labels = self.images[wanted], self.labels[wanted]
        self._count_classes(self.labels)
        height, width = self.images.shape[1:3]
        self.found["size"] = f"{width}x{height} pixels"
        if min(height, width) < self.image_size:
            self.warnings.append(
                f"The images are enlarged from {width}x{height} to {self.image_size}x{self.image_size}, "
                "which makes them blurred."
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint_of(str(self.images.shape), self.images, self.labels.astype("<i4"))

    def _stored_batches(self, batch_size, seed, start_step):
        images, labels = tf.constant(self.images), tf.constant(self.labels)
        fits = self.images.shape[1:3] == (self.image_size, self.image_size)

        def batch(step):
            index = shuffled_indices(step, batch_size, self.count, seed)
            chosen = tf.gather(images, index)
            if not fits:
                chosen = crop_and_resize(chosen, self.image_size)
            return tf.ensure_shape(chosen, (batch_size, *(self.image_size,) * 2, 3)), tf.gather(
                labels, index
            )

        steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
        return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)


def _check(images, labels, num_classes, name):
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(
            f"Got images {images.dtype} {list(images.shape)} of {name}. Expected uint8 [N, H, W, 3]. Convert "
            "floats in [-1, 1] with data.images.to_uint8."
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise InputError(
            f"Got labels {labels.dtype} {list(labels.shape)} of {name}. Expected one integer for each of "
            f"the {len(images):,} images. Give the teacher's class numbers."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise InputError(
            f"Got labels from {labels.min()} to {labels.max()} of {name}. Expected class numbers of the "
            f"teacher, 0 to {num_classes - 1}. Convert the labels, or give only images of its classes."
        )
