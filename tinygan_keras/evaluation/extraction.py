"""From images to stored features, portion by portion; an interrupted extraction goes on where it was."""

import contextlib
import tempfile
from pathlib import Path

import keras

from ..generators.generator import PORTION
from .feature_store import FeatureStore
from .metrics.fidelity import feature_distances, image_fidelity

FIDELITY = ("teacher_l1", "teacher_psnr", "teacher_ssim", "teacher_feature_distance")
TEACHER_COLUMNS = {"features": "teacher_features", "logits": "teacher_logits"}


@contextlib.contextmanager
def extracted(plan, folder=None, progress=True):
    """Looks at all images of a plan, and yields the `FeatureStore` that then holds their features.

    Its columns are `features` and `logits`; with a teacher also `teacher_features`, `teacher_logits` and,
    one number per image, those of `FIDELITY`.

    Args:
        plan: A `Plan`.
        folder: Where an interrupted extraction is kept and gone on with; None: nowhere.
        progress: Show a progress bar.
    """
    extractor = plan.extractor
    widths = {"features": extractor.feature_dim, "logits": extractor.num_classes}
    if plan.teacher:
        widths |= {theirs: widths[ours] for ours, theirs in TEACHER_COLUMNS.items()}
        widths |= dict.fromkeys(FIDELITY, 1)
    with tempfile.TemporaryDirectory() as temporary:
        store = FeatureStore(Path(folder or temporary) / "unfinished", widths, plan.fingerprint)
        _fill(store, plan, progress)
        yield store
        store.discard()


def _fill(store, plan, progress):
    before, count = store.count, plan.subject.count
    if before:
        print(f"Going on after {before:,} of {count:,} images.")
    bar = keras.utils.Progbar(
        count - before, unit_name="image", verbose=int(progress and before < count)
    )
    for start in range(before, count, PORTION):
        stop = min(start + PORTION, count)
        images = plan.subject.read(start, stop)
        features, logits = plan.extractor(images)
        rows = {"features": features, "logits": logits}
        if plan.teacher:
            rows |= _beside_teacher(plan, images, features, start, stop)
        store.append(rows)
        bar.update(stop - before)


def _beside_teacher(plan, student_images, student_features, start, stop) -> dict:
    teacher_images = plan.teacher.read(start, stop)
    teacher_features, teacher_logits = plan.extractor(teacher_images)
    fidelity = image_fidelity(teacher_images, student_images)
    return {
        "teacher_features": teacher_features,
        "teacher_logits": teacher_logits,
        **{f"teacher_{name}": values for name, values in fidelity.items()},
        "teacher_feature_distance": feature_distances(teacher_features, student_features),
    }
