"""The same cache by an Apache Beam pipeline."""

import functools

import pytest
from cache_fixtures import PaintingTeacher, files, make
from run_fixtures import write_teacher

from tinygan_keras.cli import main
from tinygan_keras.data.teacher_cache import verify_cache

pytestmark = pytest.mark.beam


def make_with_beam(folder, load_teacher=PaintingTeacher):
    return make(folder, runner=["--runner=DirectRunner"], load_teacher=load_teacher)


def test_a_pipeline_makes_the_same_files(tmp_path):
    make_with_beam(tmp_path / "beam")
    make(tmp_path / "ours")
    assert files(tmp_path / "beam") == files(tmp_path / "ours")
    assert verify_cache(tmp_path / "beam", progress=False) == []


def test_a_pipeline_makes_what_is_missing(tmp_path):
    make(tmp_path / "whole")
    make(tmp_path / "begun", worker=1, workers=3)
    (kept,) = (tmp_path / "begun").glob("*.tfrecord")
    changed = kept.stat().st_mtime_ns
    make_with_beam(tmp_path / "begun")
    assert files(tmp_path / "begun") == files(tmp_path / "whole")
    assert kept.stat().st_mtime_ns == changed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content": "others"}, "content_hash: "),
        ({"truncation": 0.4}, "truncation: 0.4, in the cache 0.5"),
    ],
)
def test_a_worker_with_another_teacher_is_refused(settings, message, tmp_path):
    other = functools.partial(PaintingTeacher, **settings)
    with pytest.raises(Exception, match=f"teacher differs from that of the cache:\n  {message}"):
        make_with_beam(tmp_path, load_teacher=other)
    assert not list(tmp_path.glob("*.tfrecord"))


def test_shards_that_went_elsewhere_are_missed(tmp_path, monkeypatch):
    from tinygan_keras.data.records import beam_pipeline

    monkeypatch.setattr(beam_pipeline._MakeShard, "process", lambda self, shard: None)
    with pytest.raises(OSError, match="3 of 3 shards missing"):
        make_with_beam(tmp_path)


def test_the_command_runs_a_pipeline_in_processes(tmp_path):
    teacher = write_teacher(tmp_path / "teacher")
    flags = [f"--teacher={teacher}", "--count=20", "--shard_size=8", "--batch_size=4"]
    options = "--direct_num_workers=2 --direct_running_mode=multi_processing"
    beam = ["--runner=DirectRunner", f"--beam_options={options}"]
    assert main(["cache", *flags, f"--out={tmp_path / 'beam'}", *beam]) == 0
    assert main(["cache", *flags, f"--out={tmp_path / 'ours'}"]) == 0
    assert files(tmp_path / "beam") == files(tmp_path / "ours")
