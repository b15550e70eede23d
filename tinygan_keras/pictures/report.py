"""All the pictures of one generator: what it generates, whether it has learned a space, whether it copies.

Scope: which images are generated and looked at, and what each picture shows and says. A picture that can't be
made is reported with its reason, never left out in silence.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..classes.selection import class_numbers
from ..data.image_sets import open_images
from ..errors import InputError
from ..evaluation.evaluate import SEED, check_pair
from ..evaluation.extractors.extractor import load_extractor
from ..evaluation.metrics.frechet import FEWEST_ROWS, frechet_bias
from ..evaluation.metrics.gap import gap_sentence, gap_shares, radial_spectrum
from ..evaluation.metrics.moments import feature_statistics
from ..evaluation.metrics.neighbours import nearest_neighbours
from ..evaluation.real_statistics import RealStatistics
from ..files import check_writable, user_path
from ..generators.generator import GeneratedImages, generate_images, grid_of
from ..generators.opening import open_generator
from ..generators.side_files import teacher_here
from ..images import read_numbers
from ..latents import resolve_truncation
from ..progress import progress_bar
from .charts import (
    MAX_COLOURS,
    MIN_TSNE_POINTS,
    Projection,
    feature_map,
    feature_mosaic,
    gap_chart,
    project,
)
from .image_rows import image_rows, save_png
from .interpolation import class_path, spherical_path
from .neighbour_picture import NeighbourBlock, memorisation_scale, neighbour_picture

MAPS = ("pca", "tsne")
MOST_REAL = 10_000  # images searched for neighbours: the cost of the scale is quadratic
_CLASSES = 10  # shown of many, unless some are chosen
_GRID_IMAGES = 8  # of each class
_STEPS, _ROWS, _NEIGHBOURS = 11, 10, 5
_SPECTRA = 1000  # real images
_MAP_POINTS = 60  # per class and source; more hide each other
_CHUNK = 250


class Entry(NamedTuple):
    """One picture of a report: its file, or None with the reason why it wasn't made."""

    name: str
    path: Path | None
    text: str


def draw_album(
    generator,
    folder,
    teacher="auto",
    extractor=None,
    real=None,
    classes=None,
    per_class: int = 100,
    map_method: str = "pca",
    truncation: float | None = None,
    seed: int = SEED,
    report: Callable | None = None,
    progress=False,
) -> list[Entry]:
    """Makes every picture of a generator that the inputs allow, in a folder.

    | file | needs |
    |---|---|
    | `class_grid.png` | - ; shows the teacher above the student if there is one |
    | `interpolation_z.png` | - |
    | `interpolation_class.png` | two classes, and a generator that can mix classes |
    | `neighbours.png` | extractor and real images |
    | `feature_map.png`, `feature_mosaic.png` | extractor, and real images or a teacher |
    | `gap.png` | extractor, real images and a teacher |

    Args:
        generator: A path for `load_generator`, or a `Generator`.
        folder: Where to; made if missing.
        teacher: What the student was distilled from, likewise; None for none; "auto" for the one in
            the run's configuration if it is on this machine.
        extractor: A `FeatureExtractor`, or a name for `load_extractor`; None for none.
        real: A set of images, or a name for `open_images`; None for none.
        classes: Numbers, names or ranges, as for `Generator.generate`; None: all, or ten spread over them.
        per_class: Images of each class for neighbours and map, with the seeds `seed`, `seed + 1`, ...
        map_method: "pca" or "tsne".
        truncation: In [0, 1]; None for the generator's own, or 0.5.
        seed: Seed of the first image of each class.
        report: Called with every `Entry` as soon as it is there.
        progress: Show progress bars.

    Returns:
        An `Entry` per picture, made or not.

    Raises:
        InputError: no such class or map; the number of classes is unknown; teacher, extractor or real
            images don't fit the generator.
        MissingFileError, UnusableFileError: what is named isn't there, or nothing can be written in `folder`.

    Example:
        for entry in draw_album("runs/mine", "pictures", real="fashion_mnist"):
            print(entry.path, entry.text)
    """
    if map_method not in MAPS:
        raise InputError(f"Got the map {map_method!r}. Expected one of {', '.join(MAPS)}.")
    if per_class < 2:
        raise InputError(
            f"Got per_class={per_class}. Expected at least 2, the ends of an interpolation."
        )
    check_writable(folder)
    folder = Path(user_path(folder))
    generator = _opened(generator, lambda path: open_generator(path, truncation))
    chosen = class_numbers(classes, generator.num_classes, generator.class_names, distinct=True)
    if classes is None or not (classes.strip() if isinstance(classes, str) else np.size(classes)):
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _CLASSES)).astype(int)]
    extractor, real = _opened(extractor, load_extractor), _opened(real, open_images)
    if extractor is not None:  # refused before anything is generated
        for source in (generator, *([real] if real is not None else [])):
            extractor.protocol(source.image_size)
    truncation = resolve_truncation(truncation, generator)
    teacher = teacher_here(generator) if teacher == "auto" else teacher
    teacher = _opened(teacher, lambda path: open_generator(path, truncation))
    if teacher is not None:
        check_pair(generator, teacher)
    per_class = per_class if extractor else min(per_class, _GRID_IMAGES)
    seeds = range(seed, seed + per_class)
    images = ReportImages(
        generator, teacher, extractor, real, chosen, seeds, truncation, int(progress)
    )
    entries = []
    for name, make in PAGES.items():
        picture, text = make(images, map_method)
        path = None if picture is None else save_png(picture, folder / name)
        entries.append(Entry(name, path, text))
        if report:
            report(entries[-1])
    return entries


