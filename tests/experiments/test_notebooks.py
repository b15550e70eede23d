"""The notebooks are what their sources say, and run from the first cell to the last."""

import os

import jupytext
import nbclient
import pytest

NOTEBOOKS = {
    "01_quickstart": ("runs/quickstart/tinygan.keras", "runs/quickstart/saved_model/1"),
    "02_evaluation": ("runs/album/neighbours.png", "runs/album/feature_map.png"),
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_generated_from_its_source(repository, name):
    folder = repository / "experiments" / "notebooks"
    source, notebook = (jupytext.read(folder / f"{name}{end}") for end in (".py", ".ipynb"))

    def cells(document):
        return [(cell.cell_type, cell.source) for cell in document.cells]

    assert cells(notebook) == cells(source), f"run: jupytext --to ipynb {name}.py"
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize(
    "name", ["01_quickstart", pytest.param("02_evaluation", marks=pytest.mark.full)]
)
def test_the_notebook_runs_at_debug_size(repository, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TINYGAN_DEBUG", "1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    paths = [str(repository), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    notebook = jupytext.read(repository / "experiments" / "notebooks" / f"{name}.py")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    for path in NOTEBOOKS[name]:
        assert (tmp_path / path).exists()
