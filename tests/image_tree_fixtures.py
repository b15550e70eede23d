"""Folders of real images as they come: a sub-folder per class, files of any size and format."""

import numpy as np
from PIL import Image

WNIDS = ("n01440764", "n02666196", "n01443537", "n02655020")
"""Two animals at the ends of ImageNet's 398 (0, 397), one next to each (1, 398); not in order."""
IDS = {"n01440764": 0, "n01443537": 1, "n02655020": 397, "n02666196": 398}


def pixels(seed, height=40, width=52):
    """A smooth random image uint8 `[height, width, 3]`, whose formats differ little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype="uint8")
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))


def write_tree(folder, names=WNIDS, per_class=3, suffix=".JPEG"):
    """Writes `per_class` images of different sizes for every class; returns the folder."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            image = pixels(100 * place + number, 33 + 5 * number, 40 + 7 * place)
            Image.fromarray(image).save(folder / name / f"{name}_{number}{suffix}", quality=95)
    return folder
