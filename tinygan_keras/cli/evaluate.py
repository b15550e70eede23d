"""tinygan evaluate: measures the images of a generator, with the whole protocol.

    tinygan evaluate --model=runs/mine
    tinygan evaluate --model=https://tfhub.dev/deepmind/biggan-deep-128/1 --extractor=inception \\
        --real=imagenet_val_128/ --num_images=50000 --out=evaluations/biggan
    tinygan evaluate --model=pictures/ --extractor=saved_models/fashion_classifier --real=fashion_mnist \\
        --out=evaluations/pictures

A model is a run folder, a .keras file, a folder that tinygan export wrote, a teacher, or a folder or .npz of
images. Real images are squares of the generator's size: imagenet_val_128/ is a folder of 128x128 images. For
a run, extractor, real images, teacher and truncation are those of its config, and the evaluation goes into
its folder. Ctrl-C keeps what was measured so far; the same command goes on.
"""

import warnings
from pathlib import Path

from absl import flags

from ..errors import InputError
from .checks import check_out_folder, check_seed, check_truncation


def define_flags(flag_values, arguments):
    def define(kind, name, default, *rest):
        kind(name, default, *rest, flag_values=flag_values)

    define(flags.DEFINE_string, "model", None, "What to evaluate (required).")
    define(
        flags.DEFINE_string,
        "extractor",
        None,
        "SavedModel folder, TF-Hub handle, inception (TF-GAN's) or keras_inception_v3; default: the "
        "run's, or inception.",
    )
    define(
        flags.DEFINE_string,
        "real",
        None,
        "Real images: a folder, an .npz with images or with mu and sigma, fashion_mnist or "
        "fashion_mnist:test; default: the run's.",
    )
    define(
        flags.DEFINE_string,
        "teacher",
        None,
        "Compare with this teacher on equal latents; default: the run's; none: don't.",
    )
    define(
        flags.DEFINE_integer,
        "num_images",
        None,
        "Images to draw; default: as many as the run, or 10000; of a folder all are taken.",
    )
    define(
        flags.DEFINE_enum,
        "labels",
        "auto",
        ["auto", "reference", "balanced"],
        "Labels of the drawn images: those of the real ones, or each class in turn.",
    )
    define(flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the run, or 0.5.")
    define(
        flags.DEFINE_integer,
        "seed",
        None,
        "The same seed gives the same figures; default: the run's, or 1000000.",
    )
    define(
        flags.DEFINE_string,
        "resize",
        None,
        "How images get to the extractor's size, such as bilinear or bicubic+antialias; default: as in "
        "the run, with its extractor.",
    )
    define(
        flags.DEFINE_string,
        "classification_test",
        None,
        "Real test images: also train a classifier on the drawn images and test it on these (minutes).",
    )
    define(
        flags.DEFINE_string,
        "out",
        None,
        "Folder for evaluation.json and evaluation.md; default for a run: its folder evaluation/.",
    )


def run(flag_values):
    _check(flag_values)
    from ..evaluation.evaluate import evaluate
    from ..evaluation.generated_labels import SEED
    from ..evaluation.record import as_table, beside_teacher
    from ..runs.measuring import evaluation_settings, measured_classes, measured_images

    run = evaluation_settings(flag_values.model)
    if flag_values.extractor not in (None, run.get("extractor")):
        run.pop("resize", None)  # it is for the run's extractor
    settings = {
        name: run.get(name) if flag_values[name].value is None else flag_values[name].value
        for name in ("extractor", "resize", "teacher", "num_images", "seed", "out")
    }
    out = settings["out"]
    if out is None:
        raise InputError(
            f"Got --model={flag_values.model} and no --out. Expected a folder for the evaluation of "
            "anything but a run, such as --out=evaluations/mine."
        )
    check_out_folder(out)
    real, labels = flag_values.real or measured_images(flag_values.model), flag_values.labels
    if real is None and labels == "auto":
        labels = measured_classes(flag_values.model) or labels
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            result = evaluate(
                flag_values.model,
                settings["extractor"] or "inception",
                reference=real,
                teacher=None if settings["teacher"] == "none" else settings["teacher"],
                num_images=settings["num_images"],
                labels=labels,
                truncation=flag_values.truncation,
                seed=SEED if settings["seed"] is None else settings["seed"],
                resize=settings["resize"],
                classification_test=flag_values.classification_test,
                folder=out,
            )
        except KeyboardInterrupt:
            print(f"\nInterrupted. The same command goes on; {out} keeps what was measured so far.")
            raise
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
        else:  # not meant for users; shown as ever
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return list(dict.fromkeys(notes))


def _check(flag_values):
    if not flag_values.model:
        raise InputError(
            "Got no --model. Expected a run folder, a .keras file, a SavedModel, a teacher or a folder "
            "of images, such as --model=runs/demo."
        )
    if flag_values.num_images is not None and flag_values.num_images < 2:
        raise InputError(
            f"Got --num_images={flag_values.num_images}. Expected 2 or more: a covariance needs them. "
            "Leave it out for 10000."
        )
    check_truncation(flag_values.truncation)
    check_seed(flag_values.seed)
