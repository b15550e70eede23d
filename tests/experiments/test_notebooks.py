"""The notebooks are what their sources say, have outputs of real runs, and run from first to last cell."""

import base64
import io
import os
import runpy
import subprocess
import tomllib
from importlib import util

import jupytext
import nbclient
import numpy as np
import pytest
from nbformat import NotebookNode
from PIL import Image

NOTEBOOKS = {
    "01_quickstart": ("runs/quickstart/tinygan.keras", "runs/quickstart/saved_model/1"),
    "02_evaluation": ("runs/album/neighbours.png", "runs/album/feature_map.png"),
    "03_your_pictures": (
        *("runs/your_pictures/teacher/module", "runs/your_pictures/teacher.gif"),
        "runs/your_pictures/student/saved_model/1",
    ),
    "04_biggan": ("runs/stand_in_32/tfhub_module.pb",),
}


def read(repository, name):
    """The source and the notebook made of it."""
    folder = repository / "experiments" / "notebooks"
    return (jupytext.read(folder / f"{name}{end}") for end in (".py", ".ipynb"))


def test_every_notebook_is_tested_here(repository):
    folder = repository / "experiments" / "notebooks"
    assert {path.stem for path in folder.glob("[0-9]*.py")} == set(NOTEBOOKS)
    assert {path.stem for path in folder.glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_generated_from_its_source(repository, name):
    def cells(document):
        return [(cell.cell_type, cell.source) for cell in document.cells]

    source, notebook = read(repository, name)
    assert cells(notebook) == cells(source), f"run: python experiments/notebooks/execute.py {name}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_of_one_real_run(repository, name):
    _, notebook = read(repository, name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "in order"
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    texts = [output.get("text", "") for output in outputs]
    assert not [text for text in texts if "\r" in text or "\x1b" in text or "\x08" in text]
    size = (repository / "experiments" / "notebooks" / f"{name}.ipynb").stat().st_size
    assert size < 1.5e6


def test_bars_keep_their_last_state_and_remarks_of_libraries_go(repository):
    execute = runpy.run_path(str(repository / "experiments" / "notebooks" / "execute.py"))

    def stream(text, name="stdout"):
        return NotebookNode(output_type="stream", name=name, text=text)

    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 1), "uint8").repeat(3, axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    encoded = base64.b64encode(file.getvalue()).decode()
    picture = NotebookNode(output_type="display_data", data={"image/png": encoded})
    outputs = [
        stream("\r\x1b[1m 1/2\x1b[0m"),
        stream("no GPU", "stderr"),
        stream("\x08\x08\x08 2/2\nINFO:tensorflow:Assets\ndone\n"),
        stream("WARNING:tensorflow:old (from here)\nInstructions for updating:\nSee there.\n"),
        picture,
        stream("after\n"),
    ]
    bar, shown, after = execute["tidied"](outputs)
    assert (bar.text, after.text) == (" 2/2\ndone\n", "after\n")
    assert len(shown.data["image/png"]) < len(encoded)
    with Image.open(io.BytesIO(base64.b64decode(shown.data["image/png"]))) as smaller:
        assert smaller.size == (64, 64)
        assert np.abs(np.asarray(smaller.convert("RGB"), "int32") - pixels).max() <= 8


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_opens_in_colab_and_installs_what_is_missing(repository, monkeypatch, name):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    address = project["urls"]["Repository"]
    source, _ = read(repository, name)
    colab = address.replace("github.com", "colab.research.google.com/github")
    assert f"({colab}/blob/main/experiments/notebooks/{name}.ipynb)" in source.cells[0].source
    install = next(cell for cell in source.cells if cell.cell_type == "code").source
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    exec(install, {})
    assert not commands, "the package is here"
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    exec(install, {})
    ((*_, package),) = commands
    assert package == f"{project['name']}[evaluation] @ git+{address}"
    assert "evaluation" in project["optional-dependencies"]


@pytest.mark.parametrize(
    "name",
    [
        "01_quickstart",
        *(pytest.param(name, marks=pytest.mark.full) for name in list(NOTEBOOKS)[1:]),
    ],
)
def test_the_notebook_runs_at_debug_size(repository, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TINYGAN_DEBUG", "1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    paths = [str(repository), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    notebook = jupytext.read(repository / "experiments" / "notebooks" / f"{name}.py")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, resources=resources).execute()
    for path in NOTEBOOKS[name]:
        assert (tmp_path / path).exists()
