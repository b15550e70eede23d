"""tinygan evaluate: measures the images of a generator, with the whole protocol.

    tinygan evaluate --model=runs/mine
    tinygan evaluate --model=runs/mine --metrics=frechet_distance --out=evaluations/mine
    tinygan evaluate --model=https://tfhub.dev/deepmind/biggan-deep-128/1 --extractor=inception \\
        --real=imagenet_val_128/ --num_images=50000 --out=evaluations/biggan
    tinygan evaluate --model=pictures/ --extractor=fashion_classifier --real=fashion_mnist \\
        --out=evaluations/pictures

A model is a run folder, an embedded name, a .keras file, a folder that tinygan export wrote, a teacher, or a
folder or .npz of images. Real images are squares of the generator's size: imagenet_val_128/ is a folder of
128x128 images. For a run, extractor, real images, teacher and truncation are those of its config, and the
evaluation goes into its folder; of an embedded name into --out. Image i has the seed --seed + i. Ctrl-C keeps
what was measured so far; the same command resumes.

Metrics: frechet_distance, intra_class_frechet, kernel_distance, inception_score, precision_recall,
label_accuracy, classification_accuracy; of a student beside its teacher frechet_to_teacher, teacher_fidelity,
gap (where its distance comes from). Where they are named, as in --metrics=default,vendi_score, also
frechet_at_infinity, vendi_score, authenticity, path_length, sliced_wasserstein.
"""

import warnings
from pathlib import Path

from ..errors import InputError

_OF_RUN = ("extractor", "resize", "teacher", "num_images", "seed", "out")
FLAGS = ("model", "real", "labels", "truncation", "classification_test", "metrics", *_OF_RUN)
REQUIRED = ("model",)


def run(flags):
    from ..evaluation.metrics.registry import choose

    metrics = flags.metrics or None
    with_teacher = any("teacher" in metric.needs for metric in choose(metrics))
    from ..evaluation.evaluate import SEED, evaluate
    from ..evaluation.results import as_table, beside_teacher
    from ..generators.opening import open_generator
    from ..pictures.charts import add_charts
    from ..runs.measuring import evaluation_settings, measured_images

    run = evaluation_settings(flags.model, flags.extractor)
    # A run is read once: its real images get its size.
    model = open_generator(flags.model, flags.truncation) if run else flags.model
    if not with_teacher:
        run.pop("teacher", None)
    settings = {"extractor": "inception", "seed": SEED} | run
    settings |= {name: getattr(flags, name) for name in _OF_RUN if getattr(flags, name) is not None}
    out = settings.get("out")
    if out is None:
        raise InputError(
            f"Got no --out for --model={flags.model}, which has no run folder. Expected a folder. Add --out."
        )
    if settings.get("teacher") == "none":
        del settings["teacher"]
    real = flags.real or (measured_images(flags.model, model) if run else None)
    labels = flags.labels
    if real is None and labels == "auto":
        labels = run.get("classes") or labels
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            result = evaluate(
                model,
                reference=real,
                labels=labels,
                truncation=flags.truncation,
                classification_test=flags.classification_test,
                folder=out,
                metrics=metrics,
                **{name: settings[name] for name in _OF_RUN[:-1] if name in settings},
            )
        except KeyboardInterrupt:
            print(f"\nInterrupted. The same command resumes; {out} keeps what was measured so far.")
            raise
    add_charts(result, out)
    print(as_table(beside_teacher(result)))
    if "gap" in result:
        print(result["gap"]["sentence"])
    for note in dict.fromkeys([*result["notes"], *(str(warning.message) for warning in caught)]):
        print(f"Note: {note}")
    print(f"Evaluation: {Path(out) / 'evaluation.md'}")
