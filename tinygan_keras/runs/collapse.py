"""Watches whether the student still generates images as different from each other as its teacher does.

On equal latents: of each class in the pictures of the run, the mean distance between features of two images
of the student, as a share of the teacher's. Means over an epoch and distances to real images show a collapse
late, or only to somebody who looks.
A roll-back is a resumed run: the last good state becomes the newest checkpoint, and the training starts from
it with lower rates. Their number is kept in a file that is written last, so that a kill before that leaves a
run that collapses again and rolls back then.
Rejected: recall against the teacher, which of so few images is 0 in healthy runs too (docs/long_runs.md).
"""

import shutil

import keras
import numpy as np

from ..files import new_file, read_json, write_json
from .checkpoints import averaged_generator, checkpoint_name, checkpoints_in, save_state

_SIDE = 8  # of images as features, where there is no extractor
_FIX = "Lower d_learning_rate or the adversarial weights in a new run."


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


class RollBack(Exception):
    """Raised in a training that has collapsed, to go on from the last good state; see `CollapseAlarm`."""

    def __init__(self, good, record):
        super().__init__(f"back to {good}")
        self.good, self.record = good, record


class CollapseAlarm(keras.callbacks.Callback):
    """Names the classes that have collapsed, keeps the last good student, and may stop or roll back.

    The logs of an epoch get `diversity`, the mean share over the classes, and `lowest_diversity`.

    Args:
        gallery: A `Gallery`, whose latents and teacher's images it takes.
        extractor: `FeatureExtractor`, or None for small images.
        folder: Where the last good student is kept, the shares of all epochs, and the roll-backs.
        share, patience, grace: See `fallen`.
        action: "warn"; "stop" ends the training, as if it were complete; "roll_back" keeps the last good
            state too, and raises `RollBack` for whoever calls `fit`, who then calls `roll_back`.
        rate_factor: Both learning rates are multiplied by it at each roll-back.
        roll_backs: After so many a further collapse ends the training.
    """

    def __init__(
        self,
        gallery,
        extractor,
        folder,
        share,
        patience,
        grace,
        action="warn",
        rate_factor=0.5,
        roll_backs=3,
    ):
        super().__init__()
        self.gallery, self.extractor, self.folder = gallery, extractor, folder
        self.share, self.patience, self.grace = share, patience, grace
        self.action, self.rate_factor, self.most_roll_backs = action, rate_factor, roll_backs
        self.labels = np.asarray(gallery.labels)
        self.teacher = self._diversity(gallery.teacher_images)
        self.reported = []

    @property
    def student_file(self):
        return self.folder / "last_good_student.keras"

    @property
    def _record_file(self):
        return self.folder / "roll_backs.json"

    @property
    def roll_backs(self) -> list:
        """One dict for each roll-back so far: the epochs, the classes, the factor of the rates since."""
        path = self._record_file
        return read_json(path)["roll_backs"] if path.is_file() else []

    @property
    def factor(self) -> float:
        """What both learning rates are to be multiplied by."""
        return self.rate_factor ** len(self.roll_backs)

    def has_stopped(self, epochs_done) -> bool:
        """Whether the training had been ended after that epoch."""
        rows = self._rows(epochs_done)
        if self.action == "warn" or len(rows) < epochs_done or not self._fallen(rows):
            return False
        return self.action == "stop" or len(self.roll_backs) >= self.most_roll_backs

    def on_epoch_end(self, epoch, logs=None):
        student, done = averaged_generator(self.model), epoch + 1
        own = self._diversity(self.gallery.images(student))
        shares = [own[label] / max(1e-12, self.teacher[label]) for label in self.teacher]
        rows = [*self._rows(epoch), shares]
        write_json(self.folder / "diversity.json", {"labels": list(self.teacher), "rows": rows})
        if logs is not None:
            logs.update(diversity=float(np.mean(shares)), lowest_diversity=float(min(shares)))
        if min(shares) >= self.share:
            self._keep(student, done)
        found = self._fallen(rows)
        if found and found != self.reported:
            self._respond(found, shares, done)
        self.reported = found

    def roll_back(self, collapse, checkpoints):
        """Makes the good state of a `RollBack` the newest of the checkpoints in a folder."""
        good = collapse.good
        with new_file(checkpoints / good.path.name) as aside:
            shutil.copyfile(good.path, aside)
        for checkpoint in checkpoints_in(checkpoints):
            if (checkpoint.epoch, checkpoint.step) > (good.epoch, good.step):
                checkpoint.path.unlink()
        write_json(self._record_file, {"roll_backs": [*self.roll_backs, collapse.record]})
        self.reported = []

    def _keep(self, student, done):
        with new_file(self.student_file) as aside:
            student.save(aside)
        if self.action == "roll_back":
            path = self.folder / checkpoint_name(done)
            with new_file(path) as aside:
                save_state(self.model, aside)
            for former in checkpoints_in(self.folder):
                if former.path != path:
                    former.path.unlink()

    def _respond(self, found, shares, done):
        labels = list(self.teacher)
        classes = [self.gallery.class_names[labels[place]] for place in found]
        pairs = zip(classes, found, strict=True)
        named = ", ".join(f"{name} ({shares[place]:.2f})" for name, place in pairs)
        kept = str(self.student_file) if self.student_file.is_file() else "none was good"
        print(
            f"\nCollapse after epoch {done}: for {self.patience} epochs the student's images of {named} have "
            f"differed by less than {self.share:g} of what the teacher's do. Last good student: {kept}."
        )
        made, good = len(self.roll_backs), self._last_good(done)
        rolls_back = self.action == "roll_back"
        used_up = rolls_back and made >= self.most_roll_backs
        if rolls_back and good and not used_up:
            factor = self.rate_factor * self.factor
            print(
                f"Back to {good}, both learning rates times {factor:g} from now on (roll-back {made + 1} of "
                f"{self.most_roll_backs})."
            )
            record = {"collapsed_after": done, "back_to": good.epoch, "classes": classes}
            raise RollBack(good, {**record, "learning_rates_times": factor})
        if self.action == "stop" or used_up:
            print("The training stops.", _FIX)
            self.model.stop_training = True
        else:
            print("The training goes on.", _FIX)

    def _last_good(self, done):
        """The newest state that was kept before an epoch; None without one."""
        kept = (each for each in checkpoints_in(self.folder) if each.epoch < done)
        return next(kept, None)

    def _fallen(self, rows) -> list:
        return fallen(rows, self.share, self.patience, self.grace)

    def _rows(self, epochs) -> list:
        """The shares of the epochs that came before; those of epochs that are trained again are dropped."""
        path = self.folder / "diversity.json"
        stored = read_json(path) if path.is_file() else {}
        return stored["rows"][:epochs] if stored.get("labels") == list(self.teacher) else []

    def _diversity(self, images):
        features = self.extractor(images)[0] if self.extractor else small_images(images)
        return diversity(features, self.labels)
