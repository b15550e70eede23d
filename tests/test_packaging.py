"""What is installed, and the lists of it, agree."""

import importlib.metadata
import os
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

import tinygan_keras


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def requirements(repository):
    lines = (repository / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


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


def test_one_version_and_one_address_everywhere(project, repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    version = project["project"]["version"]
    assert version == tinygan_keras.__version__ == citation["version"]
    assert f"## [{version}]" in (repository / "CHANGELOG.md").read_text()
    assert project["project"]["urls"]["Repository"] == citation["repository-code"]
    assert project["project"]["license"] == citation["license"]


def test_forms_of_issues_are_what_github_reads(repository):
    folder = repository / ".github" / "ISSUE_TEMPLATE"
    forms = [path for path in folder.glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form["name"] and form["description"]
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0
        for part in form["body"]:
            assert part["type"] in ("textarea", "input", "markdown", "dropdown", "checkboxes")
            assert part["attributes"].get("label") or part["attributes"].get("value")


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
    assert commands == ["make lint", "make docs", "make test-full", "make test-extras"]
