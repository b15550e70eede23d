"""Trains a teacher for CIFAR-10: a BigGAN at 32x32, ten classes, latents of 128.

    python experiments/cifar10/train_teacher.py                    # runs/biggan_cifar10_32
    python experiments/cifar10/train_teacher.py --steps=20 --steps_per_epoch=10 --output=runs/try

Source: Brock et al., arXiv:1809.11096, at the widths of github.com/ajbrock/BigGAN-PyTorch for CIFAR-10.
One GPU with 8 GB, 3 to 6 hours, estimated and not run; on CPUs a matter of days. The same command resumes an
interrupted run at its last whole epoch, with batches from the first one on. `HubTeacher` loads the result.

Latents and class embedding are as long as those of biggan-deep, so the student's networks are the same and
its class embedding starts from the teacher's.
"""

import argparse
from pathlib import Path

import keras
import tensorflow as tf

from tinygan_keras.data.image_sets import open_training_images
from tinygan_keras.latents import truncated_normal
from tinygan_keras.teachers.biggan import BigGANDiscriminator, BigGANGenerator
from tinygan_keras.teachers.own_teacher import (
    ClassConditionalGAN,
    measure_standing_statistics,
    save_teacher,
)

LATENT_DIM = EMBEDDING_DIM = 128


def batches(real, batch_size, seed):
    """Endless batches of real images, half of them mirrored, with latents that don't repeat."""

    def with_latents(step, batch):
        latents = truncated_normal((batch_size, LATENT_DIM), (seed, step))
        return {"image": batch["image"], "label": batch["image_label"], "latent": latents}

    steps = tf.data.Dataset.counter(dtype=tf.int32)
    images = real.batches(batch_size, seed, horizontal_flip=True)
    return tf.data.Dataset.zip(steps, images).map(with_latents).prefetch(2)


def train_teacher(
    data, output, width=256, steps=100_000, steps_per_epoch=1_000, batch_size=64, seed=0
):
    """Trains, measures the standing statistics, and writes the teacher.

    Args:
        data: Real images of 32x32 and ten classes, as the setting `data` of a run.
        output: Folder of the finished teacher; it must not exist. Checkpoints go beside it.
        width: Feature maps of both networks.
        steps: Training steps, whole epochs of them.
        steps_per_epoch: Steps between two checkpoints.
        batch_size: Images of each kind per step.
        seed: Seed of weights, order and latents.

    Returns:
        The folder as a `Path`.
    """
    output = Path(output)
    if output.exists():
        raise FileExistsError(f"{output} exists. Expected a new folder. Remove it or name another.")
    if steps % steps_per_epoch:
        raise ValueError(
            f"Got steps={steps} with steps_per_epoch={steps_per_epoch}. Expected whole epochs."
        )
    keras.utils.set_random_seed(seed)
    settings = {"latent_dim": LATENT_DIM, "embedding_dim": EMBEDDING_DIM}
    settings["channels"] = (width,) * 4
    model = ClassConditionalGAN(
        BigGANGenerator(**settings),
        BigGANDiscriminator(channels=(width,) * 4),
        ema_generator=BigGANGenerator(**settings),
    )
    rates = {name: keras.optimizers.Adam(2e-4, 0.0, 0.999) for name in ("g", "d")}
    model.compile(g_optimizer=rates["g"], d_optimizer=rates["d"])
    real = open_training_images(data, 32, 10)
    print(real.report())
    checkpoints = output.with_name(output.name + "_training")
    checkpoints.mkdir(parents=True, exist_ok=True)
    model.fit(
        batches(real, batch_size, seed),
        steps_per_epoch=steps_per_epoch,
        epochs=steps // steps_per_epoch,
        callbacks=[
            keras.callbacks.BackupAndRestore(checkpoints / "backup", delete_checkpoint=False),
            keras.callbacks.CSVLogger(checkpoints / "history.csv", append=True),
        ],
        verbose=2,
        shuffle=False,  # the data set shuffles
    )
    measure_standing_statistics(model.ema_generator, batch_size=batch_size)
    folder = save_teacher(model.ema_generator, output)
    if real.class_names:
        (folder / "class_names.txt").write_text("\n".join(real.class_names) + "\n")
    return folder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="keras:cifar10", help="Real images.")
    parser.add_argument("--output", default="runs/biggan_cifar10_32", help="Folder to write.")
    for name, default in (
        ("width", 256),
        ("steps", 100_000),
        ("steps_per_epoch", 1_000),
        ("batch_size", 64),
        ("seed", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    print(f"written: {train_teacher(**vars(parser.parse_args()))}")


if __name__ == "__main__":
    main()
