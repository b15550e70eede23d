"""Trains the embedded teacher: a BigGAN for Fashion-MNIST at 32x32x3, ten classes.

    python experiments/fashion_mnist/train_teacher.py --workdir=runs/teacher

Source: Brock et al., arXiv:1809.11096, at a size that two CPU cores train in about an hour; bfloat16 halves
the time where the processor knows it. The same command resumes after an interruption. When training is
over, the batch-norm statistics of the averaged generator are measured for 21 truncations, and the folder
that `HubTeacher` loads is written with its model card. Figures and samples: saved_models/README.md.
"""

import csv
import json
import time
from pathlib import Path

import keras
import tensorflow as tf
from absl import app, flags, logging

from tinygan_keras.data.keras_sets import (
    FASHION_MNIST_NAMES,
    load_fashion_mnist,
    load_fashion_mnist_subset,
)
from tinygan_keras.data.teacher_samples import sample_teacher
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor
from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance
from tinygan_keras.evaluation.metrics.logits import label_accuracy
from tinygan_keras.images import to_uint8
from tinygan_keras.latents import sample_latents, truncated_normal
from tinygan_keras.pictures.image_rows import save_png
from tinygan_keras.teachers.biggan import BigGANDiscriminator, BigGANGenerator
from tinygan_keras.teachers.hub import HubTeacher
from tinygan_keras.teachers.own_teacher import (
    ClassConditionalGAN,
    measure_standing_statistics,
    save_teacher,
)

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "runs/teacher", "Checkpoints, samples and logs go here.")
flags.DEFINE_string("output", "saved_models/biggan_fashion_32", "Folder of the finished teacher.")
flags.DEFINE_string("extractor", "saved_models/fashion_classifier", "Judge of the samples.")
flags.DEFINE_string(
    "reference", "experiments/fashion_mnist/data/fashion_mnist_10k.npz", "Real images of the judge."
)
flags.DEFINE_integer("steps", 4500, "Training steps in all.")
flags.DEFINE_integer("batch_size", 64, "Images of each kind per step.")
flags.DEFINE_integer("steps_per_epoch", 250, "Steps between two checkpoints.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and latents.")
flags.DEFINE_enum("policy", "mixed_bfloat16", ["float32", "mixed_bfloat16"], "Keras dtype policy.")

LATENT_DIM = 32

CARD = """# BigGAN for Fashion-MNIST at 32x32x3

The embedded teacher of tinygan_keras: class-conditional batch norm on a shared class embedding, hierarchical
latents, self-attention at 16x16, spectral normalisation, averaged weights, standing statistics for 21
truncations. Load it with `HubTeacher`; signature `default(z, y, truncation) -> default`, as DeepMind's.

![samples](samples.png)

| | |
|---|---|
| parameters | {parameters:,} |
| data | Fashion-MNIST (Xiao et al., arXiv:1708.07747, MIT licence), 60,000 training images |
| steps | {steps:,} of batch {batch_size}, {policy} |
| wall time | {hours:.1f} hours, 2 CPU cores |
| seed | {seed} |
| versions | TensorFlow {tensorflow}, Keras {keras} |
| Frechet distance to real | {distance:.3f} |
| its protocol | truncation 1, N = {count:,} each, real: training images, uint8, no resize |
| its extractor | {hash} |
| label accuracy | {accuracy:.1%} |

| class | label accuracy |
|---|---|
{per_class}

Command:

    python experiments/fashion_mnist/train_teacher.py --steps={steps} --batch_size={batch_size} \\
        --seed={seed} --policy={policy}
"""


def batches(batch_size, seed):
    """Endless batches of real images with latents that don't repeat."""
    real = load_fashion_mnist("train")
    images, labels = real.images, real.labels
    order = tf.data.Dataset.from_tensor_slices((images, labels))
    order = order.shuffle(len(images), seed=seed).repeat().batch(batch_size, drop_remainder=True)

    def to_batch(step, example):
        image, label = example
        return {
            "image": tf.cast(image, tf.float32) / 127.5 - 1.0,
            "label": label,
            "latent": truncated_normal((batch_size, LATENT_DIM), (seed, step)),
        }

    steps = tf.data.Dataset.counter(dtype=tf.int32)
    return tf.data.Dataset.zip(steps, order).map(to_batch, num_parallel_calls=2).prefetch(2)


