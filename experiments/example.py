"""Draws the README's picture with nothing but the package: the teacher above its student, class by class.

    python experiments/example.py    # example.png, in seconds; the wheel is enough, no GPU and no download

The student has never seen these seeds.
"""

import sys

import numpy as np
from PIL import Image

import tinygan_keras as tg

SEEDS = range(2**40, 2**40 + 8)


def main(path):
    """Writes the picture."""
    teacher = tg.open_generator("biggan_fashion_32", truncation=1.0)
    student = tg.open_generator("tinygan_v2_fashion_32")
    labels, seeds = np.repeat(np.arange(10), len(SEEDS)), np.tile(SEEDS, 10)
    sides = [one.generate(labels, seeds, truncation=1.0) for one in (teacher, student)]
    picture = tg.class_grid(*sides, labels, student.class_names)
    Image.fromarray(picture).save(path)
    print(f"{teacher.parameters:,} -> {student.parameters:,} parameters: {path}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["example.png"]))
