"""`tinygan <command>`: reads the command line and makes one call.

A command is a module with `define_flags(flag_values, arguments)` and `run(flag_values)`; its docstring is
its help. One that takes names beside flags says so by `TAKES_NAMES`: `run(flag_values, names)`. TensorFlow
is imported inside `run` only, so that help and mistakes are answered at once.
"""

import difflib
import importlib
import os
import sys

from absl import flags

from ..errors import UserError

COMMANDS = {
    "cache": "draw samples of a teacher once, to learn from many times",
    "distill": "distil a teacher into a student, from a config to a report",
    "sample": "draw pictures with a trained student or a teacher",
    "evaluate": "measure the images of a generator, with the whole protocol",
    "compare": "show evaluations side by side",
    "reference": "measure real images once, for all evaluations",
    "pictures": "draw what a generator can and cannot do",
    "export": "write a student as a SavedModel for TensorFlow Serving",
    "request": "draw pictures with a student on a model server",
}
INTERRUPTED, MISTAKE = 130, 2
_HELP = ("help", "-h", "-help", "--help", "--helpfull")


def main(arguments=None) -> int:
    """Runs `tinygan` with these arguments (default: those of the process); returns the exit code.

    0 is success, 2 a mistake of the user's, told in one message, 130 an interruption by Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in _HELP:
        print(_usage())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        mend = f"Did you mean {nearest[0]!r}?" if nearest else "See tinygan --help."
        return _mistake(f"Got command {name!r}. Expected one of {', '.join(COMMANDS)}. {mend}")
    # TensorFlow's own log is about missing GPUs and skipped optimisations; errors come as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    command = importlib.import_module(f".{name}", __name__)
    try:
        flag_values = flags.FlagValues()
        command.define_flags(flag_values, rest)
        if any(argument in _HELP[1:] for argument in rest):
            print(f"{command.__doc__.strip()}\n\nFlags:\n{_flag_lines(flag_values)}")
            return 0
        takes_names = getattr(command, "TAKES_NAMES", False)
        names = _parse(flag_values, name, rest, takes_names)
        command.run(flag_values, names) if takes_names else command.run(flag_values)
    except flags.Error as error:
        return _mistake(error)
    except UserError as error:
        return _mistake(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parse(flag_values, name, arguments, takes_names) -> list:
    """Reads the flags and returns the other arguments."""
    flag_values.set_gnu_getopt(True)  # flags may come after names
    # The first argument is the program's name to absl.
    left_over = flag_values([f"tinygan {name}", *arguments])[1:]
    if left_over and not takes_names:
        raise flags.Error(
            f"Got {' '.join(left_over)!r}. Expected flags only, as --name=value. "
            f"See tinygan {name} --help."
        )
    return left_over


def _usage() -> str:
    lines = [f"  tinygan {name:<10}{meaning}" for name, meaning in COMMANDS.items()]
    return "\n".join(
        [
            "Distils BigGAN teachers into tiny generators.",
            "",
            *lines,
            "",
            "tinygan <command> --help",
        ]
    )


def _flag_lines(flag_values) -> str:
    lines = []
    for name in sorted(flag_values):
        flag = flag_values[name]
        default = f" (default: {flag.default})" if flag.default not in (None, "") else ""
        lines.append(f"  --{name}: {flag.help}{default}")
    return "\n".join(lines)


def _mistake(message) -> int:
    print(message, file=sys.stderr)
    return MISTAKE
