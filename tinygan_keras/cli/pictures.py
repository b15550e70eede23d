"""tinygan pictures: draws what a generator can and can't do, for people to look at.

    tinygan pictures --model=runs/mine
    tinygan pictures --model=saved_models/biggan_fashion_32 --extractor=saved_models/fashion_classifier \\
        --real=fashion_mnist --map=tsne --out=pictures

For a run, teacher, extractor and real images are those of its config, and the pictures go into its folder.
Class grid (the teacher above the student), interpolations in z and between classes; with a feature
extractor and real images also the nearest real neighbours of generated images, and a map of features.
"""

from absl import flags

from ..errors import InputError
from .checks import check_out_folder, check_seed, check_truncation


def define_flags(flag_values, arguments):
    def define(kind, name, default, meaning):
        kind(name, default, meaning, flag_values=flag_values)

    define(flags.DEFINE_string, "model", None, "Run folder, .keras file or SavedModel (required).")
    define(
        flags.DEFINE_string,
        "teacher",
        "auto",
        "Folder or TensorFlow Hub handle; 'none'; 'auto': the run's own, if it is on this machine.",
    )
    define(flags.DEFINE_string, "extractor", None, "SavedModel, or a name; default: the run's.")
    define(
        flags.DEFINE_string,
        "resize",
        None,
        "Kernel that brings images to the extractor's size; default: the run's, with its extractor.",
    )
    define(
        flags.DEFINE_string,
        "real",
        None,
        "fashion_mnist, a folder, or an .npz; default: the run's.",
    )
    define(flags.DEFINE_string, "out", None, "Default: pictures/, of a run in its folder.")
    define(flags.DEFINE_list, "classes", [], "By number or name; none: all, or ten of many.")
    define(flags.DEFINE_integer, "per_class", 100, "Images drawn of each for neighbours and map.")
    define(flags.DEFINE_string, "map", "pca", "pca or tsne.")
    define(flags.DEFINE_integer, "seed", None, "The same seed gives the same pictures.")
    define(flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the run, or 0.5.")


def run(flag_values):
    _check(flag_values)
    from ..evaluation.extractors.loading import load_extractor
    from ..evaluation.generated_labels import SEED
    from ..pictures.album.album import draw_album
    from ..runs.measuring import evaluation_settings, measured_images

    run = evaluation_settings(flag_values.model)
    extractor, resize = flag_values.extractor or run.get("extractor"), flag_values.resize
    if extractor == run.get("extractor"):
        resize = resize or run.get("resize")
    out = flag_values.out or run.get("pictures", "pictures")
    check_out_folder(out)
    entries = draw_album(
        flag_values.model,
        out,
        teacher=None if flag_values.teacher == "none" else flag_values.teacher,
        extractor=load_extractor(extractor, resize=resize) if extractor else None,
        real=flag_values.real or measured_images(flag_values.model),
        classes=flag_values.classes,
        per_class=flag_values.per_class,
        map_method=flag_values.map,
        truncation=flag_values.truncation,
        seed=SEED if flag_values.seed is None else flag_values.seed,
        report=_tell,
        progress=True,
    )
    drawn = sum(entry.path is not None for entry in entries)
    print(f"{drawn} of {len(entries)} pictures: {out}")


def _tell(entry):
    if entry.path is None:
        print(f"not drawn: {entry.name}: {entry.text}")
    else:
        print(f"{entry.path}: {entry.text}")


def _check(flag_values):
    if not flag_values.model:
        raise InputError("Got no --model. Expected a generator, such as --model=runs/mine.")
    if flag_values.map not in ("pca", "tsne"):
        raise InputError(
            f"Got --map={flag_values.map}. Expected pca or tsne. Leave it out for pca."
        )
    if flag_values.per_class < 2:
        raise InputError(
            f"Got --per_class={flag_values.per_class}. Expected 2 or more. Leave it out for 100."
        )
    check_truncation(flag_values.truncation)
    check_seed(flag_values.seed)
