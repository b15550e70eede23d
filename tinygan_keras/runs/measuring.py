"""What is measured of a run: at its end, in the course of its training, and again from its folder."""

import contextlib
import dataclasses
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import keras
import tensorflow as tf

from ..embedded import find
from ..errors import InputError
from ..evaluation.environment import environment
from ..evaluation.evaluate import evaluate
from ..evaluation.extractors.extractor import NAMES as EXTRACTORS
from ..evaluation.metrics import FIGURES
from ..evaluation.real_statistics import open_real_statistics
from ..evaluation.results import evaluation_of
from ..files import plain, user_path
from ..generators.cost import images_per_second, multiply_adds_of
from ..generators.opening import open_generator
from ..generators.side_files import located, read_class_names, read_config, which_weights
from ..latents import sample_latents
from ..pictures.charts import add_charts
from .components import open_data, open_measured_images, restricted_classes
from .config import PATHS, default_config
from .evaluation_callback import EvaluationCallback
from .run_folder import RunFolder

_TIMED_BATCH = 64
_NO_PATHS = ("", "none", "fashion_mnist", "fashion_mnist:test", *EXTRACTORS)


def summarize(components, config, folder) -> dict:
    """Measures teacher, student and reference student, and returns the report but for its times."""
    student = _student(components, config)
    teacher = None if config.teacher == "none" else components.teacher
    generators = {"student": student}
    if teacher is not None:
        generators["teacher"] = open_generator(teacher)
    if components.reference_student is not None:
        generators["reference_student"] = components.reference_student
    report = {name: _costs(generator) for name, generator in generators.items()}
    if teacher is not None:
        report["teacher"] |= {"handle": teacher.handle, "content_hash": teacher.content_hash}
    if components.extractor is not None:
        result = _evaluate(components, config, student, teacher=teacher, folder=folder.evaluation)
        add_charts(result, folder.evaluation)
        if teacher is not None:
            report["teacher"] |= result["teacher"]["figures"]
        report["student"] |= result["figures"]
        report |= {"protocol": result["protocol"], "notes": result["notes"]}
        if "reference_student" in generators:
            figures, notes = _reference_figures(components, config, result)
            report["reference_student"] |= figures
            report["notes"] = [*report["notes"], *notes]
    report["dtype_policy"] = components.model.student.dtype_policy.name  # which "auto" has chosen
    return report | _facts(components, config)


def _reference_figures(components, config, result) -> tuple:
    """Figures of the reference student, and notes: those in its folder if they are of use, else new ones."""
    known = reference_evaluation(components, config, result["protocol"])
    if result["figures"].keys() <= known.get("figures", {}).keys():
        versions = ", ".join(map(" ".join, known["protocol"].get("versions", {}).items()))
        source = f"those of its own evaluation, by {versions}"
        return known["figures"], [f"Figures of {config.reference_student} are {source}."]
    # Without the teacher, whose images take the longest.
    return _evaluate(components, config, components.reference_student)["figures"], []


def reference_evaluation(components, config, protocol, but_for=()) -> dict:
    """The evaluation in the folder of the reference student, of its weights and by this protocol; else {}.

    Other versions of packages make no other protocol here, nor does what `but_for` names. Rejected: equal
    versions alone, by which the demo would measure its reference student nearly everywhere.
    """
    known = {}
    with warnings.catch_warnings(), contextlib.suppress(InputError, OSError):  # can't be read
        warnings.simplefilter("ignore", UserWarning)  # of other weights
        known = evaluation_of(Path(find(config.reference_student)), components.reference_student)
    theirs, ours = plain(known.get("protocol", {})), plain(protocol)
    names = (theirs | ours).keys() - {"versions", *but_for}
    return known if all(theirs.get(name) == ours.get(name) for name in names) else {}


def _facts(components, config) -> dict:
    """What else a report says of a run."""
    return {
        "name": config.name,
        "steps": int(keras.ops.convert_to_numpy(components.model.step)),
        "peak_memory_gigabytes": peak_memory(),
        "seed": config.seed,
        "config": config.to_dict(),
        **environment(),
    }


def summarize_teacher(components, config, folder, teacher) -> dict:
    """Measures a teacher, a `Generator`, and returns the report of its training but for the times."""
    report = {"teacher": _costs(teacher) | {"content_hash": teacher.content_hash}}
    if components.extractor is not None:
        result = _evaluate(components, config, teacher, folder=folder.evaluation)
        add_charts(result, folder.evaluation)
        report["teacher"] |= result["figures"]
        report |= {"protocol": result["protocol"], "notes": result["notes"]}
    return report | _facts(components, config)


