"""tinygan reference: measures real images once and writes their statistics.

    tinygan reference --real=imagenet_val_128/ --extractor=inception --out=imagenet_val_128.npz

Real images are squares of the size of the generators to be measured: imagenet_val_128/ is a folder of
128x128 images. The file holds mu and sigma as clean-fid and pytorch-fid read and write them, and features,
labels and protocol beside these. tinygan evaluate --real=imagenet_val_128.npz reads it, and files of these
programs and of torch-fidelity too. --out=NAME.pt writes one for torch-fidelity (extra torch).
"""

from ..errors import ExistingFileError, InputError
from .flags import file_to_write

FLAGS = ("real", "extractor", "resize", "out")
REQUIRED = ("real", "out")


def run(flags):
    out = file_to_write(flags.out)
    if out.suffix not in (".npz", ".pt"):
        raise InputError(f"Got --out={out}. Expected a file name that ends in .npz or .pt. Add it.")
    from ..data.image_sets import open_images
    from ..evaluation.extractors.extractor import load_extractor
    from ..evaluation.real_statistics import is_statistics_file, measure_reference

    if out.exists() and not is_statistics_file(out):
        raise ExistingFileError(
            f"Got --out={out}, a file that holds no statistics. Expected a new name. Choose another."
        )
    extractor = load_extractor(flags.extractor or "inception", resize=flags.resize)
    statistics = measure_reference(open_images(flags.real), extractor)
    path = statistics.save(out)
    print(f"{statistics.count:,} real images: {path}")
    if statistics.floor is not None:
        print(f"Frechet distance between two halves of them: {statistics.floor:.4g}")
