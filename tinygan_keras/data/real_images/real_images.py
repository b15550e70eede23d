"""What all real images to train with have in common: batches, counts per class, and a report.

A source reads uint8 images of the right size in a keyed order; here they are flipped and become floats.
"""

import abc
import hashlib
import os

import numpy as np
import tensorflow as tf

from ...classes.folder_labels import listed
from ...classes.imagenet import imagenet_names
from ...classes.selection import is_imagenet
from ...errors import InputError
from ..image_source import ArrayImages
from .preprocessing import describe_preprocessing, flip_at_random, to_float

_SHOWN = 5
_DRAWN_AT_ONCE = 256


class RealImages(abc.ABC):
    """Real images with the labels of a teacher, read batch by batch.

    Args:
        name: What people call them.
        image_size: Height and width of the images of the batches.
        num_classes: Number of classes of the teacher.
        class_names: Names by label, for reports; None for those of ImageNet, if there are 1000.
        classes: Labels that are wanted; None for all.

    Attributes:
        name, image_size, num_classes, class_names, classes: as given.
        count: int, number of images.
        class_counts: int64 `[num_classes]`, or None where nobody has counted.
        warnings: List of str, what is not as it should be but can be used.
        found: Dict of str, further lines of the report.
    """

    def __init__(self, name, image_size, num_classes, class_names=None, classes=None):
        self.name, self.image_size, self.num_classes = name, image_size, num_classes
        self.class_names = class_names
        if is_imagenet(num_classes, class_names):
            self.class_names = imagenet_names()
        self.classes = None if classes is None else tuple(classes)
        self.count, self.class_counts = 0, None
        self.warnings, self.found = [], {}

    def batches(
        self, batch_size: int, seed=0, start_step=0, horizontal_flip=False
    ) -> tf.data.Dataset:
        """Passes over the images again and again, each time in another order.

        Batch k is a pure function of the seed and k, wherever it starts.

        Args:
            batch_size: Images per batch; the shape is static.
            seed: Seed of the order and of the flips.
            start_step: Number of the first batch.
            horizontal_flip: Mirror half of the images, chosen at random each time.

        Returns:
            Endless data set of dicts `image` float32 `[B, S, S, 3]` in [-1, 1] and `image_label` int32 `[B]`.

        Raises:
            tf.errors.InvalidArgumentError: while reading: an image can't be decoded. The message names it.
        """
        batches = self._stored_batches(batch_size, seed, start_step)

        def finish(step, batch):
            images, labels = batch
            if horizontal_flip:
                images = flip_at_random(images, seed, step)
            return {"image": to_float(images), "image_label": tf.cast(labels, tf.int32)}

        numbered = batches.enumerate(start_step)
        return numbered.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

    def draw(self, count: int, seed=0) -> ArrayImages:
        """Returns images in memory, such as an evaluation needs, cropped and resized as in training.

        Args:
            count: How many, at random and each once; all, if there are no more.
            seed: Seed of the choice.
        """
        count = min(count, self.count)
        size = min(count, _DRAWN_AT_ONCE)
        batches = self._stored_batches(size, seed, 0).take(-(-count // size)).as_numpy_iterator()
        images, labels = (np.concatenate(parts)[:count] for parts in zip(*batches, strict=True))
        name = self.name if count == self.count else f"{count:,} of {self.name}"
        name += f", {self.image_size}x{self.image_size}"
        return ArrayImages(images, labels, self.class_names, name)

    @abc.abstractmethod
    def _stored_batches(self, batch_size, seed, start_step) -> tf.data.Dataset:
        """Endless data set of pairs uint8 `[B, S, S, 3]`, int `[B]`."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what decides the batches; a run that is resumed expects the same."""

    def report(self, horizontal_flip=False) -> str:
        """Returns what was found, as lines to print before training starts."""
        lines = {"images": f"{self.count:,}{self._in_classes()}"}
        if self.class_counts is not None:
            lines["images per class"] = self._extremes()
        lines |= self.found
        lines["preprocessing"] = describe_preprocessing(self.image_size, horizontal_flip)
        width = max(map(len, lines)) + 2
        rows = [f"  {title + ':':<{width}}{text}" for title, text in lines.items()]
        return "\n".join(
            [f"Real images: {self.name}", *rows, *(f"  Warning: {w}" for w in self.warnings)]
        )

    def _count_classes(self, labels):
        """Sets count and counts per class, and warns of wanted classes without images."""
        counts = np.bincount(labels, minlength=self.num_classes) if len(labels) else None
        self._set_counts(np.zeros(self.num_classes, "int64") if counts is None else counts)

    def _set_counts(self, counts):
        self.class_counts, self.count = np.asarray(counts, "int64"), int(np.sum(counts))
        if not self.count:
            wanted = listed([self._called(label) for label in self._wanted()], _SHOWN)
            raise InputError(
                f"Got {self.name} without a single image of the classes {wanted}. Expected at least one. "
                "Change the setting classes, or give another data set."
            )
        missing = [label for label in self._wanted() if not counts[label]]
        if missing:
            names = listed([self._called(label) for label in missing], _SHOWN)
            self.warnings.append(
                f"No image of {len(missing):,} of {len(self._wanted()):,} classes: {names}. The GAN terms "
                "never see them."
            )

    def _wanted(self):
        return range(self.num_classes) if self.classes is None else self.classes

    def _in_classes(self):
        if self.class_counts is None:
            return " (not counted by class: that takes a pass over all of them)"
        present = int(np.count_nonzero(self.class_counts))
        of_teacher = f", of the teacher's {self.num_classes:,}" if self.classes is not None else ""
        return f" in {present:,} of {len(self._wanted()):,} classes{of_teacher}"

    def _extremes(self):
        present = np.flatnonzero(self.class_counts)
        least, most = (
            int(present[pick(self.class_counts[present])]) for pick in (np.argmin, np.argmax)
        )
        counts = self.class_counts
        return (
            f"{counts[least]:,} (fewest: {self._called(least)}) to {counts[most]:,} (most: "
            f"{self._called(most)})"
        )

    def _called(self, label):
        return f"{label} {self.class_names[label]}" if self.class_names else str(label)


def fingerprint_of(*parts) -> str:
    """SHA-256 (hex) of strings and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(
            os.fsencode(part) if isinstance(part, str) else np.ascontiguousarray(part).data
        )
        digest.update(b"\0")
    return digest.hexdigest()
