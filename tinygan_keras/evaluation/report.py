"""Writes what a run reached: `report.json` for programs, `report.md` for people.

Scope: formatting. Figures come from `evaluate.py` and `cost.py`.
"""

import json
from pathlib import Path

from ..files import plain, write_text
from .figure_table import FIGURES
from .record import figure_text

COLUMNS = {
    "teacher": "teacher",
    "student": "student",
    "reference_student": "reference student",
}
COSTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "images_per_second": "images per second",
}
_RATIOS = (*COSTS, "frechet_distance")


def write_report(report: dict, folder) -> Path:
    """Writes `report.json` and `report.md`; each appears complete or not at all.

    Args:
        report: Nested dict. Known keys: `teacher`, `student` and optionally `reference_student`, each a
            dict of `COSTS` and of `record.FIGURES`; `seconds`, `seed`, `git_commit`, `versions`, `protocol`,
            `notes`, `config`. Others are written too. NumPy numbers, paths, tuples and `ConfigDict`s are
            converted; numbers that are not finite become null, since JSON has no word for them.
        folder: Made if missing.

    Returns:
        The path of `report.json`.

    Raises:
        TypeError: a value is none of these.

    Example:
        write_report({"teacher": {"parameters": 10}, "seed": 0, "seconds": 400.0}, "runs/demo")
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = plain(report)
    text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(folder / "report.md", as_markdown(report))
    write_text(folder / "report.json", text + "\n")
    return folder / "report.json"


def as_markdown(report: dict) -> str:
    """The report as a page: the table of figures, then how they were made."""
    named = {*COLUMNS, "protocol", "config", "versions", "notes"}
    run = {key: value for key, value in report.items() if key not in named}
    sections = [
        "# Distillation report",
        _figures(report),
        _notes(report.get("notes")),
        _listing("Protocol", report.get("protocol")),
        _listing("Run", run),
        _listing("Versions", report.get("versions")),
    ]
    if report.get("config"):
        config = json.dumps(report["config"], indent=2, sort_keys=True, ensure_ascii=False)
        sections.append(f"## Config\n\n```json\n{config}\n```")
    return "\n\n".join(section for section in sections if section) + "\n"


def _figures(report) -> str:
    columns = [key for key in COLUMNS if report.get(key)]
    if not columns:
        return ""
    lines = ["| | " + " | ".join(COLUMNS[key] for key in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    teacher = report.get("teacher") or {}
    for name, title in {**COSTS, **{n: figure.title for n, figure in FIGURES.items()}}.items():
        cells = [_cell(report[key], name, None if key == "teacher" else teacher) for key in columns]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "In brackets: error bar, or multiple of the teacher's figure."])


def _cell(figures, name, teacher) -> str:
    value = figures.get(name)
    if value is None:
        return ""
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    if name in FIGURES:
        text = figure_text(figures, name)
    known = name in _RATIOS and teacher and teacher.get(name)
    return f"{text} ({value / teacher[name]:.3g})" if known else text


def _notes(notes) -> str:
    if not notes:
        return ""
    return "\n".join(["## What the figures can't say", "", *(f"- {note}" for note in notes)])


def _listing(title, values) -> str:
    if not values:
        return ""
    items = values.items() if isinstance(values, dict) else [("protocol", values)]
    lines = []
    for key, value in sorted(items):
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_text(part)}" for name, part in sorted(value.items()))
        lines.append(f"- {key}: {_text(value)}")
    return f"## {title}\n\n" + "\n".join(lines)


def _text(value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "unknown" if value is None else str(value)
