import importlib.metadata
import json
import re
import subprocess

import pytest

from tinygan_keras.evaluation import environment as environment_module
from tinygan_keras.evaluation.environment import environment


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
    assert environment_module._git_commit(tmp_path) is None  # no checkout

    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "other.txt").write_text("")
    run_git(tmp_path, "add", "other.txt")
    run_git(tmp_path, "commit", "--quiet", "--message=other")
    assert environment_module._git_commit(tmp_path) is None  # a checkout, but not of this package

    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "commit", "--quiet", "--message=package")
    commit = run_git(tmp_path, "rev-parse", "HEAD")
    assert environment_module._git_commit(tmp_path) == commit
    module.write_text("changed = True")
    assert environment_module._git_commit(tmp_path) == f"{commit}-dirty"
