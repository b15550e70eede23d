"""Where figures were made: versions, commit, machine."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = (
    *("tinygan-keras", "tensorflow", "keras", "tensorflow-hub", "tensorflow-gan"),
    *("numpy", "pillow", "ml-collections", "absl-py"),
)


@functools.cache
def environment() -> dict:
    """`git_commit` (None outside a checkout), `versions` by package, `python`, `platform`, `cpu_count`."""
    return {
        "git_commit": _git_commit(Path(__file__).resolve().parents[2]),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit(root):
    # A package installed below someone else's checkout must not report that checkout's commit.
    own = _git(root, "ls-files", "tinygan_keras/__init__.py")
    return own and _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(root, *arguments):
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or git refuses its owner
        return None
    return done.stdout.strip() or None
