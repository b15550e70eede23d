"""The function that `TinyGAN.fit` calls again and again: one or several training steps.

Scope: how a step is run on the devices of a strategy, and the means of its figures over an epoch. What a
step does is `TinyGAN.train_step`.

Decisions:
- On one device it is Keras' own, compiled by XLA if the model asks for it.
- On several replicas it is ours. Keras' fails with MultiWorkerMirroredStrategy, where it averages scalars
  along an axis that they don't have (keras#20585), and with several steps per execution under any
  strategy, where it puts a step into a branch (keras#19246).
- The logs are means over all replicas and stay on the device. Keras reads them after every execution, so
  `steps_per_execution` says how often the host waits for the devices.

Rejected: XLA around a whole step of several replicas. Its variables lie on several devices, and one
compiled function has one. XLA goes inside, around networks and gradients.
"""

import keras
import tensorflow as tf


def make(model, force=False):
    """Sets and returns `model.train_function`, from an iterator over batches to the logs of the last.

    Args:
        model: A compiled `TinyGAN`, or any Keras model whose `train_step` returns a dict of scalars.
        force: Make it anew, where there is one already.

    Example:
        class TinyGAN(keras.Model):
            def make_train_function(self, force=False):
                return train_function.make(self, force)
    """
    if model.train_function is None or force:
        if is_distributed(model.distribute_strategy):
            model.train_function = _distributed(model)
        else:
            keras.Model.make_train_function(model, force)
    return model.train_function


class EpochMean(keras.metrics.Mean):
    """A mean over the steps of an epoch; it begins anew with every epoch, so it isn't saved.

    Keras would save it. With several workers that takes all of them, since each holds its part of the sum,
    and the chief saves alone.
    """

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


def is_distributed(strategy) -> bool:
    """Whether a strategy has replicas to wait for, or may have them: a cluster of one worker counts."""
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return workers or strategy.num_replicas_in_sync > 1


def _distributed(model):
    strategy = model.distribute_strategy

    def of_kind(adversarial, batch):
        logs = strategy.run(model.train_step, args=(batch, adversarial))
        return {name: strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

    kinds = {
        kind: of_kind if model.run_eagerly else tf.function(of_kind, reduce_retracing=True)
        for kind in (True, False)
    }

    def one_step(batch):
        # The branch is outside of the replicas: within one they couldn't wait for each other.
        adversarial = model.is_adversarial
        if isinstance(adversarial, bool):
            return kinds[adversarial](adversarial, batch)
        return tf.cond(
            adversarial, lambda: kinds[True](True, batch), lambda: kinds[False](False, batch)
        )

    def all_steps(iterator):
        logs = step(next(iterator))
        for _ in count(model.steps_per_execution - 1):
            logs = step(next(iterator))
        return logs

    # AutoGraph makes a loop of the device out of tf.range; the step is traced once and called twice.
    step = one_step if model.run_eagerly else tf.function(one_step, reduce_retracing=True)
    count = range if model.run_eagerly else tf.range
    if model.steps_per_execution == 1:
        all_steps = lambda iterator: step(next(iterator))  # noqa: E731
    compiled = all_steps if model.run_eagerly else tf.function(all_steps, reduce_retracing=True)

    def function(iterator):
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            return compiled(iterator)
        # `train_on_batch` hands over a generator with one batch in it.
        for _, batch in zip(range(model.steps_per_execution), iterator, strict=False):
            logs = step(batch)
        return logs

    return function
