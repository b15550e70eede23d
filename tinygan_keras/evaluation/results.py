"""Evaluations and reports as files and tables: JSON for programs, Markdown for people."""

import json
import math
import warnings
from pathlib import Path

from ..embedded import find
from ..errors import InputError, MissingFileError
from ..files import plain, read_json, user_path, write_json, write_text
from .metrics import FIGURES
from .metrics.registry import Figure
from .protocol import check_comparable

FILE = "evaluation.json"
_WORST = 10  # classes named on a page
_COLUMNS = {"teacher": "teacher", "student": "student", "reference_student": "reference student"}
_COSTS = {
    "parameters": Figure("parameters", None, ","),
    "multiply_adds": Figure("multiply-adds per image", None, ","),
    "images_per_second": Figure("images per second", None, ",.4g"),
}
_RATIOS = (*_COSTS, "frechet_distance")


def write_evaluation(result: dict, folder) -> Path:
    """Writes what `evaluate` returns to `evaluation.json`, whose path is returned, and `evaluation.md`."""
    columns = beside_teacher(result)
    sections = [
        f"# Evaluation\n\nOf {result['generator']['source']}",
        _figures({name: column["figures"] for name, column in columns.items()}),
        _gap(result.get("gap"), result.get("teacher")),
        _farthest_classes(result["classes"]),
        _notes(result["notes"]),
        _listing("Protocol", result["protocol"]),
    ]
    return _write(folder, "evaluation", result, sections)


def write_report(report: dict, folder, heading="# Distillation report") -> Path:
    """Writes what a run reached to `report.json`, whose path is returned, and `report.md`."""
    return _write(folder, "report", report, [report_page(report, heading)])


def report_page(report: dict, heading: str) -> str:
    """What a run reached, in Markdown.

    `teacher`, `student` and `reference_student` are dicts of costs and figures, the columns of the table;
    `protocol`, `notes`, `config` and `versions` get a section each, and so do all others together.
    """
    report = plain(report)
    columns = {title: report[name] for name, title in _COLUMNS.items() if report.get(name)}
    named = {*_COLUMNS, "protocol", "config", "versions", "notes"}
    config = json.dumps(report.get("config"), indent=2, sort_keys=True, ensure_ascii=False)
    sections = [
        heading,
        _figures(columns, {**_COSTS, **FIGURES}, report.get("teacher")),
        len(columns) > 1 and "In brackets: error bar, or multiple of the teacher's figure.",
        _notes(report.get("notes")),
        _listing("Protocol", report.get("protocol")),
        _listing("Run", {key: value for key, value in report.items() if key not in named}),
        _listing("Versions", report.get("versions")),
        report.get("config") and _section("Config", f"```json\n{config}\n```"),
    ]
    return "\n\n".join(filter(None, sections))


def read_evaluation(path) -> dict:
    """Reads an evaluation: `evaluation.json`, its folder, or the run folder around that."""
    path = Path(find(path))
    candidates = (path / FILE, path / "evaluation" / FILE) if path.is_dir() else (path,)
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise MissingFileError(
            f"Got {str(path)!r}, which holds no {FILE}. Expected a folder that tinygan evaluate wrote, or "
            f"its run folder. Evaluate it first: tinygan evaluate --model={path}"
        )
    result = read_json(file)
    parts = ("figures", "protocol", "generator")
    if not all(isinstance(result.get(name), dict) for name in parts):
        raise InputError(f"Got {file}, no evaluation. Expected what tinygan evaluate writes.")
    return result


def evaluation_of(run, generator) -> dict:
    """The evaluation in a run folder, if it is of the weights of this `Generator`; else empty."""
    run = Path(run)
    if not (run / "evaluation" / FILE).is_file():
        return {}
    evaluation = read_evaluation(run)
    if evaluation["generator"].get("content_hash") == generator.content_hash:
        return evaluation
    warnings.warn(
        f"{run / 'evaluation'} is of other weights; its figures are left out", stacklevel=3
    )
    return {}


def beside_teacher(result: dict, name="generator") -> dict:
    """An evaluation as columns of a table: its generator, and the teacher if there is one."""
    teacher = result.get("teacher")
    return {name: result, "teacher": teacher} if teacher else {name: result}


def as_table(results: dict) -> str:
    """Figures as text, one column per evaluation, by name.

    Of several, `*` marks the best and `~` what is within two standard errors of it. The error of a difference
    is the root of the sum of both squared errors.
    """
    rows = [("", *results)]
    columns = {key: result["figures"] for key, result in results.items()}
    for name, title, cells in figure_rows(columns):
        marks = _marks(list(columns.values()), name)
        rows.append((title, *map("".join, zip(cells, marks, strict=True))))
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = []
    for title, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([title.ljust(first), *padded]).rstrip())
    return "\n".join(lines)


