"""On which devices, of how many hosts, a run computes; who writes, and how all start from one state.

Every process gives the same command; the chief ("chief", else worker 0) owns the run folder.

- Only the chief writes, and only what it has is read. Before training it sends all state to the others, so
  their disks may be empty and nothing depends on a shared file system.
- What the chief alone decides is sent to all, since a worker that goes on alone waits forever.
- A lost worker can't be replaced while the others run: TensorFlow breaks off their exchange within seconds,
  and all start again from the last checkpoint.

Rejected: `BackupAndRestore` and a checkpoint per worker, which agree only as long as no disk is lost and
nobody is killed between two writes. `TPUStrategy` and `keras.distribution`: nobody here could run the one,
and on TensorFlow the other says of itself that it shouldn't be used.
"""

import contextlib
import json
import os
import re

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError, UserError
from .checkpoints import state_of


def make_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Returns the distribution strategy of a config's `devices`.

    "multi_worker" waits for the other hosts, and must come before any variable or tensor is made.
    """
    if devices == "multi_worker":
        return _multi_worker()
    gpus = tf.config.list_logical_devices("GPU")
    if devices == "mirrored" or (devices == "auto" and len(gpus) > 1):
        names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()


def tf_config() -> tuple:
    """The addresses of all processes, the name of this one, and whether it is the chief; from TF_CONFIG."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise _wrong("no TF_CONFIG")
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        kind, index = task["type"], int(task["index"])
        known = set(cluster) <= {"chief", "worker"} and len(cluster.get("chief", ["one"])) == 1
        addresses = [address for part in cluster.values() for address in part]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _wrong(f"TF_CONFIG={text!r} ({type(error).__name__}: {error})") from error
    if not known or not addresses:
        raise _wrong(f"the cluster {cluster}")
    wrong = [str(a) for a in addresses if not isinstance(a, str) or not _is_address(a)]
    if wrong or len(set(addresses)) < len(addresses):
        raise _wrong(f"the addresses {', '.join(wrong) or addresses}")
    if kind not in cluster or not 0 <= index < len(cluster[kind]):
        counts = {part: len(hosts) for part, hosts in cluster.items()}
        raise _wrong(f"the task {kind} {index} in a cluster of {counts}")
    is_chief = kind == "chief" or ("chief" not in cluster and index == 0)
    return addresses, f"{kind} {index}", is_chief


class WorkerLost(UserError, ConnectionError):
    """Another process of the run can't be reached; this one can't go on alone."""


class Workers:
    """The processes of a run, seen from one of them. With one process everything here does nothing."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.count, self.is_chief, self.name = 1, True, "the only process"
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            addresses, self.name, self.is_chief = tf_config()
            self.count = len(addresses)

    def from_chief(self, number: int) -> int:
        """Returns the chief's number to every process; all have to call it, in the same order."""
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
        except tf.errors.OpError as error:
            lost = isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError))
            # While nothing is exchanged, a missed heartbeat says it.
            if self.count == 1 or not (lost or "heartbeat" in str(error)):
                raise
            said = re.sub(r"\{\{.*?\}\}", "", error.message).strip().splitlines()
            raise WorkerLost(
                f"Got no answer from another worker (asked by {self.name}). Expected all {self.count}. Start "
                "the same command on all hosts again: the run goes on from the chief's last checkpoint. "
                f"TensorFlow says: {' '.join(said[:2])}"
            ) from error

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
    """Ends the training of every process when the chief's ends; belongs last in the list, everywhere."""

    def __init__(self, workers):
        super().__init__()
        self.workers = workers

    def on_epoch_end(self, epoch, logs=None):
        if self.workers.from_chief(self.model.stop_training):
            self.model.stop_training = True


def is_chief(devices: str) -> bool:
    """Whether this process is the one that writes, as far as the environment says; wakes nothing up."""
    return devices != "multi_worker" or tf_config()[2]


def _multi_worker():
    addresses, name, _ = tf_config()
    print(f"This is {name}; waiting for all of {', '.join(addresses)}", flush=True)
    implementation = "NCCL" if tf.config.list_physical_devices("GPU") else "RING"
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except tf.errors.OpError as error:
        raise WorkerLost(
            f"Got no connection with the other workers: {error.message.splitlines()[0]} Expected the address "
            "of this process in TF_CONFIG to be free, and the others to be reached from here. Start the same "
            "command on all hosts, within a few minutes."
        ) from error


def _is_address(text):
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


def _wrong(got):
    return InputError(
        f"Got {got} with devices='multi_worker'. Expected the environment variable TF_CONFIG on every "
        'host, such as {"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", '
        "\"index\": 0}}, with the index of the host. Set it, or choose devices='mirrored' for one host."
    )
