"""TinyGAN: a student generator learns from a frozen teacher, with a discriminator between them.

Scope: the training step of Chang & Lu (arXiv:2009.13829), its settings and its state. It takes any
callable teacher, or batches that already hold the teacher's images; files, hubs, data sets and plots
live elsewhere.

Decisions:
- `S(z, y)` and `S(z', y)` are computed once each, and serve both updates. The student's gradient is taken
  through the discriminator that has just been updated, as in the paper's alternation.
- The discriminator sees everything it is updated on as one batch, so power iteration runs once a step.
- The teacher is kept out of Keras' and TensorFlow's tracking: a checkpoint never contains it.
- Everything that changes during training (weights, EMA, step, pixel weight, both optimisers) is saved.

Rejected: `keras.distillation.Distiller`, which knows one optimiser and no discriminator.
"""

import keras
import tensorflow as tf
from keras import ops

from ..latents import truncated_normal
from . import distributed_step as train_function
from . import gradients
from .batch_checks import (
    check_agreement,
    check_compilable,
    check_dataset,
    check_keys,
    resolve_jit_compile,
)
from .objectives import METRICS, Objectives, PixelWeightDecay

PACKAGE = "tinygan_keras"


@keras.saving.register_keras_serializable(PACKAGE)
class TinyGAN(keras.Model):
    """Distils a teacher generator into a student with `model.fit()`.

    Args:
        student: Generator to train: `((latents, labels), training) -> images`.
        discriminator: `((images, labels), training) -> {"logits": [B, 1], "features": [...]}`.
        teacher: Callable `(latents, labels) -> images` float `[B, S, S, 3]` in [-1, 1], for example a
            `HubTeacher`; None when batches carry "teacher_image". It isn't saved: after loading, set
            `model.teacher`.
        ema_decay: Decay of the exponential moving average of the student. It warms up with the step t
            as `min(ema_decay, (1 + t) / (10 + t))`, so short runs don't average over the start.
        truncation: Scale of the fresh latents z'; None takes the teacher's truncation, or 1.
        seed: Seed of the fresh latents, when batches don't carry "fresh_latent".

    Batches are dicts:
        latent: Float `[B, Z]`.
        label: Int `[B]`, the teacher's class.
        teacher_image: Float `[B, S, S, 3]` in [-1, 1]; absent with a live teacher.
        image, image_label: Real images float `[B, S, S, 3]` in [-1, 1] and their labels int `[B]`; absent
            in data-free training, which leaves out both GAN terms.
        fresh_latent: Float `[B, Z]`, the z' of the GAN terms; drawn here when absent.

    Raises:
        ValueError: image size, latent length or number of classes differ between the parts.

    Example:
        model = TinyGAN(student, discriminator, teacher=teacher)
        model.compile()
        model.fit(dataset, epochs=30, steps_per_epoch=1000)
        images = model.ema_student((latents, labels))
    """

    def __init__(
        self,
        student,
        discriminator,
        teacher=None,
        ema_decay=0.999,
        truncation=None,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_agreement("the student", student, "the discriminator", discriminator)
        self.student = student
        self.discriminator = discriminator
        self.ema_decay = ema_decay
        self.truncation = truncation
        self.seed = seed
        self.ema_student = type(student).from_config(student.get_config())
        self.ema_student.set_weights(student.get_weights())
        self.ema_student.trainable = False
        self.step = self.add_weight(name="step", shape=(), dtype="int64", trainable=False)
        self.pixel_weight = self.add_weight(name="pixel_weight", shape=(), trainable=False)
        shape, zeros = (len(METRICS),), {"initializer": "zeros", "aggregation": "sum"}
        self.failures = self.add_weight(name="failures", shape=shape, trainable=False, **zeros)
        self.trackers = {name: train_function.EpochMean(name=name) for name in METRICS}
        self.teacher = teacher
        self.built = True

    @property
    def teacher(self):
        """The frozen teacher, or None."""
        return self._teacher

    @teacher.setter
    def teacher(self, teacher):
        if teacher is not None:
            check_agreement("the student", self.student, "the teacher", teacher)
        object.__setattr__(self, "_teacher", teacher)  # past the tracking of Keras and TensorFlow

    @property
    def metrics(self):
        return list(self.trackers.values())

    def compile(
        self,
        g_optimizer=None,
        d_optimizer=None,
        feature_weights=None,
        pixel_weight=0.2,
        pixel_weight_decay=0.01,
        adversarial_distillation_weight=0.01,
        adversarial_gan_weight=0.002,
        discriminator_gan_weight=0.2,
        adversarial_interval=5,
        divergence_limit=1e4,
        jit_compile="auto",
        **kwargs,
    ):
        """Sets the optimisers and the weights of the objectives; the defaults are the paper's.

        Args:
            g_optimizer: Optimiser of the student; default Adam(2e-4, beta_1=0, beta_2=0.9).
                Of a network in float16 it is wrapped in a `keras.optimizers.LossScaleOptimizer`.
            d_optimizer: Optimiser of the discriminator; default the same.
            feature_weights: alpha_i, one per discriminator stage from the image side up; default
                1 / 2 ** n, ..., 1/8, 1/4, 1: the paper's for five stages, its tail for fewer.
            pixel_weight: lambda_1 at the start.
            pixel_weight_decay: Subtracted from lambda_1 after every epoch of `fit`, never below 0.
            adversarial_distillation_weight: lambda_2.
            adversarial_gan_weight: lambda_3.
            discriminator_gan_weight: lambda_4.
            adversarial_interval: The student's adversarial terms count at every n-th step only.
            divergence_limit: A term that isn't finite, or beyond this, is counted in `failures`, one count
                per term in the order of `objectives.METRICS`; see `training.StopOnDivergence`.
            jit_compile: XLA. "auto" uses it on a single GPU and nowhere else: on CPUs depthwise
                convolutions are an order of magnitude slower under XLA. With several replicas, or with
                a teacher that XLA can't compile, True compiles networks and gradients and nothing else.
            **kwargs: Of `keras.Model.compile`, such as `run_eagerly` and `steps_per_execution`.

        Raises:
            ValueError: a weight is out of range, or `feature_weights` has the wrong length.
        """
        objectives = Objectives(
            feature_weights,
            pixel_weight,
            pixel_weight_decay,
            adversarial_distillation_weight,
            adversarial_gan_weight,
            discriminator_gan_weight,
            adversarial_interval,
        )
        self.objectives = objectives.for_stages(len(self.discriminator.output["features"]))
        self.divergence_limit = divergence_limit
        self.requested_jit_compile = jit_compile
        xla = resolve_jit_compile(jit_compile, self.teacher, self.student)
        self.compiles_parts = xla == "parts"
        super().compile(optimizer=None, jit_compile=xla == "step", **kwargs)
        self.pixel_weight.assign(pixel_weight)
        self.g_optimizer = gradients.scaling_optimizer(g_optimizer, self.student)
        self.d_optimizer = gradients.scaling_optimizer(d_optimizer, self.discriminator)
        # Built now: the state of an unbuilt optimiser is silently left out of a restored checkpoint.
        self.g_optimizer.build(self.student.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)

    def fit(self, x=None, *args, callbacks=None, **kwargs):
        """`keras.Model.fit`; checks the first batch, and lowers the pixel weight after every epoch."""
        check_dataset(x, self.student, live_teacher=self.teacher is not None)
        # First in the list: a backup at the end of the epoch must already hold the lowered weight.
        callbacks = [PixelWeightDecay(), *keras.tree.flatten(callbacks or [])]
        return super().fit(x, *args, callbacks=callbacks, **kwargs)

    def call(self, inputs, training=False):
        """Draws images with the averaged student."""
        return self.ema_student(inputs, training=training)

    def make_train_function(self, force=False):
        return train_function.make(self, force)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing is left to build; Keras' way of finding out fails with several workers."""

    def train_step(self, data, adversarial=None):
        """One step; `adversarial` says of which kind, where the caller knows."""
        batch = self._complete(data)
        if adversarial is None:
            interval = self.objectives.adversarial_interval
            adversarial = True if interval == 1 else ops.equal(self.step % interval, 0)
        drawn = gradients.draw(self, batch)
        d_terms, found = gradients.of_discriminator(self, batch, drawn)
        gradients.apply(self.d_optimizer, found, self.discriminator.trainable_variables)
        g_terms, found = gradients.of_student(self, batch, drawn, adversarial)
        gradients.apply(self.g_optimizer, found, self.student.trainable_variables)
        self._update_average()
        terms = {**g_terms, **d_terms}
        self._count_failures(terms)
        self.step.assign_add(1)
        return self._track(terms, adversarial)

    def test_step(self, data):
        batch = self._complete(data)
        images = self.student((batch["latent"], batch["label"]), training=False)
        fresh_images = None
        judged = (self.discriminator, batch, images)
        terms = self.objectives.student_terms(*judged, self.pixel_weight, adversarial=True)
        if "image" in batch:
            inputs = (batch["fresh_latent"], batch["image_label"])
            fresh_images = self.student(inputs, training=False)
            term = self.objectives.fresh_term(self.discriminator, batch, fresh_images)
            terms["adversarial_gan"] = term
            terms["g_loss"] += self.objectives.adversarial_gan_weight * term
        terms |= self.objectives.discriminator_terms(*judged, fresh_images, training=False)
        return self._track(terms, adversarial=True)

    def _complete(self, data):
        """The batch as a dict, with the teacher's images and the fresh latents it may lack."""
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        check_keys(batch, live_teacher=self.teacher is not None)
        batch = dict(batch)
        if "teacher_image" not in batch:
            check_compilable(self.jit_compile, self.teacher)  # it may have come after compile
            batch["teacher_image"] = self.teacher(batch["latent"], batch["label"])
        batch["teacher_image"] = ops.stop_gradient(ops.cast(batch["teacher_image"], "float32"))
        if "image" in batch and "fresh_latent" not in batch:
            batch["fresh_latent"] = self._fresh_latents(ops.shape(batch["latent"]))
        return batch

    def _fresh_latents(self, shape):
        """z' of the GAN terms: the teacher's law, a pure function of seed, step and replica."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        stream = tf.cast(self.step.value, tf.int32) * 1009 + tf.cast(replica, tf.int32)
        of_teacher = getattr(self.teacher, "truncation", 1.0)
        truncation = of_teacher if self.truncation is None else self.truncation
        return truncated_normal(shape, (self.seed + 6, stream), truncation)

    def _update_average(self):
        step = ops.cast(self.step, "float32")
        decay = ops.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        averages, students = self.ema_student.variables, self.student.variables
        for average, current in zip(averages, students, strict=True):
            average.assign_add((1.0 - decay) * (current - average))

    def _count_failures(self, terms):
        values = ops.stack([terms.get(name, 0.0) for name in METRICS])
        failed = ops.logical_not(ops.abs(values) <= self.divergence_limit)  # NaN is within no limit
        self.failures.assign_add(ops.cast(failed, "float32"))

    def _track(self, terms, adversarial):
        for name, value in terms.items():
            # Between adversarial steps this term isn't computed.
            weight = adversarial if name == "adversarial_gan" else True
            self.trackers[name].update_state(value, sample_weight=ops.cast(weight, "float32"))
        return {name: self.trackers[name].result() for name in METRICS if name in terms}

    def get_config(self):
        return {
            **super().get_config(),
            "student": keras.saving.serialize_keras_object(self.student),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "ema_decay": self.ema_decay,
            "truncation": self.truncation,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("student", "discriminator")
        }
        return cls(**{**config, **parts})

    def get_compile_config(self):
        return {
            **self.objectives.settings(),
            "divergence_limit": self.divergence_limit,
            "jit_compile": self.requested_jit_compile,
            "steps_per_execution": self.steps_per_execution,
            "g_optimizer": keras.saving.serialize_keras_object(self.g_optimizer),
            "d_optimizer": keras.saving.serialize_keras_object(self.d_optimizer),
        }

    def compile_from_config(self, config):
        optimizers = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("g_optimizer", "d_optimizer")
        }
        self.compile(**{**config, **optimizers})
