"""What comes with the package, by name: small models, a part of Fashion-MNIST, and the config of the demo.

In a checkout it lies beside the package; a wheel carries the same tree inside the package.
"""

import os
from pathlib import Path

from .errors import nearest_name
from .files import is_url, user_path
from .hugging_face import SCHEME, fetch

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE if (_PACKAGE / "saved_models").is_dir() else _PACKAGE.parent
_MODELS = sorted((_ROOT / "saved_models").glob("[!.]*/"))

DEMO_CONFIG = _ROOT / "experiments" / "fashion_mnist" / "config.py"
FASHION_MNIST = "fashion_mnist_10k"
MODELS = tuple(folder.name for folder in _MODELS)
EMBEDDED = {folder.name: folder for folder in _MODELS}
EMBEDDED[FASHION_MNIST] = DEMO_CONFIG.parent / "data" / f"{FASHION_MNIST}.npz"


def find(name):
    """The place that a user means: a path that exists, else what is embedded by that name; URLs stay.

    hf:// is the one that doesn't: it becomes a path in the cache of the Hugging Face Hub.
    """
    if os.fspath(name).startswith(SCHEME):
        return fetch(os.fspath(name))
    path = user_path(name)
    if is_url(name) or path.exists():
        return path
    return EMBEDDED.get(os.fspath(name), path)


def names_like(name) -> str:
    """The end of the message that there is no such model: the embedded ones, and the likeliest of them."""
    return f" Embedded models are {', '.join(MODELS)}.{nearest_name(name, MODELS)}"
