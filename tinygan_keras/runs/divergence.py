"""Stops a training that has diverged, before its weights overwrite the last good ones.

Rejected: `keras.callbacks.TerminateOnNaN`. It sees only a mean over the epoch, names no term, knows no limit,
and stops without an error, so that the broken weights are saved.
"""

import keras
import numpy as np

from ..errors import InputError, UserError

_SUMS = ("g_loss", "d_loss")  # of the other terms: named only if none of these is to blame


class DivergenceError(UserError, ArithmeticError):
    """A loss, or a weight, is no longer a reasonable number."""


class StopOnDivergence(keras.callbacks.Callback):
    """Raises `DivergenceError` soon after a loss term has failed, and in any case at the end of its epoch.

    Belongs before everything that draws, logs or saves, so that no checkpoint holds a weight that isn't
    finite.

    Args:
        check_every: Batches between two looks at the counts; each look waits for the device once.
        total: Function from a count to its sum over all processes of the run; see `Workers.total`. With it
            all of them raise, or none.

    Raises:
        ValueError: `check_every` is less than 1.
    """

    def __init__(self, check_every: int = 100, total=int):
        super().__init__()
        if check_every < 1:
            raise InputError(f"Got check_every={check_every}. Expected 1 or more batches.")
        self.check_every, self.total = check_every, total

    def on_train_begin(self, logs=None):
        # What an earlier training failed at, perhaps with another limit, is not this one's fault.
        self.model.failures.assign(np.zeros(self.model.failures.shape, "float32"))

    def on_epoch_begin(self, epoch, logs=None):
        self._next = self.check_every

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self._next:
            self._next = batch + self.check_every
            self._check_terms({})

    def on_epoch_end(self, epoch, logs=None):
        self.check(logs)

    def check(self, logs=None):
        """Raises `DivergenceError` if a loss has failed or a weight isn't finite; all processes call it."""
        self._check_terms(logs or {})
        broken = broken_weights(self.model)
        if self.total(len(broken)):
            more = f" and {len(broken) - 3} others" if len(broken) > 3 else ""
            named = ", ".join(broken[:3]) or "those of another worker"
            self._raise("weights that are not finite", f"{named}{more}")

    def _check_terms(self, logs):
        # The sum over all replicas, of which each may have failed at the same step.
        failures = keras.ops.convert_to_numpy(self.model.failures)
        failures = np.ceil(failures / self.model.distribute_strategy.num_replicas_in_sync)
        terms = [metric.name for metric in self.model.metrics]
        counts = {name: int(n) for name, n in zip(terms, failures, strict=False) if n}
        if not counts:
            return
        terms = [name for name in counts if name not in _SUMS] or list(counts)
        # What failed first has failed most often; within a step the discriminator comes before the student.
        terms.sort(key=lambda name: (-counts[name], not name.startswith("discriminator")))
        means = {name: f" (mean {logs[name]:g})" for name in terms if name in logs}
        named = ", ".join(f"{name} in {counts[name]} steps{means.get(name, '')}" for name in terms)
        limit = self.model.divergence_limit
        self._raise(f"a loss that isn't finite, or beyond divergence_limit={limit:g}", named)

    def _raise(self, got, named):
        step = int(keras.ops.convert_to_numpy(self.model.step))
        raise DivergenceError(
            f"Got {got}, by step {step}: {named}. Expected finite and smaller numbers. Lower g_learning_rate "
            "and d_learning_rate, set gradient_clip_norm (1, say), or choose 'mixed_bfloat16' in place of "
            "'mixed_float16'. Another config needs another workdir; with a copy of the folder checkpoints in "
            "it, the training goes on from there."
        )


def broken_weights(model) -> list:
    """Returns the paths of a `TinyGAN`'s weights, its optimisers' included, that are NaN or infinite."""
    variables = [*model.weights, *model.g_optimizer.variables, *model.d_optimizer.variables]
    values = ((variable.path, keras.ops.convert_to_numpy(variable)) for variable in variables)
    return [path for path, value in values if not np.isfinite(value).all()]
