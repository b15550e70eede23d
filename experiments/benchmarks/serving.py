"""Times the exported student against the Keras graph it comes from, PyTorch, and a teacher.

    pip install -e '.[dev,serving,torch,litert,onnx,openvino]'
    python experiments/benchmarks/serving.py                      # 5 minutes, 4 GB
    python experiments/benchmarks/serving.py --seconds=0.3 --rounds=2 --teacher=   # a quick look

The student is `tinygan_128` with random weights, which cost as much as trained ones; 1000 classes. Every
way to draw lives in a process of its own. They take turns, a second each, so that whatever else the machine
does hits them alike; it had better do nothing. What counts is the median of a turn, and of the turns the
quickest. That all draw the same images is checked on the way.

- Exported over Keras graph: what is won by rewriting the graph, at batch 1 and 8. The student's own layers
  are quicker than Keras' and have the shortcut before the upsampling already, so that there is less to win;
  the same network of Keras' own layers, with the shortcut after it, is timed too.
- Small runtimes over Keras graph, at batch 1: those whose extra is installed.
- Exported over PyTorch: `experiments/pytorch_twin` in the quicker of two layouts.
- Student over teacher: images per second in batches of 8, against the stand-in of biggan-deep-128's size,
  which is made on the first call (400 MB).
- First request: of the signature `sample`, in a fresh process that has loaded the export into a session, as
  TensorFlow Serving does; with and without the warm-up requests replayed.
"""

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags, logging
from serving_sides import EXPORTED, RUNTIMES, STUDENT, first_requests, serve

FLAGS = flags.FLAGS
flags.DEFINE_string("preset", "tinygan_128", "Student.")
flags.DEFINE_string(
    "teacher", "runs/stand_in_128", "Folder of the stand-in, made if missing; empty: leave it out."
)
flags.DEFINE_list("batches", ["1", "8"], "Batch sizes.")
flags.DEFINE_integer("rounds", 6, "Turns of each way at each batch size.", lower_bound=1)
flags.DEFINE_float("seconds", 1.0, "Of a turn.", lower_bound=0)

PLAIN, LAYERS, EXPORT, TEACHER = "Keras graph", "Keras' own layers", "exported", "teacher"
PYTORCH = ("PyTorch, NCHW", "PyTorch, channels last")
LARGEST_SHARE, LARGEST_OF_RUNTIMES, LARGEST_AGAINST_PYTORCH = 0.75, 0.4, 0.5
LEAST_SPEEDUP, LARGEST_FIRST = 15.0, 2.0
TEACHER_BATCH, TOLERANCE = 8, 1e-4
ONLY_AT = {TEACHER: TEACHER_BATCH, **dict.fromkeys(RUNTIMES, 1)}
"""The one batch size at which a way is timed, if it isn't at all."""
SCRIPTS = Path(__file__).resolve().parent.parent / "imagenet_128"


class Side:
    """One way to draw in a process of its own."""

    def __init__(self, name, folder):
        self.name, self.seconds, self.images = name, {}, {}
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(theirs, name, folder), daemon=True)
        self.process.start()
        theirs.close()  # so that waiting for a process that died ends

    def turn(self, z, label, seconds):
        """Draws the same batch for a while; returns the median seconds of a call."""
        try:
            self.pipe.send((z, label, seconds))
            durations, images = self.pipe.recv()
        except (EOFError, BrokenPipeError):
            raise SystemExit(
                f"The process of {self.name!r} ended; see its message above."
            ) from None
        self.images[len(z)] = images
        return statistics.median(durations)

    def stop(self):
        self.pipe.send(None)
        self.process.join()


def prepare(folder):
    """Writes the student in all forms; returns length of z and number of classes."""
    import keras

    from tinygan_keras.networks.student import StudentGenerator
    from tinygan_keras.saved_model.exporting import export_saved_model

    keras.utils.set_random_seed(0)
    student = StudentGenerator.from_preset(FLAGS.preset, load_weights=False)
    student.save(folder / STUDENT)
    export_saved_model(student, folder / EXPORTED)
    size = sum(file.stat().st_size for file in (folder / EXPORTED).rglob("*") if file.is_file())
    floats = size / 4e6
    print(f"{FLAGS.preset}: {student.count_params() / 1e6:.2f} M values, the export {floats:.2f} M")
    for name, (form, precision) in RUNTIMES.items():
        with contextlib.suppress(ImportError):  # without its extra
            exporter(form)(student, folder / name, precision)
    return student.latent_dim, student.num_classes


def exporter(form):
    """The function that exports in a form."""
    module = importlib.import_module(f"tinygan_keras.runtimes.{form}")
    return getattr(module, f"export_{form}")


def names_of_ways(folder):
    """Which ways can be timed here."""
    names = [PLAIN, LAYERS, EXPORT, *(name for name in RUNTIMES if (folder / name).exists())]
    if importlib.util.find_spec("torch"):
        names += PYTORCH
    if FLAGS.teacher:
        teacher = Path(FLAGS.teacher).resolve()
        if not teacher.exists():
            print(f"making {FLAGS.teacher}", flush=True)
            sys.path.append(str(SCRIPTS))
            from make_stand_in import write_stand_in

            write_stand_in(teacher)
        (folder / "teacher").symlink_to(teacher)
        names.append(TEACHER)
    return names


