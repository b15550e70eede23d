"""What is measured of a run: at its end, in the course of its training, and again from its folder.

Scope: which generators are measured, and with which settings of the run. How is `evaluation/`.
"""

import dataclasses
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from ..classes.selection import class_numbers
from ..data.image_sets import open_training_images
from ..evaluation.environment import environment
from ..evaluation.evaluate import evaluate
from ..evaluation.extractors.extractor import NAMES as EXTRACTORS
from ..evaluation.metrics import FIGURES
from ..evaluation.real_statistics import open_real_statistics
from ..generators.cost import images_per_second, multiply_adds
from ..generators.opening import open_generator
from ..generators.side_files import located, read_class_names, read_config, which_weights
from ..latents import sample_latents
from ..pictures.charts import add_class_chart
from .config import DATA_SETS
from .evaluation_callback import EvaluationCallback
from .run_folder import RunFolder

_TIMED_BATCH = 64
_NO_PATHS = (*DATA_SETS, "fashion_mnist:test", *EXTRACTORS)


def summarize(components, config, folder) -> dict:
    """Measures teacher, student and reference student, and returns the report but for its times."""
    teacher, student = components.teacher, _student(components, config)
    reference_student = components.reference_student
    report = {
        "name": config.name,
        "teacher": {"handle": teacher.handle, "content_hash": teacher.content_hash}
        | _costs(teacher),
        "student": _costs(student),
    }
    if reference_student is not None:
        report["reference_student"] = _costs(reference_student)
    if components.extractor is not None:
        result = _evaluate(components, config, student, teacher, folder.evaluation)
        report["teacher"] |= result["teacher"]["figures"]
        report["student"] |= result["figures"]
        report |= {"protocol": result["protocol"], "notes": result["notes"]}
        if reference_student is not None:
            # Without the teacher, whose images take the longest.
            result = _evaluate(components, config, reference_student)
            report["reference_student"] |= result["figures"]
    return {
        **report,
        "steps": int(keras.ops.convert_to_numpy(components.model.step)),
        "peak_memory_gigabytes": _peak_memory(),
        "seed": config.seed,
        "config": config.to_dict(),
        **environment(),
    }


def evaluation_callback(components, config, folder) -> EvaluationCallback | None:
    """The evaluations in the course of the training, if the config asks for them."""
    if not config.evaluate_every:
        return None
    # Traced once; it generates with the weights of the moment.
    generator = _student(components, config)
    real_statistics = open_real_statistics(components.measured_images, components.extractor)

    def figures(_) -> dict:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same after every epoch
            result = evaluate(
                generator,
                components.extractor,
                reference=real_statistics,
                labels=_labels(components),
                num_images=config.training_evaluation_images,
                seed=config.sample_seed,
                progress=False,
            )
        return result["figures"]

    return EvaluationCallback(
        figures,
        every=config.evaluate_every,
        monitor=config.monitor,
        mode="max" if FIGURES[config.monitor].better == "higher" else "min",
        folder=folder.best,
        patience=config.patience or None,
        log_dir=folder.tensorboard / "evaluation",
    )


def evaluation_settings(path) -> dict:
    """What an evaluation takes from a run, so that it repeats the one at the end of the run.

    Paths of a config are relative to where the run was started, which was at or above its folder.

    Args:
        path: Anything that can be evaluated; of what isn't a run folder nothing is known.

    Returns:
        `extractor`, `resize`, `teacher`, `num_images`, `seed`, `classes` (the labels that it is restricted
        to, None for all), and the folders `out` of the evaluation and `pictures`.
    """
    folder = _run_folder(path)
    if folder is None:
        return {}
    config = read_config(folder.path)
    return {
        "extractor": _located(config.get("extractor"), folder),
        "resize": config.get("resize") or None,
        "teacher": _located(config.get("teacher"), folder),
        "num_images": config.get("evaluation_images"),
        "seed": config.get("sample_seed"),
        "classes": _classes(config, folder),
        "out": str(folder.evaluation),
        "pictures": str(folder.pictures),
    }


def measured_images(path, student=None):
    """The real images of a run's evaluation, cropped and resized as in training.

    `path` is anything that can be evaluated, `student` the run's `Generator` if it is open already. Returns a
    name for `open_images`, a set of images, or None: a run without real images, or no run at all.
    """
    folder = _run_folder(path)
    if folder is None:
        return None
    config = read_config(folder.path)
    data, subset = config.get("data", "none"), _located(config.get("data_subset"), folder)
    if data == "none":
        return None
    classes = _classes(config, folder)
    if data == "fashion_mnist" and classes is None:
        return subset or data
    student = student or open_generator(folder.path)
    real_images = open_training_images(
        _located(data, folder),
        student.image_size,
        student.num_classes,
        classes,
        read_class_names(folder.path),
        data_subset=subset or "",
    )
    return real_images.draw(config["evaluation_images"], config["sample_seed"])


def _classes(config, folder) -> tuple | None:
    """The labels that a run is restricted to; None for all."""
    text = config.get("classes", "")
    if not text.strip():
        return None
    names = read_class_names(folder.path)
    return tuple(class_numbers(text, len(names), names, distinct=True).tolist())


def _run_folder(path):
    folder = RunFolder(path)
    return folder if folder.config.is_file() and folder.student.is_file() else None


def _located(name: str | None, folder: RunFolder) -> str | None:
    """A path of a config as seen from here; a name that is no path, or isn't found, as it is."""
    # What leads somewhere stays as it is written: "./inception" is a folder and "inception" a name.
    is_name = not name or name in _NO_PATHS or "://" in name or name.startswith(("keras:", "tfds:"))
    if is_name or Path(name).exists():
        return name or None
    return located(name, folder.student) or name


def _labels(components):
    """The labels to measure: those of the real images, or without any the classes of the run."""
    restricted = components.classes is not None and components.measured_images is None
    return components.classes if restricted else "auto"


def _student(components, config):
    """The averaged student as `open_generator` will find it in the run folder."""
    return dataclasses.replace(
        open_generator(components.model.ema_student),
        source=config.name,
        format="run folder",
        weights=which_weights(config.to_dict()),
        truncation=config.truncation,
        class_names=components.class_names,
    )


def _evaluate(components, config, generator, teacher=None, folder=None) -> dict:
    print(f"Evaluating {generator.source}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the report holds them
        result = evaluate(
            generator,
            components.extractor,
            reference=components.measured_images,
            teacher=teacher,
            labels=_labels(components),
            num_images=config.evaluation_images,
            truncation=config.truncation,
            seed=config.sample_seed,
            folder=folder,
        )
    if folder is not None:
        add_class_chart(result, folder)
    return result


def _costs(generator) -> dict:
    """Parameters, multiply-adds and speed of a teacher or a `Generator`."""
    draw: Callable = getattr(generator, "draw", generator)
    latents = tf.TensorSpec((1, generator.latent_dim), tf.float32)
    timed = (
        tf.constant(sample_latents(_TIMED_BATCH, generator.latent_dim)),
        tf.zeros([_TIMED_BATCH], tf.int32),
    )
    return {
        "parameters": generator.parameters,
        "multiply_adds": multiply_adds(draw, latents, tf.TensorSpec((1,), tf.int32)),
        "images_per_second": images_per_second(lambda: draw(*timed), _TIMED_BATCH),
    }


def _peak_memory():
    """The most memory this process has held so far, in GiB; None where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts in bytes, Linux in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)
