"""Times a training step of ours against the same step in PyTorch, and shows where our time goes.

    python experiments/benchmarks/step.py             # six minutes on two CPU cores
    python experiments/benchmarks/step.py --compile   # torch.compile beside it; ten minutes more
    python experiments/benchmarks/step.py --settings=reuse_teacher_features,renew_fresh_latents   # ours alone

Both sides train the networks of `tinygan_128` under the paper's settings on batches in memory that carry the
teacher's images and real ones. The opponent is `experiments/pytorch_twin`, of which
`tests/test_pytorch_twin.py` shows that it computes the same; its quickest eager variant counts. What is timed
is a cycle of five steps, one of which has the adversarial terms.

Every variant lives in a process of its own. After warming up they take turns, a cycle each, so that whatever
else the machine does hits them alike; it had better do nothing, which the spread of the cycles tells.
Needs the extra `torch`. Run from the top of the checkout.

Rejected: the step in torch.compile as the opponent. It is printed beside it.
"""

import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch_size", 8, "Images of a batch.", lower_bound=1)
flags.DEFINE_integer("rounds", 8, "Cycles of each variant.", lower_bound=1)
flags.DEFINE_integer("warm_up", 2, "Cycles of each variant that don't count.", lower_bound=1)
flags.DEFINE_bool("compile", False, "Time torch.compile too.")
flags.DEFINE_list(
    "settings",
    [],
    "Time ours with each of these settings on, and no PyTorch; joined by + for several.",
)
flags.DEFINE_float("pause", 0.5, "Seconds of rest between two turns.", lower_bound=0)

OURS, EAGER = "ours", ("PyTorch, NCHW", "PyTorch, channels last")
COMPILED = ("torch.compile, NCHW", "torch.compile, channels last")
LARGEST_RATIO, AIM, LARGEST_MEMORY = 0.7, 0.5, 4.0

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))  # of the processes too


class Side:
    """One variant in a process of its own, which does what it is asked and then waits."""

    def __init__(self, name, batch_size):
        self.name = name
        self.connection, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(name, batch_size, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        self.seconds = []

    def ask(self, question):
        try:
            self.connection.send(question)
            answer = self.connection.recv()
        except (EOFError, BrokenPipeError):
            raise SystemExit(
                f"The process of {self.name!r} ended; see its message above."
            ) from None
        return answer

    def stop(self):
        self.connection.close()
        self.process.join()


def serve(name, batch_size, connection):
    """The life of such a process: answers questions by the methods of its side."""
    from experiments.benchmarks import step_sides

    side = step_sides.make(name, batch_size)
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        connection.send(getattr(side, question)())


def main(_):
    names = [OURS, *EAGER, *(COMPILED if FLAGS.compile else ())]
    if FLAGS.settings:
        names = [OURS, *(f"{OURS}, {settings}" for settings in FLAGS.settings)]
    load = os.getloadavg()[0]
    sides = {}
    for name in names:  # one after the other, so that no warm-up disturbs another
        sides[name] = Side(name, FLAGS.batch_size)
        for _ in range(FLAGS.warm_up):
            sides[name].ask("cycle")
    for _ in range(FLAGS.rounds):
        for side in sides.values():
            time.sleep(FLAGS.pause)
            side.seconds.append(side.ask("cycle"))
    memory = {name: side.ask("peak_memory") for name, side in sides.items()}
    if FLAGS.settings:
        for side in sides.values():
            side.stop()
        report_settings(sides, memory)
        return
    ceilings = {name: sides[name].ask("matrix_product") for name in (OURS, EAGER[0])}
    for name in names[1:]:
        sides[name].stop()
    work = sides[OURS].ask("multiply_adds")
    parts = sides[OURS].ask("parts")
    sides[OURS].stop()

    print(
        f"\n{os.cpu_count()} CPU cores, load before the run {load:.2f}, batch {FLAGS.batch_size}\n"
    )
    report_times(sides, memory)
    report_parts(min(sides[OURS].seconds), parts)
    report_ceiling(sides, work, max(ceilings.values()))


def report_times(sides, memory):
    """Seconds per step and memory of every variant, and the limits."""
    print("| a step of 128 px | median, s | quickest, s | slowest, s | peak memory, GB |")
    print("|---|---:|---:|---:|---:|")
    for name, side in sides.items():
        cells = (statistics.median(side.seconds), min(side.seconds), max(side.seconds))
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in cells)} | {memory[name]:.2f} |")
    opponent = min(EAGER, key=lambda name: statistics.median(sides[name].seconds))
    ratio = statistics.median(sides[OURS].seconds) / statistics.median(sides[opponent].seconds)
    quickest = min(sides[OURS].seconds) / min(min(sides[name].seconds) for name in EAGER)
    print(f"\n| against {opponent} | measured | wanted | |\n|---|---:|---:|---|")
    rows = (
        ("ratio of the medians", ratio, f"{LARGEST_RATIO:g}, aim {AIM:g}", LARGEST_RATIO),
        ("ratio of the quickest", quickest, f"{LARGEST_RATIO:g}", LARGEST_RATIO),
        ("our peak memory, GB", memory[OURS], f"{LARGEST_MEMORY:g}", LARGEST_MEMORY),
    )
    for name, value, wanted, limit in rows:
        print(f"| {name} | {value:.2f} | <= {wanted} | {'met' if value <= limit else 'MISSED'} |")


def report_settings(sides, memory):
    """Seconds per step with settings on, and what each costs by the medians of cycles side by side."""
    print("| a step of 128 px | median, s | quickest, s | over ours, median | peak memory, GB |")
    print("|---|---:|---:|---:|---:|")
    for name, side in sides.items():
        ratio = statistics.median(np.divide(side.seconds, sides[OURS].seconds))
        cells = (statistics.median(side.seconds), min(side.seconds), ratio, memory[name])
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in cells)} |")


def report_parts(seconds, parts):
    """Where our time goes: parts of a step timed alone, and what they leave of the quickest cycle."""
    print("\n| part of our step | seconds | share |\n|---|---:|---:|")
    parts["the rest: average of the student, figures, host"] = seconds - sum(parts.values())
    for name, part in parts.items():
        print(f"| {name} | {part:.3f} | {100 * part / seconds:.0f} % |")


def report_ceiling(sides, work, ceiling):
    """How near a step comes to the rate at which the machine multiplies matrices."""
    print(
        f"\nA step is {work / 1e9:.1f} G multiply-adds. The machine multiplies 4096 x 4096 float32 "
    )
    print(f"matrices at {ceiling / 1e9:.0f} G multiply-adds a second; so the limit is ", end="")
    print(f"{work / ceiling:.3f} s.\n\n| | share of that rate |\n|---|---:|")
    for name, side in sides.items():
        print(f"| {name} | {100 * work / statistics.median(side.seconds) / ceiling:.0f} % |")


if __name__ == "__main__":
    app.run(main)
