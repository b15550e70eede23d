import io
import sys

import keras
import pytest

from tinygan_keras import progress
from tinygan_keras.progress import progress_bar


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_file_gets_a_plain_line_a_minute_and_one_at_the_end(clock, capsys):
    bar = progress_bar(2500)
    for seconds, number in ((1, 500), (58, 500), (2, 500), (30, 250)):
        clock.now += seconds
        bar.add(number)
    assert capsys.readouterr().out == "image 1,500 of 2,500, 61 s\n"
    clock.now += 4
    bar.update(2500)
    assert capsys.readouterr().out == "image 2,500 of 2,500, 95 s\n"


def test_a_notebook_gets_the_bar_of_keras(monkeypatch):
    # As ipykernel.iostream.OutStream, which needs a kernel.
    out_stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    monkeypatch.setattr("sys.stdout", out_stream())
    assert isinstance(progress_bar(4), keras.utils.Progbar)


def test_a_process_that_runs_notebooks_in_others_gets_lines(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    assert not isinstance(progress_bar(4), keras.utils.Progbar)


def test_work_that_ends_early_says_so_once(clock, capsys):
    bar = progress_bar(10, "label")
    bar.update(4, finalize=True)
    assert capsys.readouterr().out == "label 4 of 10, 0 s\n"


def test_a_terminal_gets_the_bar_of_keras(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    bar = progress_bar(4, "batch")
    assert isinstance(bar, keras.utils.Progbar)
    bar.add(4)
    assert "4/4" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"total": 3, "visible": False}, {"total": 0}])
def test_nothing_is_said_of_no_work_and_to_nobody(options, capsys):
    progress_bar(**options).update(options["total"])
    assert capsys.readouterr().out == ""