class EpochSeconds(keras.callbacks.Callback):
    """Adds the wall time of every epoch to the log, so that it is known for the whole run."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.monotonic() - self.start


class SampleGrid(keras.callbacks.Callback):
    """Writes one picture of the averaged generator after every epoch: a row of samples per class."""

    def __init__(self, folder, columns=16):
        super().__init__()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.columns = columns
        count = columns * len(FASHION_MNIST_NAMES)
        self.latents = sample_latents(count, LATENT_DIM, seed=1)
        self.labels = tf.repeat(tf.range(len(FASHION_MNIST_NAMES)), columns)

    def on_epoch_end(self, epoch, logs=None):
        images = self.model.ema_generator((self.latents, self.labels), training=True)
        save_png(self.grid(images), self.folder / f"epoch_{epoch + 1:03d}.png")

    def grid(self, images):
        classes, size = len(FASHION_MNIST_NAMES), images.shape[1]
        rows = to_uint8(images).reshape(classes, self.columns, size, size, 3)
        return rows.transpose(0, 2, 1, 3, 4).reshape(classes * size, self.columns * size, 3)


def main(_):
    workdir = Path(FLAGS.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(FLAGS.seed)

    model = ClassConditionalGAN(
        BigGANGenerator(latent_dim=LATENT_DIM, dtype=FLAGS.policy),
        BigGANDiscriminator(channels=(32, 64, 128, 192), dtype=FLAGS.policy),
        ema_generator=BigGANGenerator(latent_dim=LATENT_DIM, dtype=FLAGS.policy),
    )

    def optimizer(learning_rate):
        # Constant for two thirds of the run, then linear to zero: the last steps settle the details.
        decay = keras.optimizers.schedules.PolynomialDecay(
            learning_rate, decay_steps=FLAGS.steps // 3, end_learning_rate=0.0
        )
        return keras.optimizers.Adam(_delayed(decay, FLAGS.steps * 2 // 3), beta_1=0.0, beta_2=0.99)

    model.compile(g_optimizer=optimizer(1.5e-4), d_optimizer=optimizer(6e-4))
    model.fit(
        batches(FLAGS.batch_size, FLAGS.seed),
        steps_per_epoch=FLAGS.steps_per_epoch,
        epochs=FLAGS.steps // FLAGS.steps_per_epoch,
        callbacks=[
            keras.callbacks.BackupAndRestore(workdir / "backup", delete_checkpoint=False),
            EpochSeconds(),
            keras.callbacks.CSVLogger(workdir / "history.csv", append=True),
            SampleGrid(workdir / "samples"),
            keras.callbacks.ModelCheckpoint(workdir / "gan.weights.h5", save_weights_only=True),
        ],
        verbose=2,
        shuffle=False,  # the data set shuffles
    )
    model.load_weights(workdir / "gan.weights.h5")
    generator = BigGANGenerator(latent_dim=LATENT_DIM, dtype="float32")
    generator.set_weights(model.ema_generator.get_weights())
    measure_standing_statistics(generator)
    folder = save_teacher(generator, FLAGS.output)
    (folder / "class_names.txt").write_text("\n".join(FASHION_MNIST_NAMES) + "\n")
    (folder / "config.json").write_text(json.dumps({"truncation": 1.0}, indent=2) + "\n")
    (folder / "model_card.md").write_text(model_card(HubTeacher(folder, truncation=1.0), workdir))
    logging.info("written: %s", folder)


def model_card(teacher, workdir) -> str:
    """Draws 10,000 images of the teacher as it was saved, judges them, and says what it is."""
    real = load_fashion_mnist_subset(FLAGS.reference)
    extractor = FeatureExtractor(FLAGS.extractor)
    samples = sample_teacher(teacher, len(real.labels), seed=FLAGS.seed + 1, progress=False)
    features, logits = extractor(samples.images)
    real_features, _ = extractor(real.images)
    distance = frechet_distance(*feature_statistics(features), *feature_statistics(real_features))
    grid = SampleGrid(workdir / "samples")
    images = teacher(grid.latents, grid.labels)
    save_png(grid.grid(images.numpy()), Path(FLAGS.output) / "samples.png")
    with open(workdir / "history.csv") as history:
        seconds = sum(float(row["seconds"]) for row in csv.DictReader(history))
    per_class = [
        f"| {name} | {label_accuracy(logits[chosen], samples.labels[chosen]):.1%} |"
        for name, chosen in (
            (name, samples.labels == label) for label, name in enumerate(FASHION_MNIST_NAMES)
        )
    ]
    return CARD.format(
        parameters=teacher.parameters,
        hours=seconds / 3600,
        distance=distance,
        count=len(real.labels),
        hash=extractor.hash[:12],
        accuracy=label_accuracy(logits, samples.labels),
        per_class="\n".join(per_class),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        **FLAGS.flag_values_dict(),
    )


def _delayed(schedule, steps):
    class Delayed(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return schedule(keras.ops.maximum(step - steps, 0))

    return Delayed()


if __name__ == "__main__":
    app.run(main)