def evaluation_callback(components, config, folder) -> EvaluationCallback | None:
    """The evaluations in the course of the training, if the config asks for them."""
    if not config.evaluate_every:
        return None
    # Traced once; it generates with the weights of the moment.
    return make_evaluation(components, config, folder, _student(components, config))


def make_evaluation(
    components, config, folder, generator, prepare=None, callback=EvaluationCallback
) -> EvaluationCallback:
    """The callback that measures a `Generator`, after `prepare(network)` if need be."""
    settings = {
        "reference": open_real_statistics(components.measured_images, components.extractor),
        "num_images": config.training_evaluation_images,
        "progress": False,
    }

    def measure(network):
        if prepare:
            prepare(network)
        return _evaluate(components, config, generator, **settings)["figures"]

    return callback(
        measure,
        every=config.evaluate_every,
        monitor=config.monitor,
        mode="max" if FIGURES[config.monitor].better == "higher" else "min",
        folder=folder.best,
        patience=config.patience or None,
        log_dir=folder.tensorboard / "evaluation",
    )


def time_evaluations(components, config, counts, with_teacher) -> list:
    """Evaluates these numbers of images of the student as a run does: dicts of the seconds of its parts."""
    teacher = components.teacher if with_teacher and config.teacher != "none" else None
    student, settings = _student(components, config), {"teacher": teacher, "progress": False}
    return [
        _evaluate(components, config, student, num_images=count, **settings)["seconds"]
        for count in counts
    ]


def evaluation_settings(path, extractor=None) -> dict:
    """What repeats the evaluation of a run folder, but for an extractor given; {} for anything else."""
    folder, config = RunFolder(find(path)), _run_config(path)
    if config is None:
        return {}
    names = read_class_names(folder.path)
    settings = {
        "extractor": config.extractor,
        "resize": config.resize if extractor in (None, config.extractor) else None,
        "teacher": config.teacher,
        "num_images": config.evaluation_images,
        "seed": config.sample_seed,
        "classes": restricted_classes(config, len(names or ()), names),
    }
    if find(path) == user_path(path):  # else it is a name: nothing is written to its folder
        settings |= {"out": str(folder.evaluation), "pictures": str(folder.pictures)}
    return {name: value for name, value in settings.items() if value not in (None, "")}


def measured_images(path, student=None):
    """The real images of a run's evaluation, for `open_images`, or None; `student` is its `Generator`."""
    config = _run_config(path)
    if config is None or config.data == "none":
        return None
    if config.data == "fashion_mnist" and not config.classes.strip():
        return config.data_subset or config.data
    student = student or open_generator(path)
    real_images, names, _ = open_data(config, student, student.class_names)
    return open_measured_images(config, real_images, names)


def _run_config(path) -> SimpleNamespace | None:
    """The settings of a run folder, with paths as seen from here; None if it is none."""
    folder = RunFolder(find(path))
    finished = folder.student_keras.is_file() or folder.module.is_dir()
    if not folder.config_json.is_file() or not finished:
        return None
    # What `teach` has made has no teacher.
    settings = {**default_config().to_dict(), "teacher": "", **read_config(folder.path)}
    for setting in PATHS:
        name = settings[setting]
        # What leads somewhere stays as it is written: "./inception" is a folder and "inception" a name.
        is_name = name in _NO_PATHS or "://" in name or name.startswith(("keras:", "tfds:"))
        if not is_name and not Path(name).exists():
            settings[setting] = located(name, folder.student_keras) or name
    return SimpleNamespace(**settings)


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


def _evaluate(components, config, generator, **settings):
    """`evaluate` with the settings of a run, but for those given."""
    if settings.get("progress", True):
        print(f"Evaluating {generator.source}")
    settings = {
        "reference": components.measured_images,
        "num_images": config.evaluation_images,
        "labels": "auto" if components.measured_images else components.classes or "auto",
        "truncation": config.truncation,
        "seed": config.sample_seed,
    } | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the report holds them
        return evaluate(generator, components.extractor, **settings)


def _costs(generator) -> dict:
    """Parameters, multiply-adds and speed of a `Generator`."""
    draw = generator.draw
    latents = tf.constant(sample_latents(_TIMED_BATCH, generator.latent_dim))
    labels = tf.zeros([_TIMED_BATCH], tf.int32)
    return {
        "parameters": generator.parameters,
        "multiply_adds": multiply_adds_of(generator),
        "images_per_second": images_per_second(lambda: draw(latents, labels), _TIMED_BATCH),
    }


def peak_memory():
    """The most memory this process has held so far, in GiB; None where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts in bytes, Linux in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)
