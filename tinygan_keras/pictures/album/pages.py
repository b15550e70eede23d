"""The pictures of an album: what each needs, which images it takes, what it says.

Scope: functions from `AlbumImages` and the kind of map to a picture uint8 `[H, W, 3]` and a sentence: what it
shows, or, with None for the picture, why it can't be drawn. How pictures look is `pictures/`.
"""

import numpy as np

from ...evaluation.metrics.neighbours import nearest_neighbours
from ...generators.generator import generate_images
from ..canvas import thumbnails, titled
from ..charts import MAX_COLOURS, feature_map
from ..grids import class_grid, progress_strip
from ..interpolation import class_interpolation, class_path, latent_interpolation, spherical_path
from ..neighbours import NeighbourBlock, memorisation_scale, neighbour_picture
from ..projection import MIN_TSNE_POINTS

MAPS = ("pca", "tsne")
GRID_IMAGES = 8  # of each class
_STEPS, _ROWS, _NEIGHBOURS = 11, 10, 5
_MAP_POINTS = 60  # per class and source; more hide each other


def _class_grid(images, _):
    rows = images.first(GRID_IMAGES)
    student = thumbnails(images.student_images[rows])
    labels = images.student.labels[rows]
    if images.teacher is None:
        per_class = len(rows) // len(images.classes)
        names = [images.name(label) for label in images.classes]
        strips = student.reshape(-1, per_class, *student.shape[1:])
        heading = "What the generator draws, class by class", ("Every image has its own random z.",)
        text = "A row per class. There is no teacher to compare with: none was given or found."
        return titled(progress_strip(strips, names), *heading), text
    names = [images.name(label) for label in range(max(labels) + 1)]
    teacher = thumbnails(images.teacher_images[rows])
    text = "For each class the teacher's images, right below them the student's from the same z."
    heading = (
        "What the student has learned from its teacher",
        (
            "Teacher and student drew the images above each other from the same random z and class. "
            "Good: they show the same thing.",
        ),
    )
    return titled(class_grid(teacher, student, labels, names), *heading), text


