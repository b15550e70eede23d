import importlib.metadata
import json
import re
import subprocess

import ml_collections
import numpy as np
import pytest

from tinygan_keras.evaluation import report as report_module
from tinygan_keras.evaluation.report import as_markdown, environment, write_report


@pytest.fixture
def report(tmp_path):
    return {
        "teacher": {
            "parameters": 1_252_004,
            "multiply_adds": 158_666_240,
            "images_per_second": np.float32(250.0),
            "frechet_to_real": 0.5,
            "label_accuracy": 0.91,
        },
        "student": {
            "parameters": 74_227,
            "multiply_adds": 7_174_144,
            "images_per_second": 1000.0,
            "frechet_to_real": np.float64(0.75),
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
    assert written["student"]["frechet_to_real"] == 0.75
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
    report["student"]["frechet_to_real"] = value
    written = strict_json(write_report(report, tmp_path))
    assert written["student"]["frechet_to_real"] is None


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
    assert cells["Frechet distance to real images"] == ["0.5", "0.75 (1.5)"]
    assert cells["images per second"] == ["250", "1,000 (4)"]
    assert cells["label accuracy"] == ["91.0%", "90.5%"]
    assert cells["Frechet distance to the teacher"][-1] == "0.3"


def test_markdown_shows_the_reference_student_beside_both(report):
    reference = {"parameters": 74_227, "frechet_to_real": 0.55}
    markdown = as_markdown({**report, "config": {}, "reference_student": reference})
    assert "| teacher | student | reference student |" in markdown
    assert table(markdown)["Frechet distance to real images"][-1] == "0.55 (1.1)"


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


def test_report_without_figures_is_a_page_too():
    assert as_markdown({"seed": 1}) == "# Distillation report\n\n## Run\n\n- seed: 1\n"


@pytest.fixture
def fresh_environment():
    environment.cache_clear()
    yield environment
    environment.cache_clear()


def test_environment_names_installed_versions(fresh_environment):
    found = fresh_environment()
    assert found["versions"]["tensorflow"] == importlib.metadata.version("tensorflow")
    assert found["cpu_count"] >= 1
    assert re.fullmatch(r"3\.\d+\.\d+\S*", found["python"])
    json.dumps(found, allow_nan=False)


def test_environment_without_git_has_no_commit(fresh_environment, monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert fresh_environment()["git_commit"] is None


def run_git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_git_commit_is_the_packages_own(tmp_path):
    module = tmp_path / "tinygan_keras" / "__init__.py"
    module.parent.mkdir()
    module.write_text("")
    assert report_module._git_commit(tmp_path) is None  # no checkout

    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "other.txt").write_text("")
    run_git(tmp_path, "add", "other.txt")
    run_git(tmp_path, "commit", "--quiet", "--message=other")
    assert report_module._git_commit(tmp_path) is None  # a checkout, but not of this package

    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "commit", "--quiet", "--message=package")
    commit = run_git(tmp_path, "rev-parse", "HEAD")
    assert report_module._git_commit(tmp_path) == commit
    module.write_text("changed = True")
    assert report_module._git_commit(tmp_path) == f"{commit}-dirty"
