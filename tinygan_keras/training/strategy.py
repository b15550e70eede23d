"""On which devices a run computes."""

import tensorflow as tf


def make_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Returns the distribution strategy of that name.

    Args:
        devices: "one": a single device; "mirrored": all GPUs of this host, or without any all
            logical CPU devices; "auto": mirrored if there is more than one GPU, else one.

    Raises:
        ValueError: the name is unknown.

    Example:
        with make_strategy("auto").scope():
            model = TinyGAN(student, discriminator)
    """
    if devices not in ("auto", "one", "mirrored"):
        raise ValueError(f"Got devices={devices!r}. Expected 'auto', 'one' or 'mirrored'.")
    gpus = tf.config.list_logical_devices("GPU")
    if devices == "mirrored" or (devices == "auto" and len(gpus) > 1):
        names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()
