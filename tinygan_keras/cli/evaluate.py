"""tinygan evaluate: measures the images of a generator, with the whole protocol.

    tinygan evaluate --model=runs/mine
    tinygan evaluate --model=runs/mine --metrics=frechet_distance --out=evaluations/mine
    tinygan evaluate --model=https://tfhub.dev/deepmind/biggan-deep-128/1 --extractor=inception \\
        --real=imagenet_val_128/ --num_images=50000 --out=evaluations/biggan
    tinygan evaluate --model=pictures/ --extractor=saved_models/fashion_classifier --real=fashion_mnist \\
        --out=evaluations/pictures

A model is a run folder, a .keras file, a folder that tinygan export wrote, a teacher, or a folder or .npz of
images. Real images are squares of the generator's size: imagenet_val_128/ is a folder of 128x128 images. For
a run, extractor, real images, teacher and truncation are those of its config, and the evaluation goes into
its folder. Image i has the seed --seed + i. Ctrl-C keeps what was measured so far; the same command resumes.

Metrics: frechet_distance, intra_class_frechet, kernel_distance, inception_score, precision_recall,
label_accuracy, classification_accuracy; of a student beside its teacher frechet_to_teacher, teacher_fidelity.
"""

import warnings
from pathlib import Path

from ..errors import InputError

FLAGS = (
    "model",
    "extractor",
    "real",
    "teacher",
    "num_images",
    "labels",
    "truncation",
    "seed",
    "resize",
    "classification_test",
    "metrics",
    "out",
)
REQUIRED = ("model",)


def run(flags):
    from ..evaluation.metrics.registry import choose

    metrics = flags.metrics or None
    with_teacher = any("teacher" in metric.needs for metric in choose(metrics))
    from ..evaluation.evaluate import SEED, evaluate
    from ..evaluation.results import as_table, beside_teacher
    from ..generators.opening import open_generator
    from ..runs.measuring import evaluation_settings, measured_images

    run, model = evaluation_settings(flags.model), flags.model
    if run:  # read once: its real images get its size
        model = open_generator(model, flags.truncation)
    if not with_teacher:
        run.pop("teacher", None)
    if flags.extractor not in (None, run.get("extractor")):
        run.pop("resize", None)  # it is for the run's extractor
    settings = {
        name: run.get(name) if getattr(flags, name) is None else getattr(flags, name)
        for name in ("extractor", "resize", "teacher", "num_images", "seed", "out")
    }
    out = settings["out"]
    if out is None:
        raise InputError(
            f"Got --model={flags.model} and no --out. Expected a folder for the evaluation of "
            "anything but a run, such as --out=evaluations/mine."
        )
    real, labels = (
        flags.real or (measured_images(flags.model, model) if run else None),
        flags.labels,
    )
    if real is None and labels == "auto":
        labels = run.get("classes") or labels
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            result = evaluate(
                model,
                settings["extractor"] or "inception",
                reference=real,
                teacher=None if settings["teacher"] == "none" else settings["teacher"],
                num_images=settings["num_images"],
                labels=labels,
                truncation=flags.truncation,
                seed=SEED if settings["seed"] is None else settings["seed"],
                resize=settings["resize"],
                classification_test=flags.classification_test,
                folder=out,
                metrics=metrics,
            )
        except KeyboardInterrupt:
            print(f"\nInterrupted. The same command resumes; {out} keeps what was measured so far.")
            raise
    if any("frechet_distance" in row for row in result["classes"]):
        from ..pictures.charts import add_class_chart

        add_class_chart(result, out)
    print(as_table(beside_teacher(result)))
    for note in _notes(result, caught):
        print(f"Note: {note}")
    print(f"Evaluation: {Path(out) / 'evaluation.md'}")


def _notes(result, caught) -> list:
    """The notes of an evaluation, and what else was warned of, each once."""
    notes = list(result["notes"])
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            notes.append(str(warning.message))
        else:  # not meant for users; shown as usual
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return list(dict.fromkeys(notes))
