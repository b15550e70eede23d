"""Writes a module of biggan-deep-128's size and signature, with random weights.

    python experiments/imagenet_128/make_stand_in.py                    # 128 px, 400 MB, runs/stand_in_128
    python experiments/imagenet_128/make_stand_in.py --image_size=64
    python experiments/imagenet_128/make_stand_in.py --image_size=32 --num_classes=10

Half a minute on two CPU cores. For machines that can't fetch the real module: configs, caches and benchmarks
run against it step by step. Its images are patterns without meaning that differ by class and latent, so a
student of it proves that things run and how fast, never how well. The network is the package's, with weights
here that have been normalised as training would have left them, and with measured batch-norm statistics.

Like DeepMind's it is a TF1 Hub module: signature `default`, z, one-hot y and truncation to images. Rejected:
the trap of the original, whose first call after a new truncation is wrong. It is a matter of loading, and the
tests of `HubTeacher` have small modules for it.
"""

import argparse

import numpy as np
import tensorflow as tf

from tinygan_keras.files import new_folder
from tinygan_keras.teachers.biggan_deep import (
    STATISTICS_ROWS,
    WIDTHS,
    BigGANDeep,
    spectral_norm,
    whiten,
    write_hub_module,
)

MEASURED_ROWS = (0, 25, 50)  # the others lie on lines between them
MEASURED_IMAGES = 16


def write_stand_in(folder, image_size=128, num_classes=1000, channels=None, latent_dim=128, seed=0):
    """Writes the module with random weights into the new folder; the arguments are `BigGANDeep`'s."""
    with new_folder(folder) as aside:
        generator = BigGANDeep(image_size, num_classes, channels, latent_dim)
        draw_weights(generator, np.random.default_rng(seed))
        measure_statistics(generator)
        write_hub_module(generator, aside)
    return folder


def draw_weights(generator, random):
    """Sets random weights, 200 MB of them in the published design, and their power-iteration vectors."""
    for name, shape in generator.shapes().items():
        if not name.endswith("/w"):
            started_at_zero = name.endswith(("/b", "/offset"))
            generator.weights[name] = np.full(shape, 0.0 if started_at_zero else 1.0, "float32")
            continue
        weight = generator.weights[name] = random.standard_normal(shape, "float32")
        if name != "linear/w":
            # Near the largest singular vector, as training would have left it.
            matrix = weight.reshape(-1, shape[-1])
            vector = random.standard_normal((1, shape[-1]), "float32")
            for _ in range(4):
                vector = vector @ matrix.T @ matrix
                vector /= np.linalg.norm(vector)
            generator.power_vectors[f"{name.removesuffix('/w')}/u0"] = vector


def measure_statistics(generator):
    """Sets batch-norm statistics from batches at a few truncations, as standing statistics are measured."""
    weights = {name: tf.constant(value) for name, value in generator.weights.items()}
    for name, vector in generator.power_vectors.items():
        name = name.replace("/u0", "/w")
        weights[name] = spectral_norm(weights[name], tf.constant(vector))
    measured = {}

    def by_batch(features, norm):
        mean, variance = tf.nn.moments(features, (0, 1, 2))
        measured.setdefault(norm, []).append((mean.numpy(), variance.numpy()))
        return whiten(features, mean, variance)

    classes = np.arange(MEASURED_IMAGES) * 7 % generator.num_classes
    y = tf.one_hot(classes, generator.num_classes)
    for row in MEASURED_ROWS:
        shape = (MEASURED_IMAGES, generator.latent_dim)
        z = tf.random.stateless_truncated_normal(shape, (row, 0), alg="philox")
        generator.images(z * row / (STATISTICS_ROWS - 1), y, weights.get, by_batch)
    rows = np.arange(STATISTICS_ROWS)
    for norm, points in measured.items():
        tables = [np.stack(column) for column in zip(*points, strict=True)]
        generator.statistics[norm] = [
            np.stack([np.interp(rows, MEASURED_ROWS, channel) for channel in table.T], axis=1)
            for table in tables
        ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", help="Folder to write; runs/stand_in_<image_size> if left out.")
    parser.add_argument("--image_size", type=int, default=128, choices=sorted(WIDTHS))
    parser.add_argument("--num_classes", type=int, default=1000)
    parser.add_argument("--channels", type=int, help="Width of the narrowest feature map.")
    parser.add_argument("--seed", type=int, default=0)
    arguments = vars(parser.parse_args())
    folder = arguments.pop("output") or f"runs/stand_in_{arguments['image_size']}"
    print(f"written: {write_stand_in(folder, **arguments)}")


if __name__ == "__main__":
    main()
