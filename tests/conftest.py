"""What every test stands on: quiet TensorFlow, two CPU devices, fixed seeds, clean global state."""

import os
import signal
from pathlib import Path

# Read when TensorFlow and Keras are imported, so they come before the imports below.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import pytest
import tensorflow as tf
from run_processes import RunProcesses

# Tests send Ctrl-C, which a shell has its background jobs ignore, and they theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

# MirroredStrategy needs two devices, and they can only be set up before TensorFlow is first used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def processes():
    """Where tests start runs that they may kill."""
    processes = RunProcesses()
    yield processes
    processes.close()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="module")
def _fresh_keras_state():
    """Starts every module, and the fixtures it builds, from the same names and the same seed."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _fixed_seed():
    """Makes a test's outcome independent of the tests that ran before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _restored_settings():
    """Puts back the global settings that a test may change."""
    dtype_policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(dtype_policy)
    tf.config.run_functions_eagerly(False)
