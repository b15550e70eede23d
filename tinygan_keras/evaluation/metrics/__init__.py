"""All metrics, in the order of the tables that show their figures, and the Keras metric `FrechetDistance`.

That one is imported at its first use: the others need neither TensorFlow nor Keras.
"""

import importlib

from .registry import METRICS, ON_REQUEST

_FAMILIES = ("frechet", "kernel", "neighbours", "diversity", "path_length", "sliced_wasserstein")
_FAMILIES += ("logits", "classification", "fidelity", "gap")
for _family in _FAMILIES:
    importlib.import_module(f".{_family}", __name__)

FIGURES = {name: figure for metric in METRICS.values() for name, figure in metric.figures.items()}
"""How each figure is shown, by name."""

_MONITORED = {
    name: metric
    for metric in METRICS.values()
    if not metric.optional and not ON_REQUEST & set(metric.needs)
    for name, figure in metric.figures.items()
    if figure.better
}

MONITORS = tuple(_MONITORED)
"""The figures that an evaluation during training can have, and by which students can be ranked."""

MONITORS_WITHOUT_REAL = tuple(n for n, m in _MONITORED.items() if "real_images" not in m.needs)
"""Those of them that need no real images."""


def __getattr__(name):
    if name == "FrechetDistance":
        return importlib.import_module(".frechet_metric", __name__).FrechetDistance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), "FrechetDistance"])
