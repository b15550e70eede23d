"""The pictures of a run: always the same latents, the teacher's images beside the student's."""

import numpy as np

from ..images import to_uint8
from ..latents import sample_latents
from ..pictures.grids import class_grid, progress_strip

_CLASSES = 10
_PER_CLASS = 8


class Gallery:
    """Draws pictures of a student on fixed latents; with many classes, of ten spread over them.

    Args:
        teacher: Callable `(latents, labels) -> images` with `latent_dim` and `num_classes`.
        class_names: Name per label.
        truncation: Truncation of the latents.
        seed: Seed of the latents.
        classes: Labels to choose from; None for all.
    """

    def __init__(self, teacher, class_names, truncation: float, seed: int, classes=None):
        classes = np.arange(teacher.num_classes) if classes is None else np.asarray(classes)
        places = np.linspace(0, len(classes) - 1, min(len(classes), _CLASSES)).astype("int32")
        labels = classes[places].astype("int32")
        self.class_names = class_names
        self.labels = labels.repeat(_PER_CLASS)
        self.latents = sample_latents(len(self.labels), teacher.latent_dim, truncation, seed)
        self.teacher_images = to_uint8(teacher(self.latents, self.labels))

    def grid(self, student) -> np.ndarray:
        """Class by class, the teacher's row above the student's: a picture uint8 `[H, W, 3]`."""
        return class_grid(self.teacher_images, self._images(student), self.labels, self.class_names)

    def frame(self, student, step: int) -> np.ndarray:
        """One image of each class, the teacher's above the student's after `step` steps."""
        rows = (self.teacher_images[::_PER_CLASS], self._images(student)[::_PER_CLASS])
        return progress_strip(rows, ("teacher", f"step {step}"))

    def _images(self, student):
        return to_uint8(student((self.latents, self.labels), training=False))
