"""tinygan sample: draws pictures with a trained student, or with a teacher.

    tinygan sample --model=runs/mine --out=samples.png
    tinygan sample --model=runs/mine --labels=Sneaker,8 --per_class=100 --seed=7 --out=pictures/
    tinygan sample --model=saved_models/biggan_fashion_32 --truncation=0.5

A model is a run folder, a .keras file, an exported SavedModel, or a teacher: its folder or its TensorFlow
Hub handle. A teacher draws with its statistics for the truncation. An --out that ends in .png gives one
picture, a row per class; any other a folder of single images.
"""

from absl import flags

from .checks import check_out_file, check_out_folder, check_seed, check_truncation


def define_flags(flag_values, arguments):
    def define(kind, name, default, meaning):
        kind(name, default, meaning, flag_values=flag_values)

    define(
        flags.DEFINE_string,
        "model",
        None,
        "Run folder, .keras file, SavedModel, or a teacher's folder or handle (required).",
    )
    define(flags.DEFINE_string, "out", "samples.png", "A .png file, or a folder.")
    define(flags.DEFINE_list, "labels", [], "Classes by number or name; none: all classes.")
    define(flags.DEFINE_integer, "per_class", 8, "Images of each class.")
    define(flags.DEFINE_integer, "seed", 0, "The same seed gives the same images.")
    define(flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the run, or 0.5.")


def run(flag_values):
    _check(flag_values)
    from ..generators.loading import load_generator
    from ..generators.sampling import sample_classes, write_images

    generator = load_generator(flag_values.model, flag_values.truncation)
    images, labels = sample_classes(
        generator,
        flag_values.labels,
        flag_values.per_class,
        seed=flag_values.seed,
        truncation=flag_values.truncation,
    )
    path = write_images(images, labels, flag_values.out, generator.class_names)
    print(f"{len(images)} images: {path}")


def _check(flag_values):
    if not flag_values.model:
        raise ValueError(
            "Got no --model. Expected a trained student or a teacher, such as --model=runs/mine."
        )
    if flag_values.per_class < 1:
        raise ValueError(
            f"Got --per_class={flag_values.per_class}. Expected 1 or more. Leave it out for 8."
        )
    check_truncation(flag_values.truncation)
    check_seed(flag_values.seed)
    check_out = check_out_file if flag_values.out.endswith(".png") else check_out_folder
    check_out(flag_values.out)
