"""tinygan sample: draws pictures with a trained student.

    tinygan sample --model=runs/mine --out=samples.png
    tinygan sample --model=runs/mine --labels=Sneaker,8 --per_class=100 --seed=7 --out=pictures/

A name that ends in .png gives one picture, a row per class; any other name a folder of single images.
"""

from absl import flags


def define_flags(flag_values, arguments):
    def define(kind, name, default, meaning):
        kind(name, default, meaning, flag_values=flag_values)

    define(flags.DEFINE_string, "model", None, "Run folder, .keras file or SavedModel (required).")
    define(flags.DEFINE_string, "out", "samples.png", "A .png file, or a folder.")
    define(flags.DEFINE_list, "labels", [], "Classes by number or name; none: all classes.")
    define(flags.DEFINE_integer, "per_class", 8, "Images of each class.")
    define(flags.DEFINE_integer, "seed", 0, "The same seed gives the same images.")
    define(flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the run, or 0.5.")


def run(flag_values):
    _check(flag_values)
    from ..generators.loading import load_generator
    from ..generators.sampling import sample_classes, write_images

    generator = load_generator(flag_values.model)
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
        raise ValueError("Got no --model. Expected a trained student, such as --model=runs/mine.")
    if flag_values.per_class < 1:
        raise ValueError(
            f"Got --per_class={flag_values.per_class}. Expected 1 or more. Leave it out for 8."
        )
    if flag_values.truncation is not None and not 0 < flag_values.truncation <= 1:
        raise ValueError(
            f"Got --truncation={flag_values.truncation}. Expected a number in (0, 1]. Leave it out "
            "for the truncation of the training."
        )
