"""Kills and other workers at the wrong moment: a cache stays whole, and of one teacher."""

import contextlib
import errno
import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import tensorflow as tf
from cache_fixtures import COUNT, SETTINGS, PaintingTeacher, files, make, samples

from tinygan_keras.data.records import storage

UNFINISHED = ".unfinished-"


class Killed(BaseException):
    """What a handler of exceptions must not see; nothing is tidied up after it."""


@pytest.mark.parametrize(("operation", "stride"), [("rename", 1), ("write", 7)])
def test_killed_at_any_step_it_goes_on_where_it_was(operation, stride, tmp_path, monkeypatch):
    make(tmp_path / "whole")
    whole = files(tmp_path / "whole")
    kills = 0
    for step in range(0, 100, stride):
        folder = tmp_path / str(step)
        with monkeypatch.context() as patched:
            kill(patched, operation, step)
            try:
                make(folder)
                break  # there are fewer steps
            except Killed:
                kills += 1
        make(folder)
        found = files(folder)
        # Of the small files, what a kill left stays: another worker may be writing it.
        left = {name for name in found if UNFINISHED in name and not name.startswith("shard-")}
        assert {name: found[name] for name in set(found) - left} == whole, step
    assert kills >= 4


def kill(patched, operation, step):
    """Ends everything before a file operation."""
    calls = iter(range(1000))

    def dying(function):
        @functools.wraps(function)
        def call(*args, **keywords):
            if next(calls) >= step:
                raise Killed
            return function(*args, **keywords)

        return call

    if operation == "rename":
        patched.setattr(tf.io.gfile, "rename", dying(tf.io.gfile.rename))
        patched.setattr(os, "link", dying(os.link))
    else:
        patched.setattr(tf.io.TFRecordWriter, "write", dying(tf.io.TFRecordWriter.write))
    # A dead process tidies nothing up.
    patched.setattr(tf.io.gfile, "remove", lambda path: None)


def test_kill_9_of_a_process_costs_what_was_not_finished(tmp_path):
    settings = {**SETTINGS, "count": 80}
    program = (
        "from cache_fixtures import *\n"
        f"write_cache(PaintingTeacher(delay=0.1), {str(tmp_path / 'killed')!r}, **{settings})"
    )
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), str(root.parent)])
    child = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}
    )
    deadline = time.monotonic() + 120
    while len(finished := list((tmp_path / "killed").glob("shard-*.json"))) < 3:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    teacher = PaintingTeacher()
    make(tmp_path / "killed", teacher, count=80)
    assert 10 <= len(teacher.drawn) <= 2 * (10 - len(finished))
    make(tmp_path / "whole", count=80)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("place", "operation", "number"),
    # While the first record is written; before manifest, embedding, shard and side file are flushed.
    [(tf.io.TFRecordWriter, "write", 0), *((storage, "_flush", number) for number in range(4))],
)
def test_two_writers_of_the_same_shards_do_each_other_no_harm(
    place, operation, number, tmp_path, monkeypatch
):
    """The second starts and ends while the first has an unfinished file, which it takes for a dead one's."""
    make(tmp_path / "whole")
    original, calls, seen = getattr(place, operation), iter(range(1000)), []

    def meddled(*args):
        if next(calls) == number:
            seen.extend(name for name in files(tmp_path / "both") if UNFINISHED in name)
            make(tmp_path / "both")
        return original(*args)

    monkeypatch.setattr(place, operation, meddled)
    make(tmp_path / "both")
    assert seen
    assert files(tmp_path / "both") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "steps",
    [[(storage, "_flush")], [(os, "link"), (tf.io.gfile, "rename")]],
    ids=["flush", "rename"],
)
def test_an_unfinished_file_that_disappears_is_written_again(steps, tmp_path, monkeypatch):
    make(tmp_path / "whole")
    removed = set()

    def robbed(function):
        def call(path, *args, **keywords):
            name = os.path.basename(path).partition(UNFINISHED)[0]
            if name not in removed:
                removed.add(name)
                os.remove(path)
            return function(path, *args, **keywords)

        return call

    for place, name in steps:
        monkeypatch.setattr(place, name, robbed(getattr(place, name)))
    make(tmp_path / "robbed")
    assert removed == set(files(tmp_path / "whole")) == set(files(tmp_path / "robbed"))
    assert files(tmp_path / "robbed") == files(tmp_path / "whole")


def test_a_folder_that_another_command_takes_away_is_made_again(tmp_path, monkeypatch):
    """It tried whether its folder can be written to, and removes it if it is empty still."""
    makedirs, listdir, taken = tf.io.gfile.makedirs, tf.io.gfile.listdir, []

    def take_away():
        with contextlib.suppress(OSError):
            os.rmdir(tmp_path / "cache")
            taken.append(tmp_path)

    def made(folder):
        makedirs(folder)
        if not taken:
            take_away()

    def listed(folder):
        take_away()
        return listdir(folder)

    monkeypatch.setattr(tf.io.gfile, "makedirs", made)
    monkeypatch.setattr(tf.io.gfile, "listdir", listed)
    make(tmp_path / "cache")
    assert len(taken) == 1 and len(samples(tmp_path / "cache")["label"]) == COUNT


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_two_first_workers_with_other_settings_one_is_refused(hard_links, tmp_path, monkeypatch):
    """The other one's manifest appears after this one found none, just before it writes its own."""
    flush, other, before = storage._flush, PaintingTeacher(truncation=0.4), {}

    def late(path):
        monkeypatch.setattr(storage, "_flush", flush)
        make(tmp_path, worker=0, workers=3)
        before.update(files(tmp_path))
        flush(path)

    def refused(*args):
        raise OSError(errno.ENOTSUP, "no hard links here")

    if not hard_links:
        monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(storage, "_flush", late)
    with pytest.raises(ValueError, match=r"truncation: 0.4, in the folder 0.5"):
        make(tmp_path, other)
    kept = {name: content for name, content in before.items() if UNFINISHED not in name}
    assert files(tmp_path) == kept and len(kept) == 4 and not other.drawn


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    make(tmp_path)
    teacher = PaintingTeacher()
    # What TensorFlow says of any error, too.
    error = tf.errors.NotFoundError(None, None, f"Could not find directory {tmp_path}")
    monkeypatch.setattr(tf.io.gfile, "listdir", mock.Mock(side_effect=error))
    with pytest.raises(OSError, match="Could not find directory"):
        make(tmp_path, teacher)
    assert not teacher.drawn
