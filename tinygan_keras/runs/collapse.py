"""Watches whether the student still generates images as different from each other as its teacher does.

On equal latents: of each class in the pictures of the run, the mean distance between features of two images
of the student, as a share of the teacher's. Means over an epoch and distances to real images show a collapse
late, or only to somebody who looks.
Rejected: recall against the teacher, which with few images a class is mostly noise.
"""

import keras
import numpy as np

from ..files import new_file, read_json, write_json
from .checkpoints import averaged_generator

_SIDE = 8  # of images as features, where there is no extractor


def diversity(features, labels) -> dict:
    """The mean Euclidean distance between two rows of `features` of a class, by label."""
    distances, features = {}, np.asarray(features, "float64").reshape(len(features), -1)
    for label in np.unique(labels).tolist():
        rows = features[labels == label]
        pairs = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
        distances[label] = float(pairs.sum() / max(1, len(rows) * (len(rows) - 1)))
    return distances


def small_images(images) -> np.ndarray:
    """Features where there is no extractor: images uint8 `[N, S, S, 3]` averaged down to 8 pixels."""
    count, size, _, channels = images.shape
    block = max(1, size // _SIDE)
    side = size // block
    pixels = np.asarray(images[:, : side * block, : side * block], "float32")
    return pixels.reshape(count, side, block, side, block, channels).mean((2, 4))


def fallen(rows, share, patience, grace) -> list:
    """The places of the classes that have collapsed.

    Args:
        rows: Of every epoch so far, the student's share of the teacher's diversity, class by class.
        share: Less is low.
        patience: Epochs in a row that a class must have been low.
        grace: Epochs before which a class counts only if it has not been low once: a student begins with
            images that are all alike.
    """
    low = np.asarray(rows) < share
    if len(low) < patience:
        return []
    was_good = ~low[:-patience].all(0) if len(low) > patience else np.zeros(low.shape[1], bool)
    counts = was_good | (len(low) >= grace + patience)
    return np.flatnonzero(low[-patience:].all(0) & counts).tolist()


class CollapseAlarm(keras.callbacks.Callback):
    """Names the classes that have collapsed, keeps the last good student, and may stop the training.

    The logs of an epoch get `diversity`, the mean share over the classes, and `lowest_diversity`.

    Args:
        gallery: A `Gallery`, whose latents and teacher's images it takes.
        extractor: `FeatureExtractor`, or None for small images.
        folder: Where the last good student is kept, and the shares of all epochs.
        share, patience: See `fallen`.
        stop: Whether to end the training, as if it were complete.
    """

    def __init__(self, gallery, extractor, folder, share, patience, stop=False):
        super().__init__()
        self.gallery, self.extractor, self.folder = gallery, extractor, folder
        self.share, self.patience, self.stop = share, patience, stop
        self.labels = np.asarray(gallery.labels)
        self.teacher = self._diversity(gallery.teacher_images)
        self.reported = []

    @property
    def student_file(self):
        return self.folder / "last_good_student.keras"

    def on_epoch_end(self, epoch, logs=None):
        student = averaged_generator(self.model)
        own = self._diversity(self.gallery.images(student))
        shares = [own[label] / max(1e-12, self.teacher[label]) for label in self.teacher]
        rows = [*self._rows(epoch), shares]
        write_json(self.folder / "diversity.json", {"labels": list(self.teacher), "rows": rows})
        if logs is not None:
            logs.update(diversity=float(np.mean(shares)), lowest_diversity=float(min(shares)))
        if min(shares) >= self.share:
            with new_file(self.student_file) as aside:
                student.save(aside)
        grace = -(-(self.params or {}).get("epochs", 1) // 4)
        found = fallen(rows, self.share, self.patience, grace)
        if found and found != self.reported:
            self._report(found, shares, epoch + 1)
            if self.stop:
                self.model.stop_training = True
        self.reported = found

    def _report(self, found, shares, done):
        labels = list(self.teacher)
        named = [f"{self.gallery.class_names[labels[k]]} ({shares[k]:.2f})" for k in found]
        kept = "none was good"
        if self.student_file.is_file():
            kept = str(self.student_file)
        fix = "The training stops." if self.stop else "The training goes on."
        print(
            f"\nCollapse after epoch {done}: for {self.patience} epochs the student's images of "
            f"{', '.join(named)} have differed by less than {self.share:g} of what the teacher's do. Last "
            f"good student: {kept}. {fix} Lower d_learning_rate or the adversarial weights in a new run."
        )

    def _rows(self, epochs) -> list:
        """The shares of the epochs that came before; those of epochs that are trained again are dropped."""
        path = self.folder / "diversity.json"
        stored = read_json(path) if path.is_file() else {}
        return stored["rows"][:epochs] if stored.get("labels") == list(self.teacher) else []

    def _diversity(self, images):
        features = self.extractor(images)[0] if self.extractor else small_images(images)
        return diversity(features, self.labels)
