"""Times whole evaluations of the embedded student, as a user runs them, and takes their memory.

    python experiments/benchmarks/evaluate.py
    python experiments/benchmarks/evaluate.py --only=frechet,floor --model=saved_models/tinygan_v2_fashion_32

Each row is one `tinygan evaluate` in a process of its own, from start to written files, with real images
measured again. Peak memory of a large and a small evaluation shows whether it grows with the number. The
floor is what the row of the Frechet distance alone can't do without: the import of Keras, which imports
TensorFlow, and networks at work in their usual portions. Run from the top of the checkout; four minutes on
two CPU cores, `--only=frechet,floor` half a minute.
"""

import concurrent.futures
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "saved_models/tinygan_fashion_32", "Run folder of a student.")
flags.DEFINE_string("extractor", "saved_models/fashion_classifier", "Feature extractor.")
flags.DEFINE_string("real", "experiments/fashion_mnist/data/fashion_mnist_10k.npz", "Real images.")
flags.DEFINE_string("teacher", "saved_models/biggan_fashion_32", "Teacher.")
flags.DEFINE_integer("count", 10_000, "Images.", lower_bound=100)
flags.DEFINE_integer("many", 4, "How many times as many for the row about memory.", lower_bound=2)

ROWS = {  # by the names that --only takes: title, multiple of --count, with the teacher, flags
    "student": ("student", 1, False, ()),
    "again": ("student, the same again", 1, False, ()),
    "teacher": ("student beside its teacher", 1, True, ()),
    "many": ("student, many images", None, False, ()),
    "frechet": ("student, Frechet distance alone", 1, False, ("--metrics=frechet_distance",)),
}
flags.DEFINE_list("only", [*ROWS, "floor"], f"Which of {', '.join(ROWS)}, floor.")
TIMED = 1000  # images whose times are scaled up


def main(_):
    rows = {name: evaluate(*ROWS[name]) for name in ROWS if name in FLAGS.only}
    print(f"\n{os.cpu_count()} CPU cores\n")
    print("| evaluation | images | seconds | peak memory, GiB | Frechet distance |")
    print("|---|---:|---:|---:|---:|")
    for title, count, seconds, memory, figures in rows.values():
        distance = figures["frechet_distance"]
        print(f"| {title} | {count:,} | {seconds:.1f} | {memory:.2f} | {distance:.6g} |")
    if {"student", "again"} <= set(rows):
        same = rows["student"][-1] == rows["again"][-1]
        print(f"\nFigures of the repeated evaluation: {'identical' if same else 'DIFFERENT'}")
    if {"student", "many"} <= set(rows):
        ratio = rows["many"][3] / rows["student"][3]
        print(f"Peak memory of {FLAGS.many} times the images: {ratio:.2f} times")
    if "floor" in FLAGS.only:
        parts = floor()
        print("\n| what the Frechet distance alone can't do without | seconds |\n|---|---:|")
        for title, seconds in {**parts, "together": sum(parts.values())}.items():
            print(f"| {title} | {seconds:.1f} |")


def floor() -> dict:
    """Seconds by what they go into."""
    # As the program imports them: Python rarely looks for garbage.
    code = "from tinygan_keras.cli import _collect_rarely; _collect_rarely(); import keras"
    program = [sys.executable, "-c", code]
    imports = quickest(lambda: subprocess.run(program, check=True, stderr=subprocess.DEVNULL))
    parts = {"import of Keras and TensorFlow, and exit": imports}
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        return (
            parts
            | process.submit(networks_at_work, FLAGS.model, FLAGS.extractor, FLAGS.count).result()
        )


def networks_at_work(model, extractor, count) -> dict:
    """Seconds of the student and of the extractor, once they are loaded and traced."""
    import tinygan_keras as tg

    generator, extract = tg.open_generator(model), tg.load_extractor(extractor)
    classes = np.arange(TIMED) % generator.num_classes
    images = generator.generate(classes, seeds=0)
    return {
        f"generating {count:,} images": count / TIMED * quickest(generator.generate, classes, 0),
        f"features of {2 * count:,} images": 2 * count / TIMED * quickest(extract, images),
    }


def quickest(call, *arguments) -> float:
    """Seconds of the quickest of three calls."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        call(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def evaluate(title, multiple, with_teacher, extra):
    """Runs one evaluation; returns its title, images, seconds, peak memory in GiB, and figures."""
    count = FLAGS.count * (multiple or FLAGS.many)
    teacher = FLAGS.teacher if with_teacher else "none"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tinygan_keras", "evaluate", f"--out={folder}"]
        command += [f"--model={FLAGS.model}", f"--extractor={FLAGS.extractor}"]
        command += [f"--real={FLAGS.real}", f"--teacher={teacher}", f"--num_images={count}", *extra]
        # A home of its own, so that no statistics of real images are found.
        surroundings = {**os.environ, "KERAS_HOME": str(Path(folder, "keras"))}
        start = time.perf_counter()
        process = subprocess.Popen(command, env=surroundings)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        figures = json.loads(Path(folder, "evaluation.json").read_text())["figures"]
    return title, count, seconds, usage.ru_maxrss / 2**20, figures


if __name__ == "__main__":
    app.run(main)
