"""Times whole evaluations of the embedded student, as a user runs them, and takes their memory.

    python experiments/benchmarks/evaluate.py

Each row is one `tinygan evaluate` in a process of its own, from start to written files, with real images
measured again. Peak memory of a large and a small evaluation shows whether it grows with the number.
Run from the top of the checkout; four minutes on two CPU cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "saved_models/tinygan_fashion_32", "Run folder of a student.")
flags.DEFINE_string("extractor", "saved_models/fashion_classifier", "Feature extractor.")
flags.DEFINE_string("real", "experiments/fashion_mnist/data/fashion_mnist_10k.npz", "Real images.")
flags.DEFINE_string("teacher", "saved_models/biggan_fashion_32", "Teacher.")
flags.DEFINE_integer("count", 10_000, "Images.", lower_bound=100)
flags.DEFINE_integer("many", 4, "How many times as many for the row about memory.", lower_bound=2)


def main(_):
    rows = [
        evaluate("student", FLAGS.count, "none"),
        evaluate("student, the same again", FLAGS.count, "none"),
        evaluate("student beside its teacher", FLAGS.count, FLAGS.teacher),
        evaluate("student, many images", FLAGS.many * FLAGS.count, "none"),
        evaluate(
            "student, Frechet distance alone", FLAGS.count, "none", "--metrics=frechet_distance"
        ),
    ]
    print(f"\n{os.cpu_count()} CPU cores\n")
    print("| evaluation | images | seconds | peak memory, GiB | Frechet distance |")
    print("|---|---:|---:|---:|---:|")
    for name, count, seconds, memory, figures in rows:
        distance = figures["frechet_distance"]
        print(f"| {name} | {count:,} | {seconds:.1f} | {memory:.2f} | {distance:.6g} |")
    same = rows[0][-1] == rows[1][-1]
    print(f"\nFigures of the repeated evaluation: {'identical' if same else 'DIFFERENT'}")
    print(f"Peak memory of {FLAGS.many} times the images: {rows[3][3] / rows[0][3]:.2f} times")


def evaluate(name, count, teacher, *flags):
    """Runs one evaluation; returns its name, images, seconds, peak memory in GiB, and figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tinygan_keras", "evaluate", f"--out={folder}"]
        command += [f"--model={FLAGS.model}", f"--extractor={FLAGS.extractor}"]
        command += [f"--real={FLAGS.real}", f"--teacher={teacher}", f"--num_images={count}", *flags]
        # A home of its own, so that no statistics of real images are found.
        surroundings = {**os.environ, "KERAS_HOME": str(Path(folder, "keras"))}
        start = time.perf_counter()
        process = subprocess.Popen(command, env=surroundings)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        figures = json.loads(Path(folder, "evaluation.json").read_text())["figures"]
    return name, count, seconds, usage.ru_maxrss / 2**20, figures


if __name__ == "__main__":
    app.run(main)
