"""`evaluate`: how good a generator's images are, together with everything the figures depend on.

The order of the steps is that of this file: open and check the inputs, store the features of all images
portion by portion, compute the metrics from these, write the result. Only features are kept, on disk, so
memory doesn't grow with the number of images and an interrupted evaluation resumes.
"""

import dataclasses
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..classes.folder_labels import listed
from ..data.image_decoding import SUFFIXES
from ..data.image_sets import open_images
from ..errors import InputError
from ..files import check_writable, content_hash, user_path
from ..generators.generator import GeneratedImages, truncation_of
from ..generators.opening import open_generator
from ..latents import DEFAULT_TRUNCATION, LAW, check_seeds
from .environment import environment
from .extractors.extractor import load_extractor
from .feature_store import FeatureStore
from .metrics.fidelity import fidelity_rows
from .metrics.registry import SETTINGS, MeasuredImages, choose, computable
from .real_statistics import RealStatistics, open_real_statistics
from .results import write_evaluation

NUM_IMAGES = 10_000
SEED = 2**40  # beyond the seeds of any training or cache, whose latents would flatter the student
VERSIONS = ("tinygan-keras", "tensorflow", "keras", "numpy", "pillow")
_BLOCK = 250  # images generated, measured and stored together
_TEACHER_COLUMNS = {"features": "teacher_features", "logits": "teacher_logits"}
_DATA_SETS = ("fashion_mnist", "keras:", "tfds:")
_LABEL_RULES = {
    "reference": "those of the real images, shuffled",
    "balanced": "each class in turn",
}


def evaluate(
    generator,
    extractor="inception",
    reference=None,
    teacher=None,
    num_images: int | None = None,
    labels="auto",
    truncation: float | None = None,
    seed: int = SEED,
    resize: str | None = None,
    classification_test=None,
    folder=None,
    progress=True,
    metrics=None,
) -> dict:
    """Measures the images of a generator.

    Args:
        generator: A run folder, `.keras` file, export, teacher folder or TensorFlow Hub
            handle; a Keras model or `Generator`; or images: a folder, an `.npz`, or what `open_images`
            returns.
        extractor: A `FeatureExtractor`, or what `load_extractor` takes.
        reference: Real images: anything that `open_images` opens or returns, whose statistics are
            measured once and kept; or their statistics, from `measure_reference`, `load_reference`, or
            an `.npz` with `mu` and `sigma`. None: no distance to real images.
        teacher: What the student is compared with on equal latents: like `generator`. None: nothing.
        num_images: Images to generate, at least 2; 10,000 by default. Of a set of images all are taken.
        labels: "reference" takes the labels of the real images, "balanced" each class in turn; "auto" is
            "reference" where the real images have labels. A sequence of class numbers takes these in turn.
        truncation: Scale of the latents, in [0, 1]; by default what the generator was trained with, or 0.5.
        seed: Image i is that of the seed `seed + i`. Also that of every random choice: equal seeds give
            equal figures.
        resize: Kernel that brings the images to the extractor's size; see `FeatureExtractor`.
        classification_test: Real test images, as for `reference`: also trains a classifier on the
            generated images and tests it on these. Takes minutes, and all images in memory.
        folder: Where `evaluation.json` and `evaluation.md` go and an interrupted evaluation is kept;
            None: nothing is kept.
        progress: Show progress bars.
        metrics: Names of metrics or figures, such as `["frechet_distance"]`; nothing else is computed.
            None: all that the inputs allow. See `metrics.METRICS` and `metrics.FIGURES`.

    Returns:
        A dict: `figures` (numbers by name, see `metrics.FIGURES`), `classes` (one dict per class),
        `protocol` (everything that moves a figure), `notes` (what the figures can't say), `generator`
        (what was measured), `teacher` (None, or its own `generator`, `figures` and `classes` on the same
        latents), `real` (the protocol of the real images), `seconds`, `environment`.

    Raises:
        InputError: sizes, classes or latents don't fit together; the real statistics were taken with
            another extractor; images are NaN, corrupt or of mixed sizes; a metric that is asked for lacks
            what it needs.
        MissingFileError: something that is named isn't there.

    Example:
        result = evaluate(
            "runs/demo",
            "saved_models/fashion_classifier",
            reference="experiments/fashion_mnist/data/fashion_mnist_10k.npz",
        )
        result["figures"]["frechet_distance"]
    """
    start = time.perf_counter()
    chosen = choose(metrics)
    check_seeds([seed])
    if num_images is not None and num_images < 2:
        raise InputError(
            f"Got num_images={num_images}. Expected 2 or more: a covariance needs them. Leave it out for "
            f"{NUM_IMAGES}."
        )
    if folder is not None:
        check_writable(folder, "the evaluation")
        folder = Path(user_path(folder))
    inputs = _open(
        generator, extractor, reference, teacher, num_images, labels, truncation, seed, resize,
        classification_test, progress,
    )  # fmt: skip
    chosen, left_out = computable(chosen, inputs.available, required=metrics is not None)
    result = {"generator": _identity(inputs.images), "teacher": None, "protocol": inputs.protocol}
    if inputs.real is not None and inputs.real.protocol is not None:
        result["real"] = inputs.real.protocol
    with tempfile.TemporaryDirectory() as temporary:
        columns = _columns(chosen, with_teacher=inputs.teacher is not None)
        store = FeatureStore(
            Path(folder or temporary, "unfinished"),
            {name: _width(name, inputs.extractor) for name in columns},
            inputs.images.count,
            content_hash(inputs.protocol, result["generator"]["content_hash"]),
        )
        _extract(store, columns, inputs, progress)
        extracted = time.perf_counter()
        measured = MeasuredImages(
            {name: store.column(name) for name in columns},
            inputs.images,
            num_classes=inputs.num_classes,
            extractor_classes=inputs.extractor.num_classes,
            class_names=inputs.class_names,
            real=inputs.real,
            classification_test=inputs.classification_test,
            seed=seed,
            progress=progress,
        )
        figures, classes, notes, protocol = _measure(chosen, measured)
        if inputs.teacher is not None:
            result["teacher"] = _measure_teacher(chosen, measured, inputs.teacher)
        finished = time.perf_counter()
        store.discard()
    result["protocol"] |= protocol
    result |= {
        "figures": figures,
        "classes": classes,
        "notes": [*inputs.notes, *left_out, *notes],
        "seconds": {
            "features": round(extracted - start, 2),
            "metrics": round(finished - extracted, 2),
        },
        "environment": environment(),
    }
    for note in result["notes"]:
        warnings.warn(note, stacklevel=2)
    if folder is not None:
        write_evaluation(result, folder)
    return result


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """What `evaluate` was given, opened and checked."""

    images: Any  # `GeneratedImages`, or a set of images
    teacher: GeneratedImages | None
    extractor: Any
    real: RealStatistics | None
    classification_test: Any
    class_names: tuple | None
    num_classes: int | None
    protocol: dict
    notes: list

    @property
    def available(self) -> set:
        """What metrics may need and these inputs have; see `metrics.registry`."""
        real, labels = self.real, self.images.labels
        found = {
            "real_images": real is not None,
            "real_features": real is not None and real.features is not None,
            "real_labels": real is not None and real.labels is not None,
            "labels": labels is not None,
            "teacher": self.teacher is not None,
            "classification_test": self.classification_test is not None,
        }
        return {name for name, is_there in found.items() if is_there}


