"""How `TinyGAN.fit` runs its steps on the devices of a strategy, what XLA compiles of them, and their means.

On one device the function that is called again and again is Keras' own. On several replicas it is ours:
Keras' fails with MultiWorkerMirroredStrategy, where it averages scalars along an axis that they don't have
(keras#20585), and with several steps per execution, where it puts a step into a branch (keras#19246).
Rejected: XLA around a whole step of several replicas. Its variables lie on several devices, and one compiled
function has one. XLA goes inside, around networks and gradients.
"""

import keras
import tensorflow as tf

from ..errors import InputError


def is_distributed(strategy) -> bool:
    """Whether a strategy has replicas to wait for, or may have them: a cluster of one worker counts."""
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return workers or strategy.num_replicas_in_sync > 1


def resolve_jit_compile(requested, model) -> str:
    """What XLA compiles: the whole "step", its "parts", or nothing, ""; InputError where it can't be used."""
    several = model.distribute_strategy.num_replicas_in_sync > 1
    whole = not several and getattr(model.teacher, "is_pure", True)
    if requested == "auto":
        return "step" if whole and tf.config.list_physical_devices("GPU") else ""
    if requested and several and getattr(model.student, "synchronized", False):
        raise InputError(
            "Got jit_compile=True with batch statistics that are synchronised over replicas. Expected one of "
            "the two: XLA can't wait for other replicas. Build the student with synchronized=False (in a "
            "config synchronized_batch_norm=False), or set jit_compile=False."
        )
    return ("step" if whole else "parts") if requested else ""


class MetricOfOneEpoch(keras.metrics.Metric):
    """A metric of one epoch, which isn't saved: to add it up takes all workers, and the chief saves alone."""

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


class EpochMean(MetricOfOneEpoch, keras.metrics.Mean):
    """A mean over the steps of an epoch."""


class DistributedSteps:
    """From an iterator over batches to the logs of the last of `steps_per_execution` steps."""

    def __init__(self, model):
        self.model = model
        self.next_step = None  # to be read from the model
        self._runs = {adversarial: self._make_run(adversarial) for adversarial in (True, False)}

    def __call__(self, iterator):
        # Unknown, should the data end in between.
        step, self.next_step = self.next_step, None
        if step is None:
            step = int(keras.ops.convert_to_numpy(self.model.step))
        known = isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator))
        # `train_on_batch` gives a generator with one batch in it.
        end = step + (self.model.steps_per_execution if known else 1)
        interval = self.model.objectives.adversarial_interval
        # The host says which are adversarial: exchanges between workers fail in a branch of the devices.
        while step < end:
            place, alike = step % interval, 1  # how many steps of a kind follow each other
            if interval == 1:
                alike = end - step
            elif place > 0:
                alike = min(interval - place, end - step)
            logs = self._runs[place == 0](iterator, alike)
            step += alike
        self.next_step = step
        return logs

    def _make_run(self, adversarial):
        """A function that runs some steps of one kind."""

        def step(batch):
            strategy = self.model.distribute_strategy
            logs = strategy.run(self.model.train_step, args=(batch, adversarial))
            return {n: strategy.reduce("MEAN", value, axis=None) for n, value in logs.items()}

        def run_eagerly(iterator, count):
            return [step(next(iterator)) for _ in range(count)][-1]

        if self.model.run_eagerly:
            return run_eagerly
        step = tf.function(step, reduce_retracing=True)

        @tf.function(reduce_retracing=True)
        def loop(iterator, count):
            logs = step(next(iterator))
            # AutoGraph makes a loop of the devices out of it; the step is traced once and called twice.
            for _ in tf.range(count - 1):
                logs = step(next(iterator))
            return logs

        def run(iterator, count):
            return step(next(iterator)) if count == 1 else loop(iterator, tf.constant(count))

        return run
