"""tinygan reference: measures real images once and writes their statistics.

    tinygan reference --real=imagenet_val_128/ --extractor=inception --out=imagenet_val_128.npz

Real images are squares of the size of the generators to be measured: imagenet_val_128/ is a folder of
128x128 images. The file holds mu and sigma as other FID programs write them, and features, labels and
protocol beside these. tinygan evaluate --real=imagenet_val_128.npz reads it.
"""

from pathlib import Path

from absl import flags

from ..errors import ExistingFileError, InputError
from .checks import check_out_file


def define_flags(flag_values, arguments):
    def define(kind, name, default, *rest):
        kind(name, default, *rest, flag_values=flag_values)

    define(
        flags.DEFINE_string,
        "real",
        None,
        "Real images: a folder, an .npz with images, fashion_mnist or fashion_mnist:test (required).",
    )
    define(
        flags.DEFINE_string,
        "extractor",
        "inception",
        "SavedModel folder, TF-Hub handle, inception or keras_inception_v3.",
    )
    define(flags.DEFINE_string, "resize", None, "How images get to the extractor's size.")
    define(flags.DEFINE_string, "out", None, "File to write, ending in .npz (required).")


def run(flag_values):
    if not flag_values.real or not (flag_values.out or "").endswith(".npz"):
        raise InputError(
            f"Got --real={flag_values.real} and --out={flag_values.out}. Expected both, such as "
            "--real=fashion_mnist --out=fashion_mnist.npz."
        )
    check_out_file(flag_values.out)
    from ..data.image_sets import open_images
    from ..evaluation.extractors.loading import load_extractor
    from ..evaluation.reference import is_reference_file, measure_reference

    if Path(flag_values.out).exists() and not is_reference_file(flag_values.out):
        raise ExistingFileError(
            f"Got --out={flag_values.out}, a file that is no reference. Expected a new name: only "
            "references are replaced. Choose another --out."
        )
    extractor = load_extractor(flag_values.extractor, resize=flag_values.resize)
    statistics = measure_reference(open_images(flag_values.real), extractor)
    path = statistics.save(flag_values.out)
    print(f"{statistics.count:,} real images: {path}")
    if statistics.floor is not None:
        print(f"Frechet distance between two halves of them: {statistics.floor:.4g}")
