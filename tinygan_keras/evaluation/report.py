"""Writes what a run reached: `report.json` for programs, `report.md` for people, and where it was made.

Scope: formatting and provenance. Figures come from `metrics/` and `cost.py`.
"""

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from ..files import plain, replace_file

PACKAGES = (
    "tinygan-keras",
    "tensorflow",
    "keras",
    "tensorflow-hub",
    "tensorflow-gan",
    "numpy",
    "pillow",
    "ml-collections",
    "absl-py",
)
COLUMNS = {
    "teacher": "teacher",
    "student": "student",
    "reference_student": "reference student",
}
ROWS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "images_per_second": "images per second",
    "frechet_to_real": "Frechet distance to real images",
    "frechet_to_teacher": "Frechet distance to the teacher",
    "label_accuracy": "label accuracy",
}
_RATIO_ROWS = ("parameters", "multiply_adds", "images_per_second", "frechet_to_real")


@functools.cache
def environment() -> dict:
    """Where a run takes place: the part of a report that no configuration states.

    Returns:
        `git_commit`: the commit this package's source belongs to, followed by `-dirty` if tracked
        files were changed; None outside a git checkout. `versions`: installed version by package, None
        if missing. `python`, `platform`, `cpu_count`.
    """
    return {
        "git_commit": _git_commit(Path(__file__).resolve().parents[2]),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }


def write_report(report: dict, folder) -> Path:
    """Writes `report.json` and `report.md`; each appears complete or not at all.

    Args:
        report: Nested dict. Known keys: `teacher`, `student` and optionally `reference_student`, each a
            dict of the figures in `ROWS`; `seconds`, `seed`, `git_commit`, `versions`, `protocol`,
            `config`. Others are written too. NumPy numbers, paths, tuples and `ConfigDict`s are
            converted; numbers that are not finite become null, since JSON has no word for them.
        folder: Made if missing.

    Returns:
        The path of `report.json`.

    Raises:
        TypeError: a value is none of these.

    Example:
        write_report({"teacher": {"parameters": 10}, "seed": 0, **environment()}, "runs/demo")
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = plain(report)
    text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    replace_file(folder / "report.md", as_markdown(report))
    replace_file(folder / "report.json", text + "\n")
    return folder / "report.json"


def as_markdown(report: dict) -> str:
    """The report as a page: the table of figures, then how they were made."""
    named = {*COLUMNS, "protocol", "config", "versions"}
    run = {key: value for key, value in report.items() if key not in named}
    sections = [
        "# Distillation report",
        _figures(report),
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
    for row, title in ROWS.items():
        cells = []
        for key in columns:
            value = report[key].get(row)
            reference = teacher.get(row) if row in _RATIO_ROWS and key != "teacher" else None
            cells.append("" if value is None else _cell(row, value, reference))
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "In brackets: multiple of the teacher's figure."])


def _cell(row, value, reference) -> str:
    if row == "label_accuracy":
        return f"{value:.1%}"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"{text} ({value / reference:.3g})" if reference else text


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


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit(root):
    # A package installed below someone else's checkout must not report that checkout's commit.
    if _git(root, "ls-files", "tinygan_keras/__init__.py"):
        return _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return None


def _git(root, *arguments):
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or git refuses its owner
        return None
    return done.stdout.strip() or None
