"""The wheel is enough: without the checkout it runs the demo and the README's cell, in any folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.full
SOURCES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")
FOLDERS = ("tinygan_keras", "saved_models", "experiments")
SMALLER = {"16_000": "64", "epochs=10, steps_per_epoch=300": "epochs=1, steps_per_epoch=2"}


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """The wheel, built of a copy so that nothing is left in the checkout, nor taken from an earlier build."""
    root = tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "runs" if folder == "experiments" else "")
        shutil.copytree(repository / folder, root / "source" / folder, ignore=ignored)
    for name in SOURCES:
        shutil.copy(repository / name, root / "source")
    options = ["--quiet", "--no-deps", f"--wheel-dir={root}"]
    run([sys.executable, "-m", "pip", "wheel", *options, "."], root / "source")
    (wheel,) = root.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The `bin` of an environment with the wheel, and all else from the one that runs the tests."""
    root = tmp_path_factory.mktemp("environment") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(root)])
    python = root / "bin" / "python"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([python, "-c", purelib]).strip())
    # Python doesn't follow the .pth files of a folder that is named in one, such as that to the checkout.
    packages.joinpath("shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    options = ["--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    run([python, "-m", "pip", "install", *options, wheel])
    return root / "bin"


def run(command, folder=None, **variables) -> str:
    """Runs a command that may see nothing of the checkout; returns what it prints."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = inherited | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(list(map(str, command)), check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_models_without_pictures_in_25_megabytes(wheel, repository):
    assert wheel.stat().st_size <= 25e6
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert not [name for name in names if name.endswith((".png", ".gif", ".pyc"))]
    for path in (repository / "saved_models").rglob("*"):
        if path.suffix not in (".png", ".csv") and path.is_file():
            assert f"tinygan_keras/{path.relative_to(repository).as_posix()}" in names
    data = "tinygan_keras/experiments/fashion_mnist/data"
    assert {
        f"{data}/fashion_mnist_10k.npz",
        f"{data}/LICENSE",
        "tinygan_keras/__init__.pyi",
        "tinygan_keras/py.typed",
    } <= names


def test_the_demo_runs_in_an_empty_folder(environment, tmp_path, repository):
    settings = ["steps=4", "steps_per_epoch=2", "teacher_samples=64", "evaluation_images=40"]
    folder = tmp_path / "empty"
    folder.mkdir()
    command = ["demo", *(f"--config.{setting}" for setting in settings)]
    printed = run([environment / "tinygan", *command], folder, KERAS_HOME=str(tmp_path / "keras"))
    assert "runs/demo/report.md" in printed
    assert {path.name for path in folder.iterdir()} == {"runs"}
    report = (folder / "runs" / "demo" / "report.json").read_text()
    assert "frechet_distance" in report and str(repository) not in report


def test_the_cell_of_the_readme_runs_in_an_empty_folder(environment, tmp_path, repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    cell = re.search(r"\[start:cell\] -->\n```python\n(.*?)```", readme, re.DOTALL)[1]
    for number, smaller in SMALLER.items():
        assert cell.count(number) == 1
        cell = cell.replace(number, smaller)
    cell += "\nprint(tg.__file__, images.dtype, images.shape)"
    printed = run([environment / "python", "-c", cell], tmp_path).splitlines()[-1]
    assert printed.endswith("uint8 (8, 32, 32, 3)")
    assert printed.startswith(str(environment.parent))
