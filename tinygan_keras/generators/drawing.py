"""A generator's images as a source of images: drawn when they are read, always the same.

Scope: which latents and labels. Block number k of 250 images draws its latents from the seed and k, so
every image is a pure function of seed and position, whoever reads it and in whatever portions.
"""

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..images import to_uint8
from ..latents import truncated_normal

SEED = 1_000_000  # far from the seeds of training, whose latents must not be judged
BLOCK = 250  # images whose latents come from one key
LAW = "truncation * normal cut off at 2 standard deviations, blocks of 250 keyed by (seed, block)"
LABEL_LAWS = {
    "reference": "those of the real images, shuffled",
    "balanced": "each class in turn",
}
_PIXELS = 256 * 64 * 64  # drawn in one call, at most
_TOLERANCE = 1e-3  # an eighth of one uint8 level


def draw_labels(law, count: int, generator, real_labels, seed: int):
    """The labels of images that are to be drawn.

    Args:
        law: "reference", "balanced", or "auto": "reference" where there are real labels; or a sequence of
            class numbers, which take turns.
        count: Number of labels.
        generator: Its `num_classes`, which may be None, bounds them.
        real_labels: Int `[K]`, or None.
        seed: Of the order of the real labels.

    Returns:
        The law's name in `LABEL_LAWS`, or a sentence for chosen classes; and labels int32 `[count]`.

    Raises:
        ValueError: there is no such law, it lacks what it needs, or a label is no class.
    """
    if not isinstance(law, str):
        labels = np.resize(np.asarray(law, "int32"), count)
        return f"{len(law)} classes in turn: {_ranges(law)}", labels
    if law == "auto":
        law = "balanced" if real_labels is None else "reference"
    if law not in LABEL_LAWS or (law == "reference" and real_labels is None):
        raise InputError(
            f"Got labels={law!r}. Expected 'balanced', or 'reference' with real images that have labels."
        )
    if law == "reference":
        order = np.random.default_rng(seed).permutation(len(real_labels))
        labels = np.resize(np.asarray(real_labels)[order], count).astype("int32")
    elif generator.num_classes is None:
        raise InputError(
            f"Got {generator.source}, which doesn't say how many classes it has. Expected real images "
            "with labels, whose labels are drawn; or give the run folder instead of the export."
        )
    else:
        labels = np.arange(count, dtype="int32") % generator.num_classes
    if generator.num_classes is not None and labels.max() >= generator.num_classes:
        raise InputError(
            f"Got real images with labels up to {labels.max()}, and {generator.num_classes} classes of "
            "the generator. Expected the same classes; choose the real images of these classes."
        )
    return law, labels


class DrawnImages:
    """Images of a generator for given labels, with the interface of `data.image_source`.

    Two generators with equal `latent_dim`, labels, truncation and seed are given equal latents.

    Args:
        generator: A `LoadedGenerator`, or anything with `draw`, `latent_dim` and `image_size`.
        labels: Int `[N]`.
        truncation: Scale of the latents, in (0, 1].
        seed: Seed of the latents.

    Attributes:
        count: N.  image_size: S.  labels: int32 `[N]`.  name: str.
    """

    def __init__(self, generator, labels, truncation: float, seed: int):
        self.generator = generator
        self.labels = np.asarray(labels, "int32")
        self.truncation, self.seed = truncation, seed
        self.count, self.image_size = len(self.labels), generator.image_size
        self.name = f"{generator.source}, truncation {truncation:g}"

    def latents(self, start: int, stop: int) -> np.ndarray:
        """Latents float32 `[stop - start, Z]` of the images from `start` on."""
        first, last = start // BLOCK, -(-stop // BLOCK)
        shape = BLOCK, self.generator.latent_dim
        blocks = [
            truncated_normal(shape, (self.seed, k), self.truncation) for k in range(first, last)
        ]
        return np.concatenate(blocks)[start - first * BLOCK : stop - first * BLOCK]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Draws the images from `start` on: uint8 `[stop - start, S, S, 3]`.

        Raises:
            ValueError: the generator gives NaN, or values outside [-1, 1].
        """
        latents, labels = self.latents(start, stop), self.labels[start:stop]
        portion = max(1, min(BLOCK, _PIXELS // self.image_size**2))
        images = []
        for first in range(0, len(labels), portion):
            rows = slice(first, first + portion)
            drawn = self.generator.draw(tf.constant(latents[rows]), tf.constant(labels[rows]))
            images.append(self._checked(np.asarray(drawn), start + first))
        return np.concatenate(images)

    def _checked(self, images, start):
        sound = np.isfinite(images).all(axis=(1, 2, 3))
        if not sound.all():
            first = start + int(np.argmin(sound))
            raise InputError(
                f"Got NaN or infinity in {np.sum(~sound)} of {len(images)} images of "
                f"{self.generator.source}; the first is number {first}, of class {self.labels[first]}. "
                "Expected images in [-1, 1]; the training has diverged, or the file is damaged."
            )
        low, high = images.min(), images.max()
        if low < -1 - _TOLERANCE or high > 1 + _TOLERANCE:
            raise InputError(
                f"Got images of {self.generator.source} with values from {low:.4g} to {high:.4g}. "
                "Expected [-1, 1]; let the generator end in tanh, or scale its images."
            )
        return to_uint8(images)


def _ranges(numbers) -> str:
    """Sorted numbers in short: (0, 1, 2, 7) is "0-2,7"."""
    runs = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