def measure(folder, latent_dim, num_classes):
    """Returns the sides with their seconds: the median of every turn, by batch size."""
    random = np.random.default_rng(0)
    inputs = {}
    for count in map(int, FLAGS.batches):
        z = np.clip(random.standard_normal((count, latent_dim), "float32"), -2, 2)
        inputs[count] = z, random.integers(0, num_classes, count)
    sides = [Side(name, folder) for name in names_of_ways(folder)]
    for side in sides:  # one after the other, so that no warm-up disturbs another
        for count, (z, label) in inputs.items():
            if ONLY_AT.get(side.name, count) == count:
                side.turn(z, label, 0.0)
                side.turn(z, label, FLAGS.seconds)
    for _ in range(FLAGS.rounds):
        for count, (z, label) in inputs.items():
            for side in sides:
                if ONLY_AT.get(side.name, count) == count:
                    time.sleep(0.2)
                    seconds = side.turn(z, label, FLAGS.seconds)
                    side.seconds.setdefault(count, []).append(seconds)
    for side in sides:
        side.stop()
    return {side.name: side for side in sides}


def warm_up(folder):
    """Returns, by whether the warm-up is replayed, the first request's seconds, later ones', the replay's."""
    spawn, answers = multiprocessing.get_context("spawn"), {}
    for warm in (True, False):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=first_requests, args=(theirs, folder, warm), daemon=True)
        process.start()
        theirs.close()
        with contextlib.suppress(EOFError):  # without tensorflow-serving-api
            first, later, replayed = ours.recv()
            answers[warm] = first, statistics.median(later), replayed
        process.join()
    return answers


def check_images(sides):
    """Raises where two sides drew different images of the same latents."""
    for count, expected in sides[PLAIN].images.items():
        for name, side in sides.items():
            if count not in side.images or name == TEACHER or "int8" in name:
                continue
            difference = np.abs(side.images[count] - expected).max()
            if not difference < TOLERANCE:
                raise SystemExit(
                    f"{name}: images differ by {difference:.2g} from those of {PLAIN}."
                )


def report(sides, first):
    """Prints the tables, and which limits are kept."""
    quickest = {
        name: {count: min(turns) for count, turns in side.seconds.items()}
        for name, side in sides.items()
    }
    counts = sorted(quickest[PLAIN])
    print(f"\n{os.cpu_count()} CPU cores\n\n| ms per call (all turns) | ", end="")
    print(" | ".join(f"batch {count}" for count in counts) + " |")
    print("|---|" + "---:|" * len(counts))
    for name, times in quickest.items():
        cells = [""] * len(counts)
        for place, count in enumerate(counts):
            if count in times:
                every = ", ".join(f"{1000 * turn:.1f}" for turn in sides[name].seconds[count])
                cells[place] = f"{1000 * times[count]:.1f} ({every})"
        print(f"| {name} | {' | '.join(cells)} |")

    print("\n| | measured | wanted | |\n|---|---:|---|---|")
    twins = [quickest[name] for name in PYTORCH if name in quickest]
    for count in counts:
        ours = quickest[EXPORT][count]
        for plain in (PLAIN, LAYERS):
            name = f"exported over {plain}, batch {count}"
            limit(name, ours / quickest[plain][count], LARGEST_SHARE)
        if twins:
            ratio = ours / min(times[count] for times in twins)
            limit(f"exported over PyTorch, batch {count}", ratio, LARGEST_AGAINST_PYTORCH)
    if 1 in counts and (runtimes := [name for name in RUNTIMES if name in quickest]):
        name = min(runtimes, key=lambda name: quickest[name][1])
        for plain in (PLAIN, LAYERS):
            ratio = quickest[name][1] / quickest[plain][1]
            limit(f"quickest runtime ({name}) over {plain}, batch 1", ratio, LARGEST_OF_RUNTIMES)
        if twins:
            ratio = quickest[name][1] / min(times[1] for times in twins)
            limit(f"{name} over PyTorch, batch 1", ratio, LARGEST_AGAINST_PYTORCH)
    if TEACHER in quickest and TEACHER_BATCH in quickest[TEACHER]:
        ratio = quickest[TEACHER][TEACHER_BATCH] / quickest[EXPORT][TEACHER_BATCH]
        limit("images per second, student over teacher", ratio, LEAST_SPEEDUP, at_least=True)
    for warm, (seconds, later, replayed) in first.items():
        how = f"warmed up in {replayed:.2f} s" if warm else "not warmed up"
        name = f"first request over later ones ({1000 * later:.1f} ms), {how}"
        limit(name, seconds / later, LARGEST_FIRST if warm else None)


def limit(name, value, wanted, at_least=False):
    """Prints a row, with whether it keeps its limit if there is one."""
    if wanted is None:
        print(f"| {name} | {value:.2f} | | |")
        return
    met = value >= wanted if at_least else value <= wanted
    sign = ">=" if at_least else "<="
    print(f"| {name} | {value:.2f} | {sign} {wanted:g} | {'met' if met else 'MISSED'} |")


def main(argv):
    del argv
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.set_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        latent_dim, num_classes = prepare(folder)
        sides = measure(folder, latent_dim, num_classes)
        check_images(sides)
        report(sides, warm_up(folder))


if __name__ == "__main__":
    app.run(main)
