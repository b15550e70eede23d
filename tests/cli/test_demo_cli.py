"""`tinygan demo`: the embedded config with single changes, and what was there before is kept."""

import pytest

import tinygan_keras.runs.distill
from tinygan_keras.cli import main


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """The runs that were started, in an empty folder."""
    runs = []

    def distill(config, folder, overwrite):
        runs.append((config, folder))

    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", distill)
    monkeypatch.chdir(tmp_path)
    return runs


def test_it_runs_the_embedded_config_with_changes(runs):
    assert main(["demo", "--config.steps=7", "--out=here", "--config.debug"]) == 0
    ((config, folder),) = runs
    assert (config.steps, config.debug, str(folder)) == (7, True, "here")
    assert (config.teacher, config.data_subset) == ("biggan_fashion_32", "fashion_mnist_10k")


def test_an_interrupted_run_goes_on_and_a_finished_one_is_kept(runs, tmp_path, capsys):
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert main(["demo"]) == 0
    assert (folder / "config.json").exists()

    (folder / "report.json").write_text("{}")
    assert main(["demo", "--overwrite"]) == 0 and folder.exists()
    assert main(["demo"]) == 0
    assert not folder.exists() and len(runs) == 3
    (kept,) = (tmp_path / "runs").glob("demo-*")
    assert (kept / "report.json").exists() and kept.name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config=mine.py", "Expected none: the demo has its own"),
        ("--config.stepz=3", "Did you mean 'steps'?"),
        ("--config.steps=many", "steps=many"),
        ("--out=", "Got no --out"),
        ("somewhere", "Expected flags only"),
    ],
)
def test_mistakes_are_one_message(runs, capsys, flag, message):
    assert main(["demo", flag]) == 2
    assert message in capsys.readouterr().err and not runs