def _open(
    generator, extractor, reference, teacher, num_images, labels, truncation, seed, resize,
    classification_test, progress,
) -> _Inputs:  # fmt: skip
    """Opens the inputs; what costs nothing comes first, for a mistake shouldn't wait for real images."""
    notes = []
    generated = not _is_images(generator)
    if generated:
        generator = open_generator(generator, truncation)
        if truncation is None and generator.truncation is None:
            notes.append(
                f"{generator.source} doesn't say which truncation it was trained with: "
                f"{DEFAULT_TRUNCATION} is assumed."
            )
        truncation = truncation_of(generator, truncation)
        names = generator.class_names
        if teacher is not None:
            teacher = open_generator(teacher, truncation)
            check_pair(generator, teacher)
    else:
        given = {"num_images": num_images, "truncation": truncation, "teacher": teacher}
        given["labels"] = None if isinstance(labels, str) and labels == "auto" else labels
        for name, value in given.items():
            if value is not None:
                raise InputError(
                    f"Got {name}={value!r} and a set of images. Expected none: all images are taken as they "
                    "are, and the latents behind them aren't known."
                )
        images = generator if hasattr(generator, "read") else None
        names = getattr(images, "class_names", None)
    test = _open_test(classification_test, names)
    if isinstance(extractor, (str, os.PathLike)):
        extractor = load_extractor(extractor, resize=resize)
    elif resize is not None:
        raise InputError(
            f"Got resize={resize!r} and a loaded extractor. Expected None: give it to load_extractor."
        )
    real = open_real_statistics(reference, extractor, names, progress)
    real_names = None if real is None else real.class_names
    if generated:
        rule, numbers = _labels(labels, num_images or NUM_IMAGES, generator, real, seed)
        images = GeneratedImages(generator, numbers, seed, truncation)
        if teacher is not None:
            teacher = GeneratedImages(teacher, numbers, seed, truncation)
        num_classes = generator.num_classes
        notes += _note_absent(generator, numbers) if rule == _LABEL_RULES["reference"] else []
    else:
        images = images or open_images(generator, class_names=real_names)
        names, rule, num_classes = images.class_names, None, len(images.class_names or ()) or None
        notes += images.warnings
        real = None if real is None else real.renumbered(names)
        if test is not None and images.labels is None:
            raise InputError(
                f"Got {images.name} without labels. Expected labelled images: a classifier is to learn "
                "from them. Sort them into a folder per class, or leave classification_test out."
            )
    if real is not None:
        notes += real.check(extractor, images.image_size)
        notes += _note_unnamed(real, names)
    protocol = _protocol(extractor, real, images, rule, seed, teacher)
    return _Inputs(
        images, teacher, extractor, real, test, names or real_names, num_classes, protocol, notes
    )


