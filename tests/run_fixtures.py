"""The smallest things a whole run needs: a teacher, a classifier, real images, and a config for them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.networks.discriminator import Discriminator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs import distill
from tinygan_keras.runs.config import default_config

LATENT_DIM, NUM_CLASSES, IMAGE_SIZE = 4, 10, 32
TINY_STUDENT = {"channels": (4, 4, 4, 4), "latent_dim": LATENT_DIM, "embedding_dim": 2}
TINY_DISCRIMINATOR = {"channels": (4, 4)}


class _TeacherModule(tf.Module):
    """Draws a vertical stripe whose place is the class and whose colour is z."""

    def __init__(self):
        super().__init__()
        self.gain = tf.Variable(1.0)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, LATENT_DIM], tf.float32, "z"),
            tf.TensorSpec([None, NUM_CLASSES], tf.float32, "y"),
            tf.TensorSpec([], tf.float32, "truncation"),
        ]
    )
    def default(self, z, y, truncation):
        stripes = tf.repeat(tf.pad(y, [[0, 0], [1, 1]]), 3, axis=1)[:, :IMAGE_SIZE]
        stripes = stripes[:, None, :, None] * tf.ones((1, IMAGE_SIZE, 1, 1))
        colours = tf.tanh(self.gain * z[:, None, None, :3])
        return {"default": stripes * colours + 0.0 * truncation}


class _ClassifierModule(tf.Module):
    """Features are the mean of four columns; the logits are means of the class' stripe."""

    @tf.function(input_signature=[tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE, 3], tf.float32)])
    def classify(self, images):
        columns = tf.reduce_mean(tf.abs(images), axis=(1, 3))
        logits = tf.reduce_mean(tf.reshape(columns[:, 3:-2], (-1, 9, 3)), axis=-1)
        logits = tf.concat([logits, columns[:, -2:-1]], axis=1)
        return {"features": columns[:, 4:8], "logits": logits}


def write_teacher(folder) -> str:
    """Writes a teacher with the signature of DeepMind's modules; returns its folder."""
    module = _TeacherModule()
    tf.saved_model.save(module, str(folder), signatures={"default": module.default})
    return str(folder)


def write_classifier(folder) -> str:
    """Writes a feature extractor; returns its folder."""
    module = _ClassifierModule()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.classify})
    return str(folder)


def write_real_images(path) -> str:
    """Writes a subset file of 40 noisy Fashion-MNIST-sized images, four of each class."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 28, 28), dtype="uint8")
    np.savez(path, images=images, labels=np.arange(40) % NUM_CLASSES)
    return str(path)


def tiny_config(folder):
    """Writes all of them into `folder`; returns the config of a run of two epochs of two steps."""
    config = default_config()
    config.teacher = write_teacher(folder / "teacher")
    config.extractor = write_classifier(folder / "classifier")
    config.data = "fashion_mnist"
    config.data_subset = write_real_images(folder / "real.npz")
    config.student = config.discriminator = "tinygan_fashion_32"
    config.student_overrides = TINY_STUDENT
    config.discriminator_overrides = TINY_DISCRIMINATOR
    config.teacher_samples = 24
    config.evaluation_images = 20
    config.batch_size = 4
    config.steps = 4
    config.steps_per_epoch = 2
    return config


class _SmallTeacherModule(tf.Module):
    """8 pixels: one colour for each z, brighter for a higher class."""

    @tf.function(input_signature=_TeacherModule.default.input_signature)
    def default(self, z, y, truncation):
        brightness = tf.linalg.matvec(y, tf.range(NUM_CLASSES, dtype=tf.float32)) / NUM_CLASSES
        colours = tf.tanh(z[:, None, None, :3]) * brightness[:, None, None, None]
        return {"default": colours * tf.ones((1, 8, 8, 1)) + 0.0 * truncation}


def small_config(folder):
    """The config of a run whose graph is quickly traced: 8 pixels, nothing but teacher and student."""
    module = _SmallTeacherModule()
    path = str(folder / "small_teacher")
    tf.saved_model.save(module, path, signatures={"default": module.default})
    config = tiny_config(folder)
    config.update({"teacher": path, "data": "none", "data_subset": "", "extractor": ""})
    config.student_overrides.channels = (4, 4)
    config.discriminator_overrides = {"channels": (4, 4), "image_size": 8}
    return config


def tiny_gan() -> TinyGAN:
    """A compiled model of 8 pixels and 3 classes; eager, since tracing takes longer than a few steps."""
    student = StudentGenerator(channels=(4, 4), latent_dim=3, num_classes=3, embedding_dim=2)
    model = TinyGAN(student, Discriminator(channels=(4, 4), num_classes=3, image_size=8))
    optimizers = [keras.optimizers.Adam(1e-2) for _ in range(2)]
    model.compile(*optimizers, adversarial_interval=1, run_eagerly=True)
    return model


def gan_batches(steps) -> tf.data.Dataset:
    """Random batches of `tiny_gan`, with real images."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (2, steps, 4, 8, 8, 3)).astype("float32")
    labels = random.integers(0, 3, (2, steps, 4)).astype("int32")
    latents = random.normal(size=(steps, 4, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices(
        {
            "latent": latents,
            "label": labels[0],
            "teacher_image": images[0],
            "image": images[1],
            "image_label": labels[1],
        }
    )


def interrupt(train, config, folder, after=1):
    """Runs `distill` or `teach` until Ctrl-C right after the checkpoint of that epoch."""

    class Interrupting(distill.Checkpoints):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch + 1 == after:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distill, "Checkpoints", Interrupting)
        train(config, folder)
