"""Real images as they come: folders with a sub-folder per class, files of any size and format."""

import io

import numpy as np
from PIL import Image

WNIDS = ("n01440764", "n02666196", "n01443537", "n02655020")
"""Two animals at the ends of ImageNet's 398 (0, 397), one next to each (1, 398); not in order."""
IDS = {"n01440764": 0, "n01443537": 1, "n02655020": 397, "n02666196": 398}


def pixels(seed, height=40, width=52):
    """A smooth random image uint8 `[height, width, 3]`, whose formats differ little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype="uint8")
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))


def encoded(image, format="PNG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(stream, format, **options)
    return stream.getvalue()


def write_image(path, image=None):
    """Writes an image, 6x6 and of its own for each name by default; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if image is None:
        image = pixels(sum(map(ord, path.name)), 6, 6)
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path)
    return path


def write_classes(folder, **counts):
    """Writes so many images of 6x6 into a sub-folder of each name."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            write_image(folder / name / f"{number}.png", pixels(number, 6, 6))
    return folder


def write_tree(folder, names=WNIDS, per_class=3, suffix=".JPEG"):
    """Writes `per_class` images of different sizes for every class; returns the folder."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            image = pixels(100 * place + number, 33 + 5 * number, 40 + 7 * place)
            Image.fromarray(image).save(folder / name / f"{name}_{number}{suffix}", quality=95)
    return folder
