"""All metrics, in the order of the tables that show their figures."""

import importlib

from .registry import METRICS

for _family in (
    "frechet",
    "within_classes",
    "kernel",
    "inception_score",
    "neighbours",
    "labels",
    "fidelity",
):
    importlib.import_module(f".{_family}", __name__)

FIGURES = {name: figure for metric in METRICS.values() for name, figure in metric.figures.items()}
"""How each figure is shown, by name."""

_MONITORED = {
    name: metric
    for metric in METRICS.values()
    if not {"teacher", "classification_test"} & set(metric.needs)
    for name, figure in metric.figures.items()
    if figure.better
}

MONITORS = tuple(_MONITORED)
"""The figures that an evaluation during training can have, and by which students can be ranked."""

MONITORS_WITHOUT_REAL = tuple(
    name for name, metric in _MONITORED.items() if "real_images" not in metric.needs
)
"""Those of them that need no real images."""
