"""TinyGAN: a student generator learns from a frozen teacher, with a discriminator between them.

The step, settings and state of Chang & Lu (arXiv:2009.13829); files, hubs, data and plots live elsewhere.
- `S(z, y)` and `S(z', y)` are computed once each, with batch statistics of their own, and serve both updates.
- The student's gradient is taken through the discriminator that has just been updated. Two tapes meet at the
  images: the objective is differentiated down to them, and from there into the student.
- Everything that changes during training is saved; the teacher is kept out of all tracking, and never is.
Rejected: `keras.distillation.Distiller`, which knows one optimiser and no discriminator.
"""

import dataclasses
from functools import partial

import keras
import tensorflow as tf
from keras import ops

from ..errors import InputError
from ..latents import truncated_normal
from . import batch_checks, distributed_step
from .accumulation import accumulated_step
from .losses import METRICS, Objectives, default_feature_weights
from .optimizers import OptimizerView, apply_gradients, ready_optimizers

PACKAGE = "tinygan_keras"


@keras.saving.register_keras_serializable(PACKAGE)
class TinyGAN(keras.Model):
    """Distils a teacher generator into a student with `model.fit()`.

    Args:
        student: Generator to train: `((latents, labels), training) -> images`. A functional model, or a
            subclassed one that has been called once.
        discriminator: `((images, labels), training) -> {"logits": [B, 1], "features": [...]}`; likewise.
        teacher: Callable `(latents, labels) -> images` float `[B, S, S, 3]` in [-1, 1], for example a
            `HubTeacher`; None when batches have "teacher_image". It isn't saved: after loading, set
            `model.teacher`.
        ema_decay: Decay of the exponential moving average of the student. It warms up with the step t
            as `min(ema_decay, (1 + t) / (10 + t))`, so short runs don't average over the start.
        truncation: Scale of the fresh latents z'; None takes the teacher's truncation, or 1.
        seed: Seed of the fresh latents, when batches don't have "fresh_latent".

    Batches are dicts:
        latent: Float `[B, Z]`.
        label: Int `[B]`, the teacher's class.
        teacher_image: Float `[B, S, S, 3]` in [-1, 1]; absent with a live teacher.
        image, image_label: Real images float `[B, S, S, 3]` in [-1, 1] and their labels int `[B]`; absent
            in data-free training, which leaves out both GAN terms.
        fresh_latent: Float `[B, Z]`, the z' of the GAN terms; generated here when absent, and not used with
            `fresh_latents=False`.

    Learning-rate callbacks of Keras change the rates of both optimisers, which are `g_optimizer` and
    `d_optimizer`; the average of the student is `ema_student`.

    Raises:
        InputError: image size, latent length or number of classes differ between the components.

    Example:
        >>> import numpy as np
        >>> import tinygan_keras as tg
        >>> student = tg.StudentGenerator.from_preset("tinygan_fashion_32", load_weights=False)
        >>> discriminator = tg.Discriminator.from_preset("tinygan_fashion_32")
        >>> model = tg.TinyGAN(student, discriminator)
        >>> model.compile()
        >>> batches = {
        ...     "latent": np.zeros((8, 32), "float32"),
        ...     "label": np.arange(8),
        ...     "teacher_image": np.zeros((8, 32, 32, 3), "float32"),
        ... }
        >>> history = model.fit(batches, batch_size=4, epochs=2, verbose=0)
        >>> model.ema_student((np.zeros((2, 32)), np.array([0, 9]))).shape
        TensorShape([2, 32, 32, 3])
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
        batch_checks.check_agreement("the student", student, "the discriminator", discriminator)
        self.student = student
        self.discriminator = discriminator
        self.ema_decay = ema_decay
        self.truncation = truncation
        self.seed = seed
        self.ema_student = _copy(student)
        self.ema_student.trainable = False
        self.step = self.add_weight(name="step", shape=(), dtype="int64", trainable=False)
        self.pixel_weight = self.add_weight(name="pixel_weight", shape=(), trainable=False)
        counts = {"shape": (len(METRICS),), "initializer": "zeros", "aggregation": "sum"}
        self.failures = self.add_weight(name="failures", trainable=False, **counts)
        self.trackers = {name: distributed_step.EpochMean(name=name) for name in METRICS}
        self.batch_faults = batch_checks.BatchFaults(student)
        self._set_image_metrics(())
        self.teacher = teacher
        self.built = True

    @property
    def teacher(self):
        """The frozen teacher, or None."""
        return self._teacher

    @teacher.setter
    def teacher(self, teacher):
        if teacher is not None:
            batch_checks.check_agreement("the student", self.student, "the teacher", teacher)
        object.__setattr__(self, "_teacher", teacher)  # past the tracking of Keras and TensorFlow
        if self.compiled:
            self._decide_compilation()

    def _set_image_metrics(self, metrics):
        metrics = keras.tree.flatten(metrics)
        if not all(isinstance(metric, keras.metrics.Metric) for metric in metrics):
            raise InputError(
                f"Got metrics={metrics!r}. Expected metrics of images, such as "
                "tg.metrics.FrechetDistance(...); every loss term is in the logs anyway."
            )
        # Past all tracking, or their sums would be part of every checkpoint.
        object.__setattr__(self, "image_metrics", tuple(metrics))

    @property
    def metrics(self):
        return [*self.trackers.values(), self.batch_faults, *self.image_metrics]

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
        reuse_teacher_features=True,
        power_iteration_per_call=False,
        renew_fresh_latents=False,
        fresh_latents=True,
        adversarial_loss="hinge",
        accumulate_steps=1,
        divergence_limit=1e4,
        jit_compile="auto",
        run_eagerly=False,
        steps_per_execution=1,
        metrics=None,
        **unused,
    ):
        """Sets the optimisers and the weights of the objectives; the defaults are the paper's.

        Args:
            g_optimizer, d_optimizer: Those of student and discriminator; default Adam(2e-4, beta_1=0,
                beta_2=0.9). Of a network in float16 it is wrapped in a `LossScaleOptimizer`.
            feature_weights: alpha_i, one per discriminator stage from the image side up; default
                1 / 2 ** n, ..., 1/8, 1/4, 1: the paper's for five stages, its tail for fewer.
            pixel_weight: lambda_1 at the start.
            pixel_weight_decay: Subtracted from lambda_1 after every epoch of `fit`, never below 0.
            adversarial_distillation_weight, adversarial_gan_weight, discriminator_gan_weight: lambda_2,
                lambda_3, lambda_4.
            adversarial_interval: The student's adversarial terms count at every n-th step only.
            reuse_teacher_features: Compare the student's feature maps, of the updated discriminator, with the
                teacher's from the update itself, before its weights moved, as the authors' program does.
                With False both are from after it: a step at 128 px takes 6 % more time, and L_KD_feat is 20 %
                smaller. So it is with the teacher's logits of a relativistic loss.
            power_iteration_per_call: Call the discriminator for each set of images by itself, and take a
                power iteration at every call, in the student's update too, as the authors' program does: with
                real images and reused teacher's maps 5 a step, 7 at adversarial ones. Else it is one a step.
                It costs 2 % of a step.
            renew_fresh_latents: Generate other z' for the student's GAN term than the discriminator had, as
                the authors' program does: of batches with "fresh_latent" these, each at the place of the
                next. It costs no measurable time.
            fresh_latents: True, as in the paper: the GAN terms have images S(z', y) of other latents than the
                pairs, with the labels of the real images. False: the images S(z, y) of the pairs serve them
                too, so that the student generates once a step in place of twice. Then the student's two
                adversarial terms are one, of weight lambda_2 + lambda_3, and classes should be about as
                frequent among the pairs as among the real images.
            adversarial_loss: "hinge", as in the paper, or "relativistic": the discriminator learns which of
                two images is the teacher's (or real), and the student to be preferred, pair by pair; see
                `losses.relativistic`. With `fresh_latents=False` the two images of a real pair have labels
                of their own each; with True a step has one more pass of the discriminator, over real images.
            accumulate_steps: Pieces of a batch that are computed one after the other for one update, to save
                memory, for a third more time; docs/long_runs.md has what was measured. Batch normalisation
                sees a piece, so pieces should not be tiny; everything else comes out as of the whole batch.
            divergence_limit: A term that isn't finite, or beyond this, is counted in `failures`, one count
                per term in the order of `losses.METRICS`; see `tinygan_keras.StopOnDivergence`.
            jit_compile: XLA. "auto" uses it on a single GPU and nowhere else: on CPUs depthwise
                convolutions are an order of magnitude slower under XLA. With several replicas, or with
                a teacher that XLA can't compile, True compiles networks and gradients and nothing else.
            run_eagerly: Run every step without tracing it, to debug.
            steps_per_execution: Steps that the devices take without the host.
            metrics: Keras metrics of images, such as `tg.metrics.FrechetDistance`, for `evaluate` and
                `validation_data` only: each is updated with the real images, or the teacher's of batches
                without them, and the averaged student's. They aren't saved with the model.
            **unused: Arguments of Keras that have no meaning here, such as `loss`, are refused by name.

        Raises:
            InputError: a weight or the number of feature weights is wrong, settings don't go together, or an
                optimiser can't be used.
        """
        batch_checks.check_unused("compile", **unused)
        stages = _count_stages(self.discriminator)
        if feature_weights is None:
            feature_weights = default_feature_weights(stages)
        if len(feature_weights) != stages:
            raise InputError(
                f"Got {len(feature_weights)} feature_weights. Expected {stages}, one for each stage of the "
                "discriminator, from the image side up."
            )
        self.objectives = Objectives(
            feature_weights,
            pixel_weight,
            pixel_weight_decay,
            adversarial_distillation_weight,
            adversarial_gan_weight,
            discriminator_gan_weight,
            adversarial_interval,
            reuse_teacher_features,
            power_iteration_per_call,
            renew_fresh_latents,
            fresh_latents,
            adversarial_loss,
        )
        self._set_image_metrics(metrics or ())
        if not isinstance(accumulate_steps, int) or accumulate_steps < 1:
            raise InputError(
                f"Got accumulate_steps={accumulate_steps!r}. Expected a whole number from 1 on: the pieces "
                "of a batch."
            )
        several = self.distribute_strategy.num_replicas_in_sync > 1
        if accumulate_steps > 1 and several and getattr(self.student, "synchronized", False):
            raise InputError(
                f"Got accumulate_steps={accumulate_steps} with batch statistics that are synchronised over "
                "replicas. Expected one of the two. Build the student with synchronized=False (in a config "
                "synchronized_batch_norm=False), or leave accumulate_steps at 1."
            )
        self.accumulate_steps = accumulate_steps
        self.divergence_limit = divergence_limit
        self.requested_jit_compile = jit_compile
        self.g_optimizer, self.d_optimizer = ready_optimizers(
            self.student, g_optimizer, self.discriminator, d_optimizer
        )
        super().compile(
            optimizer=None,
            auto_scale_loss=False,  # done for both
            jit_compile=False,  # decided below
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self._decide_compilation()
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        self.optimizer = OptimizerView(**optimizers)  # for Keras' callbacks
        self.pixel_weight.assign(pixel_weight)

    def _decide_compilation(self):
        """Has steps traced anew, for the teacher that there is now."""
        xla = distributed_step.resolve_jit_compile(self.requested_jit_compile, self)
        self.jit_compile, self.compiles_parts = xla == "step", xla == "parts"
        self.train_function = self.test_function = None

    def train_step(self, data, adversarial=None):
        """One step of the alternation; `adversarial` says of which kind, where the caller knows."""
        batch = self._complete(data)
        if adversarial is None:
            interval = self.objectives.adversarial_interval
            adversarial = True if interval == 1 else ops.equal(self.step % interval, 0)
        if self.accumulate_steps == 1:
            terms = self._whole_step(batch, adversarial)
        else:
            terms = accumulated_step(self, batch, adversarial)
        self._update_average()
        self._count_failures(terms)
        self.step.assign_add(1)
        return self._track(terms, adversarial)

    def _whole_step(self, batch, adversarial):
        """Updates both networks; returns the terms."""
        generated = self._generate(batch["latent"], batch["label"])
        fresh = None, None
        if "fresh_latent" in batch:
            fresh = self._generate(batch["fresh_latent"], batch["image_label"])

        # First the discriminator learns what sets the student's images apart.
        d_terms, gradients = self.discriminator_gradients(batch, generated[0], fresh[0])
        teacher_outputs = d_terms.pop("teacher_outputs", None)
        self.apply_gradients_of(self.discriminator, gradients)

        # Then the student learns from the teacher, and from the discriminator as it is now.
        g_terms, gradients = self.student_gradients(
            batch, generated, teacher_outputs, adversarial, generate=lambda *_: fresh
        )
        self.apply_gradients_of(self.student, gradients)
        return {**g_terms, **d_terms}

    def discriminator_gradients(self, batch, images, fresh_images):
        """Terms of the discriminator's objective, what is reused of the teacher, and its gradients."""
        terms_of = partial(
            self.objectives.discriminator_terms, self.discriminator, batch, training=True
        )
        variables = self.discriminator.trainable_variables
        pair = images, fresh_images
        return self._differentiate(terms_of, "d_loss", self.d_optimizer, pair, variables)

    def student_gradients(self, batch, generated, teacher_outputs, adversarial, generate):
        """Terms of the student's objective, and its gradients.

        Args:
            batch: The batch, or a piece of it.
            generated: `S(z, y)` and the tape that leads into the student.
            teacher_outputs: Those of the discriminator for the teacher's images; None: to be computed.
            adversarial: Whether the adversarial terms count.
            generate: Function from latents z' and labels to such images and their tape.
        """
        terms_of = partial(
            self.objectives.student_terms,
            self.discriminator,
            batch,
            pixel_weight=self.pixel_weight,
            adversarial=adversarial,
            teacher_outputs=teacher_outputs,
            training=True,
        )
        terms, gradients = self._into_student(terms_of, *generated)
        if "fresh_latent" in batch:
            compute = partial(self._fresh_update, batch, generate=generate)
            more, fresh_gradients = self._on_adversarial_steps(adversarial, compute)
            terms = {**terms, **more, "g_loss": terms["g_loss"] + more["g_loss"]}
            pairs = zip(gradients, fresh_gradients, strict=True)
            gradients = [one + other for one, other in pairs]
        return terms, gradients

    def apply_gradients_of(self, network, gradients):
        """Applies one replica's gradients of the student or the discriminator."""
        optimizer = self.g_optimizer if network is self.student else self.d_optimizer
        apply_gradients(optimizer, gradients, network.trainable_variables)

    def test_step(self, data):
        batch = self._complete(data)
        objectives, discriminator, fresh_images = self.objectives, self.discriminator, None
        images = self.student((batch["latent"], batch["label"]), training=False)
        terms = objectives.student_terms(discriminator, batch, images, self.pixel_weight, True)
        if "fresh_latent" in batch:
            inputs = (batch["fresh_latent"], batch["image_label"])
            fresh_images = self.student(inputs, training=False)
            fresh = objectives.fresh_terms(discriminator, batch, fresh_images)
            terms = {**terms, **fresh, "g_loss": terms["g_loss"] + fresh["g_loss"]}
        terms |= objectives.discriminator_terms(discriminator, batch, images, fresh_images, False)
        logs = self._track(terms, adversarial=True)
        if self.image_metrics:
            compared = batch.get("image", batch["teacher_image"])
            images = self.ema_student((batch["latent"], batch["label"]), training=False)
            logs |= {metric.name: metric(compared, images) for metric in self.image_metrics}
        return logs

    def _complete(self, data):
        """The batch as a checked dict, with the teacher's images and the fresh latents that it may lack."""
        batch = batch_checks.read_batch(self, data)
        keys = [key for key in batch_checks.LABELS if key in batch]
        labels = {key: ops.reshape(batch[key], (-1,)) for key in keys}
        batch |= {key: self.batch_faults.nearest(key, value) for key, value in labels.items()}
        if "teacher_image" not in batch:
            batch["teacher_image"] = self._taught(batch["latent"], batch["label"])
        for key in batch_checks.IMAGES:
            if key in batch:
                batch[key] = ops.cast(batch[key], "float32")
        self.batch_faults.update_state({**batch, **labels})
        if "image" not in batch or not self.objectives.fresh_latents:
            batch.pop("fresh_latent", None)
        else:
            given, shape = batch.get("fresh_latent"), ops.shape(batch["latent"])
            if given is None:
                batch["fresh_latent"] = self._fresh_latents(shape)
            if self.objectives.renew_fresh_latents and given is None:
                batch["renewed_latent"] = self._fresh_latents(shape, again=True)
            elif self.objectives.renew_fresh_latents:  # of a distribution that isn't known here
                batch["renewed_latent"] = tf.roll(given, 1, axis=0)
        return batch

    def _taught(self, latents, labels):
        """The teacher's images, of one piece of the batch after the other."""
        rows, count = latents.shape[0], self.accumulate_steps
        if count == 1 or rows is None or rows % count:
            return self.teacher(latents, labels)
        images = []
        for piece in zip(tf.split(latents, count), tf.split(labels, count), strict=True):
            with tf.control_dependencies(images):
                images.append(self.teacher(*piece))
        return ops.concatenate(images)

    def _fresh_latents(self, shape, again=False):
        """z' of the GAN terms: distributed as the teacher's, a pure function of seed, step and replica."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        place = tf.cast(self.step.value, tf.int32) * 1009 + tf.cast(replica, tf.int32)
        of_teacher = getattr(self.teacher, "truncation", 1.0)
        truncation = of_teacher if self.truncation is None else self.truncation
        return truncated_normal(shape, (self.seed + 6, -1 - place if again else place), truncation)

    def _generate(self, latents, labels):
        """Images of the student, and the tape that leads from them into it."""
        with tf.GradientTape() as tape:
            generate = self._by_xla(lambda *inputs: self.student(inputs, training=True))
            images = generate(latents, labels)
        return images, tape

    def _differentiate(self, terms_of, loss, optimizer, images, variables=None):
        """The terms of an objective, and the gradients of its sum for `variables`, else for the images."""

        def compute(*images):
            with tf.GradientTape(watch_accessed_variables=variables is not None) as tape:
                if variables is None:
                    tape.watch(images)
                terms = terms_of(*images)
                replicas = tf.distribute.get_strategy().num_replicas_in_sync
                scaled = optimizer.scale_loss(terms[loss] / replicas)
            return terms, tape.gradient(scaled, images if variables is None else variables)

        return self._by_xla(compute)(*images)

    def _into_student(self, terms_of, images, tape):
        """The terms of an objective, and its gradients for the student that generated the images."""
        terms, into_images = self._differentiate(terms_of, "g_loss", self.g_optimizer, (images,))
        variables = self.student.trainable_variables
        gradients = tape.gradient(images, variables, output_gradients=into_images[0])
        return terms, [tf.convert_to_tensor(gradient) for gradient in gradients]  # dense ones

    def _fresh_update(self, batch, generate):
        """Terms and gradients of the student on `S(z', y)`; `generate` may know these images already."""
        key = "fresh_latent"
        if self.objectives.renew_fresh_latents:
            key, generate = "renewed_latent", self._generate
        images, tape = generate(batch[key], batch["image_label"])
        fresh_terms = self.objectives.fresh_terms
        terms_of = partial(fresh_terms, self.discriminator, batch, training=True)
        return self._into_student(terms_of, images, tape)

    def _on_adversarial_steps(self, adversarial, compute):
        """Terms and gradients of the student where they count, zeros where they don't."""

        def zeros():
            variables = self.student.trainable_variables
            terms = {"adversarial_gan": tf.constant(0.0), "g_loss": tf.constant(0.0)}
            return terms, [tf.zeros(v.shape, v.dtype) for v in variables]

        if isinstance(adversarial, bool):
            return compute() if adversarial else zeros()
        return tf.cond(adversarial, compute, zeros)

    def _by_xla(self, function):
        """Where XLA can't compile a whole step, it compiles passes and gradients one by one."""
        return tf.function(function, jit_compile=True) if self.compiles_parts else function

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
            # Between adversarial steps this term doesn't count, and mostly isn't computed.
            weight = adversarial if name == "adversarial_gan" else True
            self.trackers[name].update_state(value, sample_weight=ops.cast(weight, "float32"))
        return {name: self.trackers[name].result() for name in METRICS if name in terms}

    def call(self, inputs, training=False):
        """Generates images with the averaged student."""
        return self.ema_student(inputs, training=training)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, **settings):
        """`keras.Model.fit`; checks the data, and lowers the pixel weight after every epoch.

        Args:
            x: Batches as dicts (see the class): `tf.data.Dataset`, `keras.utils.PyDataset`, generator, or
                one dict of arrays. With several replicas, a last batch of fewer rows than replicas is left
                out; in a `PyDataset` it is refused.
            batch_size: Rows of a batch, of a dict of arrays; default 32.
            epochs: Number of the last epoch.
            y, **settings: As `keras.Model.fit` has them; `y`, `sample_weight` and `class_weight` are
                refused.

        Returns:
            The history: means over each epoch of the terms in `losses.METRICS`.

        Raises:
            InputError: an argument or a callback has no meaning here; the data can't be trained with.
        """
        callbacks = keras.tree.flatten(settings.pop("callbacks", None) or [])
        swaps = [one for one in callbacks if isinstance(one, keras.callbacks.SwapEMAWeights)]
        unused = {name: settings.pop(name, None) for name in ("sample_weight", "class_weight")}
        batch_checks.check_unused("fit", y=y, SwapEMAWeights=swaps or None, **unused)
        x = batch_checks.check_data(self, x, batch_size, settings)
        if (data := settings.get("validation_data")) is not None:
            size = settings.get("validation_batch_size") or batch_size
            data = batch_checks.check_data(self, data, size, settings, "validation_steps")
            settings["validation_data"] = data
        # First in the list: a backup at the end of the epoch must already hold the lowered weight.
        lower = keras.callbacks.LambdaCallback(on_epoch_end=self._lower_pixel_weight)
        first = [batch_checks.CheckBatches(), lower]
        if any(isinstance(one, keras.callbacks.TerminateOnNaN) for one in callbacks):
            first.append(keras.callbacks.LambdaCallback(on_train_batch_end=_add_loss))
        history = super().fit(x, None, batch_size, epochs, callbacks=first + callbacks, **settings)
        # As Keras does for its one optimiser: with use_ema=True, `fit` ends with the averages.
        self.g_optimizer.finalize_variable_values(self.student.trainable_variables)
        self.d_optimizer.finalize_variable_values(self.discriminator.trainable_variables)
        return history

    def _lower_pixel_weight(self, epoch, logs):
        lowered = float(self.pixel_weight.numpy()) - self.objectives.pixel_weight_decay
        self.pixel_weight.assign(max(0.0, lowered))

    def evaluate(self, x=None, y=None, batch_size=None, callbacks=None, **settings):
        """`keras.Model.evaluate`: the terms on other batches, with the student that is trained.

        Beside them stand the metrics of `compile`, of the averaged student's images.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):  # that of `fit` checks already
            sample_weight = settings.pop("sample_weight", None)
            batch_checks.check_unused("evaluate", y=y, sample_weight=sample_weight)
            x = batch_checks.check_data(self, x, batch_size, settings, "steps")
            callbacks = [batch_checks.CheckBatches(), *keras.tree.flatten(callbacks or [])]
        as_dict = settings.pop("return_dict", False)
        settings["return_dict"] = as_dict or bool(self.image_metrics)
        logs = super().evaluate(x, y, batch_size, callbacks=callbacks, **settings)
        if not self.image_metrics:
            return logs
        # Of a traced step they may lack their value: a Frechet distance is computed once, here.
        logs |= {metric.name: float(metric.result()) for metric in self.image_metrics}
        return logs if as_dict else [logs[one.name] for one in self.metrics if one.name in logs]

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        batch_checks.check_unused("train_on_batch", class_weight=class_weight)
        batch_checks.check_first_batch(self, [(x, y, sample_weight)])
        return super().train_on_batch(x, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        batch_checks.check_first_batch(self, [(x, y, sample_weight)])
        return super().test_on_batch(x, return_dict=return_dict)

    def make_train_function(self, force=False):
        if not distributed_step.is_distributed(self.distribute_strategy):
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = distributed_step.DistributedSteps(self)
        self.train_function.next_step = None  # weights may have been loaded since
        return self.train_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing is left to build; Keras' way of finding out fails with batches that replicas share."""
        if not distributed_step.is_distributed(self.distribute_strategy):
            super()._maybe_symbolic_build(iterator, data_batch)

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
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("student", "discriminator")
        }
        return cls(**{**config, **networks})

    def get_compile_config(self):
        return {
            **dataclasses.asdict(self.objectives),
            "accumulate_steps": self.accumulate_steps,
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
        former = {"reuse_teacher_features": False}  # of files from before there was that setting
        self.compile(**{**former, **config, **optimizers})


def _add_loss(batch, logs):
    logs["loss"] = logs["g_loss"] + logs["d_loss"]  # `TerminateOnNaN` looks for it


def _copy(student):
    """A student of its own with the same weights."""
    twin = type(student).from_config(student.get_config())
    if not twin.built:
        _check_called("student", student)
        twin.build_from_config(student.get_build_config())
    twin.set_weights(student.get_weights())
    return twin


def _count_stages(discriminator) -> int:
    """The number of its feature maps."""
    outputs = getattr(discriminator, "output", None)  # of a functional model
    if not isinstance(outputs, dict):
        _check_called("discriminator", discriminator)
        images, labels = discriminator.get_build_config()["input_shape"]
        inputs = keras.Input(images[1:]), keras.Input(labels[1:], dtype="int32")
        outputs = discriminator(inputs)
    return len(outputs["features"])


def _check_called(role, network):
    if not network.built or "input_shape" not in (network.get_build_config() or {}):
        raise InputError(
            f"Got a {role} of type {type(network).__name__} that has never been called. Expected a "
            "functional model, or a subclassed one that knows its shapes. Call it once on a batch, as "
            f"{role}((inputs, labels))."
        )
