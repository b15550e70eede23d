"""Which devices a run computes on."""

import pytest
import tensorflow as tf

from tinygan_keras.training.strategy import make_strategy


def test_mirrored_uses_every_device():
    strategy = make_strategy("mirrored")

    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) == 2


@pytest.mark.parametrize("devices", ["auto", "one"])
def test_without_several_gpus_one_device_is_used(devices):
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("this machine has several GPUs")
    assert make_strategy(devices).num_replicas_in_sync == 1


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'mirrored'"):
        make_strategy("two")
