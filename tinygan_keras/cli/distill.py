"""tinygan distill: distils a teacher into a student, from a config to a report.

    tinygan distill --config=experiments/fashion_mnist/config.py --workdir=runs/mine
    tinygan distill --config=... --workdir=... --config.steps=200 --config.seed=1
    tinygan distill --config=... --workdir=... --config.student_overrides="{'channels': (64, 32)}"
    tinygan distill --config=... --workdir=... --config.debug     (ends in a minute)

Ctrl-C saves the student so far; the same command again resumes the run where its last epoch ended.
"""

import re
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from ..errors import InputError, MissingFileError
from ..runs.config import default_config, unknown_setting


def define_flags(flag_values, arguments):
    _check_config(arguments)
    settings = "\n".join(f"      {line}" for line in str(default_config()).strip().splitlines())
    config_flags.DEFINE_config_file(
        "config",
        None,
        f"Config file (required). --config.NAME=VALUE changes one setting; the defaults:\n{settings}",
        flag_values=flag_values,
        sys_argv=["tinygan distill", *arguments],
    )
    flags.DEFINE_string("workdir", None, "Run folder (required).", flag_values=flag_values)
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Start anew where the folder holds a run; its files are removed.",
        flag_values=flag_values,
    )


def run(flag_values):
    if flag_values.config is None or not flag_values.workdir:
        raise InputError(
            "Got no --config or no --workdir. Expected both, such as "
            "--config=experiments/fashion_mnist/config.py --workdir=runs/mine."
        )
    from ..runs.distill import distill

    distill(flag_values.config, flag_values.workdir, overwrite=flag_values.overwrite)


def _check_config(arguments):
    """Answers what ml_collections would answer with its own insides: no such file, no such setting."""
    text = "\n".join(arguments)
    paths = re.findall(r"^--?config[=\n](.*)$", text, re.MULTILINE)
    overrides = re.findall(r"^--?config\.([\w.]+)", text, re.MULTILINE)
    if overrides and not paths:
        raise InputError(
            f"Got --config.{overrides[0]} and no --config. Expected a config file whose setting it "
            "changes, such as --config=experiments/fashion_mnist/config.py."
        )
    for path in paths:
        if not Path(path.split(":")[0]).is_file():
            raise MissingFileError(
                f"Got --config={path}, which doesn't exist. Expected a Python file with a function "
                "get_config, such as experiments/fashion_mnist/config.py."
            )
    known = default_config()
    for name in overrides:
        if name not in known:
            raise InputError(unknown_setting(name, known))