def _latent_interpolation(images, _):
    per_class = max(1, _ROWS // len(images.classes))
    rows, names = [], []
    starts = images.first(images.per_class).reshape(len(images.classes), -1)
    for label, numbers in zip(images.classes, starts, strict=True):
        for first, second in list(zip(numbers[::2], numbers[1::2], strict=False))[:per_class]:
            path = spherical_path(*(_latent(images, n) for n in (first, second)), _STEPS)
            labels = np.full(_STEPS, label, "int32")
            rows.append(thumbnails(generate_images(images.generator.draw, path, labels)))
            names.append(images.name(label))
    text = "Each row goes from one random draw to another of the same class."
    return latent_interpolation(rows, names), text


def _class_interpolation(images, _):
    generator = images.generator
    if generator.mix is None:
        return None, f"a {generator.format} takes one class per image and can't mix classes."
    if len(images.classes) < 2:
        return None, "only one class was chosen."
    pairs = list(zip(images.classes, np.roll(images.classes, -1), strict=True))
    rows = []
    for place, (first, second) in enumerate(pairs):
        latent = _latent(images, place * images.per_class)
        weights = class_path(first, second, generator.num_classes, _STEPS)
        drawn = generate_images(generator.mix, np.tile(latent, (_STEPS, 1)), weights)
        rows.append(thumbnails(drawn))
    names = [[images.name(label) for label in side] for side in zip(*pairs, strict=True)]
    return class_interpolation(rows, *names), "Each row goes from one class to another, z fixed."


def _latent(images, number):
    return images.student.latents(number, number + 1)[0]


def _neighbours(images, _):
    if images.extractor is None or images.real is None:
        return None, "it needs a feature extractor and real images."
    if len(images.real_numbers) < 2:
        return None, "it needs at least two real images: their distance is the scale."
    real = images.real_features
    k = min(_NEIGHBOURS, len(real))
    found, distances = nearest_neighbours(images.student_features, real, k)
    _, scale_distances = nearest_neighbours(real, real, 1, exclude_self=True)
    scale = memorisation_scale(scale_distances, distances[:, 0])
    by_class = distances[:, 0].reshape(len(images.classes), -1)
    closest = images.first(images.per_class).reshape(by_class.shape)
    closest = np.take_along_axis(closest, by_class.argsort(axis=1, kind="stable"), axis=1)

    def block(heading, rows):
        numbers = images.real_numbers[found[rows]]
        neighbours = images.real_images(numbers.ravel())
        return NeighbourBlock(
            heading,
            [images.name(label) for label in images.student.labels[rows]],
            thumbnails(images.student_images[rows]),
            neighbours.reshape(*numbers.shape, *neighbours.shape[1:]),
            distances[rows],
        )

    count = max(1, _ROWS // len(images.classes))
    blocks = [
        block("Drawn at random", images.first(count)[:_ROWS]),
        block(
            f"The closest of {images.per_class} of each class", closest[:, :count].ravel()[:_ROWS]
        ),
    ]
    searched = f"{len(real):,} of {images.real.count:,} real images, {images.real.name}"
    text = "Generated images beside the nearest real ones: do any look copied?"
    text = " ".join([text, *getattr(images.real, "warnings", ())])
    return neighbour_picture(blocks, scale, searched), text


def _feature_map(images, method):
    if images.extractor is None:
        return None, "it needs a feature extractor."
    if images.real is None and images.teacher is None:
        return None, "it needs real images or a teacher to compare with."
    if len(images.classes) > MAX_COLOURS:
        return (
            None,
            f"it shows at most {MAX_COLOURS} classes, as many as colours can be told apart.",
        )
    points, texts = {}, []
    if images.real is not None:
        real, own, text = _real_points(images)
        texts += [text] * bool(text)
        if len(real) >= 3:
            points["real"] = real, own
    rows = images.first(_MAP_POINTS)
    labels = images.student.labels[rows]
    if images.teacher is not None:
        points["teacher"] = images.teacher_features[rows], labels
    points["student" if images.teacher else "generated"] = images.student_features[rows], labels
    count = sum(len(features) for features, _ in points.values())
    if len(points) < 2:
        return None, "it needs at least three real images of these classes, or a teacher."
    if method == "tsne" and count < MIN_TSNE_POINTS:
        return None, (
            f"t-SNE needs at least {MIN_TSNE_POINTS} images, these are {count}. Draw more per class, "
            "or take the map pca."
        )
    try:
        picture = feature_map(
            {source: features for source, (features, _) in points.items()},
            {source: own for source, (_, own) in points.items()},
            {label: images.name(label) for label in images.classes.tolist()},
            method,
            images.seed,
        )
    except ImportError as error:
        return None, str(error)
    text = "Each point is an image: do generated images lie where real ones do?"
    return picture, " ".join([text, *texts])


def _real_points(images):
    """Features of as many real images of each class as are shown, their labels, and what to say."""
    labels = images.real_labels
    if labels is None:
        count = min(len(images.real_numbers), _MAP_POINTS * len(images.classes))
        rows = np.linspace(0, len(images.real_numbers) - 1, count).astype(int)
        return (
            images.real_features[rows],
            None,
            ("The real images have no labels, or other classes than the generator: they are grey."),
        )
    rows = [np.flatnonzero(labels == label)[:_MAP_POINTS] for label in images.classes]
    missing = [images.name(c) for c, own in zip(images.classes, rows, strict=True) if not len(own)]
    text = f"There are no real images of {', '.join(missing)}." if missing else ""
    rows = np.concatenate(rows)
    return images.real_features[rows], labels[rows], text


PAGES = {
    "class_grid.png": _class_grid,
    "interpolation_z.png": _latent_interpolation,
    "interpolation_class.png": _class_interpolation,
    "neighbours.png": _neighbours,
    "feature_map.png": _feature_map,
}
