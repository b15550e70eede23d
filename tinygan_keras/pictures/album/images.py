"""What an album is drawn from: images of a generator, its teacher and reality, with their features.

Scope: which images are drawn and looked at, once, and only when a picture first asks for them.
"""

import functools
from pathlib import Path

import keras
import numpy as np

from ...evaluation.subjects import check_pair, drawing_truncation, open_generator
from ...generators.generator import GeneratedImages
from ...generators.side_files import located

MOST_REAL = 10_000  # images searched for neighbours: the cost of the scale is quadratic
_CHUNK = 250


class AlbumImages:
    """Images of some classes, a fixed number of each, class after class.

    Args:
        generator: `Generator`.
        teacher: A path, `Generator` or None; it is given the same latents.
        extractor: `FeatureExtractor` or None.
        real: Image source or None.
        classes: Int `[C]`, the classes drawn.
        per_class: Images of each.
        truncation, seed: Of the latents.
        progress: Show progress bars.

    Raises:
        ValueError: the teacher doesn't fit the generator.
    """

    def __init__(
        self, generator, teacher, extractor, real, classes, per_class, truncation, seed, progress
    ):
        self.generator, self.extractor, self.real = generator, extractor, real
        self.classes, self.per_class, self.seed = classes, per_class, seed
        self._progress = int(progress)
        self.student = GeneratedImages(generator, classes.repeat(per_class), seed, truncation)
        self.teacher = None
        if teacher is not None:
            teacher = open_generator(teacher, truncation)
            drawing_truncation(teacher, truncation, notes=[])
            check_pair(generator, teacher)
            self.teacher = GeneratedImages(teacher, self.student.labels, seed, truncation)
        theirs = getattr(real, "class_names", None)
        # Names of another set of classes would be wrong ones.
        same = theirs is not None and len(theirs) == generator.num_classes
        self.names = generator.class_names or (theirs if same else None)

    def name(self, label) -> str:
        """A class for people; its number where no name is known."""
        known = self.names and label < len(self.names)
        return self.names[label].split(",")[0] if known else f"class {label}"

    def first(self, count) -> np.ndarray:
        """Numbers of the first `count` images of every class, class after class."""
        starts = np.arange(len(self.classes))[:, None] * self.per_class
        return (starts + np.arange(min(count, self.per_class))).ravel()

    @functools.cached_property
    def student_images(self) -> np.ndarray:
        return self.student.read(0, self.student.count)

    @functools.cached_property
    def teacher_images(self) -> np.ndarray:
        return self.teacher.read(0, self.teacher.count)

    @functools.cached_property
    def student_features(self) -> np.ndarray:
        return self.extractor(self.student_images)[0]

    @functools.cached_property
    def teacher_features(self) -> np.ndarray:
        return self.extractor(self.teacher_images)[0]

    @functools.cached_property
    def real_numbers(self) -> np.ndarray:
        """Which real images are looked at: all, or many spread over the set, which may be sorted."""
        count = self.real.count
        return np.linspace(0, count - 1, min(count, MOST_REAL)).astype(int)

    def real_images(self, numbers) -> np.ndarray:
        """Real images by their numbers, uint8 `[n, S, S, 3]`."""
        return np.concatenate([self.real.read(int(n), int(n) + 1) for n in numbers])

    @functools.cached_property
    def real_features(self) -> np.ndarray:
        """Features float32 `[n, F]` of the real images that are looked at."""
        numbers = self.real_numbers
        bar = keras.utils.Progbar(len(numbers), unit_name="real image", verbose=self._progress)
        parts = []
        for start in range(0, len(numbers), _CHUNK):
            parts.append(self.extractor(self.real_images(numbers[start : start + _CHUNK]))[0])
            bar.update(min(start + _CHUNK, len(numbers)))
        return np.concatenate(parts)

    @functools.cached_property
    def real_labels(self) -> np.ndarray | None:
        """Labels int `[n]` in the generator's numbers, -1 for a class that it doesn't have.

        None where there are no labels, or classes that can't be told to be the generator's.
        """
        theirs = self.real.class_names
        if self.real.labels is None or (theirs and not self.names):
            return None
        labels = np.asarray(self.real.labels)[self.real_numbers]
        if not theirs or not self.names:
            return labels
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([numbers.get(name, -1) for name in theirs])[labels]


def found_teacher(generator) -> str | None:
    """The folder of the teacher that a run was distilled from, if it is on this machine."""
    if not generator.teacher:
        return None
    return located(generator.teacher, generator.source, Path.is_dir)
