"""tinygan sample: generates images, or a labelled data set, with a trained student or with a teacher.

    tinygan sample --model=runs/mine --out=samples.png
    tinygan sample --model=runs/mine --classes=Sneaker,8 --seeds=0-99 --out=pictures/
    tinygan sample --model=biggan_fashion_32 --truncation=0.5
    tinygan sample --model=runs/mine --seeds=0-499 --format=npz --out=calibration.npz

It generates every class with every seed. The same class, seed and truncation give the same image, here and
everywhere else. A model is a run folder, an embedded name, a .keras file, a folder that tinygan export
wrote, or a teacher: its folder or its TensorFlow Hub handle; or one on the Hugging Face Hub,
hf://OWNER/NAME[@REVISION][/FILE]. A teacher generates with its statistics for the truncation.

Without --format, an --out that ends in .png gives one picture, a row per class, one that ends in .npz a data
set, and any other a folder of single images with the label in their names (--format=images). --format=folder
gives a sub-folder per class, npz one file of the arrays images, labels, seeds and class_names, tfrecord a set
of records as tinygan prepare writes them. In these three the classes come in turn, so that any first part of
them has all classes. All but a picture are written as they are generated, in little memory, and never over
what is there. `tinygan distill`, `tinygan evaluate` and others read all of them but the picture.
"""

from pathlib import Path

from ..errors import InputError
from ..files import check_writable
from .flags import file_to_write

FLAGS = ("model", "classes", "seeds", "truncation", "format", "out")
REQUIRED = ("model",)
_FILES = ("png", "npz")  # the other formats are folders


def run(flags):
    one_file = flags.format in (None, *_FILES)
    out = Path(flags.out or (f"samples.{flags.format or 'png'}" if one_file else "samples"))
    by_name = out.suffix[1:] if out.suffix[1:] in _FILES else "images"
    format = flags.format or by_name
    if by_name != (format if format in _FILES else "images"):
        kind = f"a file that ends in .{format}" if format in _FILES else "a folder"
        raise InputError(
            f"Got --format={format} and --out={out}. Expected {kind}. Change one of them."
        )
    if format == "png":
        file_to_write(out)
    check_writable(out.parent, f"--out={out}")

    from ..classes.selection import class_numbers
    from ..generators.data_sets import write_data_set
    from ..generators.generator import GeneratedImages, grid_of
    from ..generators.opening import open_generator

    generator = open_generator(flags.model, flags.truncation)
    names = generator.class_names
    classes = class_numbers(flags.classes, generator.num_classes, names)
    in_turn = format in ("folder", "npz", "tfrecord")
    images = GeneratedImages(generator, *grid_of(classes, flags.seeds, seed_by_seed=in_turn))
    if format == "png":
        from ..pictures.image_rows import image_rows

        rows = [names[k].split(",")[0] if names else str(k) for k in classes]
        pixels = images.read(0, images.count)
        image_rows(pixels.reshape(len(rows), -1, *pixels.shape[1:]), rows, out)
    else:
        write_data_set(images, out, format, names)
    print(f"{images.count} images: {out}")
