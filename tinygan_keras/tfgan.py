"""The only file that touches TF-GAN.

`import tensorflow_gan` fails on today's TensorFlow: its package imports `tf.estimator`, which is gone
(tensorflow/gan issue 55). What we use of it doesn't need that. So the two parent packages are registered
bare, with the right search path and without running their `__init__`, and what we use is imported below
them at first use, which takes a second. Where `tf.estimator` still exists, all is imported as it is.
"""

import functools
import importlib
import importlib.machinery
import importlib.util
import sys

from .errors import MissingPackageError


def losses():
    """The module `tensorflow_gan.python.losses.losses_wargs`: losses that take tensors."""
    return _part("losses").wargs


def evaluation():
    """The module `tensorflow_gan.python.eval`: Frechet and kernel distances, scores, image grids."""
    return _part("eval")


@functools.cache
def _part(name):
    _register_bare_parents()
    return importlib.import_module(f"tensorflow_gan.python.{name}")


def _register_bare_parents():
    import tensorflow as tf

    if "tensorflow_gan" in sys.modules or hasattr(tf, "estimator"):
        return
    found = importlib.util.find_spec("tensorflow_gan")
    if found is None:
        raise MissingPackageError(
            "Got no TF-GAN. Expected it, as a requirement of this package: pip install tensorflow-gan==2.1.0"
        )
    root = found.submodule_search_locations[0]
    for name, folder in (("tensorflow_gan", root), ("tensorflow_gan.python", f"{root}/python")):
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [folder]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.modules["tensorflow_gan"].python = sys.modules["tensorflow_gan.python"]
