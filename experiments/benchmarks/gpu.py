"""Times training and drawing on GPUs, against PyTorch, and writes the tables into the README of this folder.

    pip install -e '.[dev,gpu,torch]'
    python experiments/benchmarks/gpu.py --batches=32 --rounds=1           # a first look
    python experiments/benchmarks/gpu.py --write                           # everything
    python experiments/benchmarks/gpu.py --tables=step --precisions=bfloat16 --layouts="channels last"
    python experiments/benchmarks/gpu.py --debug --rounds=1 --batches=4    # tiny networks on a CPU

- step: `tinygan_128` under the paper's settings, with and without XLA, in float32, TF32 and bfloat16, against
  `experiments/pytorch_twin`, eager and with torch.compile, in two layouts. Both sides bring every batch from
  the host's memory to the GPU.
- data: our step with the teacher's images in memory, from a cache, and drawn in the step by a teacher of
  biggan-deep-128's size, a stand-in that is made on the first call (400 MB). Precision and XLA as in runs.
- devices: our step on one GPU and on all, with the same batch over all of them. Precision as in runs.
- export: an exported student that draws a batch at once, and row by row, beside its Keras graph.

Every variant and batch size has a process of its own, one at a time, that warms up and then takes a few
cycles of steps, of which the median counts. That is repeated `--rounds` times, all variants in turns, and the
median of the rounds is in the table. What fails becomes a cell with the reason: "memory", "XLA", "compiler"
(torch.compile), "no torch", "no CUDA" (of PyTorch), "timeout", "killed", "not finite", "one GPU", "uneven" (a
batch that so many devices can't share), or the exception's name; its message is on the screen. Run from the
top of the checkout.

Rejected: processes that live side by side, as in `step.py`. They would share the GPU's memory, so that large
batches fail that fit, and libraries choose slower algorithms where little memory is left.
"""

import argparse
import itertools
import math
import multiprocessing
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))  # of the processes too

from experiments.benchmarks import gpu_sides  # noqa: E402
from experiments.quantization.results import markdown, put_between_marks  # noqa: E402

README = Path(__file__).resolve().parent / "README.md"
TABLES = ("step", "data", "devices", "export")
PRECISIONS = ("float32", "TF32", "bfloat16")
LAYOUTS = ("NCHW", "channels last")
EAGER, COMPILED = "PyTorch", "torch.compile"
ONE = "one device"


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=words(TABLES), default=TABLES, help="Which ones.")
    parser.add_argument("--batches", type=numbers, default=(32, 64, 128, 256), help="Batch sizes.")
    parser.add_argument("--precisions", type=words(PRECISIONS), default=PRECISIONS)
    parser.add_argument("--layouts", type=words(LAYOUTS), default=LAYOUTS, help="Of PyTorch.")
    parser.add_argument("--rounds", type=count, default=3, help="Processes of each cell.")
    parser.add_argument("--cycles", type=count, default=5, help="Cycles of each process.")
    parser.add_argument(
        "--steps", type=count, help="Steps of a cycle, a multiple of 5; 50, and 5 with --debug."
    )
    parser.add_argument(
        "--warm_up", type=count, default=4, help="Times five steps that don't count."
    )
    parser.add_argument("--devices", type=count, help="Of the table of that name; all if left out.")
    parser.add_argument("--limit", type=count, default=900, help="Seconds that a process may take.")
    parser.add_argument(
        "--teacher", default="runs/stand_in_128", help="Folder of the stand-in, made if missing."
    )
    parser.add_argument("--debug", action="store_true", help="Tiny networks, on the CPU.")
    parser.add_argument("--write", action="store_true", help="Write the tables into the README.")
    options = parser.parse_args(arguments)
    options.steps = options.steps or (5 if options.debug else 50)
    if options.steps % gpu_sides.INTERVAL:
        parser.error(f"got --steps={options.steps}, expected a multiple of {gpu_sides.INTERVAL}")
    if options.write and options.debug:
        parser.error("got --write with --debug, whose figures are of no GPU; leave one of them out")
    return options


def words(known):
    """A type for argparse: some of the known words, separated by commas."""

    def split(text):
        given = tuple(word.strip() for word in text.split(","))
        if not set(given) <= set(known):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected some of {', '.join(known)}")
        return given

    return split


def count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected 1 or more")
    return number


