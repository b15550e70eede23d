"""The metrics by name: what each needs, what it measures, and how its figures are shown.

A metric is one pure function from `MeasuredImages` to `Measured`, registered by the decorator `metric`.
Nothing is computed, stored or imported for one that isn't chosen, neither TensorFlow nor Keras.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError, nearest_name

SETTINGS = {
    "inception_splits": 10,
    "kernel_block": 1000,
    "nearest_k": 5,
    "neighbour_images": 10_000,  # of each kind, for the kernel distance too: their cost is quadratic
}
# What a metric may need besides images, why it may be missing, and what to do about it.
_MISSING = {
    "real_images": ("No real images are given", "Give real images"),
    "real_features": (
        "The real statistics hold mu and sigma only",
        "Measure the real images (tinygan reference)",
    ),
    "labels": ("The images have no labels", "Sort them into a folder per class"),
    "real_labels": ("The real images have no labels", "Sort them into a folder per class"),
    "teacher": ("No teacher is given", "Give the teacher"),
    "real_pixels": ("The real images are given by their statistics", "Give the images themselves"),
    "logits": ("The extractor has no logits", "Take one that classifies images"),
    "clip": ("The extractor is no CLIP", "Take one such as keras_hub:clip_vit_large_patch14_336"),
    "latents": ("The images aren't those of a generator", "Give the generator"),
    "classification_test": ("No test images are given", "Give classification_test"),
}
ON_REQUEST = {"teacher", "classification_test"}  # nobody misses what he didn't ask for
_ABBREVIATIONS = {"fid": "frechet_distance", "kid": "kernel_distance", "is": "inception_score"}
DEFAULT = "default"
"""Stands for all metrics that aren't optional, in a list of names."""


class Figure(NamedTuple):
    """How a figure is shown: its title, which way is better (`lower`, `higher` or None), its format.

    The standard error of a figure NAME, if there is one, is the number `NAME_error` of the same metric.
    """

    title: str
    better: str | None
    format: str
    spread: str | None = None  # the figure that is its error bar or standard deviation


class Measured(NamedTuple):
    """What a metric found out."""

    figures: dict  # numbers by name
    notes: tuple = ()  # what the figures can't say
    classes: dict | None = None  # `{label: {name: number}}`
    protocol: dict | None = None  # what moves these figures, beyond `SETTINGS`
    details: dict | None = None  # what is more than a number, by name in the result


@dataclasses.dataclass(frozen=True)
class MeasuredImages:
    """The images of an evaluation and what they are compared with, opened and checked."""

    source: Any  # `GeneratedImages`, or a set of images
    extractor: Any  # `FeatureExtractor`
    num_classes: int | None  # how many classes the images can have
    class_names: tuple | None
    teacher: Any  # `GeneratedImages` of the same latents, or None
    real: Any  # `RealStatistics`, or None
    classification_test: Any  # labelled real images, or None
    seed: int  # of every random choice
    progress: bool
    columns: dict = dataclasses.field(default_factory=dict)  # `Column` by name, as metrics ask for
    real_pixels: Any = None  # the real images, where they are given and not their statistics
    # What several metrics need of the Frechet distance to the real images; those of the teacher's images too.
    to_real: dict = dataclasses.field(default_factory=dict)

    @property
    def available(self) -> set:
        """What metrics may need and these images have."""
        found = {"teacher": self.teacher, "classification_test": self.classification_test}
        found |= {"labels": self.source.labels, "real_images": self.real}
        found |= {"real_pixels": self.real_pixels, "latents": getattr(self.source, "latents", None)}
        found["logits"] = self.extractor.num_classes or None
        found["clip"] = getattr(self.extractor, "kind", None) == "clip" or None
        if self.real is not None:
            found |= {"real_features": self.real.features, "real_labels": self.real.labels}
        return {name for name, value in found.items() if value is not None}

    @functools.cached_property
    def order(self) -> np.ndarray:
        """A random order of the images."""
        return np.random.default_rng(self.seed).permutation(self.source.count)

    @functools.cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Real and generated features, a random choice where there are many."""
        most = SETTINGS["neighbour_images"]
        # In a random order too: real images are often sorted, and the kernel distance takes blocks.
        chosen = np.random.default_rng(0).permutation(len(self.real.features))[:most]
        return self.real.features[chosen], self.columns["features"].take(self.order[:most])

    def name_of(self, label: int) -> str:
        """The name of a class; its number if it has none."""
        known = self.class_names is not None and label < len(self.class_names)
        return self.class_names[label] if known else str(label)


class Metric(NamedTuple):
    """A registered metric."""

    name: str
    measure: Callable[[MeasuredImages], Measured]
    figures: dict  # `Figure` by name
    needs: tuple  # names in `_MISSING`
    columns: tuple  # what has to be stored of every image
    optional: bool  # measured only where somebody asks for it by name


METRICS: dict[str, Metric] = {}


def metric(name: str, figures: dict, needs=(), columns=("features",), optional=False):
    """Registers a function as a metric; see `Metric`."""

    def register(function):
        METRICS[name] = Metric(name, function, figures, tuple(needs), tuple(columns), optional)
        return function

    return register


def choose(names=None) -> list[Metric]:
    """The metrics with these names, or with figures of these names, in the order of tables.

    `DEFAULT` among the names, or None in place of them, stands for all that aren't optional.
    """
    names = [DEFAULT] if names is None else [names] if isinstance(names, str) else list(names)
    of_figure = {figure: metric for metric in METRICS.values() for figure in metric.figures}
    of_figure |= METRICS
    unknown = [name for name in names if name not in of_figure and name != DEFAULT]
    if unknown or not names:
        known = [DEFAULT, *METRICS]
        raise InputError(
            f"Got metrics={', '.join(unknown) or 'nothing'}. Expected some of {', '.join(known)}."
            + nearest_name(_meant(unknown), known)
        )
    chosen = {of_figure[name].name for name in names if name != DEFAULT}
    if DEFAULT in names:
        chosen |= {name for name, metric in METRICS.items() if not metric.optional}
    return [metric for name, metric in METRICS.items() if name in chosen]


def _meant(unknown) -> str:
    """What the first of the unknown names may be short for, or that name."""
    first = "".join(unknown[:1])
    return _ABBREVIATIONS.get(first.lower(), first)


def asked_for(names) -> set:
    """The names of the metrics that somebody asked for one by one: a lack of these is refused."""
    names = [names] if isinstance(names, str) else names or ()
    single = [name for name in names if name != DEFAULT]
    return {metric.name for metric in choose(single)} if single else set()


def computable(metrics: list, available: set, required=()) -> tuple[list, list]:
    """The metrics whose needs are `available`, and a note for each reason why others are left out.

    A lack is refused of metrics that are `required`, by name, because somebody asked for these very ones.
    """
    kept, left_out = [], {}
    for metric in metrics:
        missing = [need for need in _MISSING if need in metric.needs and need not in available]
        if not missing:
            kept.append(metric)
        elif metric.name in required:
            reason, fix = _MISSING[missing[0]]
            raise InputError(
                f"Got metrics with {metric.name}. {reason}, which it needs. {fix}, or leave it out."
            )
        elif not ON_REQUEST & set(missing):
            titles = [figure.title for figure in metric.figures.values()]
            left_out.setdefault(_MISSING[missing[0]][0], []).extend(titles)
    return kept, [f"{why}: left out are {', '.join(titles)}." for why, titles in left_out.items()]