def _marks(columns: list, name) -> list:
    """A mark of `as_table` for each column of figures."""
    values = [figures.get(name) for figures in columns]
    known = [value for value in values if value is not None]
    pick = {"lower": min, "higher": max}.get(FIGURES[name].better)
    if not pick or len(known) < 2:
        return [""] * len(values)
    best = pick(known)
    errors = [figures.get(f"{name}_error") for figures in columns]
    of_best = errors[values.index(best)]
    marks = []
    for value, error in zip(values, errors, strict=True):
        near = value is not None and None not in (error, of_best)
        near = near and abs(value - best) <= 2 * math.hypot(error, of_best)
        marks.append("*" if value == best else "~" if near else "")
    return marks


def compare(results: dict, ignore=()) -> str:
    """The table of several evaluations, by name, and below it what only some of their protocols know.

    Protocols that differ raise `ProtocolError`, but for the dotted names to `ignore`; see `check_comparable`.
    """
    protocols = {name: result["protocol"] for name, result in results.items()}
    # The name of an extractor may change with its folder; its hash says what it is.
    unknown = check_comparable(protocols, (*ignore, "extractor"))
    text = as_table(results) + "\n\n* the best of its row"
    if "~" in text:
        text += "\n~ within two standard errors of the best: no difference is shown"
    if unknown:
        text += "\n\nNot known everywhere, so not checked:\n  " + "\n  ".join(unknown)
    if ignore:
        text += f"\n\nDifferences ignored: {', '.join(ignore)}"
    return text


def _write(folder, name, value, sections) -> Path:
    """Writes `name.json` and `name.md`, each whole or not at all."""
    folder = Path(user_path(folder))
    value = plain(value)  # before anything is written
    write_text(folder / f"{name}.md", "\n\n".join(filter(None, sections)) + "\n")
    write_json(folder / f"{name}.json", value)
    return folder / f"{name}.json"


def figure_rows(columns: dict, table=FIGURES):
    """Yields name, title and cells of every figure that a column has."""
    for name, figure in table.items():
        cells = [_cell(figures, name, figure) for figures in columns.values()]
        if any(cells):
            yield name, figure.title, cells


def _cell(figures, name, figure) -> str:
    """A figure with its error bar or deviation in brackets; empty if it is unknown."""
    value, spread = figures.get(name), figures.get(figure.spread)
    if value is None:
        return ""
    return f"{value:{figure.format}}" + ("" if spread is None else f" ({spread:.2g})")


def _figures(columns: dict, table=FIGURES, teacher=None) -> str:
    """The table of a page; with a teacher, costs are followed by their multiple of the teacher's."""
    rows = []
    for name, title, cells in figure_rows(columns, table):
        whole = (teacher or {}).get(name) if name in _RATIOS else None
        for place, figures in enumerate(columns.values()):
            if whole and cells[place] and figures is not teacher:
                cells[place] += f" ({figures[name] / whole:.3g})"
        rows.append((title, *cells))
    return _markdown(("", *columns), rows)


def _gap(gap, teacher) -> str:
    """The section on the parts of a student's distance; see `metrics/gap.py`."""
    if not gap:
        return ""
    rows = []
    for title, name in (
        ("floor", "floor"),
        ("teacher", "teacher_share"),
        ("student", "student_share"),
    ):
        if gap.get(name) is not None:
            error = gap.get(f"{name}_error")
            rows.append((title, f"{gap[name]:.4g}", "" if error is None else f"{error:.2g}"))
    table = _markdown(("part of the Frechet distance", "", "standard error"), rows)
    correlation = (teacher or {}).get("class_correlation")
    if correlation is not None:
        table += f"\n\nCorrelation of the student's and the teacher's classes: {correlation:.2f}."
    return _section("Where the distance comes from", f"{gap['sentence']}\n\n{table}")


def _farthest_classes(classes) -> str:
    measured = [row for row in classes if "frechet_distance" in row]
    rows = []
    for row in sorted(measured, key=lambda row: (-row["frechet_distance"], row["label"]))[:_WORST]:
        accuracy = f"{row['label_accuracy']:.1%}" if "label_accuracy" in row else ""
        distance = _cell(row, "frechet_distance", Figure("", None, ".4g", "frechet_distance_error"))
        rows.append((row["name"], distance, accuracy, f"{row['images']:,}"))
    table = _markdown(("class", "Frechet distance", "label accuracy", "images"), rows)
    return _section("Farthest classes", table)


def _markdown(heads, rows) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    lines[0] = lines[0].replace("|  |", "| |")
    lines.insert(1, "|---|" + "---:|" * (len(heads) - 1))
    return "\n".join(lines) if rows else ""


def _notes(notes) -> str:
    return _section("What the figures can't say", "\n".join(f"- {note}" for note in notes or ()))


def _listing(title, values) -> str:
    lines = []
    for key, value in sorted((values or {}).items()):
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_text(part)}" for name, part in sorted(value.items()))
        lines.append(f"- {key}: {_text(value)}")
    return _section(title, "\n".join(lines))


def _section(title, text) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _text(value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "unknown" if value is None else str(value)
