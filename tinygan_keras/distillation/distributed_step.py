"""The function that `TinyGAN.fit` calls again and again: one or several training steps.

Scope: how a step is run on the devices of a strategy, what XLA compiles of it, and the means of its figures
over an epoch. What a step does is `TinyGAN.train_step`.

Decisions:
- On one device it is Keras' own, compiled by XLA if the model asks for it.
- On several replicas it is ours. Keras' fails with MultiWorkerMirroredStrategy, where it averages scalars
  along an axis that they don't have (keras#20585), and with several steps per execution under any
  strategy, where it puts a step into a branch (keras#19246).
- There are two functions then, of steps with and without the adversarial terms, and the host says which:
  it counts the steps itself, from the number that it reads at the start of `fit`.
- The logs are means over all replicas and stay on the device. Keras reads them after every execution, so
  `steps_per_execution` says how often the host waits for the devices.

Rejected: a branch or a loop of the device around a step of several replicas. With several workers an exchange
gets its number when its function is called, which inside a branch fails ("You must feed a value for
placeholder"). XLA around a whole step of several replicas: its variables lie on several devices, and one
compiled function has one. XLA goes inside, around networks and gradients.
"""

import keras
import tensorflow as tf

from ..errors import InputError


def make_train_function(model, force=False):
    """Sets and returns `model.train_function`, from an iterator over batches to the logs of the last."""
    if model.train_function is None or force:
        if is_distributed(model.distribute_strategy):
            model.train_function = _DistributedSteps(model)
        else:
            keras.Model.make_train_function(model, force)
    if isinstance(model.train_function, _DistributedSteps):
        model.train_function.recount()  # weights may have been loaded since
    return model.train_function


def is_distributed(strategy) -> bool:
    """Whether a strategy has replicas to wait for, or may have them: a cluster of one worker counts."""
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return workers or strategy.num_replicas_in_sync > 1


def resolve_jit_compile(requested, teacher, student) -> str:
    """What XLA compiles: the whole "step", its "parts", or nothing, "".

    "auto" uses it on a single GPU, if the teacher allows it. The whole step can't be compiled with several
    replicas, whose variables lie on several devices, nor with a teacher that isn't pure.

    Raises:
        InputError: XLA was asked for where it can't be used.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    whole = not several and getattr(teacher, "is_pure", True)
    if requested == "auto":
        return "step" if whole and tf.config.list_physical_devices("GPU") else ""
    if requested and several and getattr(student, "synchronized", False):
        raise InputError(
            "Got jit_compile=True with batch statistics that are synchronised over replicas. Expected one of "
            "the two: XLA can't wait for other replicas. Build the student with synchronized=False (in a "
            "config synchronized_batch_norm=False), or set jit_compile=False."
        )
    return ("step" if whole else "parts") if requested else ""


def check_compilable(whole_step: bool, teacher):
    """Raises InputError if XLA compiles whole steps, and can't compile a teacher that was set later."""
    if whole_step and not getattr(teacher, "is_pure", True):
        raise InputError(
            "Got jit_compile=True before a teacher that XLA can't compile (is_pure is False). Expected the "
            "teacher at compile, which then compiles the rest of the step. Call compile again, or give "
            "batches that hold 'teacher_image'."
        )


class MetricOfOneEpoch(keras.metrics.Metric):
    """A metric that begins anew with every epoch, so it isn't saved.

    Keras would save it. With several workers that takes all of them, since each holds its part of the sum,
    and the chief saves alone.
    """

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


class EpochMean(MetricOfOneEpoch, keras.metrics.Mean):
    """A mean over the steps of an epoch."""


class _DistributedSteps:
    """From an iterator over batches to the logs of the last of `steps_per_execution` steps.

    Whether a step is adversarial is decided here, on the host, which counts steps itself: a branch on the
    devices can't hold the collectives with which replicas wait for each other.
    """

    def __init__(self, model):
        self.model = model
        self.interval = model.objectives.adversarial_interval
        self._next_step = None
        self._compiled = {True: self._loop(True), False: self._loop(False)}

    def recount(self):
        """Looks the number of the next step up before the next call."""
        self._next_step = None

    def __call__(self, iterator):
        # Unknown, should the data end in between.
        next_step, self._next_step = self._next_step, None
        if next_step is None:
            next_step = int(keras.ops.convert_to_numpy(self.model.step))
        left = self.model.steps_per_execution
        while left:
            adversarial, alike = self._run_of_steps(next_step)
            count = min(alike, left)
            logs = self._compiled[adversarial](iterator, count)
            next_step += count
            left -= count
        self._next_step = next_step
        return logs

    def _run_of_steps(self, next_step):
        """The kind of the next step, and how many of that kind follow each other."""
        place = next_step % self.interval
        if self.interval == 1:
            return True, self.model.steps_per_execution
        return (True, 1) if place == 0 else (False, self.interval - place)

    def _loop(self, adversarial):
        strategy, eager = self.model.distribute_strategy, self.model.run_eagerly

        def one_step(batch):
            logs = strategy.run(self.model.train_step, args=(batch, adversarial))
            return {n: strategy.reduce("MEAN", value, axis=None) for n, value in logs.items()}

        # AutoGraph makes a loop of the device out of tf.range; the step is traced once and called twice.
        step = one_step if eager else tf.function(one_step, reduce_retracing=True)
        numbers = range if eager else tf.range

        def all_steps(iterator, count):
            logs = step(next(iterator))
            for _ in numbers(count - 1):
                logs = step(next(iterator))
            return logs

        looped = all_steps if eager else tf.function(all_steps, reduce_retracing=True)

        def run(iterator, count):
            known = isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator))
            if count == 1 or not known:  # `train_on_batch` gives a generator with one batch in it
                return step(next(iterator))
            return looped(iterator, count if eager else tf.constant(count))

        return run
