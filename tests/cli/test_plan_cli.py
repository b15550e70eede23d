"""tinygan plan: its words lead to one call, and mistakes of a first try are answered at once."""

import signal
import tempfile
from unittest import mock

import pytest

import tinygan_keras.runs.forecast
import tinygan_keras.runs.planning
from tinygan_keras.cli import main


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("from tinygan_keras.runs.config import default_config as get_config")
    return path


@pytest.fixture
def planned(monkeypatch):
    call = mock.Mock(return_value={})
    monkeypatch.setattr(tinygan_keras.runs.planning, "plan", call)
    return call


def test_the_words_of_the_command_are_those_of_the_next(config_file, planned, monkeypatch, capsys):
    text = mock.Mock(return_value="the table")
    monkeypatch.setattr(tinygan_keras.runs.forecast, "plan_text", text)
    words = [f"--config={config_file}", "--config.steps=7", "--config.seed", "3"]

    assert main(["plan", *words[:2], "--time=1h30m", *words[2:], "--workdir=runs/x"]) == 0

    (config, time, workdir), _ = planned.call_args
    assert (config.steps, config.seed, time, workdir) == (7, 3, "1h30m", "runs/x")
    assert text.call_args.args == ({}, words)
    assert capsys.readouterr().out == "\nthe table\n"


def test_sigterm_leaves_nothing_behind(config_file, planned, tmp_path):
    def interrupted(*_):
        with tempfile.TemporaryDirectory(dir=tmp_path, prefix="tried_"):
            signal.raise_signal(signal.SIGTERM)

    planned.side_effect = interrupted
    assert main(["plan", f"--config={config_file}"]) == 143
    assert not list(tmp_path.glob("tried_*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan"], "Got no --config. Expected it for tinygan plan, such as --config=experiments/"),
        (
            ["plan", "--config={config}", "--time=8"],
            "Expected hours, minutes or seconds with their",
        ),
        (["plan", "--config={config}", "--time=8h", "--config.stepz=3"], "mean 'steps'?"),
        (["plan", "{config}"], "Expected flags only"),
        (["plan", "--config=missing.py"], "missing.py, which is no file here"),
        (["plan", "--config={config}", "--out=x"], "Unknown command line flag 'out'"),
    ],
)
def test_mistakes_of_a_first_try(arguments, message, config_file, planned, capsys):
    assert main([word.format(config=config_file) for word in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not planned.called
