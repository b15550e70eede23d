"""tinygan sample: draws pictures, or a labelled data set, with a trained student or with a teacher.

    tinygan sample --model=runs/mine --out=samples.png
    tinygan sample --model=runs/mine --labels=Sneaker,8 --per_class=100 --seed=7 --out=pictures/
    tinygan sample --model=saved_models/biggan_fashion_32 --truncation=0.5
    tinygan sample --model=runs/mine --per_class=500 --format=npz --out=calibration.npz

A model is a run folder, a .keras file, a folder that tinygan export wrote, or a teacher: its folder or its
TensorFlow Hub handle. A teacher draws with its statistics for the truncation.

Without --format, an --out that ends in .png gives one picture, a row per class, one that ends in .npz a data
set, and any other a folder of single images with the label in their names. --format=folder gives a sub-folder
per class, npz one file of the arrays images, labels and class_names, tfrecord a folder of shards with an
index.json. In these three the classes come in turn, so that any first part of them has all classes; they are
written as they are drawn, in little memory, and never over what is there. `tinygan distill --config.data=`,
`tinygan evaluate --real=` and others read the first two.
"""

from pathlib import Path

from absl import flags

from ..errors import ExistingFileError, InputError
from .checks import check_out_file, check_out_folder, check_seed, check_truncation

_SUFFIXES = {"png": ".png", "npz": ".npz", "folder": "", "tfrecord": ""}


def define_flags(flag_values, arguments):
    def define(kind, name, default, *rest):
        kind(name, default, *rest, flag_values=flag_values)

    define(
        flags.DEFINE_string,
        "model",
        None,
        "Run folder, .keras file, export, or a teacher's folder or handle (required).",
    )
    define(
        flags.DEFINE_enum,
        "format",
        None,
        list(_SUFFIXES),
        "One picture, or the form of the data set; default: by the name --out.",
    )
    define(
        flags.DEFINE_string,
        "out",
        None,
        "A .png file, an .npz file or a folder; default: samples.png, or samples in the --format.",
    )
    define(flags.DEFINE_list, "labels", [], "Classes by number or name; none: all classes.")
    define(flags.DEFINE_integer, "per_class", 8, "Images of each class.")
    define(flags.DEFINE_integer, "seed", 0, "The same seed gives the same images.")
    define(flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the run, or 0.5.")


def run(flag_values):
    form, out = _form_and_out(flag_values.format, flag_values.out)
    _check(flag_values, form, out)
    from ..classes.selection import class_numbers
    from ..generators.data_sets import write_data_set
    from ..generators.generator import GeneratedImages, grid_of
    from ..generators.opening import open_generator
    from ..latents import check_seeds

    generator = open_generator(flag_values.model, flag_values.truncation)
    classes = class_numbers(flag_values.labels, generator.num_classes, generator.class_names)
    seeds = check_seeds(flag_values.seed, flag_values.per_class)
    grid = grid_of(classes, seeds, seed_by_seed=form in ("folder", "npz", "tfrecord"))
    images = GeneratedImages(generator, *grid)
    if form == "png":
        path = _write_png(images, classes, out, generator.class_names)
    else:
        path = write_data_set(images, out, form or "images", generator.class_names)
    print(f"{images.count} images: {path}")


def _write_png(images, classes, path, class_names):
    from ..pictures.files import save_png
    from ..pictures.grids import progress_strip

    pixels = images.read(0, images.count)
    rows = pixels.reshape(len(classes), -1, *pixels.shape[1:])
    names = [class_names[label].split(",")[0] if class_names else str(label) for label in classes]
    return save_png(progress_strip(rows, names), path)


def _form_and_out(form, out):
    """The form, None for a folder of single images, and the place; each by the other if need be."""
    if form is None:
        out = out or "samples.png"
        suffix = Path(out).suffix
        return suffix[1:] if suffix in (".png", ".npz") else None, out
    out = out or f"samples{_SUFFIXES[form]}"
    expected, suffix = _SUFFIXES[form], Path(out).suffix
    if suffix != expected if expected else suffix in (".png", ".npz"):
        kind = f"a file that ends in {expected}" if expected else "a folder"
        raise InputError(
            f"Got --format={form} and --out={out}. Expected {kind}. Change one of the two, or leave one out."
        )
    return form, out


def _check(flag_values, form, out):
    if not flag_values.model:
        raise InputError(
            "Got no --model. Expected a trained student or a teacher, such as --model=runs/mine."
        )
    if flag_values.per_class < 1:
        raise InputError(
            f"Got --per_class={flag_values.per_class}. Expected 1 or more. Leave it out for 8."
        )
    check_truncation(flag_values.truncation)
    check_seed(flag_values.seed)
    if form != "png" and Path(out).exists():
        raise ExistingFileError(
            f"Got --out={out}, which exists already. Expected a new name, as a data set is never written "
            "over another. Choose one, or remove it first."
        )
    (check_out_file if form in ("png", "npz") else check_out_folder)(out)
