"""Trains a teacher of one's own, and writes it as DeepMind's modules are, for `HubTeacher` to load.

The networks are `biggan.py`; `runs/teach.py` has the whole way. Rejected: generating a batch for
the generator's update alone. The last one of the discriminator serves both; the gradient is taken through the
discriminator that has just been updated.
"""

import itertools
import math
from pathlib import Path

import keras
import tensorflow as tf
from keras import ops

from ..distillation import losses
from ..files import new_folder
from ..latents import truncated_normal
from ..progress import progress_bar


class ClassConditionalGAN(keras.Model):
    """A generator and a discriminator that train each other by the hinge loss, through `fit`.

    Batches are dicts: `image` float `[N, S, S, 3]` in [-1, 1], `label` int `[N]`, `latent` float `[N, Z]`.
    N is `d_steps` times the batch size: so often the discriminator learns before the generator does.
    `ema_generator`, of the same configuration as `generator`, becomes its average; the decay warms up as
    that of `TinyGAN`. `failures` counts steps with a loss beyond `divergence_limit`, for `StopOnDivergence`.
    """

    def __init__(
        self, generator, discriminator, ema_generator, ema_decay=0.999, d_steps=1, **kwargs
    ):
        super().__init__(**kwargs)
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = ema_generator
        ema_generator.set_weights(generator.get_weights())
        self.ema_decay, self.d_steps = ema_decay, d_steps
        self.step = self.add_weight(name="step", shape=(), dtype="int64", trainable=False)
        counts = {"shape": (2,), "initializer": "zeros", "trainable": False}
        self.failures = self.add_weight(name="failures", **counts)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("d_loss", "g_loss")]
        self.built = True

    def compile(self, g_optimizer, d_optimizer, divergence_limit=1e4, **kwargs):
        super().compile(optimizer=None, **kwargs)
        self.divergence_limit = divergence_limit
        self.g_optimizer = g_optimizer
        self.d_optimizer = d_optimizer
        g_optimizer.build(self.generator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)

    @property
    def metrics(self):
        return list(self.trackers)

    def call(self, inputs, training=False):
        return self.ema_generator(inputs, training=training)

    def train_step(self, data):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        parts = [ops.split(batch[name], self.d_steps) for name in ("image", "label", "latent")]
        for images, labels, latents in zip(*parts, strict=True):
            with tf.GradientTape() as generator_tape:
                generated = self.generator((latents, labels), training=True)
            d_loss = self._update_discriminator(images, generated, labels)

        with tf.GradientTape(watch_accessed_variables=False) as image_tape:
            image_tape.watch(generated)
            logits = self.discriminator((generated, labels), training=False)
            g_loss = losses.generator_adversarial(logits)
        image_gradient = image_tape.gradient(g_loss, generated)
        variables = self.generator.trainable_variables
        gradients = generator_tape.gradient(generated, variables, image_gradient)
        self.g_optimizer.apply(gradients, variables)

        step = ops.cast(self.step, "float32")
        decay = ops.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        for average, current in zip(self.ema_generator.trainable_variables, variables, strict=True):
            average.assign(decay * average + (1.0 - decay) * current)
        # Power-iteration vectors are copied: averaged kernels are close to the current ones.
        copied = self.ema_generator.non_trainable_variables
        for copy, current in zip(copied, self.generator.non_trainable_variables, strict=True):
            copy.assign(current)
        self.step.assign_add(1)
        failed = ops.logical_not(ops.abs(ops.stack([d_loss, g_loss])) <= self.divergence_limit)
        self.failures.assign_add(ops.cast(failed, "float32"))  # NaN is within no limit
        for tracker, loss in zip(self.metrics, (d_loss, g_loss), strict=True):
            tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.metrics}

    def _update_discriminator(self, images, generated, labels):
        with tf.GradientTape() as tape:
            both = ops.concatenate([ops.cast(images, "float32"), generated], axis=0)
            logits = self.discriminator((both, ops.tile(labels, [2])), training=True)
            real_logits, generated_logits = ops.split(logits, 2, axis=0)
            loss = losses.discriminator_adversarial(real_logits, generated_logits)
        variables = self.discriminator.trainable_variables
        self.d_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss


def measure_standing_statistics(
    generator, batches=8, batch_size=512, seed=0, progress=True, classes=None, truncation=None
):
    """Fills a `BigGANGenerator`'s batch-norm statistics, row by row of truncation from 0 to 1.

    Each row is the mean of `batches` batches of `batch_size` latents, with `classes` (None: all) in turn.
    With a `truncation` only the two rows are measured that it lies between.
    """
    last = generator.truncation_rows - 1
    rows = range(last + 1)
    if truncation is not None:
        rows = sorted({math.floor(truncation * last), math.ceil(truncation * last)})
    classes = tf.constant(range(generator.num_classes) if classes is None else classes)

    @tf.function
    def accumulate(truncation, row, count):
        shape = (batch_size, generator.latent_dim)
        latents = truncated_normal(shape, tf.stack([seed, row * batches + count]), truncation)
        turns = (count * batch_size + tf.range(batch_size)) % len(classes)
        generator((latents, tf.gather(classes, turns)), accumulate=(row, count))

    bar = progress_bar(len(rows) * batches, "batch", progress)
    for row, count in itertools.product(rows, range(batches)):
        accumulate(tf.constant(row / last, tf.float32), tf.constant(row), tf.constant(count))
        bar.add(1)


def save_teacher(generator, path) -> Path:
    """Writes a new SavedModel folder with the signature of DeepMind's modules, for `HubTeacher(path)`.

    As in those the caller scales z; the truncation selects batch-norm statistics, to be measured before.
    """

    def default(z, y, truncation):
        return {"default": generator((z, y), training=False, truncation=truncation)}

    signature = [
        tf.TensorSpec((None, generator.latent_dim), tf.float32, "z"),
        tf.TensorSpec((None, generator.num_classes), tf.float32, "y"),
        tf.TensorSpec((), tf.float32, "truncation"),
    ]
    archive = keras.export.ExportArchive()
    archive.add_endpoint("default", default, signature)
    with new_folder(path) as aside:
        archive.write_out(str(aside), verbose=False)
    return Path(path)
