"""`evaluate`: how good a generator's images are, together with everything the figures depend on.

The features of all images are stored on disk, portion by portion, and the metrics computed from these: memory
doesn't grow with the number of images, and an interrupted evaluation resumes.
"""

import dataclasses
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from ..classes.folder_labels import listed
from ..data.image_decoding import SUFFIXES
from ..data.image_sets import open_images
from ..data.image_sources import KERAS_SETS
from ..embedded import find
from ..errors import InputError
from ..files import check_writable, content_hash, user_path
from ..generators.generator import GeneratedImages, truncation_of
from ..generators.opening import open_generator
from ..images import check_labels
from ..latents import DEFAULT_TRUNCATION, LAW, check_seeds
from ..progress import progress_bar
from .environment import environment
from .extractors.extractor import open_extractor
from .feature_store import FeatureStore
from .metrics.classification import check_test_images
from .metrics.fidelity import check_size, fidelity_rows
from .metrics.gap import class_correlation, radial_spectrum
from .metrics.registry import (
    ON_REQUEST,
    SETTINGS,
    MeasuredImages,
    asked_for,
    choose,
    computable,
)
from .real_statistics import open_real_statistics, open_reference
from .results import write_evaluation

NUM_IMAGES = 10_000
SEED = 2**40  # beyond the seeds of any training or cache, whose latents would flatter the student
VERSIONS = ("tinygan-keras", "tensorflow", "keras", "numpy", "pillow")
_BLOCK = 250  # images generated, measured and stored together
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
        generator: An embedded name, run folder, `.keras` file, export, teacher folder or TensorFlow Hub
            handle; a Keras model or `Generator`; or images: a folder, an `.npz`, or what `open_images`
            returns.
        extractor: A `FeatureExtractor`, or what `load_extractor` takes.
        reference: Real images: anything that `open_images` opens or returns, such as "cifar10:test", whose
            statistics are measured once and kept; or their statistics, from `measure_reference`,
            `load_reference`, or a file that the latter reads. None: no distance to real images.
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
            None, or "default" among them: all that the inputs allow and that aren't optional. See
            `metrics.METRICS` and `metrics.FIGURES`.

    Returns:
        A dict: `figures` (numbers by name, see `metrics.FIGURES`), `classes` (one dict per class),
        `protocol` (everything that moves a figure), `notes` (what the figures can't say), `generator`
        (what was measured), `teacher` (None, or its own `generator`, `figures` and `classes` on the same
        latents, and `class_correlation`, whether both find the same classes hard), `real` (the protocol of
        the real images), `gap` (of a student beside its teacher and real images: where its distance comes
        from, see `metrics/gap.py`), `seconds`, `environment`.

    Raises:
        InputError: sizes, classes or latents don't fit together; the real statistics were taken with
            another extractor; images are NaN, corrupt or of mixed sizes; a metric that is asked for lacks
            what it needs.
        MissingFileError: something that is named isn't there.

    Example:
        result = evaluate(
            "runs/demo",
            "fashion_classifier",
            reference="fashion_mnist_10k",
        )
        result["figures"]["frechet_distance"]
    """
    start = time.perf_counter()
    chosen = choose(metrics)
    check_seeds([seed])
    if num_images is not None and num_images < 2:
        raise InputError(
            f"Got num_images={num_images}. Expected 2 or more: a covariance needs them."
        )
    if folder is not None:
        check_writable(folder, "the evaluation")
        folder = Path(user_path(folder))
    images, label_rule, notes = _open(
        generator, extractor, reference, teacher, num_images, labels, truncation, seed, resize,
        classification_test, progress,
    )  # fmt: skip
    chosen, left_out = computable(chosen, images.available, asked_for(metrics))
    if any(metric.name == "teacher_fidelity" for metric in chosen):
        check_size(images.source.image_size)
    protocol = _protocol(images, label_rule)
    result = {"generator": _identity(images.source), "teacher": None, "protocol": protocol}
    if images.real is not None and images.real.protocol is not None:
        result["real"] = images.real.protocol
    with tempfile.TemporaryDirectory() as temporary:
        widths = _widths(chosen, images)
        place = Path(folder or temporary, "unfinished")
        fingerprint = content_hash(protocol, result["generator"]["content_hash"])
        store = FeatureStore(place, widths, images.source.count, fingerprint)
        _extract(store, widths, images)
        extracted = time.perf_counter()
        images = dataclasses.replace(images, columns={name: store.column(name) for name in widths})
        figures, classes, found, moved_by, details = _measure(chosen, images)
        if images.teacher is not None:
            result["teacher"] = theirs = _measure_teacher(chosen, images)
            theirs["class_correlation"] = class_correlation(classes, theirs["classes"])
        seconds = {"features": extracted - start, "metrics": time.perf_counter() - extracted}
        result |= details
        result |= {
            "protocol": protocol | moved_by,
            "figures": figures,
            "classes": classes,
            "notes": [*notes, *left_out, *found],
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "environment": environment(),
        }
        if folder is not None:
            write_evaluation(result, folder)
        store.discard()
    for note in result["notes"]:
        warnings.warn(note, stacklevel=2)
    return result


def _open(
    generator, extractor, reference, teacher, num_images, labels, truncation, seed, resize,
    classification_test, progress,
) -> tuple[MeasuredImages, str | None, list]:  # fmt: skip
    """Opens the inputs, the cheap ones first; also says how labels were chosen, and what is to be noted."""
    notes, images, rule = [], None, None
    generated = not _is_images(generator)
    if generated:
        generator = open_generator(generator, truncation)
        if truncation is None and generator.truncation is None:
            unknown = f"{generator.source} doesn't say which truncation it was trained with"
            notes.append(f"{unknown}: {DEFAULT_TRUNCATION} is assumed.")
        truncation = truncation_of(generator, truncation)
        names, num_classes = generator.class_names, generator.num_classes
        if teacher is not None:
            teacher = open_generator(teacher, truncation)
            check_pair(generator, teacher)
    else:
        chosen = None if isinstance(labels, str) and labels == "auto" else labels
        given = {"num_images": num_images, "truncation": truncation, "teacher": teacher}
        for name, value in {**given, "labels": chosen}.items():
            if value is not None:
                raise InputError(
                    f"Got {name}={value!r} and a set of images. Expected none: all images are taken as they "
                    "are, and the latents behind them aren't known."
                )
        images = generator if hasattr(generator, "read") else None
        names = getattr(images, "class_names", None)
    test = _open_test(classification_test, names)
    extractor = open_extractor(extractor, resize)
    if isinstance(reference, (str, os.PathLike)):
        reference = open_reference(reference, names)
    real = open_real_statistics(reference, extractor, names, progress)
    real_names = None if real is None else real.class_names
    if generated:
        rule, labels = _labels(labels, num_images or NUM_IMAGES, generator, real, seed)
        images = GeneratedImages(generator, labels, seed, truncation)
        if teacher is not None:
            teacher = GeneratedImages(teacher, labels, seed, truncation)
        absent = sorted(set(range(num_classes or 0)) - set(images.labels.tolist()))
        if absent and rule == _LABEL_RULES["reference"]:
            shown = listed([names[k] if names else str(k) for k in absent], 10)
            missing = f"No image is generated of {len(absent)} of {num_classes} classes ({shown})"
            notes.append(f"{missing}: labels are those of the real images.")
    else:
        images = images or open_images(generator, class_names=real_names)
        names = images.class_names
        num_classes = len(names or ()) or None
        notes += images.warnings
        real = None if real is None else real.renumbered(names)
    if test is not None:
        _check_labelled(images)
        check_test_images(images, test)
    if real is not None:
        notes += real.check(extractor, images.image_size)
        if real.labels is not None and (names is None) != (real.class_names is None):
            notes.append(
                f"The {'generated' if names is None else 'real'} images have no class names: labels are "
                f"matched by number, so that 0 is {(names or real.class_names)[0]} everywhere."
            )
    names = names or real_names
    opened = MeasuredImages(
        images, extractor, num_classes, names, teacher, real, test, seed, progress,
        real_pixels=reference if hasattr(reference, "read") else None,
    )  # fmt: skip
    return opened, rule, notes


def _is_images(subject) -> bool:
    """Whether it is a set of images, or the name of one, rather than a generator."""
    if not isinstance(subject, (str, os.PathLike)):
        return hasattr(subject, "read")
    path = Path(find(subject))
    of_keras = str(subject).partition(":")[0] in KERAS_SETS and not path.exists()
    if path.suffix == ".npz" or str(subject).startswith(_DATA_SETS) or of_keras:
        return True
    models = ("saved_model.pb", "saved_model.pbtxt", "student.keras", "config.json")
    if not path.is_dir() or any((path / name).exists() for name in models):
        return False
    entries = (entry for pattern in ("*", "*/*") for entry in path.glob(pattern))
    return any(entry.suffix.lower() in (*SUFFIXES, ".tfrecord") for entry in entries)


def check_pair(student, teacher):
    """Refuses a teacher whose latents, sizes or classes aren't those of the student, both `Generator`s."""
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
    _check_labelled(test)
    theirs = test.class_names
    if None not in (class_names, theirs) and tuple(theirs) != tuple(class_names):
        raise InputError(
            f"Got test images of the classes {', '.join(theirs[:5])}, ... Expected those of "
            f"the generated images, {', '.join(class_names[:5])}, ..., in the same order."
        )
    return test


def _check_labelled(images):
    if images.labels is None:
        raise InputError(
            f"Got {images.name} without labels. Expected labelled images for the classifier. Sort "
            "them into a folder per class, or leave classification_test out."
        )


def _labels(labels, count, generator, real, seed) -> tuple[str, np.ndarray]:
    """A sentence on how labels were chosen, and as many labels, int `[count]`."""
    real_labels = None if real is None else real.labels
    if not isinstance(labels, str):
        labels = check_labels(labels, len(labels), generator.num_classes, generator.source)
        if not len(labels):
            raise InputError("Got labels=(). Expected class numbers. Leave it out for all classes.")
        return f"{len(labels)} classes in turn: {_ranges(labels)}", np.resize(labels, count)
    if labels == "auto":
        labels = "balanced" if real_labels is None else "reference"
    if labels not in _LABEL_RULES or (labels == "reference" and real_labels is None):
        raise InputError(
            f"Got labels={labels!r}. Expected 'balanced', or 'reference' with real images that have labels."
        )
    if labels == "balanced" and generator.num_classes is None:
        raise InputError(
            f"Got {generator.source}, which doesn't say how many classes it has. Expected real images with "
            "labels, whose labels are taken; or give the run folder instead of the export."
        )
    numbers = np.arange(generator.num_classes or 0)
    if labels == "reference":
        numbers = np.asarray(real_labels)[np.random.default_rng(seed).permutation(len(real_labels))]
    return _LABEL_RULES[labels], np.resize(numbers, count)


def _ranges(numbers) -> str:
    """Numbers in short: (0, 1, 2, 7) is "0-2,7"."""
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _identity(images) -> dict:
    """What was measured, for the result."""
    if not isinstance(images, GeneratedImages):
        return {"source": images.name, "format": "images", "content_hash": images.fingerprint}
    fields = ("source", "format", "content_hash", "parameters", "image_size", "num_classes")
    return {name: getattr(images.generator, name) for name in fields}


def _protocol(images: MeasuredImages, label_rule) -> dict:
    """Everything that moves a figure."""
    source, real, teacher = images.source, images.real, images.teacher
    generated = isinstance(source, GeneratedImages)
    versions = environment()["versions"]
    return {
        **images.extractor.protocol(source.image_size),
        "image_size": source.image_size,
        "generated_images": source.count,
        "real_images": None if real is None else real.count,
        "real_features": None if real is None or real.features is None else len(real.features),
        "reference": None if real is None else real.fingerprint,
        "labels": label_rule,
        "truncation": source.truncation if generated else None,
        "latents": LAW if generated else None,
        "seed": images.seed,
        "weights": source.generator.weights if generated else None,
        "teacher": teacher.generator.content_hash if teacher else None,
        **SETTINGS,
        "versions": {name: versions[name] for name in VERSIONS},
    }


def _widths(metrics, images: MeasuredImages) -> dict:
    """What is stored of every image: the columns of the metrics, with a teacher also of its own figures."""
    names = dict.fromkeys(name for metric in metrics for name in metric.columns)
    widths = {"features": images.extractor.feature_dim, "logits": images.extractor.num_classes}
    widths["spectrum"] = images.source.image_size // 2
    if images.teacher is not None:
        names |= dict.fromkeys(f"teacher_{name}" for name in widths if name in names)
    return {name: widths.get(name.removeprefix("teacher_"), 1) for name in names}


def _extract(store, columns, images: MeasuredImages):
    """Stores the columns of all images that aren't stored yet."""
    source, teacher, extractor = images.source, images.teacher, images.extractor
    before, count = store.count, source.count if columns else 0
    if before:
        print(f"Resuming after {before:,} of {count:,} images.")
    bar = progress_bar(count - before, visible=images.progress)
    for start in range(before, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        pixels = source.read(start, stop)
        if start == 0 and isinstance(source, GeneratedImages) and pixels.min() >= 127:
            warnings.warn(
                f"The first {stop:,} images of {source.generator.source} have no pixel darker than middle "
                "grey. Generators return [-1, 1]: does this one return [0, 1]?",
                stacklevel=3,
            )
        features, logits = extractor(pixels)
        rows = {"features": features, "logits": logits}
        if "spectrum" in columns:
            rows["spectrum"] = radial_spectrum(pixels)
        if teacher is not None:
            theirs = teacher.read(start, stop)
            if "spectrum" in columns:
                rows["teacher_spectrum"] = radial_spectrum(theirs)
            teacher_features, teacher_logits = extractor(theirs)
            rows |= {"teacher_features": teacher_features, "teacher_logits": teacher_logits}
            if "teacher_l1" in columns:
                rows |= fidelity_rows(theirs, pixels, teacher_features, features)
        store.append({name: rows[name] for name in columns})
        bar.update(stop - before)


def _measure(metrics, images: MeasuredImages) -> tuple[dict, list, list, dict, dict]:
    """Figures, classes, notes, additions to the protocol, and details, of all metrics together."""
    figures, notes, protocol, details, rows = {}, [], {}, {}, {}
    if images.source.labels is not None:
        for label, number in enumerate(np.bincount(images.source.labels).tolist()):
            if number:
                rows[label] = {"label": label, "name": images.name_of(label), "images": number}
    for metric in metrics:
        measured = metric.measure(images)
        figures |= measured.figures
        notes += measured.notes
        protocol |= measured.protocol or {}
        details |= measured.details or {}
        for label, numbers in (measured.classes or {}).items():
            rows[label] |= numbers
    return figures, list(rows.values()), notes, protocol, details


def _measure_teacher(metrics, images: MeasuredImages) -> dict:
    """The teacher's own figures; its notes are those of the student."""
    own = [metric for metric in metrics if not ON_REQUEST & set(metric.needs)]
    columns = {name: images.columns.get(f"teacher_{name}") for name in ("features", "logits")}
    figures, classes, *_ = _measure(
        own, dataclasses.replace(images, source=images.teacher, columns=columns)
    )
    return {"generator": _identity(images.teacher), "figures": figures, "classes": classes}
