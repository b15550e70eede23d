"""tinygan teach: trains a teacher on your own images, a class-conditional BigGAN.

    tinygan teach --data=photos/ --image_size=64 --out=runs/photos_teacher
    tinygan teach --config=experiments/fashion_mnist/teacher.py --out=runs/teacher
    tinygan teach --data=... --out=... --config.steps=50000 --config.horizontal_flip
    tinygan teach --data=... --out=... --config.debug     (ends in a minute)

The images lie in a folder per class. The same command again resumes an interrupted run, from the step at
which Ctrl-C or SIGTERM came, or from its last checkpoint. In the end --out is a teacher for `tinygan
distill`, with a config for it: OUT/distill.py.
"""

import functools

from absl import flags as absl_flags

from ..runs.teacher_config import default_teacher_config
from . import distill
from .flags import row

FLAGS = ("config", "data", "image_size", "out", "overwrite")
REQUIRED = ("out",)
_SETTINGS = "\n".join(f"  {line}" for line in str(default_teacher_config()).strip().splitlines())
__doc__ += f"\n--config.NAME=VALUE changes one setting. The defaults for 32 pixels:\n{_SETTINGS}"


def read_settings(arguments):
    """Takes --config and --config.NAME=VALUE out of the arguments."""
    flag_values = absl_flags.FlagValues()
    row("teach", "image_size").define("image_size", flag_values)
    flag_values(["tinygan teach", *arguments], known_only=True)
    defaults = functools.partial(default_teacher_config, flag_values.image_size or 32)
    return distill.read_settings(arguments, defaults, needs_file=False)


def run(flags):
    from ..runs.teach import teach

    for name in ("data", "image_size"):
        if getattr(flags, name) is not None:
            flags.config[name] = getattr(flags, name)
    teach(flags.config, flags.out, overwrite=flags.overwrite)
