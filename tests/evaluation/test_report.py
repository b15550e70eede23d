import json

import ml_collections
import numpy as np
import pytest

from tinygan_keras.evaluation.report import as_markdown, write_report


@pytest.fixture
def report(tmp_path):
    return {
        "teacher": {
            "parameters": 1_252_004,
            "multiply_adds": 158_666_240,
            "images_per_second": np.float32(250.0),
            "frechet_distance": 0.5,
            "label_accuracy": 0.91,
        },
        "student": {
            "parameters": 74_227,
            "multiply_adds": 7_174_144,
            "images_per_second": 1000.0,
            "frechet_distance": np.float64(0.75),
            "frechet_to_teacher": 0.3,
            "label_accuracy": 0.905,
        },
        "protocol": {"real_images": np.int64(10_000), "resize": "none"},
        "config": ml_collections.ConfigDict({"steps": 200, "channels": (64, 32)}),
        "versions": {"keras": "3.15.1"},
        "workdir": tmp_path,
        "seconds": 61.25,
        "seed": 7,
        "git_commit": None,
    }


def strict_json(path):
    def reject(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=reject)


def table(markdown):
    """The cells of the first table, by first column."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line[:2] == "| "]
    return {row[0]: row[1:] for row in rows}


def test_json_holds_every_figure_as_a_plain_value(report, tmp_path):
    path = write_report(report, tmp_path / "runs" / "demo")
    assert path == tmp_path / "runs" / "demo" / "report.json"
    written = strict_json(path)
    assert written["teacher"]["images_per_second"] == 250.0
    assert written["student"]["frechet_distance"] == 0.75
    assert written["protocol"]["real_images"] == 10_000
    assert written["config"] == {"steps": 200, "channels": [64, 32]}
    assert written["workdir"] == tmp_path.as_posix()
    assert written["git_commit"] is None


def test_json_is_sorted(report, tmp_path):
    written = strict_json(write_report(report, tmp_path))
    assert list(written) == sorted(written)
    assert list(written["teacher"]) == sorted(written["teacher"])


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), -np.inf])
def test_numbers_that_are_not_finite_become_null(report, tmp_path, value):
    report["student"]["frechet_distance"] = value
    written = strict_json(write_report(report, tmp_path))
    assert written["student"]["frechet_distance"] is None


def test_unknown_type_is_rejected_before_an_older_report_is_touched(report, tmp_path):
    path = write_report(report, tmp_path)
    before = path.read_text(), (tmp_path / "report.md").read_text()
    with pytest.raises(TypeError, match="of type set"):
        write_report({**report, "labels": {1, 2}}, tmp_path)
    assert (path.read_text(), (tmp_path / "report.md").read_text()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_markdown_shows_teacher_beside_student(report, tmp_path):
    write_report(report, tmp_path)
    cells = table((tmp_path / "report.md").read_text(encoding="utf-8"))
    assert cells["parameters"] == ["1,252,004", "74,227 (0.0593)"]
    assert cells["Frechet distance"] == ["0.5000", "0.7500 (1.5)"]
    assert cells["images per second"] == ["250", "1,000 (4)"]
    assert cells["label accuracy"] == ["91.00%", "90.50%"]
    assert cells["Frechet distance to the teacher"][-1] == "0.3000"


def test_markdown_shows_the_reference_student_beside_both(report):
    reference = {"parameters": 74_227, "frechet_distance": 0.55}
    markdown = as_markdown({**report, "config": {}, "reference_student": reference})
    assert "| teacher | student | reference student |" in markdown
    assert table(markdown)["Frechet distance"][-1] == "0.5500 (1.1)"


def test_markdown_says_how_the_figures_were_made(report, tmp_path):
    write_report(report, tmp_path)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    for line in (
        "- real_images: 10000",
        "- resize: none",
        "- seed: 7",
        "- seconds: 61.25",
        "- git_commit: unknown",
        "- keras: 3.15.1",
        '  "steps": 200',
    ):
        assert line in markdown.splitlines() or f"{line}" in markdown, line


def test_markdown_shows_the_notes(report):
    markdown = as_markdown({**report, "config": {}, "notes": ["Too few images."]})
    assert "## What the figures can't say\n\n- Too few images.\n" in markdown


def test_report_without_figures_is_a_page_too():
    assert as_markdown({"seed": 1}) == "# Distillation report\n\n## Run\n\n- seed: 1\n"