def _is_images(subject) -> bool:
    """Whether it is a set of images, or the name of one, rather than a generator."""
    if not isinstance(subject, (str, os.PathLike)):
        return hasattr(subject, "read")
    path = Path(os.path.expanduser(subject))
    if path.suffix == ".npz" or str(subject).startswith(_DATA_SETS):
        return True
    models = ("saved_model.pb", "saved_model.pbtxt", "student.keras", "config.json")
    if not path.is_dir() or any((path / name).exists() for name in models):
        return False
    entries = (entry for pattern in ("*", "*/*") for entry in path.glob(pattern))
    return any(entry.suffix.lower() in (*SUFFIXES, ".tfrecord") for entry in entries)


def check_pair(student, teacher):
    """Refuses a teacher that can't generate what a student generates.

    Raises:
        InputError: latents, sizes or classes of the two `Generator`s differ.
    """
    for name in ("latent_dim", "image_size", "num_classes", "class_names"):
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if None not in (ours, theirs) and ours != theirs:
            raise InputError(
                f"Got a student with {name}={ours} and a teacher with {name}={theirs}. Expected the "
                "same; name the teacher that this student was distilled from."
            )


def _open_test(test, class_names):
    """Labelled real images for the classification accuracy score, in the order of `class_names`."""
    if test is None:
        return None
    if isinstance(test, (str, os.PathLike)):
        test = open_images(test, class_names=class_names)
    if test.labels is None:
        raise InputError(
            f"Got the test images {test.name} without labels. Expected labelled real images: a folder "
            "per class, or an .npz with labels."
        )
    theirs = test.class_names
    if None not in (class_names, theirs) and tuple(theirs) != tuple(class_names):
        raise InputError(
            f"Got test images of the classes {', '.join(theirs[:5])}, ... Expected those of "
            f"the generated images, {', '.join(class_names[:5])}, ..., in the same order."
        )
    return test


def _labels(rule, count, generator, real, seed) -> tuple[str, np.ndarray]:
    """A sentence on how labels were chosen, and the labels int32 `[count]`."""
    real_labels = None if real is None else real.labels
    if not isinstance(rule, str):
        labels = np.resize(np.asarray(rule, "int32"), count)
        name = f"{len(rule)} classes in turn: {_ranges(rule)}"
    else:
        if rule == "auto":
            rule = "balanced" if real_labels is None else "reference"
        if rule not in _LABEL_RULES or (rule == "reference" and real_labels is None):
            raise InputError(
                f"Got labels={rule!r}. Expected 'balanced', or 'reference' with real images that have "
                "labels."
            )
        name = _LABEL_RULES[rule]
        if rule == "reference":
            order = np.random.default_rng(seed).permutation(len(real_labels))
            labels = np.resize(np.asarray(real_labels)[order], count).astype("int32")
        elif generator.num_classes is None:
            raise InputError(
                f"Got {generator.source}, which doesn't say how many classes it has. Expected real "
                "images with labels, whose labels are taken; or give the run folder instead of the "
                "export."
            )
        else:
            labels = np.arange(count, dtype="int32") % generator.num_classes
    if generator.num_classes is not None and labels.max() >= generator.num_classes:
        raise InputError(
            f"Got labels up to {labels.max()}, and {generator.num_classes} classes of the generator. "
            "Expected the same classes; choose the real images of these classes."
        )
    return name, labels


