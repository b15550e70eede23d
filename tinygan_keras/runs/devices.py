"""On which devices, of how many hosts, a run computes; who writes, and how all start from one state.

Every process gives the same command. Only the chief ("chief", else worker 0) writes and reads the run folder;
it sends its state, and what it decides, to the others. When one is lost, all start again from the last
checkpoint: TensorFlow can't replace it. Rejected: `BackupAndRestore` and a checkpoint per worker, which agree
only as long as no disk is lost and nobody is killed between two writes; `TPUStrategy`, which nobody here can
run; `keras.distribution`, which on TensorFlow says of itself that it shouldn't be used.
"""

import contextlib
import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError, UserError
from .checkpoints import state_of

_BFLOAT16 = r"avx512_bf16|amx_bf16|bf16"  # flags of x86 and ARM processors that multiply in it


def make_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Returns the distribution strategy of a config's `devices`.

    "multi_worker" waits for the other hosts, and must come before any variable or tensor is made.
    """
    if devices == "multi_worker":
        addresses, name, _ = tf_config()
        print(f"This is {name}; waiting for all of {', '.join(addresses)}", flush=True)
        implementation = "NCCL" if tf.config.list_physical_devices("GPU") else "RING"
        options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        except tf.errors.OpError as error:
            raise WorkerLost(
                f"Got no connection with the other workers: {error.message.splitlines()[0]} Expected the "
                "address of this process in TF_CONFIG to be free, and the others to be reached from here. "
                "Start the same command on all hosts, within a few minutes."
            ) from error
    gpus = tf.config.list_logical_devices("GPU")
    if devices == "mirrored" or (devices == "auto" and len(gpus) > 1):
        names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()


def resolve_dtype_policy(policy: str) -> str:
    """The Keras policy of a config's `dtype_policy`, where "auto" is what the device computes fast in."""
    if policy != "auto":
        return policy
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        version = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0,))
        found = version >= (8, 0) and f"the GPU has compute capability {version[0]}.{version[1]}"
    else:
        cpu = Path("/proc/cpuinfo")
        text = cpu.read_text(errors="replace") if cpu.is_file() else ""
        flag = re.search(rf"\b({_BFLOAT16})\b", text)
        found = flag and f"the processor has {flag[0]}"
    policy = "mixed_bfloat16" if found else "float32"
    print(f"Computing in {policy}: {found or 'nothing here multiplies in bfloat16'}.")
    return policy


def tf_config() -> tuple:
    """The addresses of all processes, the name of this one, and whether it is the chief; from TF_CONFIG."""
    text = os.environ.get("TF_CONFIG")
    try:
        content = json.loads(text or "{}")
        cluster, kind = content["cluster"], content["task"]["type"]
        index = int(content["task"]["index"])
        addresses = [address for hosts in cluster.values() for address in hosts]
        wrong = [address for address in addresses if not _is_address(address)]
        if not set(cluster) <= {"chief", "worker"} or len(cluster.get("chief", ["one"])) != 1:
            raise ValueError(f"the cluster {cluster}")
        if wrong or len(set(addresses)) < len(addresses):
            raise ValueError(f"the addresses {', '.join(wrong or addresses)}")
        if not 0 <= index < len(cluster[kind]):
            raise ValueError(f"the task {kind} {index} in a cluster with {len(cluster[kind])}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"Got TF_CONFIG={text!r} with devices='multi_worker' ({type(error).__name__}: {error}). Expected "
            'on every host an environment variable such as {"cluster": {"worker": ["host0:2222", '
            '"host1:2222"]}, "task": {"type": "worker", "index": 0}}, with the index of the host. Set it, or '
            "choose devices='mirrored' for one host."
        ) from error
    is_chief = kind == "chief" or ("chief" not in cluster and index == 0)
    return addresses, f"{kind} {index}", is_chief


def _is_address(text):
    host, _, port = text.rpartition(":")
    return host and port.isdecimal() and 0 < int(port) < 2**16


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
        return self.totals([number])[0]

    def totals(self, numbers) -> list:
        """Returns `total` of each of the numbers, in one exchange."""
        numbers = np.asarray(numbers, "int64")
        with self.watched():
            return (numbers if self.count == 1 else self._sum(numbers)).tolist()

    def follow_chief(self, model):
        """Ends the training of every process when the chief's ends: the last thing in every epoch."""
        model.stop_training = bool(self.from_chief(model.stop_training))

    def share(self, model):
        """Gives every process the chief's state of a `TinyGAN`: networks, both optimisers, step, weights."""
        if self.count == 1:
            return
        variables = state_of(model)
        values = [keras.ops.convert_to_numpy(variable) for variable in variables]
        for variable, value in zip(variables, self.arrays_from_chief(values), strict=True):
            variable.assign(value)

    def arrays_from_chief(self, arrays) -> list:
        """Returns the chief's arrays to every process; all give as many, of the same types and shapes."""
        if self.count == 1 or not arrays:
            return arrays
        # Collectives know few types: the bytes of all travel as int64.
        data = b"".join(array.tobytes() for array in arrays)
        mine = np.frombuffer(data + bytes(-len(data) % 8), "int64")
        with self.watched():
            received = self._sum(mine if self.is_chief else np.zeros_like(mine)).tobytes()
        shared, start = [], 0
        for array in arrays:
            of_chief = np.frombuffer(received, array.dtype, array.size, start)
            shared.append(of_chief.reshape(array.shape))
            start += array.nbytes
        return shared

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
