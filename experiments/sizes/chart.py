"""What a smaller student costs in quality: a table and a chart of finished runs of a grid of sizes.

    python experiments/recipes/bench.py --grid=experiments/sizes/fashion_mnist.py --out=runs/sizes
    pip install -e '.[litert]'
    python experiments/sizes/chart.py --runs=runs/sizes    # sizes.md, sizes.json and sizes.png in there

A student's bytes and milliseconds are those of LiteRT, the quickest runtime at batch 1: in float32, all
threads, median of a turn's calls, the quickest of the turns that the students take. Error bars are standard
errors: over seeds where there are several, else of the evaluation.
"""

import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tinygan_keras import open_generator
from tinygan_keras.files import read_json
from tinygan_keras.generators.cost import images_per_second
from tinygan_keras.generators.opening import load_student
from tinygan_keras.runtimes.litert import export_litert

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", "runs/sizes", "The folder that bench.py wrote: RUNS/NAME_PART/SEED.")
flags.DEFINE_integer("turns", 10, "Turns of a fifth of a second per student.", lower_bound=1)

FAMILIES = {"ours": ("our network and recipe", "#3b6ea8"), "paper": ("the paper's", "#c0392b")}
AXES = {
    "kilobytes": "KB, LiteRT float32",
    "multiply_adds": "millions of multiply-adds per image",
    "milliseconds": "milliseconds per image, LiteRT",
}


def measure(folders, scratch) -> dict:
    """Figures of each size, by the name of its candidate; `folders` has the run folders of its seeds."""
    sizes, generators = {}, {}
    for name, runs in folders.items():
        reports = [read_json(run / "report.json") for run in runs]
        students = [report["student"] for report in reports]
        distances = [student["frechet_distance"] for student in students]
        exported = {
            precision: export_litert(load_student(runs[0]), scratch / name / precision, precision)
            for precision in ("float32", "int8")
        }
        generators[name] = open_generator(exported["float32"].path)
        sizes[name] = {
            "seeds": len(runs),
            "parameters": students[0]["parameters"],
            "multiply_adds": students[0]["multiply_adds"] / 1e6,
            "kilobytes": exported["float32"].bytes / 1000,
            "int8_kilobytes": exported["int8"].bytes / 1000,
            "frechet_distance": statistics.mean(distances),
            "frechet_distance_error": statistics.stdev(distances) / len(runs) ** 0.5
            if len(runs) > 1
            else students[0]["frechet_distance_error"],
            "frechet_to_teacher": statistics.mean(s["frechet_to_teacher"] for s in students),
            "teacher": reports[0]["teacher"]["frechet_distance"],
            "steps": reports[0]["steps"],
        }
    for name, taken in milliseconds(generators, FLAGS.turns).items():
        sizes[name]["milliseconds"] = taken
    return sizes


def milliseconds(generators, turns) -> dict:
    """The time of one image, by name; all meet the same machine."""
    fastest = dict.fromkeys(generators, 0.0)
    for _ in range(turns):
        for name, generator in generators.items():
            z = tf.zeros((1, generator.latent_dim))
            call = lambda draw=generator.draw, z=z: draw(z, tf.constant([3]))  # noqa: E731
            fastest[name] = max(fastest[name], images_per_second(call, 1, seconds=0.2))
    return {name: 1000 / rate for name, rate in fastest.items()}


def table(sizes) -> str:
    heads = ["student", "parameters", "M multiply-adds", "KB", "KB int8", "ms", "Frechet to real"]
    heads += ["ratio", "to teacher", "seeds", "steps"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for name, size in sizes.items():
        family, part = name.split("_")
        distance, error = size["frechet_distance"], size["frechet_distance_error"]
        line = [f"{family}, 1/{part}", f"{size['parameters']:,}", f"{size['multiply_adds']:.2f}"]
        line += [f"{size[key]:.0f}" for key in ("kilobytes", "int8_kilobytes")]
        line += [f"{size['milliseconds']:.2f}", f"{distance:.3f} ± {error:.3f}"]
        line += [f"{distance / size['teacher']:.2f}", f"{size['frechet_to_teacher']:.3f}"]
        line += [str(size["seeds"]), f"{size['steps']:,}"]
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def chart(sizes, path):
    """A panel per cost; a point per student, a line per family, the teacher's distance dashed."""
    figure = Figure(figsize=(12, 4.2), dpi=100, layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(AXES), sharey=True)
    teacher = next(iter(sizes.values()))["teacher"]
    for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
        panel.axhline(teacher, color="#6a6a6a", linestyle="--", linewidth=1, label="the teacher")
        for family, (words, colour) in FAMILIES.items():
            names = [name for name in sizes if name.split("_")[0] == family]
            columns = (axis, "frechet_distance", "frechet_distance_error")
            across, up, error = np.array([[sizes[n][c] for c in columns] for n in names]).T
            panel.errorbar(across, up, error, color=colour, marker="o", capsize=3, label=words)
            for name, x, y in zip(names, across, up, strict=True):
                offset = {"textcoords": "offset points", "xytext": (5, 5), "fontsize": 8}
                panel.annotate(f"1/{name.split('_')[1]}", (x, y), color=colour, **offset)
        panel.set(xlabel=label, xscale="linear" if axis == "milliseconds" else "log", yscale="log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("Frechet distance to real images")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path)


def main(_):
    root = Path(FLAGS.runs)
    found = sorted(root.glob("*_*/*/report.json"), key=lambda path: path.parent.name)
    folders = {}
    for report in found:
        folders.setdefault(report.parent.parent.name, []).append(report.parent)
    if not folders:
        raise app.UsageError(f"Got --runs={root} without a finished run. Run bench.py first.")
    in_order = sorted(folders, key=lambda name: (name.split("_")[0], int(name.split("_")[1])))
    with tempfile.TemporaryDirectory() as scratch:
        sizes = measure({name: folders[name] for name in in_order}, Path(scratch))
    (root / "sizes.json").write_text(json.dumps(sizes, indent=2) + "\n")
    (root / "sizes.md").write_text(table(sizes))
    chart(sizes, root / "sizes.png")
    print(table(sizes))


if __name__ == "__main__":
    app.run(main)
