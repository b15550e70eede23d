"""The pictures of a run: always the same classes and seeds, the teacher's images beside the student's."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from ..embedded import find
from ..errors import InputError, MissingFileError
from ..generators.generator import grid_of
from ..images import to_uint8
from ..latents import latents_of_seeds
from ..pictures.image_rows import class_grid, image_rows, save_gif, save_png
from .checkpoints import averaged_generator
from .run_folder import RunFolder

_CLASSES = 10
_PER_CLASS = 8


class Gallery:
    """Makes pictures of a student on fixed seeds; with many classes, of ten spread over them.

    Without a teacher they are of samples of its cache: as many of a class, the same again if they are few.
    """

    def __init__(self, components, config):
        teacher, self.class_names = components.teacher, components.class_names
        if config.teacher == "none":
            of_class = (
                np.flatnonzero(teacher.labels == label)[:_PER_CLASS]
                for label in spread_classes(components, teacher)
            )
            numbers = np.concatenate([np.resize(found, _PER_CLASS) for found in of_class])
            self.latents, self.labels, self.teacher_images = teacher.samples(numbers)
            return
        self.latents, self.labels = fixed_inputs(components, config, teacher)
        self.teacher_images = to_uint8(teacher(self.latents, self.labels))

    def grid(self, student) -> np.ndarray:
        """Class by class, the teacher's row above the student's: a picture uint8 `[H, W, 3]`."""
        return class_grid(self.teacher_images, self.images(student), self.labels, self.class_names)

    def frame(self, student, step: int) -> np.ndarray:
        """One image of each class, the teacher's above the student's after `step` steps."""
        one = slice(None, None, _PER_CLASS)
        images = to_uint8(student((self.latents[one], self.labels[one]), training=False))
        return image_rows((self.teacher_images[one], images), marks=("teacher", f"step {step}"))

    def images(self, student) -> np.ndarray:
        """The student's images of the same latents, uint8 `[N, S, S, 3]`."""
        return to_uint8(student((self.latents, self.labels), training=False))


class TeacherGallery:
    """Makes pictures of a teacher in training on fixed seeds, a row per class."""

    def __init__(self, components, config):
        self.latents, self.labels = fixed_inputs(components, config, components.model.generator)
        self.names = [components.class_names[label] for label in self.labels[::_PER_CLASS]]

    def frame(self, generator, step: int) -> np.ndarray:
        """Of a generator whose standing statistics aren't measured yet."""
        return self._rows(generator((self.latents, self.labels), training=True))

    def grid(self, teacher) -> np.ndarray:
        """Of a `HubTeacher`."""
        return self._rows(teacher(self.latents, self.labels))

    def _rows(self, images):
        return image_rows(np.split(to_uint8(images), len(self.names)), self.names)


def fixed_inputs(components, config, generator) -> tuple:
    """Latents and labels of the pictures: eight of each class in them."""
    seeds = range(config.sample_seed, config.sample_seed + _PER_CLASS)
    labels, seeds = grid_of(spread_classes(components, generator), seeds)
    return latents_of_seeds(seeds, generator.latent_dim, config.truncation), labels


def spread_classes(components, generator) -> np.ndarray:
    """The classes in the pictures: all, or ten spread over many."""
    classes = np.array(components.classes or range(generator.num_classes))
    places = np.linspace(0, len(classes) - 1, min(len(classes), _CLASSES)).astype("int32")
    return classes[places]


class ProgressPictures(keras.callbacks.Callback):
    """Writes what `frame` makes of the averaged student and the step, uint8 `[H, W, 3]`, every few epochs."""

    def __init__(self, folder, frame, every=1):
        super().__init__()
        self.folder, self.frame, self.every = Path(folder), frame, every

    def on_train_begin(self, logs=None):
        if not any(self.folder.glob("epoch_*.png")):
            self._save(0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == (self.params or {}).get("epochs"):
            self._save(epoch + 1)

    def _save(self, epoch):
        step = int(keras.ops.convert_to_numpy(self.model.step))
        self.folder.mkdir(parents=True, exist_ok=True)
        picture = self.frame(averaged_generator(self.model), step)
        save_png(picture, self.folder / f"epoch_{epoch:05d}.png")


def animate_run(run, out, seconds: float = 10.0) -> Path:
    """Makes a moving picture of the training of a student or a teacher, as long as you choose.

    It shows the pictures of the run's `progress` folder, the same latents after more and more steps, and
    rests on the last. Where they would pass too quickly to be seen, some are left out.

    Args:
        run: A run folder of `distill` or `teach`, finished or not.
        out: The GIF file to write.
        seconds: Length of a round, from 0.1 to 600.

    Returns:
        The path of the file.

    Raises:
        InputError: a length out of range.
        MissingFileError: it is no run folder, or one without pictures of its training.

    Example:
        animate_run("runs/demo", "demo.gif", seconds=6)
    """
    if not 0.1 <= seconds <= 600:
        raise InputError(f"Got seconds={seconds}. Expected 0.1 to 600.")
    paths = sorted(RunFolder(find(run)).progress.glob("*.png"))
    if not paths:
        raise MissingFileError(
            f"Got {run}, which has no pictures of a training. Expected a run folder of tinygan distill or "
            "teach with its folder progress. Name one."
        )
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return Path(save_gif(frames, out, seconds=seconds))
