"""What is written of an evaluation and of a run, and read and compared again."""

import json

import ml_collections
import numpy as np
import pytest

from tinygan_keras.evaluation.protocol import ProtocolError
from tinygan_keras.evaluation.results import (
    as_table,
    compare,
    read_evaluation,
    write_evaluation,
    write_report,
)


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


def test_numbers_that_are_not_finite_become_null(report, tmp_path):
    report["student"]["frechet_distance"] = np.float32("inf")
    written = strict_json(write_report(report, tmp_path))
    assert written["student"]["frechet_distance"] is None


def test_unknown_type_is_refused_before_an_older_report_is_touched(report, tmp_path):
    path = write_report(report, tmp_path)
    before = path.read_text(), (tmp_path / "report.md").read_text()
    with pytest.raises(TypeError, match="of type set"):
        write_report({**report, "labels": {1, 2}}, tmp_path)
    assert (path.read_text(), (tmp_path / "report.md").read_text()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_the_page_of_a_run_shows_its_networks_side_by_side(report, tmp_path):
    report["reference_student"] = {"parameters": 74_227, "frechet_distance": 0.55}
    report["notes"] = ["Too few images."]
    write_report(report, tmp_path)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    cells = table(page)
    assert "| | teacher | student | reference student |" in page
    assert cells["parameters"] == ["1,252,004", "74,227 (0.0593)", "74,227 (0.0593)"]
    assert cells["Frechet distance (standard error)"] == ["0.5000", "0.7500 (1.5)", "0.5500 (1.1)"]
    assert cells["images per second"][:2] == ["250", "1,000 (4)"]
    assert cells["label accuracy"][:2] == ["91.00%", "90.50%"]
    assert cells["Frechet distance to the teacher (standard error)"][1] == "0.3000"
    for line in (
        "## What the figures can't say\n\n- Too few images.\n",
        "\n- real_images: 10000\n",
        "\n- resize: none\n",
        "\n- seed: 7\n",
        "\n- seconds: 61.25\n",
        "\n- git_commit: unknown\n",
        "\n- keras: 3.15.1\n",
        '\n  "steps": 200\n',
    ):
        assert line in page, line


def test_a_report_without_figures_is_a_page_too(tmp_path):
    write_report({"seed": 1}, tmp_path)
    assert (tmp_path / "report.md").read_text() == "# Distillation report\n\n## Run\n\n- seed: 1\n"


@pytest.fixture(scope="module")
def committed(repository):
    return read_evaluation(repository / "saved_models/tinygan_fashion_32")


def test_a_committed_evaluation_is_read_compared_and_written_again(committed, tmp_path):
    distance = committed["figures"]["frechet_distance"]
    other = {**committed, "figures": {**committed["figures"], "frechet_distance": 0.25 * distance}}
    text = compare({"a": committed, "b": other})
    (line,) = [
        line for line in text.splitlines() if line.startswith("Frechet distance (standard error)  ")
    ]
    first, second = line.index(f"{distance:#.4g}"), line.index(f"{0.25 * distance:#.4g}")
    assert first < second and line.index("*") > second, "the smaller one is the best"
    with pytest.raises(ProtocolError, match="seed"):
        compare({"a": committed, "b": {**other, "protocol": {**committed["protocol"], "seed": 1}}})
    assert read_evaluation(write_evaluation(committed, tmp_path)) == committed
    page = (tmp_path / "evaluation.md").read_text()
    assert f"\n- seed: {committed['protocol']['seed']}\n" in page
    assert (
        "\n| class | Frechet distance | label accuracy | images |\n|---|---:|---:|---:|\n" in page
    )


def test_the_table_shows_value_and_spread():
    text = as_table(
        {"mine": {"figures": {"kernel_distance": 0.25, "kernel_distance_error": 0.125}}}
    )
    assert text.splitlines()[1] == "kernel distance (standard error)  0.2500 (0.12)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no evaluation"),
        ('{"figures": {}, "protocol": "a protocol"}', "no evaluation"),
        ("{", "can't be read"),
    ],
)
def test_another_file_is_no_evaluation(content, message, tmp_path):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_evaluation(tmp_path)


def test_differences_within_two_standard_errors_are_marked():
    figures = {
        "a": {"frechet_distance": 1.0, "frechet_distance_error": 0.06, "precision": 0.9},
        "b": {"frechet_distance": 1.19, "frechet_distance_error": 0.08, "precision": 0.8},
        "c": {"frechet_distance": 1.21, "frechet_distance_error": 0.08},
        "d": {"frechet_distance": 1.0001},  # from before there were errors
    }
    text = as_table({name: {"figures": own} for name, own in figures.items()})
    row = next(line for line in text.splitlines() if line.startswith("Frechet distance"))
    cells = row.split("(standard error)")[1].replace(" (", "(").split()
    # The best and "b" are apart by 0.19, 2 standard errors of their difference by 0.2.
    assert cells == ["1.000(0.06)*", "1.190(0.08)~", "1.210(0.08)", "1.000"]
    protocol = {"extractor": "fashion_classifier"}
    results = {name: {"figures": own, "protocol": protocol} for name, own in figures.items()}
    assert "~ within two standard errors" in compare(results)
    assert "~" not in compare({name: results[name] for name in ("a", "d")})
