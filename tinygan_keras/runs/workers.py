"""One run in several processes on several hosts: who writes, and how all of them start from one state.

Scope: what `MultiWorkerMirroredStrategy` leaves to its user. Every process gives the same command; the chief
("chief", else worker 0) owns the run folder and tells the others where the training stands.

Decisions:
- Only the chief writes, and only what it has is read: checkpoint, history, report. Before training all state
  goes from the chief to the others over the network, so their disks may be empty and nothing depends on a
  shared file system. A replaced machine joins when all start again.
- What the chief alone decides (an epoch's evaluation may end the training) is told to all, since a worker
  that goes on alone waits for ever.
- A lost worker can't be replaced while the others run: TensorFlow breaks off their exchange within seconds
  (it sends heartbeats), and all start again from the last checkpoint.
- One that has nothing left to do waits for the others to be as far: they fetch from it what it has sent.

Rejected: `BackupAndRestore` and a checkpoint per worker, which agree only as long as no disk is lost and
nobody is killed between two writes.
"""

import contextlib
import os
import re

import keras
import numpy as np
import tensorflow as tf

from .devices import make_strategy, read_tf_config


class WorkerLost(ConnectionError):
    """Another process of the run has gone; this one can't go on alone."""


class Workers:
    """The processes of a run, seen from one of them. With one process everything here does nothing.

    Args:
        strategy: The strategy of all of them, see `make_strategy`.

    Attributes:
        count: Number of processes.
        is_chief: Whether this one writes.

    Example:
        workers = connect("multi_worker")
        epoch = workers.from_chief(epoch)
        workers.share(model)
        with workers.watched():
            model.fit(...)
        workers.leave()
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.count, self.is_chief, self.name = 1, True, "the only process"
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            cluster, kind, index = _tf_config()
            self.count = sum(len(addresses) for addresses in cluster.values())
            self.is_chief = is_chief("multi_worker")
            self.name = f"{kind} {index}"

    def from_chief(self, number: int) -> int:
        """Returns the chief's number to every process; the others' numbers are ignored.

        All have to call it, in the same order, and each waits for the others.
        """
        return self.total(number if self.is_chief else 0)

    def total(self, number: int) -> int:
        """Returns the sum of the numbers of all processes to each; all have to call it, as `from_chief`."""
        if self.count == 1:
            return int(number)
        with self.watched():
            return int(self._sum(np.asarray(number, "int64")))

    def share(self, model):
        """Gives every process the chief's state of a `TinyGAN`: networks, both optimisers, step, weights."""
        if self.count == 1:
            return
        variables = state_of(model)
        # Collectives know few types: integers of any width travel as int64, floats as float32.
        values = [keras.ops.convert_to_numpy(variable) for variable in variables]
        with self.watched():
            for kinds, carrier in (("iub", "int64"), ("f", "float32")):
                chosen = [place for place, v in enumerate(values) if v.dtype.kind in kinds]
                flat = [values[place].astype(carrier).ravel() for place in chosen]
                mine = np.concatenate([*flat, np.zeros(1, carrier)])
                received = self._sum(mine if self.is_chief else np.zeros_like(mine))
                parts = np.split(received, np.cumsum([len(part) for part in flat]))
                for place, part in zip(chosen, parts, strict=False):
                    former = values[place]
                    variables[place].assign(part.reshape(former.shape).astype(former.dtype))

    @contextlib.contextmanager
    def watched(self):
        """Turns TensorFlow's errors about a lost worker inside into `WorkerLost`."""
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            if self.count == 1:
                raise
            raise WorkerLost(_lost(self, error)) from error
        except tf.errors.OpError as error:
            # Of the same event on another way: a heartbeat is missed while nothing is exchanged.
            if self.count == 1 or "heartbeat" not in str(error):
                raise
            raise WorkerLost(_lost(self, error)) from error

    def leave(self):
        """Waits until all have come here, so that none goes while another still fetches from it."""
        if self.count == 1:
            return
        self.from_chief(0)
        # Who is through this one knows that all are through the one above; the rest may break off.
        with contextlib.suppress(WorkerLost):
            self.from_chief(0)

    def _sum(self, array):
        """The sum of the NumPy arrays of all processes, of the same shape everywhere."""
        local = self.strategy.extended.worker_devices

        def value(context):
            first = context.replica_id_in_sync_group % len(local) == 0
            return tf.constant(array if first else np.zeros_like(array))

        values = self.strategy.experimental_distribute_values_from_function(value)
        return self.strategy.reduce("SUM", values, axis=None).numpy()


class FollowChief(keras.callbacks.Callback):
    """Ends the training of every process when the chief's ends; belongs last in the list, everywhere.

    Args:
        workers: The `Workers`.
    """

    def __init__(self, workers):
        super().__init__()
        self.workers = workers

    def on_epoch_end(self, epoch, logs=None):
        if self.workers.from_chief(self.model.stop_training):
            self.model.stop_training = True


def is_chief(devices: str) -> bool:
    """Whether this process is the one that writes, as far as the environment says; wakes nothing up.

    Raises:
        ValueError: with "multi_worker", TF_CONFIG is missing or wrong.
    """
    if devices != "multi_worker":
        return True
    cluster, kind, index = _tf_config()
    return kind == "chief" or ("chief" not in cluster and index == 0)


def connect(devices: str) -> Workers:
    """Makes the strategy of a config; with "multi_worker" waits for the other hosts.

    Raises:
        ValueError: TF_CONFIG is missing or wrong.
        ConnectionError: the hosts don't find each other.
    """
    if devices == "multi_worker":
        cluster, kind, index = _tf_config()
        addresses = [address for part in cluster.values() for address in part]
        print(f"This is {kind} {index}; waiting for all of {', '.join(addresses)}", flush=True)
    return Workers(make_strategy(devices))


def state_of(model) -> list:
    """All variables that a resumed training needs, each once, in the same order in every process."""
    everything = [
        *model.variables,
        *model.student.variables,
        *model.discriminator.variables,
        *model.ema_student.variables,
        *model.g_optimizer.variables,
        *model.d_optimizer.variables,
    ]
    figures = {id(v) for metric in model.metrics for v in metric.variables}  # of one epoch only
    unique = {id(v): v for v in everything if id(v) not in figures}
    return list(unique.values())


def _tf_config():
    return read_tf_config(os.environ.get("TF_CONFIG"))


def _lost(workers, error):
    said = re.sub(r"\{\{.*?\}\}", "", error.message).strip().splitlines()
    return (
        f"Got no answer from another worker (asked by {workers.name}): it died, was stopped, or "
        f"can't be reached. Expected all {workers.count}. Start the same command on all hosts again: the "
        f"run goes on from the chief's last checkpoint. TensorFlow says: {' '.join(said[:2])}"
    )
