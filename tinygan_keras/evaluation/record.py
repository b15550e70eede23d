"""Evaluations as files and tables: `evaluation.json` for programs, `evaluation.md` and a chart for people.

Scope: names, order and form of the figures, and several evaluations side by side.
"""

import json
from pathlib import Path

from ..errors import InputError, MissingFileError
from ..files import plain, write_text
from ..pictures.charts import class_distance_chart
from ..pictures.image_rows import save_png
from .figure_table import FIGURES
from .metrics.frechet import summarize_classes
from .protocol import check_comparable

FILE = "evaluation.json"
WORST = 10  # classes named in a table


def write_evaluation(result: dict, folder) -> Path:
    """Writes `evaluation.json`, `evaluation.md` and, with distances within classes, `classes.png`.

    Returns:
        The path of `evaluation.json`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    result = plain(result)
    measured = {row["label"]: row for row in result["classes"] if "frechet_distance" in row}
    if measured:
        distances = {label: row["frechet_distance"] for label, row in measured.items()}
        names = {label: row["name"] for label, row in measured.items()}
        save_png(class_distance_chart(distances, names), folder / "classes.png")
    write_text(folder / "evaluation.md", as_markdown(result))
    text = json.dumps(result, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(folder / FILE, text + "\n")
    return folder / FILE


def read_evaluation(path) -> dict:
    """Reads an evaluation.

    Args:
        path: `evaluation.json`, its folder, or the run folder around that.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is no evaluation.
    """
    path = Path(path)
    candidates = (path / FILE, path / "evaluation" / FILE) if path.is_dir() else (path,)
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise MissingFileError(
            f"Got {str(path)!r}, which holds no {FILE}. Expected a folder that tinygan evaluate wrote, "
            f"or its run folder. Evaluate it first: tinygan evaluate --model={path}"
        )
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        result["figures"], result["protocol"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Got {file}, which is no evaluation: {error!r}. Expected what tinygan evaluate writes."
        ) from error
    return result


def as_table(results: dict) -> str:
    """Figures as text, one column per evaluation; `*` marks the best of several.

    Args:
        results: Evaluations by name.
    """
    rows = [("", *results)]
    for name, figure in FIGURES.items():
        values = [result["figures"].get(name) for result in results.values()]
        if all(value is None for value in values):
            continue
        best = _best(values, figure.better)
        cells = [
            figure_text(result["figures"], name)
            + ("*" if best is not None and value == best else "")
            for result, value in zip(results.values(), values, strict=True)
        ]
        rows.append((figure.title, *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for title, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([title.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def beside_teacher(result: dict, name="generator") -> dict:
    """An evaluation as columns of a table: its generator, and the teacher if there is one."""
    columns = {name: result}
    if result.get("teacher"):
        columns["teacher"] = result["teacher"]
    return columns


def compare(results: dict, ignore=()) -> str:
    """Several evaluations side by side, if they were made in the same way.

    Args:
        results: Evaluations by name, at least two.
        ignore: Dotted names of the protocol that may differ, such as "versions.tensorflow".

    Returns:
        The table, and below it what only some of the protocols know.

    Raises:
        ProtocolError: two protocols differ; the message holds the differing lines.
    """
    protocols = {name: result["protocol"] for name, result in results.items()}
    # The name of an extractor may change with its folder; its hash says what it is.
    unknown = check_comparable(protocols, (*ignore, "extractor"))
    text = as_table(results) + "\n\n* the best of its row"
    if unknown:
        text += "\n\nNot known everywhere, so not checked:\n  " + "\n  ".join(unknown)
    if ignore:
        text += f"\n\nDifferences ignored: {', '.join(ignore)}"
    return text


def as_markdown(result: dict) -> str:
    """The evaluation as a page: figures, worst classes, what they can't say, and the protocol."""
    columns = beside_teacher(result)
    lines = ["# Evaluation", "", f"Of {result['generator']['source']}", ""]
    lines += [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name, figure in FIGURES.items():
        cells = [figure_text(column["figures"], name) for column in columns.values()]
        if any(cells):
            lines.append(f"| {figure.title} | {' | '.join(cells)} |")
    rows = {row["label"]: row for row in result["classes"] if "frechet_distance" in row}
    if rows:
        lines += ["", "## Farthest classes", "", "![Every class](classes.png)", ""]
        lines += ["| class | Frechet distance | label accuracy | images |", "|---|---:|---:|---:|"]
        distances = {label: row["frechet_distance"] for label, row in rows.items()}
        for worst in summarize_classes(distances, worst=WORST)["worst"]:
            row = rows[worst["label"]]
            accuracy = row.get("label_accuracy")
            accuracy = "" if accuracy is None else f"{accuracy:.1%}"
            cells = (row["name"], f"{row['frechet_distance']:.4g}", accuracy, f"{row['images']:,}")
            lines.append(f"| {' | '.join(cells)} |")
    if result["notes"]:
        lines += ["", "## What the figures can't say", ""]
        lines += [f"- {note}" for note in result["notes"]]
    lines += ["", "## Protocol", ""]
    for name, value in sorted(result["protocol"].items()):
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in sorted(value.items()))
        lines.append(f"- {name}: {'unknown' if value is None else value}")
    return "\n".join(lines) + "\n"


def figure_text(figures: dict, name: str) -> str:
    """One figure with its error bar or deviation in brackets; empty if it is unknown."""
    value, figure = figures.get(name), FIGURES[name]
    if value is None:
        return ""
    spread = figures.get(figure.spread)
    return f"{value:{figure.format}}" + ("" if spread is None else f" ({spread:.2g})")


def _best(values, better):
    known = [value for value in values if value is not None]
    if better is None or len(known) < 2:
        return None
    return min(known) if better == "lower" else max(known)
