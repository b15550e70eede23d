"""From a handle to a folder: a path as it is, a URL through TensorFlow Hub's cache or a download.

For teachers and feature extractors alike. TensorFlow Hub is imported here, and only when needed.
"""

import contextlib
import hashlib
import http.client
import os
import socket
import tarfile
import tempfile
import warnings
import zlib
from pathlib import Path

import tensorflow as tf

from ..embedded import find, names_like
from ..errors import InputError, MissingFileError, MissingPackageError, UnusableFileError
from ..files import content_hash, is_url
from .catalog import DEEPMIND, did_you_mean

STALL_SECONDS = 60.0
"""A connection that is silent for so long counts as failed; TensorFlow Hub itself waits forever."""

_DOWNLOAD_ERRORS = (OSError, http.client.HTTPException, tf.errors.OpError)
_DOWNLOAD_ERRORS += (EOFError, tarfile.TarError, zlib.error)  # of an archive that isn't whole


def locate(handle: str, role: str = "teacher") -> str:
    """Returns the folder that holds the module's `saved_model.pb`, after a download if need be."""
    guess = did_you_mean(handle) if role == "teacher" and handle not in DEEPMIND else ""
    folder = find(handle)
    folder = _resolve(handle, guess) if is_url(folder) else str(module_folder(folder))
    if not tf.io.gfile.isdir(folder):
        raise MissingFileError(
            f"Got the {role} {handle!r}, which is no folder, URL or name. Expected a folder that holds "
            "saved_model.pb, a TensorFlow Hub handle that starts with https://, hf://OWNER/NAME, or the name "
            f"of an embedded model.{guess or names_like(handle)}"
        )
    names = sorted(tf.io.gfile.listdir(folder))
    if not {"saved_model.pb", "saved_model.pbtxt"} & set(names):
        raise InputError(
            f"Got the {role} {handle!r}; its folder {folder} holds {names or 'nothing'}, and no "
            "saved_model.pb. Expected an unpacked TF1 Hub module or a TF2 SavedModel. Pass the folder in "
            "which saved_model.pb lies, or import a PyTorch checkpoint (tinygan import); if this is "
            "TensorFlow Hub's cache, delete the folder and try again."
        )
    return folder


def module_folder(path: Path) -> Path:
    """The module that `tinygan teach` has written in its folder, or the path itself."""
    module = path / "module"
    return module if (module / "saved_model.pb").is_file() else path


def load(folder: str, handle: str, role: str = "teacher"):
    """Loads the SavedModel or TF1 Hub module in `folder`; see `hub.load`, which only the latter needs."""
    try:
        if tf.io.gfile.exists(f"{folder}/tfhub_module.pb"):
            return _tensorflow_hub().load(folder)
        return tf.saved_model.load(folder)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"Got the {role} {handle}, but TensorFlow can't read the SavedModel in {folder}: {error}\n"
            "Expected saved_model.pb and an intact folder variables/ beside it. "
            "The copy is probably incomplete: delete it and fetch it again."
        ) from error


def module_hash(folder: str) -> str:
    """The content hash of the files that define a module: graph, variables and assets, no model card."""
    names = [name for name in tf.io.gfile.listdir(folder) if name.startswith("saved_model.")]
    for part in ("assets", "variables"):
        if tf.io.gfile.isdir(f"{folder}/{part}"):
            names += [f"{part}/{name}" for name in tf.io.gfile.listdir(f"{folder}/{part}")]
    parts = []
    for name in sorted(names):
        file = f"{folder}/{name}"
        parts += [name, tf.io.gfile.GFile(file, "rb").read() if is_url(file) else Path(file)]
    return content_hash(*parts)


def _resolve(handle, guess):
    if "//tfhub.dev/" in handle and guess:
        raise InputError(
            f"Got the handle {handle!r}, which is none of DeepMind's BigGAN modules. Expected one of: "
            f"{', '.join(DEEPMIND)}.{guess}"
        )
    hub = _tensorflow_hub()
    try:
        with stalled_connections_fail():
            return hub.resolve(handle)
    except _DOWNLOAD_ERRORS as error:
        cache = Path(os.environ.get("TFHUB_CACHE_DIR") or f"{tempfile.gettempdir()}/tfhub_modules")
        folder = cache / hashlib.sha1(handle.encode("utf8")).hexdigest()
        raise UnusableFileError(
            f"Got no copy of {handle}: {type(error).__name__}: {error}\n"
            "Expected an answer from tfhub.dev, which redirects to kaggle.com; a proxy or firewall has to "
            "let both through. To place a copy by hand, on any machine that can reach them:\n"
            f"  1. download {handle}?tf-hub-format=compressed (a .tar.gz), or the same model from "
            "https://www.kaggle.com/models;\n"
            f"  2. unpack it so that saved_model.pb lies directly in {folder}, and set TFHUB_CACHE_DIR to "
            "its parent; or unpack it anywhere, and pass that folder instead of the handle."
        ) from error


@contextlib.contextmanager
def stalled_connections_fail():
    """Within this context a connection that falls silent raises instead of waiting forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before or STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _tensorflow_hub():
    try:
        with warnings.catch_warnings():
            # tensorflow-hub 0.16.1 imports it, and every import of it warns about its coming removal.
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            import tensorflow_hub
    except ImportError as error:
        raise MissingPackageError(
            f"tensorflow_hub can't be imported: {error}. Expected tensorflow-hub 0.16.1 and, because it "
            'needs pkg_resources, setuptools below 81: pip install tensorflow-hub "setuptools<81"'
        ) from error
    return tensorflow_hub