def _opened(thing, load):
    return load(thing) if isinstance(thing, (str, os.PathLike)) else thing


class ReportImages:
    """Images of a generator and its teacher; real ones and features when they are first asked for."""

    def __init__(self, generator, teacher, extractor, real, classes, seeds, truncation, progress=0):
        self.generator, self.extractor, self.real = generator, extractor, real
        self.classes, self.per_class, self.seed = classes, len(seeds), seeds[0]
        self._progress, self._maps = progress, {}
        grid = grid_of(classes, seeds)  # class after class; the teacher's are of the same latents
        student = GeneratedImages(generator, *grid, truncation)
        self.labels, self.latents = student.labels, student.latents(0, student.count)
        self.student_images, self.teacher_images = student.read(0, student.count), None
        if teacher is not None:
            teacher = GeneratedImages(teacher, *grid, truncation)
            self.teacher_images = teacher.read(0, teacher.count)
        theirs = getattr(real, "class_names", None)
        # Names of another set of classes would be wrong ones.
        same = theirs is not None and len(theirs) == generator.num_classes
        self.names = generator.class_names or (theirs if same else None)
        # All, or many spread over the set, which may be sorted.
        count = real.count if real is not None else 0
        self.real_numbers = np.linspace(0, count - 1, min(count, MOST_REAL)).astype(int)

    def map_of(self, method):
        """A `FeatureMap` and what to say of it, or None and why not; made once, as several pages show it."""
        if method not in self._maps:
            self._maps[method] = _make_map(self, method)
        return self._maps[method]

    def name(self, label) -> str:
        """A class for people; its number where no name is known."""
        known = self.names and label < len(self.names)
        return self.names[label].split(",")[0] if known else f"class {label}"

    def first(self, count) -> np.ndarray:
        """Numbers `[C, count]` of the first images of every class."""
        starts = np.arange(len(self.classes))[:, None] * self.per_class
        return starts + np.arange(min(count, self.per_class))

    def varied(self, count) -> np.ndarray:
        """Numbers `[C, count]` of images of every class, with other seeds for each class if there are."""
        places = np.arange(len(self.classes) * count).reshape(-1, count) % self.per_class
        return self.first(1) + places

    @functools.cached_property
    def student_features(self) -> np.ndarray:
        return self.extractor(self.student_images)[0]

    @functools.cached_property
    def teacher_features(self) -> np.ndarray:
        return self.extractor(self.teacher_images)[0]

    def real_images(self, numbers) -> np.ndarray:
        """Real images by their numbers, uint8 `[n, S, S, 3]`."""
        return read_numbers(self.real, numbers)

    @functools.cached_property
    def real_features(self) -> np.ndarray:
        """Features float32 `[n, F]` of the real images that are searched."""
        numbers = self.real_numbers
        bar = progress_bar(len(numbers), "real image", self._progress)
        features = []
        for start in range(0, len(numbers), _CHUNK):
            images = self.real_images(numbers[start : start + _CHUNK])
            features.append(self.extractor(images)[0])
            bar.add(len(images))
        return np.concatenate(features)

    @functools.cached_property
    def real_labels(self) -> np.ndarray | None:
        """Labels int `[n]` in the generator's numbers, -1 where it has no such class; None if unknown."""
        theirs = self.real.class_names
        if self.real.labels is None or (theirs and not self.names):
            return None
        labels = np.asarray(self.real.labels)[self.real_numbers]
        if not theirs or not self.names:
            return labels
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([numbers.get(name, -1) for name in theirs])[labels]


_rows = functools.partial(image_rows, thumbnails=True)

# A page is a function of `ReportImages` and the kind of map. It returns a picture uint8 `[H, W, 3]` and what
# it shows, or None and why it can't be made.