def numbers(text):
    return tuple(count(word) for word in text.split(","))


def variants_of_a_step(options) -> dict:
    """How each variant is built, by its name and precision; here and below."""
    found = {}
    for precision in options.precisions:
        for name, xla in (("ours", "off"), ("ours, XLA", "on")):
            found[name, precision] = "ours", {"precision": precision, "xla": xla}
        for name, layout in itertools.product((EAGER, COMPILED), options.layouts):
            settings = {"layout": layout, "compiled": name == COMPILED, "precision": precision}
            found[f"{name}, {layout}", precision] = "twin", settings
    return found


def variants_of_data(folder) -> dict:
    sources = {
        "images in memory": "memory",
        "from a cache": "cache",
        "teacher in the step": "teacher",
    }
    chosen = {"precision": "auto", "folder": str(folder)}
    return {(name, ""): ("ours", {"source": s, **chosen}) for name, s in sources.items()}


def variants_of_devices(devices) -> dict:
    """One device and all of them, without XLA and with it; it can't go with synchronised statistics."""
    several = "several devices" if devices < 2 else f"{devices} devices"
    devices = max(devices, 2)  # one GPU: the cells say so
    ways = {
        f"{ONE}, XLA off": {"xla": "off"},
        f"{ONE}, XLA": {"xla": "on"},
        f"{several}, XLA off": {"xla": "off", "devices": devices},
        f"{several}, XLA": {"xla": "on", "devices": devices},
        f"{several}, XLA off, synchronised batch norm": {
            "xla": "off",
            "devices": devices,
            "synchronized": True,
        },
    }
    return {(name, ""): ("ours", {"precision": "auto", **way}) for name, way in ways.items()}


def variants_of_the_export(folder) -> dict:
    ways = ("Keras graph", "at once", "row by row")
    return {(way, ""): ("drawing", {"way": way, "folder": str(folder)}) for way in ways}


def in_a_process(function, arguments, limit) -> tuple:
    """What a function of `gpu_sides` returns in a process of its own, and "" or why it failed."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    process = spawn.Process(
        target=gpu_sides.answer, args=(theirs, function, arguments), daemon=True
    )
    process.start()
    theirs.close()  # so that waiting for a process that died ends
    try:
        answer = pipe.recv() if pipe.poll(limit) else (None, "timeout")
    except EOFError:
        answer = None, "killed"
    if answer[1] == "timeout":
        process.kill()
    process.join(60)
    if process.is_alive():  # some libraries don't end, and would keep the GPU's memory
        process.kill()
        process.join()
    return answer


def measure(variants, options) -> dict:
    """Times every variant at every batch size; a dict of results, or reasons, by variant and batch."""
    cells = {}
    for batch in options.batches:
        for number in range(options.rounds):
            for variant, (kind, settings) in variants.items():
                if isinstance(cells.get((variant, batch)), str):
                    continue  # it failed before
                arguments = {"batch_size": batch, "debug": options.debug, **settings}
                arguments = (kind, arguments, options.steps, options.cycles, options.warm_up)
                result, failure = in_a_process("measure", arguments, options.limit)
                said = failure or f"{result['milliseconds']:.2f} ms"
                name = ", ".join(filter(None, variant))
                print(f"batch {batch}, round {number + 1}, {name}: {said}", flush=True)
                if failure:
                    cells[variant, batch] = failure
                else:
                    cells.setdefault((variant, batch), []).append(result)
    return {key: cell if isinstance(cell, str) else median_of(cell) for key, cell in cells.items()}


def median_of(rounds) -> dict:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def table_of(cells, batches, quantity, digits) -> str:
    """A row per variant and a column per batch size; reasons where nothing was measured."""
    rows = [["", *(f"batch {batch}" for batch in batches)]]
    for variant in dict.fromkeys(variant for variant, _ in cells):
        found = (cells[variant, batch] for batch in batches)
        texts = [x if isinstance(x, str) else f"{x[quantity]:,.{digits}f}" for x in found]
        rows.append([", ".join(filter(None, variant)), *texts])
    return markdown(rows)


def quickest(cells, batch, start, precision="") -> float:
    """Milliseconds of the quickest variant whose name starts so, in any precision if none is given.

    NaN where all of them failed.
    """
    measured = (
        cell["milliseconds"]
        for ((name, used), size), cell in cells.items()
        if size == batch
        and name.startswith(start)
        and precision in ("", used)
        and not isinstance(cell, str)
    )
    return min(measured, default=math.nan)


def ratios_of_a_step(cells, options) -> str:
    """The quickest of ours over PyTorch's quickest, by precision and in whichever is the quickest."""
    rows = [["ours over", *(f"batch {batch}" for batch in options.batches)]]
    for opponent, precision in itertools.product((EAGER, COMPILED), (*options.precisions, "")):
        texts = [
            ratio(
                quickest(cells, batch, "ours", precision),
                quickest(cells, batch, opponent, precision),
            )
            for batch in options.batches
        ]
        rows.append([f"{opponent}, {precision or 'quickest precision'}", *texts])
    return markdown(rows)


