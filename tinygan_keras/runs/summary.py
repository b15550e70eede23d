"""What is measured of a run: cost, and the quality of student, teacher and reference student.

Scope: which generators are measured, and with which settings of the run. How is `evaluation/`.
"""

import dataclasses
import sys
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

from ..evaluation.environment import environment
from ..evaluation.evaluate import evaluate
from ..evaluation.figure_table import FIGURES
from ..evaluation.subjects import open_reference
from ..generators.cost import images_per_second, multiply_adds, parameters
from ..generators.opening import open_generator
from ..generators.side_files import which_weights
from ..latents import sample_latents
from .evaluation_callback import EvaluationCallback

_TIMED_BATCH = 64


def summarize(parts, config, folder) -> dict:
    """Measures teacher, student and reference student, and returns the report but for its times."""
    teacher = {"handle": parts.teacher.handle, "content_hash": parts.teacher.content_hash}
    report = {"name": config.name, "teacher": teacher | _costs(parts.teacher, parts.teacher)}
    student = _as_generator(parts, config)
    report["student"] = _costs(student, parts.model.student)
    if parts.extractor is not None:
        result = _evaluate(parts, config, student, parts.teacher, folder.evaluation)
        report["teacher"] |= result["teacher"]["figures"]
        report["student"] |= result["figures"]
        report |= {"protocol": result["protocol"], "notes": result["notes"]}
    if parts.reference is not None:
        report["reference_student"] = _costs(parts.reference, parts.reference)
        if parts.extractor is not None:
            # Without the teacher, whose images take the longest.
            result = _evaluate(parts, config, parts.reference, teacher=None)
            report["reference_student"] |= result["figures"]
    return {
        **report,
        "steps": int(keras.ops.convert_to_numpy(parts.model.step)),
        "peak_memory_gigabytes": _peak_memory(),
        "seed": config.seed,
        "config": config.to_dict(),
        **environment(),
    }


def evaluation_callback(parts, config, folder) -> EvaluationCallback | None:
    """The evaluations in the course of the training, if the config asks for them."""
    if not config.evaluate_every:
        return None
    generator = _as_generator(parts, config)  # traced once; it draws with the weights of the moment
    reference = open_reference(parts.judged_against, parts.extractor)

    def figures(_) -> dict:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same after every epoch
            result = evaluate(
                generator,
                parts.extractor,
                reference=reference,
                labels=_labels(parts),
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


def _labels(parts):
    """The labels to measure: those of the real images, or without any the classes of the run."""
    return "auto" if parts.classes is None or parts.judged_against is not None else parts.classes


def _as_generator(parts, config):
    """The averaged student as `open_generator` will find it in the run folder."""
    return dataclasses.replace(
        open_generator(parts.model.ema_student),
        source=config.name,
        format="run folder",
        weights=which_weights(config.to_dict()),
        truncation=config.truncation,
        class_names=parts.class_names,
    )


def _evaluate(parts, config, generator, teacher, folder=None) -> dict:
    print(f"Evaluating {generator.source}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the report holds them
        return evaluate(
            generator,
            parts.extractor,
            reference=parts.judged_against,
            teacher=teacher,
            labels=_labels(parts),
            num_images=config.evaluation_images,
            truncation=config.truncation,
            seed=config.sample_seed,
            folder=folder,
        )


def _costs(generator, counted) -> dict:
    """Parameters, multiply-adds and speed of a teacher or a `Generator`."""
    draw: Callable = getattr(generator, "draw", generator)
    latents = tf.TensorSpec((1, generator.latent_dim), tf.float32)
    timed = (
        tf.constant(sample_latents(_TIMED_BATCH, generator.latent_dim)),
        tf.zeros([_TIMED_BATCH], tf.int32),
    )
    return {
        "parameters": parameters(counted),
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
