"""`tinygan <command>`: reads the command line and makes one call.

A command is a module: its docstring is its help, `FLAGS` names its flags (`flags.py` says what they are), and
`run(flags)` gets their values as attributes. It may have
- `REQUIRED`: the flags that it can't do without;
- `NAMES`: what its words beside flags are; it gets them as `flags.names`;
- `read_settings(arguments)`: takes arguments of its own out first, and returns their values by name and the
  arguments that are left.
TensorFlow is imported inside `run` only, so that help and mistakes are answered at once.
"""

import atexit
import gc
import importlib
import os
import sys
import traceback
from types import SimpleNamespace

from absl import flags as absl_flags

from ..errors import InputError, UserError, nearest_name
from . import flags as table

COMMANDS = {
    "demo": "distil the embedded teacher, in six minutes",
    "cache": "generate samples of a teacher once, to learn from many times",
    "prepare": "convert real images once, to train on and to measure with",
    "import": "read a generator that a PyTorch program trained",
    "teach": "train a teacher on your own images",
    "plan": "predict time, memory, disk and quality of a run of distill",
    "distill": "distil a teacher into a student, from a config to a report",
    "sample": "generate images with a trained student or a teacher",
    "evaluate": "measure the images of a generator, with the whole protocol",
    "compare": "show evaluations side by side",
    "reference": "measure real images once, for all evaluations",
    "pictures": "show what a generator can and cannot do",
    "page": "write a student as a page that generates in the browser",
    "export": "write a student as a SavedModel for TensorFlow Serving, or for a small runtime",
    "request": "generate images with a student on a model server",
}
INTERRUPTED, MISTAKE = 130, 2
_HELP = ("help", "-h", "-help", "--help", "--helpfull")
_DEBUG = ("-debug", "--debug")


def main(arguments=None) -> int:
    """Runs `tinygan` with these arguments (default: those of the process); returns the exit code.

    0 is success, 2 a mistake of the user's, reported in one message, 130 an interruption by Ctrl-C, and 143
    one by SIGTERM.
    """
    if arguments is None:  # the process is ours
        _collect_rarely()
        arguments = sys.argv[1:]
    name, *arguments = list(arguments) or ["--help"]
    if name in _HELP:
        commands = [f"  tinygan {name:<10}{meaning}" for name, meaning in COMMANDS.items()]
        print("Distils BigGAN teachers into tiny generators.\n", *commands, "", sep="\n")
        print("tinygan <command> --help")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an ASCII terminal can't show every name of a class
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(name, arguments)
    except (absl_flags.Error, UserError) as error:
        if any(argument in _DEBUG for argument in arguments):
            traceback.print_exc()
        print(error, file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt as error:
        return getattr(error, "exit_code", INTERRUPTED)  # of `runs.interruptions.Interrupted`
    return 0


def _collect_rarely():
    """Has Python look for garbage a hundredth as often as usual, and not at the exit.

    TensorFlow and Keras leave some 600,000 objects, none of them garbage, and all would be looked through
    several times during their import, the work and the exit: 1.6 of the 5.1 seconds of `tinygan sample`.
    """
    gc.set_threshold(100_000, 10, 10)
    atexit.register(gc.freeze)


def _run(name, arguments):
    """Runs one command, or prints its help."""
    if name not in COMMANDS:
        fix = nearest_name(name, COMMANDS) or " See tinygan --help."
        raise InputError(f"Got command {name!r}. Expected one of {', '.join(COMMANDS)}.{fix}")
    # TensorFlow's own log is about missing GPUs and skipped optimisations; errors come as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever other programs are set to use
    command = importlib.import_module(f".{name}", __name__)
    rows = {flag: table.row(name, flag) for flag in sorted((*command.FLAGS, "debug"))}
    required = getattr(command, "REQUIRED", ())
    if any(argument in _HELP[1:] for argument in arguments):
        print(f"{command.__doc__.strip()}\n\nFlags:")
        for flag, row in rows.items():
            default = "" if row.default in (None, "", False, ()) else f" (default: {row.default})"
            print(f"  --{flag}: {row.meaning}{' (required)' if flag in required else default}")
        return
    flag_values = absl_flags.FlagValues()
    flag_values.set_gnu_getopt(True)  # flags may come after other words
    for flag, row in rows.items():
        row.define(flag, flag_values)
    settings = {}
    if hasattr(command, "read_settings"):
        settings, arguments = command.read_settings(arguments)
    try:
        # The first argument is the program's name to absl.
        _, *words = flag_values([f"tinygan {name}", *arguments])
    except absl_flags.UnrecognizedFlagError as error:
        instead, use = table.RENAMED.get(error.flagname, ("", ""))
        if instead in rows:
            raise InputError(f"{error} Use what has taken its place: {use}.") from error
        raise
    if words and not hasattr(command, "NAMES"):
        raise InputError(
            f"Got {' '.join(words)!r}. Expected flags only, as --name=value. See tinygan {name} --help."
        )
    values = SimpleNamespace(**flag_values.flag_values_dict() | settings, names=words)
    table.check_required(name, required, values)
    command.run(values)
