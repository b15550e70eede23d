"""tinygan compare: evaluations side by side, if they were made in the same way.

    tinygan compare runs/a runs/b evaluations/teacher
    tinygan compare runs/a runs/b --ignore=weights,versions

Each is a folder that tinygan evaluate wrote, or the run folder around it. Where two protocols differ
nothing is printed but the differing lines; --ignore lets single ones differ.
"""

from absl import flags

from ..errors import InputError

TAKES_NAMES = True


def define_flags(flag_values, arguments):
    flags.DEFINE_list(
        "ignore",
        [],
        "Names of the protocol that may differ, such as seed or versions.tensorflow.",
        flag_values=flag_values,
    )


def run(flag_values, names):
    if len(names) < 2:
        raise InputError(
            f"Got {len(names)} evaluations. Expected two or more, such as: tinygan compare runs/a runs/b"
        )
    from ..evaluation.record import compare, read_evaluation

    results = {name: read_evaluation(name) for name in dict.fromkeys(names)}
    print(compare(results, flag_values.ignore))
