"""A student behind a model server under load: no crash, no wrong image, an answer to every mistake.

    pip install -e '.[dev,serving]'
    python experiments/benchmarks/serving_load.py                # 3 minutes, 4 GB

The embedded student is exported and served by the stand-in of the tests: TensorFlow's C++ loader behind the
genuine gRPC stubs and a REST front, since no package has TensorFlow Serving. Clients in processes of their
own ask for 1 to 8 images at a time, each when its last answer has come, one of four over gRPC. 1 of 100
requests is malformed, in ten ways that take turns (`serving_malformed.py`). Each image is compared with a
table that TensorFlow's Python loader drew before, of every class and 64 seeds.

Clients and server share the machine: latencies are those of a busy server, on the cores its clients leave it.
"""

import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags, logging
from serving_malformed import MALFORMED

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "saved_models/tinygan_fashion_32", "Run folder or .keras file.")
flags.DEFINE_string("exported", None, "Folder with exported versions, in place of --model.")
flags.DEFINE_float("seconds", 120.0, "How long.")
flags.DEFINE_integer("clients", 8, "How many at once.", lower_bound=1)
flags.DEFINE_float("malformed", 0.01, "Share of requests that are.")

HERE = Path(__file__).resolve().parent
SERVER = HERE.parents[1] / "tests" / "prediction_service.py"
SEEDS, TRUNCATION = 64, 0.5
WARM_UP = 0.1  # of the time, until the memory counts as that of the start
LARGEST_GROWTH = 1.1
START_TIMEOUT = 120


def exported_folder(scratch):
    """Returns the folder of versions to serve."""
    if FLAGS.exported:
        return Path(FLAGS.exported)
    from tinygan_keras.generators.opening import load_student
    from tinygan_keras.generators.side_files import read_class_names
    from tinygan_keras.saved_model.exporting import export_saved_model

    model = Path(FLAGS.model)
    path = scratch / "tinygan" / "1"
    export_saved_model(load_student(model), path, class_names=read_class_names(model))
    return scratch / "tinygan"


def write_table(folder, path):
    """Generates every class and seed with the newest version in a folder."""
    import tensorflow as tf

    version = folder / str(max(int(p.name) for p in folder.iterdir() if p.name.isdecimal()))
    names = (version / "class_names.txt").read_text(encoding="utf-8").splitlines()
    sample = tf.saved_model.load(version).signatures["sample_uint8"]
    seeds = tf.range(SEEDS, dtype=tf.int64)
    images = [
        sample(
            label=tf.fill([SEEDS], tf.constant(label, tf.int64)),
            seed=seeds,
            truncation=tf.fill([SEEDS], TRUNCATION),
        )["image"].numpy()
        for label in range(len(names))
    ]
    np.savez(path, images=np.stack(images), names=names, truncation=TRUNCATION)


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def order(process, text):
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def memory(process) -> float:
    """Resident memory of a process in MB."""
    command = ["ps", "-o", "rss=", "-p", str(process.pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


def load(server, addresses, table):
    """Lets all clients loose; returns what each of them says, and the server's memory as time went by."""
    clients = []
    for number in range(FLAGS.clients):
        clients.append(start(HERE / "serving_load_client.py"))
        orders = {
            "address": addresses[number % 4 == 3],
            "table": str(table),
            "seconds": FLAGS.seconds,
            "malformed": FLAGS.malformed,
            "number": number,
        }
        order(clients[-1], json.dumps(orders))
    for client in clients:
        if client.stdout.readline() != "ready\n":
            raise RuntimeError("A client could not start; its error is above.")
    for client in clients:
        order(client, "go")
    begin, memories = time.monotonic(), []
    while time.monotonic() - begin < FLAGS.seconds:
        time.sleep(min(1.0, FLAGS.seconds / 20))
        memories.append((time.monotonic() - begin, memory(server)))
    said = [json.loads(client.stdout.readline()) for client in clients]
    for client in clients:
        client.communicate(timeout=60)
    return said, memories


def main(argv):
    del argv
    logging.set_verbosity(logging.WARNING)  # of what exporting says
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folder, table = exported_folder(scratch), scratch / "table.npz"
        write_table(folder, table)
        server = start(SERVER, folder)
        addresses = json.loads(server.stdout.readline())
        said, memories = load(server, addresses, table)
        still_there = server.poll() is None
        server.communicate("", timeout=60)
    if not report(said, memories, still_there):
        sys.exit(1)


def report(said, memories, still_there) -> bool:
    """Prints the tables; returns whether all is as wanted."""
    counts = sum((collections.Counter(one["counts"]) for one in said), collections.Counter())
    seconds = np.concatenate([one["seconds"] for one in said])
    problems = [problem for one in said for problem in one["problems"]]
    images, right = counts.pop("images"), counts.pop("right requests")
    print(f"\n{FLAGS.clients} clients, {FLAGS.seconds:g} seconds\n")
    print("| | |\n|---|---:|")
    print(f"| requests a second | {len(seconds) / FLAGS.seconds:.1f} |")
    print(f"| images a second | {images / FLAGS.seconds:.1f} |")
    for share in (50, 95, 99, 100):
        print(f"| latency, {share} % in ms | {1000 * np.percentile(seconds, share):.1f} |")
    before = [size for at, size in memories if at <= WARM_UP * FLAGS.seconds] or [memories[0][1]]
    first, last = before[-1], memories[-1][1]
    largest = max(size for _, size in memories)
    print(f"| server's memory after {WARM_UP:.0%} of the time, MB | {first:.0f} |")
    print(f"| at the end, MB | {last:.0f} |\n| at most, MB | {largest:.0f} |")
    print("\n| malformed | sent |\n|---|---:|")
    for case in MALFORMED:
        print(f"| {case.name} | {counts[case.name]} |")
    wrong = sum(problem.startswith("wrong image") for problem in problems)
    failed = sum(problem.startswith("right request") for problem in problems)
    wanted = {
        "the server is still there": still_there,
        f"{images - wrong} of {images} images right": wrong == 0,
        f"{right - failed} of {right} right requests answered": failed == 0,
        f"{sum(counts.values())} malformed requests answered with their reason": len(problems)
        == wrong + failed,
        f"memory flat, at the end {last / first:.2f} of the start": last <= LARGEST_GROWTH * first,
    }
    print("\n| wanted | |\n|---|---|")
    for name, met in wanted.items():
        print(f"| {name} | {'met' if met else 'MISSED'} |")
    for problem in problems[:20]:
        print(problem)
    return all(wanted.values())


if __name__ == "__main__":
    app.run(main)
