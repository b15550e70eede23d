"""On which devices a run computes.

Scope: from the name in the config to a strategy. What a worker of several hosts does differently is in
`workers.py`.

Rejected: `TPUStrategy` and `keras.distribution`. Nobody here could run the one, and on TensorFlow the other
says of itself that it shouldn't be used.
"""

import json
import os

import tensorflow as tf

from ..errors import InputError

CHOICES = ("auto", "one", "mirrored", "multi_worker")


def make_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Returns the distribution strategy of that name.

    "multi_worker" connects to the other hosts and waits for all of them. It must come before anything
    that wakes TensorFlow up, such as making a variable or a tensor.

    Args:
        devices: "one": a single device; "mirrored": all GPUs of this host, or without any all
            logical CPU devices; "multi_worker": all GPUs of all hosts that the environment variable
            TF_CONFIG names, or their CPUs; "auto": mirrored if there is more than one GPU, else one.

    Raises:
        ValueError: the name is unknown, or TF_CONFIG is missing or wrong.
        ConnectionError: the hosts don't find each other.

    Example:
        with make_strategy("auto").scope():
            model = TinyGAN(student, discriminator)
    """
    if devices not in CHOICES:
        expected = f"{', '.join(map(repr, CHOICES[:-1]))} or {CHOICES[-1]!r}"
        raise InputError(f"Got devices={devices!r}. Expected {expected}.")
    if devices == "multi_worker":
        return _multi_worker()
    gpus = tf.config.list_logical_devices("GPU")
    if devices == "mirrored" or (devices == "auto" and len(gpus) > 1):
        names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()


def read_tf_config(text: str | None) -> tuple:
    """Checks the text of TF_CONFIG.

    Returns:
        `(cluster, type, index)`: `{"worker": ["host:port", ...]}`, perhaps with one "chief"; and which
        of these this process is.

    Raises:
        ValueError: it is missing, no JSON, or doesn't describe a cluster with this process in it.

    Example:
        cluster, kind, index = read_tf_config(os.environ.get("TF_CONFIG"))
    """
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
    return cluster, kind, index


def _multi_worker():
    read_tf_config(os.environ.get("TF_CONFIG"))
    if tf.config.list_physical_devices("GPU"):
        implementation = tf.distribute.experimental.CommunicationImplementation.NCCL
    else:
        implementation = tf.distribute.experimental.CommunicationImplementation.RING
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except tf.errors.OpError as error:
        raise ConnectionError(
            f"Got no connection with the other workers: {error.message.splitlines()[0]} Expected the "
            "address of this process in TF_CONFIG to be free, and every other one to be reached from "
            "here. Start the same command on all hosts, within a few minutes."
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
