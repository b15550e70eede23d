"""`evaluate`: how good a generator's images are, together with everything the figures depend on.

Scope: the order of the steps. Images go through the extractor portion by portion and only their features
are kept, on disk, so memory doesn't grow with the number of images and an interrupted evaluation goes
on where it was. Figures are computed in `figures.py`, written in `record.py`.
"""

import time
import warnings

from ..classes.folder_labels import listed
from .environment import environment
from .extraction import TEACHER_COLUMNS, extracted
from .figures import compare_with_teacher, measure
from .generated_labels import SEED
from .metrics.classification import classification_accuracy_score
from .plan import identity, make_plan
from .record import write_evaluation


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
) -> dict:
    """Measures the images of a generator.

    Args:
        generator: A run folder, `.keras` file, export, teacher folder or TensorFlow Hub
            handle; a folder or `.npz` of images; a Keras model; a `Generator`; or an image source.
        extractor: A `FeatureExtractor`, or what `load_extractor` takes.
        reference: Real images: `ReferenceStatistics`, an `.npz` with `mu` and `sigma`, or anything
            that `data.image_sets.open_images` opens, whose statistics are then measured once and
            kept. None: no distance to real images.
        teacher: What the student is compared with on equal latents: like `generator`. None: nothing.
        num_images: Images to draw, 10,000 by default; of a folder all are taken.
        labels: "reference" draws the labels of the real images, "balanced" each class in turn; "auto"
            is "reference" where the real images have labels. A sequence of class numbers draws these in turn.
        truncation: Scale of the latents; by default what the generator was trained with, or 0.5.
        seed: Seed of the latents and of every random choice. Equal seeds give equal figures.
        resize: Kernel that brings the images to the extractor's size; see `FeatureExtractor`.
        classification_test: Real test images, as for `reference`: also trains a classifier on the
            generated images and tests it on these. Takes minutes, and all images in memory.
        folder: Where `evaluation.json` and `evaluation.md` go and an interrupted evaluation is kept;
            None: nothing is kept.
        progress: Show progress bars.

    Returns:
        A dict: `figures` (scalars by name, see `figure_table.py`), `classes` (one dict per class),
        `protocol` (everything that moves a figure), `notes` (what the figures can't say), `generator`
        (what was measured), `teacher` (None, or its own `generator`, `figures` and `classes` on the same
        latents), `real` (the protocol of the real images), `seconds`, `environment`.

    Raises:
        ValueError: sizes, classes or latents don't fit together; the reference was taken with another
            extractor; images are NaN, corrupt or of mixed sizes.

    Example:
        result = evaluate(
            "runs/demo",
            "saved_models/fashion_classifier",
            reference="experiments/fashion_mnist/data/fashion_mnist_10k.npz",
        )
        result["figures"]["frechet_distance"]
    """
    start = time.perf_counter()
    plan = make_plan(
        generator,
        extractor,
        reference,
        teacher,
        num_images,
        labels,
        truncation,
        seed,
        resize,
        classification_test,
        progress,
    )
    result = {"generator": identity(plan.subject), "teacher": None, "protocol": plan.protocol}
    if plan.reference is not None and plan.reference.protocol is not None:
        result["real"] = plan.reference.protocol
    with extracted(plan, folder, progress) as store:
        looked = time.perf_counter()
        figures, classes, notes = measure(store, plan)
        if plan.teacher:
            figures |= compare_with_teacher(store, notes)
            # Nothing but what was said of the student could be noted of the teacher.
            teachers, teacher_classes, _ = measure(store.renamed(TEACHER_COLUMNS), plan)
            result["teacher"] = {
                "generator": identity(plan.teacher),
                "figures": teachers,
                "classes": teacher_classes,
            }
        if plan.classification_test is not None:
            figures |= _classification_accuracy(plan, notes, progress)
        measured = time.perf_counter()
    result |= {
        "figures": figures,
        "classes": classes,
        "notes": plan.notes + notes,
        "seconds": {"features": round(looked - start, 2), "metrics": round(measured - looked, 2)},
        "environment": environment(),
    }
    for note in result["notes"]:
        warnings.warn(note, stacklevel=2)
    if folder is not None:
        write_evaluation(result, folder)
    return result


def _classification_accuracy(plan, notes, progress) -> dict:
    """Adds to the protocol what the score depends on, and to the notes what it lacks."""
    subject, test = plan.subject, plan.classification_test
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of missing classes, which become a note
        score = classification_accuracy_score(
            subject.read(0, subject.count),
            subject.labels,
            test.read(0, test.count),
            test.labels,
            1 + int(max(subject.labels.max(), test.labels.max())),
            seed=plan.seed,
            progress=progress,
        )
    if score["missing_classes"]:
        notes.append(
            f"The classifier learned from no image of {len(score['missing_classes'])} classes: "
            f"{listed(list(map(str, score['missing_classes'])), 10)}."
        )
    settings = ("epochs", "train_images", "test_images", "parameters")
    plan.protocol["classification"] = {
        "test": test.fingerprint,
        **{name: score[name] for name in settings},
    }
    return {"classification_accuracy": score["accuracy"]}
