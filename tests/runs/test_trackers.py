"""Trackers of trainings: chosen by name, without a network, and one record for an interrupted run."""

import json

import keras
import pytest
from run_fixtures import interrupt, small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tinygan_keras.errors import MissingPackageError
from tinygan_keras.runs import trackers
from tinygan_keras.runs.config import validate
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.planning import plan


@pytest.fixture
def config(tmp_path):
    config = small_config(tmp_path)
    config.name = "tracked"
    return config


def test_tensorboard_has_figures_and_pictures_and_csv_can_be_left_out(config, tmp_path):
    config.trackers = "tensorboard"
    workdir = tmp_path / "run"
    distill(config, workdir)
    assert not (workdir / "history.csv").exists()
    events = EventAccumulator(str(workdir / "tensorboard" / "pictures")).Reload()
    assert [event.step for event in events.Tensors("same_latents")] == [0, 1]
    figures = EventAccumulator(str(workdir / "tensorboard" / "train")).Reload()
    assert "epoch_g_loss" in figures.Tags()["tensors"] + figures.Tags()["scalars"]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_told_with_its_extra(config, tmp_path, monkeypatch, name):
    def missing(package):
        raise ImportError(f"No module named {package}")

    monkeypatch.setattr(trackers.importlib, "import_module", missing)
    config.trackers = f"csv, {name}"
    with pytest.raises(MissingPackageError, match=rf"tinygan-keras\[{name}\]"):
        distill(config, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(MissingPackageError, match=rf"tinygan-keras\[{name}\]"):
        plan(config)


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ValueError, match="trackers='csv,neptune'.*tensorboard, csv, wandb, mlflow"):
        validate({"teacher": "x", "trackers": "csv,neptune"})


@pytest.mark.trackers
def test_wandb_offline_goes_on_in_its_record(config, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config.trackers, workdir = "csv,wandb", tmp_path / "run"
    interrupt(distill, config, workdir)
    first = json.loads((workdir / "trackers.json").read_text())["wandb"]
    distill(config, workdir)
    assert json.loads((workdir / "trackers.json").read_text()) == {"wandb": first}
    records = list((workdir / "wandb").glob(f"offline-run-*-{first}"))
    assert records and all(list(record.glob("*.wandb")) for record in records)
    pictures = list((workdir / "wandb").rglob("media/images/same_latents*.png"))
    assert len(pictures) == 2


@pytest.mark.trackers
def test_mlflow_in_a_folder_goes_on_in_its_record(config, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    config.trackers, workdir = "csv,mlflow", tmp_path / "run"
    interrupt(distill, config, workdir)
    distill(config, workdir)
    record = json.loads((workdir / "trackers.json").read_text())["mlflow"]
    client = mlflow.MlflowClient((workdir / "mlruns").as_uri())
    assert [each.step for each in client.get_metric_history(record, "g_loss")] == [0, 1]
    assert client.get_run(record).info.status == "FINISHED"
    names = {each.path for each in client.list_artifacts(record, "same_latents")}
    assert names == {"same_latents/epoch_00001.png", "same_latents/epoch_00002.png"}


def test_pictures_that_are_not_drawn_are_not_shown(tmp_path):
    shown = []
    pictures = trackers.Pictures(tmp_path, lambda path, epoch: shown.append((path.name, epoch)))
    pictures.set_model(keras.Sequential())
    (tmp_path / "epoch_00002.png").touch()
    for epoch in range(3):
        pictures.on_epoch_end(epoch)
    assert shown == [("epoch_00002.png", 1)]
