"""tinygan plan: predicts time, memory, disk and quality of a run of tinygan distill, before you start it.

    tinygan plan --config=experiments/fashion_mnist/config.py
    tinygan plan --config=... --config.batch_size=64 --time=8h     (proposes steps and teacher samples)

It tries every phase of the run for a few seconds on this machine: teacher, training step, the end of an
epoch, evaluation, export; three quarters of a minute for networks of 32 pixels. The table says what each
takes, the lines below what quality to expect, what speaks against the run, and the next command. It is as
slow as other programs make this machine at the moment. Nothing is left behind.
"""

from . import distill

FLAGS, REQUIRED = ("config", "time", "workdir"), ("config",)


def read_settings(arguments):
    """Takes --config and --config.NAME=VALUE out of the arguments, and keeps their words."""
    settings, left = distill.read_settings(arguments)
    words = list(arguments)
    for word in left:
        words.remove(word)
    return settings | {"given": words}, left


def run(flags):
    from ..runs.forecast import plan_text
    from ..runs.interruptions import Interruptions
    from ..runs.planning import plan

    with Interruptions().noticed():  # else SIGTERM would leave the temporary folder
        result = plan(flags.config, flags.time, flags.workdir)
    print("", plan_text(result, flags.given), sep="\n")
