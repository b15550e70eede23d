"""A student put to work: exported for TensorFlow Serving or a small runtime, and asked for images.

    from tinygan_keras.serving import ServingClient

Names are imported at first use: a client over REST needs no TensorFlow.
"""

import importlib

_HOME_OF = {
    "ServingClient": ".client",
    "ServingError": ".errors",
    "VersionStatus": ".client",
    "export_saved_model": ".export",
}

__all__ = list(_HOME_OF)


def __getattr__(name):
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
