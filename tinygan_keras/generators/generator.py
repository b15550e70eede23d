"""A generator, wherever it comes from, and its pictures: a picture is (class, seed, truncation).

`opening.py` makes a `Generator` of a path, a handle or a model.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..classes.selection import class_numbers
from ..errors import InputError
from ..images import check_labels, to_uint8
from ..latents import check_seeds, latents_of_seeds, resolve_truncation

PORTION = 250  # images that are read, written and looked at together, at most
_PIXELS = 256 * 64 * 64  # generated in one call, at most
_TOLERANCE = 1e-3  # an eighth of one uint8 level


@dataclasses.dataclass(frozen=True)
class Generator:
    """A generator and what is known about it; None where its files don't say.

    Attributes:
        draw: Callable from latents float32 `[B, latent_dim]` and labels int `[B]` to images float32
            `[B, image_size, image_size, 3]` in [-1, 1].
        latent_dim: int.
        image_size: int, height and width in pixels.
        source: What it was opened from, as given.
        format: "run folder", "keras file", "saved model", "teacher", "keras model" (in memory), or a small
            runtime with its precision, such as "litert int8".
        content_hash: SHA-256 (hex) of graph or config and of weights; it names the generator.
        num_classes: int, or None.
        class_names: Tuple of str by label, or None.
        truncation: That of the latents it was trained with, or of a teacher's statistics; in [0, 1].
        weights: Which weights of the training these are: "exponential moving average" or "last step".
        parameters: int, what training changes by gradient.
        teacher: Handle of the teacher it was distilled from.
        mix: Callable from latents and class weights float32 `[B, num_classes]` to images; None for an
            export, which takes class numbers only.

    Example:
        >>> import tinygan_keras as tg
        >>> generator = tg.open_generator("tinygan_fashion_32")
        >>> generator.generate("Sneaker,8", seeds=7).shape
        (2, 32, 32, 3)
    """

    draw: Callable
    latent_dim: int
    image_size: int
    source: str
    format: str
    content_hash: str
    num_classes: int | None = None
    class_names: tuple | None = None
    truncation: float | None = None
    weights: str | None = None
    parameters: int | None = None
    teacher: str | None = None
    mix: Callable | None = None

    def generate(self, classes=None, seeds=0, truncation=None) -> np.ndarray:
        """Generates images: image i is that of class i and seed i, now and everywhere else.

        Args:
            classes: None for every class once; a number, a name, a text such as "Sneaker,8" or "0-5", or
                a sequence of these.
            seeds: An int to start from (then image i has the seed `seeds + i`), or an int per image.
            truncation: Scalar in [0, 1], the scale of the latents; None for the generator's own, or 0.5. A
                teacher generates at its own only.

        Returns:
            Images uint8 `[N, image_size, image_size, 3]`.

        Raises:
            InputError: no such class, seeds or truncation out of range, or images that are not finite.
        """
        labels = class_numbers(classes, self.num_classes, self.class_names)
        images = GeneratedImages(self, labels, seeds, truncation)
        return images.read(0, images.count)


class GeneratedImages:
    """Images of given classes and seeds, with the interface of a set of images; generated when read."""

    def __init__(self, generator, labels, seeds=0, truncation=None):
        self.generator, self.count = generator, len(labels)
        self.labels = check_labels(labels, self.count, generator.num_classes, generator.source)
        self.seeds = check_seeds(seeds, self.count)
        self.truncation = truncation_of(generator, truncation)
        self.image_size = generator.image_size
        self.name = f"{generator.source}, truncation {self.truncation:g}"

    def latents(self, start: int, stop: int) -> np.ndarray:
        """Latents float32 `[stop - start, Z]` of the images from `start` on."""
        seeds = self.seeds[start:stop]
        return latents_of_seeds(seeds, self.generator.latent_dim, self.truncation)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Generates the images from `start` on: uint8 `[stop - start, S, S, 3]`, all values finite."""
        return generate_images(
            self.generator.draw,
            self.latents(start, stop),
            self.labels[start:stop],
            portion=max(1, min(PORTION, _PIXELS // self.image_size**2)),
            name=self.generator.source,
            first=start,
        )


def grid_of(classes, seeds, seed_by_seed=False):
    """Labels int32 and seeds int64 of every class with every seed, in the order of classes or of seeds."""
    classes, seeds = np.asarray(classes, "int32"), np.asarray(seeds, "int64")
    labels, seeds = np.meshgrid(classes, seeds, indexing="xy" if seed_by_seed else "ij")
    return labels.ravel(), seeds.ravel()


def truncation_of(generator, truncation=None) -> float:
    """The truncation at which a generator generates; refuses another than its own of a teacher."""
    truncation = resolve_truncation(truncation, generator)
    if generator.format == "teacher" and generator.truncation != truncation:
        raise InputError(
            f"Got {generator.source}, whose statistics are those of truncation {generator.truncation:g}, and "
            f"truncation {truncation:g}. Expected the same. Open the teacher with truncation={truncation:g}."
        )
    return truncation


def generate_images(
    draw, latents, labels, portion=PORTION, name="the generator", first=0
) -> np.ndarray:
    """Generates images uint8 in portions, by `draw`, or by `mix` with class weights in place of labels."""
    images = []
    for start in range(0, len(labels), portion):
        rows = slice(start, start + portion)
        generated = np.asarray(draw(tf.constant(latents[rows]), tf.constant(labels[rows])))
        _check_range(generated, name, first + start)
        images.append(to_uint8(generated))
    return np.concatenate(images)


def _check_range(images, name, start):
    sound = np.isfinite(images).all(axis=(1, 2, 3))
    if not sound.all():
        raise InputError(
            f"Got NaN or infinity in {np.sum(~sound)} of {len(images)} images of {name}; the first is "
            f"number {start + int(np.argmin(sound))}. Expected images in [-1, 1]; the training has "
            "diverged, or the file is damaged."
        )
    low, high = images.min(), images.max()
    if low < -1 - _TOLERANCE or high > 1 + _TOLERANCE:
        raise InputError(
            f"Got images of {name} with values from {low:.4g} to {high:.4g}. Expected [-1, 1]; let the "
            "generator end in tanh, or scale its images."
        )
