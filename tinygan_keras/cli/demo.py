"""tinygan demo: distils the embedded teacher of Fashion-MNIST, in six minutes on two CPU cores.

    tinygan demo
    tinygan demo --out=runs/another --config.seed=1
    tinygan demo --config.debug     (ends in a minute)

It runs in any folder, without a download: teacher, classifier, real images and config come with the package.
Stopped at any moment, the same command resumes. A finished run keeps its folder under another name.
--config.NAME=VALUE changes one setting; tinygan distill --help lists them.
"""

import os
import time
from pathlib import Path

from ..embedded import DEMO_CONFIG
from ..errors import InputError
from ..files import file_errors
from ..runs.config import default_config, load_config
from .distill import overridden, override

FLAGS, REQUIRED = ("out", "overwrite"), ("out",)


def read_settings(arguments):
    """Takes --config.NAME=VALUE out of the arguments."""
    if any(argument.lstrip("-").partition("=")[0] == "config" for argument in arguments):
        raise InputError(
            "Got --config. Expected none: the demo has its own. Use tinygan distill for another, or change "
            "single settings, such as --config.seed=1."
        )
    overridden(arguments, default_config())
    return override(load_config(DEMO_CONFIG), ["tinygan demo", *arguments])


def run(flags):
    from ..runs.distill import distill

    folder = Path(os.path.abspath(flags.out) if flags.out == "." else flags.out)
    if (folder / "report.json").exists() and not flags.overwrite:
        kept = folder.with_name(f"{folder.name}-{time.strftime('%Y%m%d-%H%M%S')}")
        with file_errors(folder):
            folder.rename(kept)
        print(f"Kept the earlier run as {kept}")
    distill(flags.config, folder, overwrite=flags.overwrite)
