"""The lists of what is installed agree, and make does what the README says it does."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement

FAKE_PYTHON = """#!/bin/sh
# Stands in for an interpreter: tells its version, makes an environment, and logs the rest.
case "$1 $2" in
  "-c "*) echo "$FAKE_VERSION" ;;
  "-m venv") [ -z "$FAKE_NO_VENV" ] || exit 1
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python; cp "$0" .venv/bin/pip; cp "$0" .venv/bin/tinygan ;;
  "-m virtualenv") exit 1 ;;
  *) echo "$(basename "$0") $*" >> log.txt ;;
esac
"""


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def requirements(repository):
    lines = (repository / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.fixture
def checkout(repository, tmp_path):
    """A copy of what `make` reads, with an interpreter that does nothing."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    python = tmp_path / "fake_python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def make(folder, *arguments, version="3.12", **variables):
    # The variables of an outer `make test` would be handed down.
    inherited = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    return subprocess.run(
        ["make", *arguments, "PYTHON=./fake_python"],
        cwd=folder,
        env={**inherited, "FAKE_VERSION": version, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def log_of(folder):
    log = folder / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def test_dependencies_have_one_list(project):
    assert project["project"]["dynamic"] == ["dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {
        "file": ["requirements.txt"]
    }


def test_this_environment_has_what_the_project_requires(requirements):
    for requirement in requirements:
        version = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is installed"


def test_setuptools_still_has_what_tensorflow_hub_imports(requirements):
    (setuptools,) = (r for r in requirements if r.name == "setuptools")
    assert not setuptools.specifier.contains("81.0.0")
    assert importlib.util.find_spec("pkg_resources")


def test_tensorflow_and_its_followers_share_a_minor_version(project, requirements):
    gpu = [Requirement(line) for line in project["project"]["optional-dependencies"]["gpu"]]
    followers = ("tensorflow", "tf-keras", "tensorboard")
    pins = {str(r.specifier) for r in requirements + gpu if r.name in followers}
    assert len(pins) == 1


def test_python_versions_agree_everywhere(project, repository):
    assert project["project"]["requires-python"] == ">=3.11,<3.14"
    assert "3.11|3.12|3.13)" in (repository / "Makefile").read_text()


def test_console_script_points_at_the_command_line(project):
    assert project["project"]["scripts"] == {"tinygan": "tinygan_keras.cli:main"}


def test_markers_that_tests_use_are_declared_with_a_reason(project):
    markers = project["tool"]["pytest"]["ini_options"]["markers"]
    assert all(re.fullmatch(r"\w+: \w.+", marker) for marker in markers)
    assert {"network", "slow", "torch", "beam", "tfds"} <= {
        marker.split(":")[0] for marker in markers
    }


def test_licence_and_changelog_are_in_place(repository):
    assert (
        "Apache License\n                           Version 2.0"
        in (repository / "LICENSE").read_text()
    )
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text()


def test_ci_runs_the_commands_of_the_makefile(repository):
    run = repository / ".ci" / "run"
    lines = run.read_text().splitlines()
    assert os.access(run, os.X_OK)
    assert "set -euo pipefail" in lines
    commands = [line for line in lines if line.startswith("make ")]
    assert commands == ["make lint", "make test-full", "make test-extras"]


def test_make_alone_lists_the_targets(checkout):
    listed = make(checkout).stdout
    for target in ("demo", "test", "test-extras", "test-slow", "lint", "format", "clean"):
        assert re.search(rf"^make {target} +\w", listed, re.MULTILINE)
    assert log_of(checkout) == []


def test_second_demo_reuses_the_environment(checkout):
    assert make(checkout, "demo").returncode == 0
    assert make(checkout, "demo", "DEMO_FLAGS=--config.seed=1").returncode == 0

    install, first, second = log_of(checkout)
    assert re.fullmatch(r"python -m pip install .* -e \.", install)
    command = "tinygan distill --config=experiments/fashion_mnist/config.py --workdir=runs/demo"
    assert first.strip() == command
    assert second == f"{command} --config.seed=1"


def test_tests_install_the_tools_and_leave_nothing_for_the_demo_to_install(checkout):
    assert make(checkout, "test").returncode == 0
    assert make(checkout, "demo").returncode == 0

    install, tests, demo = log_of(checkout)
    assert install.endswith("-e .[dev]")
    assert tests.startswith("python -m pytest")
    assert demo.startswith("tinygan distill")


def test_changed_requirements_are_installed(checkout):
    make(checkout, "demo")
    stamp = (checkout / ".venv" / "installed").stat().st_mtime
    os.utime(checkout / "requirements.txt", (stamp + 10, stamp + 10))
    make(checkout, "demo")
    assert sum("pip install" in line for line in log_of(checkout)) == 2


def test_finished_demo_is_kept_and_an_interrupted_one_resumed(checkout):
    demo = checkout / "runs" / "demo"
    demo.mkdir(parents=True)
    (demo / "checkpoint").write_text("half way")
    make(checkout, "demo")
    assert (demo / "checkpoint").exists()

    (demo / "report.json").write_text("{}")
    assert "Kept the earlier run" in make(checkout, "demo").stdout
    (kept,) = checkout.glob("runs/demo-*")
    assert (kept / "report.json").exists()
    assert not demo.exists()


@pytest.mark.parametrize("version", ["3.10", "3.14", ""])
def test_other_python_is_refused_with_the_mend(checkout, version):
    result = make(checkout, "demo", version=version)

    assert result.returncode != 0
    assert f"Python {version or '(not found)'}. Expected Python 3.11, 3.12 or 3.13" in result.stderr
    assert "make demo PYTHON=python3.12" in result.stderr
    assert not (checkout / ".venv").exists()


def test_missing_venv_module_is_explained(checkout):
    result = make(checkout, "demo", FAKE_NO_VENV="1")

    assert result.returncode != 0
    assert "apt install python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()
    assert make(checkout, "demo").returncode == 0