def _ranges(numbers) -> str:
    """Numbers in short: (0, 1, 2, 7) is "0-2,7"."""
    runs = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _note_absent(generator, labels) -> list:
    absent = sorted(set(range(generator.num_classes or 0)) - set(labels.tolist()))
    if not absent:
        return []
    names = [generator.class_names[k] if generator.class_names else str(k) for k in absent]
    return [
        f"No image is generated of {len(absent)} of {generator.num_classes} classes "
        f"({listed(names, 10)}): labels are those of the real images."
    ]


def _note_unnamed(real, names) -> list:
    if real.labels is None or (names is None) == (real.class_names is None):
        return []
    unnamed = "generated" if names is None else "real"
    first = (names or real.class_names)[0]
    return [
        f"The {unnamed} images have no class names: labels are matched by number, so that 0 is "
        f"{first} everywhere."
    ]


def _identity(images) -> dict:
    """What was measured, for the result."""
    if not isinstance(images, GeneratedImages):
        return {"source": images.name, "format": "images", "content_hash": images.fingerprint}
    fields = ("source", "format", "content_hash", "parameters", "image_size", "num_classes")
    return {name: getattr(images.generator, name) for name in fields}


def _protocol(extractor, real, images, label_rule, seed, teacher) -> dict:
    generated = isinstance(images, GeneratedImages)
    measured = {} if real is None else real.protocol or {}
    versions = environment()["versions"]
    return {
        **extractor.protocol(images.image_size),
        "image_size": images.image_size,
        "generated_images": images.count,
        "real_images": measured.get("real_images"),
        "real_features": None if real is None else real.kept,
        "reference": None if real is None else real.fingerprint,
        "labels": label_rule,
        "truncation": images.truncation if generated else None,
        "latents": LAW if generated else None,
        "seed": seed,
        "weights": images.generator.weights if generated else None,
        "teacher": teacher.generator.content_hash if teacher else None,
        **SETTINGS,
        "versions": {name: versions[name] for name in VERSIONS},
    }


def _columns(metrics, with_teacher) -> list:
    """What has to be stored for some metrics, and for those of the teacher's own images."""
    names = dict.fromkeys(name for metric in metrics for name in metric.columns)
    theirs = [_TEACHER_COLUMNS[name] for name in names if name in _TEACHER_COLUMNS]
    return list(dict.fromkeys([*names, *theirs])) if with_teacher else list(names)


def _width(column, extractor) -> int:
    widths = {"features": extractor.feature_dim, "logits": extractor.num_classes}
    return widths.get(column.removeprefix("teacher_"), 1)


def _extract(store, columns, inputs, progress):
    """Stores the columns of all images that aren't stored yet."""
    images, teacher, extractor = inputs.images, inputs.teacher, inputs.extractor
    before, count = store.count, images.count if columns else 0
    if before:
        print(f"Resuming after {before:,} of {count:,} images.")
    show = int(progress and before < count)
    bar = keras.utils.Progbar(count - before, unit_name="image", verbose=show)
    for start in range(before, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        student_images = images.read(start, stop)
        features, logits = extractor(student_images)
        rows = {"features": features, "logits": logits}
        if teacher is not None:
            teacher_images = teacher.read(start, stop)
            teacher_features, teacher_logits = extractor(teacher_images)
            rows |= {"teacher_features": teacher_features, "teacher_logits": teacher_logits}
            if "teacher_l1" in columns:
                rows |= fidelity_rows(teacher_images, student_images, teacher_features, features)
        store.append({name: rows[name] for name in columns})
        bar.update(stop - before)


def _measure(metrics, images: MeasuredImages) -> tuple[dict, list, list, dict]:
    """Figures, classes, notes and additions to the protocol of all metrics together."""
    figures, notes, protocol, rows = {}, [], {}, {}
    labels = images.source.labels
    if labels is not None:
        counts = np.bincount(labels)
        for label in np.flatnonzero(counts).tolist():
            name, number = images.name_of(label), int(counts[label])
            rows[label] = {"label": label, "name": name, "images": number}
    for metric in metrics:
        measured = metric.measure(images)
        figures |= measured.figures
        notes += measured.notes
        protocol |= measured.protocol or {}
        for label, numbers in (measured.classes or {}).items():
            rows[label] |= numbers
    return figures, list(rows.values()), notes, protocol


def _measure_teacher(metrics, images: MeasuredImages, teacher) -> dict:
    """The teacher's own figures; its notes are those of the student."""
    own = [m for m in metrics if not {"teacher", "classification_test"} & set(m.needs)]
    columns = {name: images.columns.get(theirs) for name, theirs in _TEACHER_COLUMNS.items()}
    figures, classes, _, _ = _measure(own, dataclasses.replace(images, columns=columns))
    return {"generator": _identity(teacher), "figures": figures, "classes": classes}
