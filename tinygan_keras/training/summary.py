"""What is measured at the end of a run: cost, quality, and the protocol behind the figures.

All generators draw from the same latents and labels, which no training has seen. Labels follow the real
images, so that a distance isn't the distance of two label distributions.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..evaluation.cost import images_per_second, multiply_adds, parameters
from ..evaluation.features import FeatureExtractor
from ..evaluation.metrics.frechet import feature_statistics, frechet_distance
from ..evaluation.metrics.labels import label_accuracy
from ..evaluation.report import environment
from ..generators.loading import generate_images
from ..teachers.latents import sample_latents

_TIMED_BATCH = 64


class Judge(NamedTuple):
    """What every generator of a run is held against. Without an extractor, only its cost is known."""

    extractor: FeatureExtractor | None
    latents: np.ndarray
    labels: np.ndarray
    real_statistics: tuple | None


def summarize(parts, config) -> dict:
    """Measures teacher, student and reference student, and returns the report but for its times."""
    judge, real_count = _make_judge(parts, config)
    print(f"Evaluating on {config.evaluation_images:,} images of teacher and student each")
    teacher, teacher_statistics = _measure(
        parts.teacher, parts.teacher, _specs(parts.teacher), judge
    )
    identity = {"handle": parts.teacher.handle, "content_hash": parts.teacher.content_hash}
    report = {"name": config.name, "teacher": {**identity, **teacher}}
    students = {"student": (parts.model.ema_student, parts.model.student)}
    if parts.reference is not None:
        students["reference_student"] = (parts.reference, parts.reference)
    for name, (student, counted) in students.items():
        figures, statistics = _measure_student(student, counted, judge)
        if statistics:
            figures["frechet_to_teacher"] = frechet_distance(*statistics, *teacher_statistics)
        report[name] = figures
    return {
        **report,
        "protocol": _protocol(parts, config, real_count),
        "steps": int(keras.ops.convert_to_numpy(parts.model.step)),
        "peak_memory_gigabytes": _peak_memory(),
        "seed": config.seed,
        "config": config.to_dict(),
        **environment(),
    }


def _make_judge(parts, config):
    """The judge, and the number of real images behind its statistics."""
    count, random = config.evaluation_images, np.random.default_rng(config.sample_seed)
    teacher = parts.teacher
    latents = sample_latents(count, teacher.latent_dim, config.truncation, config.sample_seed)
    if parts.judged_against is None:
        labels = np.arange(count, dtype="int32") % teacher.num_classes
        return Judge(parts.extractor, latents, labels, None), 0
    chosen = random.permutation(len(parts.judged_against.labels))[:count]
    labels = np.resize(parts.judged_against.labels[chosen], count).astype("int32")
    statistics = None
    if parts.extractor:
        features, _ = parts.extractor(parts.judged_against.images[chosen])
        statistics = feature_statistics(features)
    return Judge(parts.extractor, latents, labels, statistics), len(chosen)


def _measure_student(student, counted, judge):
    @tf.function(reduce_retracing=True)
    def draw(latents, labels):
        return student((latents, labels), training=False)

    return _measure(draw, counted, _specs(student), judge)


def _measure(draw: Callable, counted, specs, judge):
    """Returns the figures of one generator, and the statistics of its features (or None)."""
    latents, labels = (
        judge.latents[:1].repeat(_TIMED_BATCH, 0),
        judge.labels[:1].repeat(_TIMED_BATCH),
    )
    timed = tf.constant(latents), tf.constant(labels)
    figures = {
        "parameters": parameters(counted),
        "multiply_adds": multiply_adds(draw, *specs),
        "images_per_second": images_per_second(lambda: draw(*timed), _TIMED_BATCH),
    }
    if judge.extractor is None:
        return figures, None
    images = generate_images(draw, judge.latents, judge.labels)
    features, logits = judge.extractor(images)
    statistics = feature_statistics(features)
    figures["label_accuracy"] = label_accuracy(logits, judge.labels)
    if judge.real_statistics:
        figures["frechet_to_real"] = frechet_distance(*statistics, *judge.real_statistics)
    return figures, statistics


def _specs(generator):
    latents = tf.TensorSpec((1, generator.latent_dim), tf.float32)
    return latents, tf.TensorSpec((1,), tf.int32)


def _protocol(parts, config, real_count) -> dict:
    """Everything that moves a Frechet distance; two of them compare only if all of this is equal."""
    extractor = parts.extractor
    return {
        "extractor": config.extractor or None,
        "extractor_hash": extractor.hash if extractor else None,
        "feature_dim": extractor.feature_dim if extractor else None,
        "real_images": real_count,
        "real_source": parts.judged_against.source if parts.judged_against else None,
        "training_images": parts.real.source if parts.real else None,
        "generated_images": config.evaluation_images,
        "labels": "those of the real images" if parts.judged_against else "uniform",
        "image_size": parts.teacher.image_size,
        "range": "[-1, 1], rounded to uint8",
        "resize": "none, the extractor takes this size",
        "truncation": config.truncation,
        "latents": "truncation * normal cut off at 2 standard deviations",
        "sample_seed": config.sample_seed,
        "student_weights": f"exponential moving average, decay {config.ema_decay}",
    }


def _peak_memory():
    """The most memory this process has held so far, in GiB; None where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts in bytes, Linux in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)
