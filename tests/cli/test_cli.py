"""The command line: quick help, one clear message for a mistake, and commands that do their work."""

import gc
import importlib
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from absl import flags as absl_flags

import tinygan_keras.runs.distill
from tinygan_keras.cli import COMMANDS, flags, main
from tinygan_keras.runs.interruptions import Interrupted

CONFIG = "from tinygan_keras.runs.config import default_config as get_config"


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def test_help_and_mistakes_are_answered_without_tensorflow():
    program = (
        "import sys; from tinygan_keras.cli import COMMANDS, main\n"
        "for words in (['--help'], *([name, '--help'] for name in COMMANDS), ['nonsense']):\n"
        "    main(words)\n"
        "main(['distill', '--config=missing.py', '--workdir=x'])\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--workdir: Run folder. (required)" in done.stdout
    assert "learning_rate_decay_start: 0.4" in done.stdout
    assert "missing.py, which is no file here" in done.stderr


@pytest.mark.parametrize("given", [None, ["--help"]])
def test_only_a_process_of_its_own_looks_for_garbage_less_often(given, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tinygan", "--help"])
    with mock.patch("gc.set_threshold") as threshold, mock.patch("atexit.register") as register:
        assert main(given) == 0
    assert threshold.call_count == (given is None)
    assert register.call_args_list == ([mock.call(gc.freeze)] if given is None else [])
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distil"], "Did you mean 'distill'?"),
        (["distill"], "Got no --config and no --workdir"),
        (["distill", "--config={config}"], "Got no --workdir. Expected it for tinygan distill"),
        (["distill", "--config={config}", "--wrkdir=x"], "Did you mean: workdir"),
        (["distill", "--config={config}", "--workdir=x", "--config.stepz=3"], "mean 'steps'?"),
        (["distill", "--config={config}", "--workdir=x", "--config.steps=many"], "steps=many"),
        (["distill", "--config={config}", "--workdir=x", "--config.steps=0"], "steps=0"),
        (["distill", "--config=missing.py", "--workdir=x"], "missing.py, which is no file here"),
        (["distill", "--config={empty}", "--workdir=x"], "without a function get_config"),
        (["distill", "--config.steps=3", "--workdir=x"], "no --config"),
        (["distill", "--config={config}", "somewhere"], "Expected flags only"),
    ],
)
def test_mistake_is_one_message_and_exit_code_2(arguments, message, config_file, tmp_path, capsys):
    (tmp_path / "empty.py").write_text("")
    arguments = [word.format(config=config_file, empty=tmp_path / "empty.py") for word in arguments]

    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error

    assert main([*arguments, "--debug"]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" in error


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seeds", "7", [7]),
        ("seeds", "0-3,9, 5", [0, 1, 2, 3, 9, 5]),
        ("seeds", None, list(range(8))),
        ("seeds", "5-3", None),
        ("seeds", "0-99999999999", None),
        ("seeds", "-1", None),
        ("seeds", "one", None),
        ("truncation", "0", 0.0),
        ("truncation", "1.01", None),
        ("truncation", "nan", None),
        ("count", "0", None),
        ("model", "~/run", f"{Path('~').expanduser()}/run"),
        ("model", "https://tfhub.dev/a/1", "https://tfhub.dev/a/1"),
        ("real", "tfds:imagenet2012:test", "tfds:imagenet2012:test"),
        ("metrics", "a,b", ["a", "b"]),
        ("format", "gif", None),
    ],
)
def test_values_of_flags(name, text, value):
    values = absl_flags.FlagValues()
    flags.row("sample", name).define(name, values)
    words = ["tinygan"] if text is None else ["tinygan", f"--{name}={text}"]
    if value is None:
        with pytest.raises(absl_flags.Error, match=f"--{name}={text}"):
            values(words)
    else:
        values(words)
        assert values[name].value == value


def test_every_flag_of_a_command_is_in_the_table_and_every_row_is_of_a_command():
    used = {"debug"}
    for name in COMMANDS:
        command = importlib.import_module(f"tinygan_keras.cli.{name}")
        assert set(getattr(command, "REQUIRED", ())) <= set(command.FLAGS)
        for flag in command.FLAGS:
            assert flags.row(name, flag).meaning.endswith("."), flag
            used |= {flag, f"{name}.{flag}"}
    assert set(flags.TABLE) <= used


def test_a_flag_that_has_gone_says_what_has_taken_its_place(capsys):
    assert main(["sample", "--model=x", "--per_class=3"]) == 2
    assert "--seeds=0-7 makes eight images of each class" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["exp_10:30", "with space"])
def test_a_config_file_may_lie_anywhere(folder, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", lambda *a, **k: calls.append(a))
    path = tmp_path / folder / "config.py"
    path.parent.mkdir()
    path.write_text(CONFIG)

    assert main(["distill", f"--config={path}", "--workdir=~/x", "--config.steps=7"]) == 0

    ((config, workdir),) = calls
    assert config.steps == 7
    assert workdir == str(Path("~/x").expanduser())


def test_errors_of_the_program_keep_their_traceback(config_file, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("raised outside the package")

    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", broken)
    with pytest.raises(ValueError, match="outside"):
        main(["distill", f"--config={config_file}", "--workdir=x"])


def test_distill_gets_config_overrides_and_workdir(config_file, monkeypatch):
    calls = []
    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", lambda *a, **k: calls.append((a, k)))
    overrides = ["--config.steps=7", "--config.student_overrides={'channels': (8, 8)}"]
    overrides += ["--config.debug", "--config.image_size=32", "--overwrite"]

    assert main(["distill", f"--config={config_file}", "--workdir=here", *overrides]) == 0

    ((config, workdir), keywords) = calls[0]
    assert (config.steps, config.debug, config.image_size) == (7, True, 32)
    assert config.student_overrides.to_dict() == {"channels": (8, 8)}
    assert (workdir, keywords) == ("here", {"overwrite": True})


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (Interrupted(signal.SIGTERM), 143)]
)
def test_interruptions_have_exit_codes_of_their_own(config_file, monkeypatch, error, code):
    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", mock.Mock(side_effect=error))
    assert main(["distill", f"--config={config_file}", "--workdir=x"]) == code
