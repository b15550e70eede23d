"""Times a training step of ours against the same step in PyTorch, and shows where our time goes.

    python experiments/benchmarks/step.py             # eight minutes on two CPU cores
    python experiments/benchmarks/step.py --compile   # torch.compile beside it; ten minutes more
    python experiments/benchmarks/step.py --settings=reuse_teacher_features,renew_fresh_latents   # ours alone

Both sides train the networks of `tinygan_128` under the paper's settings on batches in memory that carry the
teacher's images and real ones. The opponent is `experiments/pytorch_twin`, of which
`tests/distillation/test_pytorch_twin.py` shows that it computes the same; its quickest eager variant counts.
Ours by default, with `reuse_teacher_features`, runs beside them: a pass of the discriminator less.
Both sides compute in float32 and in bfloat16: Keras' `mixed_bfloat16`, PyTorch's autocast. What is timed is
a cycle of five steps, one of which has the adversarial terms.

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

OURS = ("ours, float32", "ours, bfloat16")
DEFAULT = "ours, bfloat16, reuse_teacher_features"
FLOAT32 = ("PyTorch, NCHW, float32", "PyTorch, channels last, float32")
EAGER = (*FLOAT32, "PyTorch, channels last, bfloat16")
COMPILED = ("torch.compile, NCHW, float32", "torch.compile, channels last, float32")
LARGEST_MEMORY = 4.0

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
    names = [*OURS, DEFAULT, *EAGER, *(COMPILED if FLAGS.compile else ())]
    if FLAGS.settings:
        names = [OURS[0], *(f"{OURS[0]}, {settings}" for settings in FLAGS.settings)]
    load = os.getloadavg()[0]
    sides = {}
    for name in names:  # one after the other, so that no warm-up disturbs another
        print(f"warming up {name}", flush=True)
        sides[name] = Side(name, FLAGS.batch_size)
        for _ in range(FLAGS.warm_up):
            sides[name].ask("cycle")
    print("taking turns", flush=True)
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
    ceilings = {name: sides[name].ask("matrix_product") for name in names if name != DEFAULT}
    for name in names[len(OURS) :]:
        sides[name].stop()
    work, rate = sides[OURS[0]].ask("multiply_adds"), sides[OURS[0]].ask("memory_rate")
    parts = {name: sides[name].ask("parts") for name in OURS}
    shares = {name: sides[name].ask("shares_of_operations") for name in OURS}
    traffic = {name: sides[name].ask("traffic") for name in OURS}
    for name in OURS:
        sides[name].stop()

    print(
        f"\n{os.cpu_count()} CPU cores, load before the run {load:.2f}, batch {FLAGS.batch_size}\n"
    )
    report_times(sides, memory)
    report_parts(sides, parts)
    report_operations(shares)
    report_limits(sides, work, ceilings, traffic, rate)


def report_times(sides, memory):
    """Seconds per step and memory of every variant, and the limits."""
    print("| a step of 128 px | median, s | quickest, s | slowest, s | peak memory, GB |")
    print("|---|---:|---:|---:|---:|")
    for name, side in sides.items():
        cells = (statistics.median(side.seconds), min(side.seconds), max(side.seconds))
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in cells)} | {memory[name]:.2f} |")
    medians = {name: statistics.median(side.seconds) for name, side in sides.items()}
    ours, opponent, opponent_32 = (min(n, key=medians.get) for n in (OURS, EAGER, FLOAT32))
    print("\n| | measured | wanted | |\n|---|---:|---:|---|")
    rows = (
        (ours, opponent, 0.85, 0.7),
        (DEFAULT, opponent, 0.85, 0.7),
        (ours, FLOAT32[1], 0.6, None),
        (DEFAULT, FLOAT32[1], 0.6, None),
        (OURS[0], opponent_32, 0.7, 0.5),
    )
    for one, other, limit, aim in rows:
        ratio, aim = medians[one] / medians[other], f", aim {aim:g}" if aim else ""
        met = "met" if ratio <= limit else "MISSED"
        print(f"| median of {one} over {other} | {ratio:.2f} | <= {limit:g}{aim} | {met} |")
    most = max(memory[name] for name in OURS)
    met = "met" if most <= LARGEST_MEMORY else "MISSED"
    print(f"| our peak memory, GB | {most:.2f} | <= {LARGEST_MEMORY:g} | {met} |")


def report_settings(sides, memory):
    """Seconds per step with settings on, and what each costs by the medians of cycles side by side."""
    print("| a step of 128 px | median, s | quickest, s | over ours, median | peak memory, GB |")
    print("|---|---:|---:|---:|---:|")
    for name, side in sides.items():
        ratio = statistics.median(np.divide(side.seconds, sides[OURS[0]].seconds))
        cells = (statistics.median(side.seconds), min(side.seconds), ratio, memory[name])
        print(f"| {name} | {' | '.join(f'{x:.3f}' for x in cells)} |")


def report_parts(sides, parts):
    """Where our time goes: parts of a step timed alone, and what they leave of the quickest cycle."""
    for name, measured in parts.items():
        whole = min(sides[name].seconds)
        measured["the rest: average of the student, figures, host"] = whole - sum(measured.values())
    print(f"\n| part of our step, seconds | {' | '.join(parts)} |\n|---|---:|---:|")
    for part in parts[OURS[0]]:
        print(f"| {part} | {' | '.join(f'{parts[name][part]:.3f}' for name in OURS)} |")


def report_operations(shares):
    """What kinds of operations our time goes into."""
    print(f"\n| operations, share of their time | {' | '.join(shares)} |\n|---|---:|---:|")
    for kind in shares[OURS[0]]:
        print(f"| {kind} | {' | '.join(f'{100 * shares[name][kind]:.0f} %' for name in OURS)} |")


def report_limits(sides, work, ceilings, traffic, rate):
    """How near a step comes to the rates at which the machine multiplies matrices and moves memory."""
    print(f"\nA step is {work / 1e9:.1f} G multiply-adds. The machine reads and writes ", end="")
    print(f"{rate / 1e9:.1f} GB a second.\n")
    print(
        "| | G multiply-adds a second, 4096 x 4096 | limit, s | share of it | GB moved | limit, s |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name, ceiling in ceilings.items():
        limit = work / ceiling
        share = limit / statistics.median(sides[name].seconds)
        moved = traffic.get(name)
        cells = f"{moved / 1e9:.1f} | {moved / rate:.3f}" if moved else "|"
        print(f"| {name} | {ceiling / 1e9:.0f} | {limit:.3f} | {100 * share:.0f} % | {cells} |")


if __name__ == "__main__":
    app.run(main)