def ratios_to(cells, options, base) -> str:
    """Every variant over the one of a name, by batch."""
    rows = [[f"over {base}", *(f"batch {batch}" for batch in options.batches)]]
    milliseconds = {
        key: math.nan if isinstance(cell, str) else cell["milliseconds"]
        for key, cell in cells.items()
    }
    for name, _ in dict.fromkeys(variant for variant, _ in cells):
        if name != base:
            pairs = (
                [milliseconds[(each, ""), batch] for each in (name, base)]
                for batch in options.batches
            )
            rows.append([name, *(ratio(*pair) for pair in pairs)])
    return markdown(rows)


def ratio(one, other) -> str:
    value = one / other
    return "" if math.isnan(value) else f"{value:.2f}"


def make_table(name, folder, found, options) -> str:
    """Measures one of `TABLES`; its text, in Markdown."""
    if name in ("data", "export"):
        what = "cache" if name == "data" else "students"
        teacher = folder / "stand_in_32" if options.debug else options.teacher
        arguments = (what, str(folder), str(teacher), 4 * max(options.batches), options.debug)
        _, failure = in_a_process("prepare", arguments, 4 * options.limit)
        if failure:
            return f"Not measured: {failure}, while {what} were made."
    if name == "step":
        cells = measure(variants_of_a_step(options), options)
        ratios = ratios_of_a_step(cells, options)
    elif name == "data":
        cells = measure(variants_of_data(folder), options)
        ratios = ratios_to(cells, options, "images in memory")
    elif name == "devices":
        devices = options.devices or (2 if options.debug else len(found["gpus"]))
        cells = measure(variants_of_devices(devices), options)
        ratios = ratios_to(cells, options, f"{ONE}, XLA off")
    else:
        cells = measure(variants_of_the_export(folder), options)
        ratios = ratios_to(cells, options, "at once")
    unit = "Milliseconds a call" if name == "export" else "Milliseconds a step"
    parts = [
        f"{unit}, {about(found, options)}:",
        table_of(cells, options.batches, "milliseconds", 2),
    ]
    parts += ["Of the times above:", ratios]
    if name != "export":
        where = "of the process" if options.debug else "of a GPU"
        parts += [f"Peak memory {where}, GB:", table_of(cells, options.batches, "memory", 1)]
    return "\n\n".join(parts)


def about(found, options) -> str:
    """The machine, the versions and how much was measured, in a line."""
    names = found["gpus"]
    device = f"{len(names)} x {names[0]}" if names else f"{found['cores']} CPU cores, debug size"
    versions = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    size = f"rounds x cycles x steps {options.rounds} x {options.cycles} x {options.steps}"
    return f"{device}, {versions}, {size}"


def main(arguments=None, readme=README):
    options = parse(arguments)
    found, failure = in_a_process("machine", (options.debug,), options.limit)
    if failure:
        raise SystemExit(f"TensorFlow doesn't start here: {failure}. See the message above.")
    if not found["gpus"] and not options.debug:
        raise SystemExit(
            "Got no GPU. Expected one that TensorFlow sees: pip install -e '.[gpu]', and see what "
            "`nvidia-smi` says. With --debug tiny networks run on the CPU."
        )
    for name in options.tables:
        with tempfile.TemporaryDirectory() as folder:
            text = make_table(name, Path(folder), found, options)
        print(f"\n## {name}\n\n{text}\n", flush=True)
        if options.write:  # at once: what is measured is kept if a later table doesn't end
            put_between_marks(readme, f"gpu, {name}", text)


if __name__ == "__main__":
    main()
