"""tinygan distill: distils a teacher into a student, from a config to a report.

    tinygan distill --config=experiments/fashion_mnist/config.py --workdir=runs/mine
    tinygan distill --config=... --workdir=... --config.steps=200 --config.seed=1
    tinygan distill --config=... --workdir=... --config.student_overrides="{'channels': (64, 32)}"
    tinygan distill --config=... --workdir=... --config.debug     (ends in a minute)

Ctrl-C or SIGTERM saves everything at the next step; the same command again goes on from there, and from the
last checkpoint (--config.checkpoint_minutes) after any other end.
"""

import re

from absl import flags as absl_flags
from ml_collections import config_flags

from ..errors import InputError
from ..runs.config import default_config, load_config, unknown_setting
from .flags import TABLE

FLAGS = ("config", "workdir", "overwrite")
REQUIRED = ("config", "workdir")
_SETTINGS = "\n".join(f"  {line}" for line in str(default_config()).strip().splitlines())
__doc__ += f"\n--config.NAME=VALUE changes one setting of the config. The defaults:\n{_SETTINGS}"


def read_settings(arguments, defaults=default_config, needs_file=True):
    """Takes --config and --config.NAME=VALUE out of the arguments."""
    overrides = overridden(arguments, defaults())
    flag_values = absl_flags.FlagValues()
    TABLE["config"].define("config", flag_values)
    program, *arguments = flag_values(["tinygan distill", *arguments], known_only=True)
    if flag_values.config is not None:
        config = load_config(flag_values.config, defaults)
    elif not needs_file:
        config = defaults()
    elif not overrides:
        return {"config": None}, arguments
    else:
        raise InputError(
            f"Got --config.{overrides[0]} and no --config. Expected a config file whose setting it "
            "changes, such as --config=experiments/fashion_mnist/config.py."
        )
    return override(config, [program, *arguments])


def overridden(arguments, known) -> list:
    """The names in --config.NAME=VALUE, all of which are settings."""
    names = re.findall(r"^--?(?:no)?config\.([\w.]+)", "\n".join(arguments), re.MULTILINE)
    for name in names:
        if name not in known:
            raise InputError(unknown_setting(name, known))
    return names


def override(config, arguments):
    """Takes --config.NAME=VALUE out of the arguments, the first of which is the program's name."""
    flag_values = absl_flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, "", flag_values, sys_argv=arguments)
    _, *arguments = flag_values(arguments, known_only=True)
    return {"config": flag_values.config}, arguments


def run(flags):
    from ..runs.distill import distill

    distill(flags.config, flags.workdir, overwrite=flags.overwrite)