def _class_grid(images, _):
    if images.teacher_images is None:
        sides = {"": images.student_images}
        title = "What the generator makes, class by class"
        line = "Every image of a row has a random z of its own; a column has the same z."
        text = "A row per class. There is no teacher to compare with: none was given or found."
    else:
        sides = {"teacher": images.teacher_images, "student": images.student_images}
        title = "What the student has learned from its teacher"
        line = (
            "The images above each other are teacher's and student's for the same random z and class. Good: "
            "they show the same thing."
        )
        text = "For each class the teacher's images, and the student's below, from the same z."
    rows = [side[row] for row in images.first(_GRID_IMAGES) for side in sides.values()]
    names = [images.name(label) for label in images.classes]
    layout = {"marks": tuple(sides), "blocks": len(sides)}
    return _rows(rows, names, title=title, lines=[line], **layout), text


def _latent_interpolation(images, _):
    rows, names = [], []
    pairs = max(1, min(_ROWS // len(images.classes), images.per_class // 2))
    for label, numbers in zip(images.classes, images.varied(2 * pairs), strict=True):
        for first, second in zip(numbers[::2], numbers[1::2], strict=False):
            path = spherical_path(images.latents[first], images.latents[second], _STEPS)
            labels = np.full(_STEPS, label, "int32")
            rows.append(generate_images(images.generator.draw, path, labels))
            names.append(images.name(label))
    picture = _rows(
        rows,
        names,
        columns=["z 1", *_shares()[1:-1], "z 2"],
        title="From one random z to another, within a class",
        lines=[
            "The two ends of a row are independent latents z. The images between them lie at equal steps on "
            "the great circle between the two.",
            "Good: every image in between is a plausible one of its class, and the change is gradual.",
        ],
    )
    return picture, "Each row goes from one random z to another of the same class."


def _class_interpolation(images, _):
    generator, classes = images.generator, images.classes
    if generator.mix is None:
        return None, f"a {generator.format} takes one class per image and can't mix classes."
    if len(classes) < 2:
        return None, "only one class was chosen."
    others, rows = np.roll(classes, -1), []
    for first, second, number in zip(classes, others, images.varied(1)[:, 0], strict=True):
        latents = np.tile(images.latents[number], (_STEPS, 1))
        weights = class_path(first, second, generator.num_classes, _STEPS)
        rows.append(generate_images(generator.mix, latents, weights))
    picture = _rows(
        rows,
        [images.name(label) for label in classes],
        right_names=[images.name(label) for label in others],
        columns=_shares(),
        title="From one class to another, with the same z",
        lines=[
            "The random z is fixed in a row. The class changes in equal steps, by mixing the two class "
            "embeddings; the numbers above are the share of the class at the right.",
            "Good: what z decides, such as pose and brightness, stays while the kind of thing changes.",
        ],
    )
    return picture, "Each row goes from one class to another, z fixed."


def _shares() -> list:
    return [f"{share:.0%}" for share in np.linspace(0, 1, _STEPS)]


def _neighbours(images, _):
    if images.extractor is None or images.real is None:
        return None, "it needs a feature extractor and real images."
    if len(images.real_numbers) < 2:
        return None, "it needs at least two real images: their distance is the scale."
    real, student = images.real_features, images.student_features
    found, distances = nearest_neighbours(student, real, min(_NEIGHBOURS, len(real)))
    _, real_distances = nearest_neighbours(real, real, 1, exclude_self=True)
    scale = memorisation_scale(real_distances, distances[:, 0])
    by_class = distances[:, 0].reshape(len(images.classes), -1)
    closest = images.first(1) + by_class.argsort(axis=1, kind="stable")

    count = max(1, min(_ROWS // len(images.classes), images.per_class))
    shown = {
        "Random images": images.varied(count),
        f"The closest of {images.per_class} of each class": closest[:, :count],
    }
    blocks = []
    for heading, numbers in shown.items():
        rows = numbers.ravel()[:_ROWS]
        names = [images.name(label) for label in images.labels[rows]]
        near = [images.real_images(own) for own in images.real_numbers[found[rows]]]
        block = NeighbourBlock(heading, names, images.student_images[rows], near, distances[rows])
        blocks.append(block)
    searched = f"{len(real):,} of {images.real.count:,} real images, {images.real.name}"
    authentic = np.mean(distances[:, 0] > real_distances[found[:, 0], 0])
    text = "Generated images beside the nearest real ones: do any look copied?"
    text += f" Authenticity: {authentic:.0%} of {len(student):,} are farther from their nearest real image"
    text += " than that is from another real one; real images themselves get about half."
    text = " ".join([text, *getattr(images.real, "warnings", ())])
    return neighbour_picture(blocks, scale, searched), text


def _feature_map(images, method):
    found, text = images.map_of(method)
    if found is None:
        return None, text
    text = f"Each point is an image: do generated images lie where real ones do? {text}".rstrip()
    return feature_map(found.projection, found.labels, found.names, images.seed), text


def _feature_mosaic(images, method):
    found, text = images.map_of(method)
    if found is None:
        return None, text
    text = f"The map as a mosaic of the images themselves, framed by class. {text}".rstrip()
    return feature_mosaic(found.images, found.projection, found.labels, found.names), text


class FeatureMap(NamedTuple):
    """What maps of features show, by source, and where on the map it lies."""

    images: dict  # uint8 [N, S, S, 3]
    projection: Projection
    labels: dict  # int [N], or None
    names: dict  # of the classes, by label


def _make_map(images, method):
    """A `FeatureMap` and what to say of it, or None and why there is none."""
    if images.extractor is None:
        return None, "it needs a feature extractor."
    if images.real is None and images.teacher_images is None:
        return None, "it needs real images or a teacher to compare with."
    if len(images.classes) > MAX_COLOURS:
        text = f"it shows at most {MAX_COLOURS} classes, as many as colours can be told apart."
        return None, text
    features, labels, shown, text = {}, {}, {}, ""
    if images.real is not None:
        places, real_labels, text = _real_points(images)
        if len(places) >= 3:
            features["real"], labels["real"] = images.real_features[places], real_labels
            shown["real"] = images.real_images(images.real_numbers[places])
    rows = images.first(_MAP_POINTS).ravel()
    if images.teacher_images is not None:
        features["teacher"] = images.teacher_features[rows]
        shown["teacher"] = images.teacher_images[rows]
    name = "generated" if images.teacher_images is None else "student"
    features[name], shown[name] = images.student_features[rows], images.student_images[rows]
    if len(features) < 2:
        return None, "it needs at least three real images of these classes, or a teacher."
    count = sum(map(len, features.values()))
    if method == "tsne" and count < MIN_TSNE_POINTS:
        text = f"t-SNE needs at least {MIN_TSNE_POINTS} images, these are {count}. Take more, or the map pca."
        return None, text
    labels = dict.fromkeys(features, images.labels[rows]) | labels
    names = {label: images.name(label) for label in images.classes.tolist()}
    try:
        projection = project(features, method, images.seed)
    except ImportError as error:
        return None, str(error)
    return FeatureMap(shown, projection, labels, names), text


def _real_points(images):
    """Places of as many real images of each class as are shown, their labels, and what to say."""
    labels = images.real_labels
    if labels is None:
        count = min(len(images.real_numbers), _MAP_POINTS * len(images.classes))
        rows = np.linspace(0, len(images.real_numbers) - 1, count).astype(int)
        text = "The real images have no labels, or other classes than the generator: they are grey."
        return rows, None, text
    rows = [np.flatnonzero(labels == label)[:_MAP_POINTS] for label in images.classes]
    missing = [images.name(c) for c, own in zip(images.classes, rows, strict=True) if not len(own)]
    text = f"There are no real images of {', '.join(missing)}." if missing else ""
    rows = np.concatenate(rows)
    return rows, labels[rows], text


def _gap(images, _):
    if images.extractor is None or images.real is None or images.teacher_images is None:
        return None, "it needs a feature extractor, real images and a teacher."
    if images.real_labels is None:
        return None, "it compares with real images of the same classes, and these have no labels."
    places = np.flatnonzero(np.isin(images.real_labels, images.classes))
    if min(len(images.student_images), len(places)) < FEWEST_ROWS:
        return None, f"it needs at least {FEWEST_ROWS} images of these classes."
    features = images.student_features, images.teacher_features
    statistics = feature_statistics(images.real_features[places])
    real = RealStatistics(*statistics, features=images.real_features[places])
    sides = [feature_statistics(rows) for rows in features]
    floor = frechet_bias(len(features[0]), real)
    gap = gap_shares(*sides, statistics, *features, floor=floor)
    few = places[np.linspace(0, len(places) - 1, min(len(places), _SPECTRA)).astype(int)]
    pixels = {"student": images.student_images, "teacher": images.teacher_images}
    pixels["real"] = images.real_images(images.real_numbers[few])
    spectra = {name: radial_spectrum(own).mean(axis=0).tolist() for name, own in pixels.items()}
    gap |= {"spectra": spectra}
    text = f"{gap_sentence(gap)} Of {len(features[0]):,} images of these classes."
    return gap_chart(gap), text


PAGES = {
    "class_grid.png": _class_grid,
    "interpolation_z.png": _latent_interpolation,
    "interpolation_class.png": _class_interpolation,
    "neighbours.png": _neighbours,
    "feature_map.png": _feature_map,
    "feature_mosaic.png": _feature_mosaic,
    "gap.png": _gap,
}
