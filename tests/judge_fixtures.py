"""The programs that judge our figures: clean-fid, pytorch-fid and torch-fidelity, of the extra `torch`."""

import importlib
import sys
from unittest.mock import MagicMock

import pytest


def import_judge(name):
    """A module of one of these programs; the test is skipped where the program isn't installed.

    They import torchvision to read files and to load networks, of which nothing is used here. Its wheels fail
    where they are built for another kind of device than those of torch: a stand-in takes its place then.
    """
    pytest.importorskip("torch")
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError):
        for part in (
            "",
            ".transforms",
            ".transforms.functional",
            ".models",
            ".models.inception",
            ".datasets",
        ):
            sys.modules[f"torchvision{part}"] = MagicMock()
    return pytest.importorskip(name)
