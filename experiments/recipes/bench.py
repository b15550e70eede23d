"""Which network and which recipe make the better student in equal time: one command, one table.

    python experiments/recipes/bench.py --out=runs/recipes --only=paper,hinge,ours
    python experiments/recipes/bench.py --out=runs/recipes --judge=fashion_judge

A candidate of `grid.py` is what differs from experiments/fashion_mnist/paper.py; `--grid` names another file
of candidates. The seed decides weights, pairs and order. A run is a folder OUT/CANDIDATE/SEED as of `tinygan
distill`, so the same command goes on where it was stopped, and several commands may share OUT. Times are
equal on one core: `taskset -c 0 python`.

--judge measures finished runs with a second extractor, which no loss and no choice has
seen. Choose before you look.
"""

import runpy
import statistics
from pathlib import Path

from absl import app, flags

from tinygan_keras import distill, evaluate, load_extractor
from tinygan_keras.files import read_json, write_json
from tinygan_keras.runs.config import load_config
from tinygan_keras.runs.measuring import measured_images

HERE = Path(__file__).parent
COLUMNS = {
    "ratio": "ratio",
    "frechet_distance": "Frechet to real",
    "frechet_to_teacher": "to teacher",
    "teacher_l1": "L1 to teacher",
    "recall": "recall",
    "coverage": "coverage",
    "judged_ratio": "judge: ratio",
    "judged_to_teacher": "judge: to teacher",
}

FLAGS = flags.FLAGS
flags.DEFINE_string("out", "runs/recipes", "Folder of all runs, and of table.md.")
flags.DEFINE_string("grid", str(HERE / "grid.py"), "File with PAPER, a config, and CANDIDATES.")
flags.DEFINE_list("only", None, "Candidates of the grid; default: all.")
flags.DEFINE_list("seeds", ["0", "100000", "200000"], "Seeds; 16,000 apart at least.")
flags.DEFINE_string("data", None, "Real images for all candidates; default: those of the config.")
flags.DEFINE_string("judge", None, "A second extractor, to measure finished runs with.")


def load_grid(path) -> tuple:
    """The paper's config, as a path, and what the candidates change, by name."""
    grid = runpy.run_path(str(path))
    return grid["PAPER"], grid["CANDIDATES"]


def config_of(grid, candidate, seed, data=None):
    """The paper's config with what the candidate changes, and other real images if need be."""
    paper, candidates = grid
    config = load_config(paper)
    config.update(candidates[candidate])
    config.seed = int(seed)
    config.data = data or config.data
    return config


def judge(folder, extractor):
    """Measures a finished run by the second extractor, once."""
    path = folder / "judged.json"
    if not path.is_file() or read_json(path)["extractor"] != extractor.hash:
        config = read_json(folder / "config.json")
        result = evaluate(
            folder,
            extractor,
            reference=measured_images(folder),
            teacher=config["teacher"],
            num_images=config["evaluation_images"],
            seed=config["sample_seed"],
            metrics=("frechet_distance", "frechet_to_teacher"),
        )
        figures, teacher = result["figures"], result["teacher"]["figures"]
        ratio = figures["frechet_distance"] / teacher["frechet_distance"]
        to_teacher = figures["frechet_to_teacher"]
        judged = {"extractor": extractor.hash, "judged_ratio": ratio}
        write_json(path, {**judged, "judged_to_teacher": to_teacher})


def figures_of(folder) -> dict:
    """The figures of a finished run by both extractors."""
    report = read_json(folder / "report.json")
    student, teacher = report["student"], report["teacher"]
    ratio = student["frechet_distance"] / teacher["frechet_distance"]
    figures = {**student, "ratio": ratio} | {name: report[name] for name in ("steps", "seconds")}
    path = folder / "judged.json"
    return {**figures, **read_json(path)} if path.is_file() else figures


def mean_and_error(values) -> str:
    """The mean, and its standard error where there are several."""
    if len(values) < 2:
        return "".join(f"{value:.3f}" for value in values)
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {error:.3f}"


def table(out, candidates) -> str:
    """All finished runs, a line per candidate: means over seeds."""
    heads = ["candidate", "seeds", "parameters", "M multiply-adds", "steps", "seconds"]
    heads += COLUMNS.values()
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for candidate in candidates:
        runs = [figures_of(path.parent) for path in sorted(out.glob(f"{candidate}/*/report.json"))]
        if not runs:
            continue
        cost = [
            str(len(runs)),
            f"{runs[0]['parameters']:,}",
            f"{runs[0]['multiply_adds'] / 1e6:.1f}",
            str(runs[0]["steps"]),
            f"{statistics.mean(run['seconds'] for run in runs):.0f}",
        ]
        means = [mean_and_error([run[name] for run in runs if name in run]) for name in COLUMNS]
        lines.append([candidate, *cost, *means])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(_):
    out = Path(FLAGS.out)
    grid = load_grid(FLAGS.grid)
    candidates = list(grid[1])
    unknown = sorted({*(FLAGS.only or ())} - {*candidates})
    if unknown:
        raise app.UsageError(
            f"Got --only={','.join(unknown)}. Expected some of {', '.join(candidates)}."
        )
    extractor = FLAGS.judge and load_extractor(FLAGS.judge)
    for seed in FLAGS.seeds:
        for candidate in FLAGS.only or candidates:
            folder = out / candidate / seed
            if extractor is None:
                distill(config_of(grid, candidate, seed, FLAGS.data), folder)
            elif (folder / "report.json").is_file():
                judge(folder, extractor)
            (out / "table.md").write_text(table(out, candidates))
    print(table(out, candidates))


if __name__ == "__main__":
    app.run(main)
