"""tinygan compare: evaluations side by side, if they were made in the same way.

    tinygan compare runs/a runs/b evaluations/teacher
    tinygan compare runs/a runs/b --ignore=weights,versions

Each is a folder that tinygan evaluate wrote, or the run folder around it. Where two protocols differ
nothing is printed but the differing lines; --ignore lets single ones differ.
"""

from ..errors import InputError

NAMES = "evaluations"
FLAGS = ("ignore",)


def run(flags):
    if len(flags.names) < 2:
        raise InputError(
            f"Got {len(flags.names)} evaluations. Expected two or more. Name them: runs/a runs/b."
        )
    from ..evaluation.results import compare, read_evaluation

    results = {name: read_evaluation(name) for name in dict.fromkeys(flags.names)}
    print(compare(results, flags.ignore))
