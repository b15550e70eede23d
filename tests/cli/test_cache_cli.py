"""`tinygan cache`: one message for a mistake, and a cache that is made, gone on with and verified."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from cache_fixtures import samples
from run_fixtures import LATENT_DIM, write_teacher

from tinygan_keras.cli import main
from tinygan_keras.data.teacher_cache import TeacherCache
from tinygan_keras.images import to_float, to_uint8
from tinygan_keras.teachers.hub import HubTeacher

SMALL = ["--count=20", "--shard_size=8", "--batch_size=4", "--seed=3"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teacher") / "teacher")


@pytest.fixture(scope="module")
def cache(teacher, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("cache") / "new" / "cache")
    flags = [f"--teacher={teacher}", f"--out={out}", "--classes=1-3,7", "--truncation=0.25"]
    for worker in range(2):
        assert main(["cache", *flags, *SMALL, f"--worker={worker}", "--workers=2"]) == 0
    return out


def test_mistakes_are_answered_without_tensorflow(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.tex").write_text("")
    out = f"--out={tmp_path}"
    good = ["--teacher=x", f"{out}/new", "--count=8"]
    cases = {
        "Samples of a teacher": ["--help"],
        "Got no --out": ["--teacher=x", "--count=8"],
        "Got no --count. Expected it for tinygan cache": [f"{out}/new", "--teacher=x"],
        "flag --count=0": [*good, "--count=0"],
        "Got worker=8 of workers=8": [*good, "--worker=8", "--workers=8"],
        "flag --shard_size=0": [*good, "--shard_size=0"],
        "flag --seed=-1": [*good, "--seed=-1"],
        "flag --truncation=1.5": [*good, "--truncation=1.5"],
        "value should be one of <png|raw>": [*good, "--encoding=jpeg"],
        "/file for --out, which is a file": [*good, f"{out}/file"],
        "/file/a for --out, where nothing can be written": [*good, f"{out}/file/a"],
        "no set of records and holds 'thesis.tex'": [*good, f"{out}/strange"],
        "Got --runner=DirectRunner and --workers=2": [
            *good,
            "--runner=DirectRunner",
            "--workers=2",
        ],
        "Got --beam_options without --runner": [*good, "--beam_options=--x"],
    }
    program = (
        "import sys; from tinygan_keras.cli import main\n"
        f"for words in {[['cache', *words] for words in cases.values()]!r}:\n"
        "    print(main(words), flush=True, file=sys.stderr)\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "generates samples of a teacher once" in done.stdout
    codes = [line for line in done.stderr.splitlines() if line.isdigit()]
    assert codes == ["0"] + ["2"] * (len(cases) - 1)
    for message in list(cases)[1:]:
        assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "strange"]


def test_without_apache_beam_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "tinygan_keras.data.records.beam_pipeline", raising=False)
    flags = ["--teacher=x", "--count=8", f"--out={tmp_path}", "--runner=DirectRunner"]
    assert main(["cache", *flags]) == 2
    assert "tinygan-keras[beam]" in capsys.readouterr().err


def test_a_cache_holds_what_the_teacher_generates(cache, teacher):
    found = samples(cache)
    np.testing.assert_array_equal(found["label"], np.tile([1, 2, 3, 7], 5))
    assert found["latent"].shape == (20, LATENT_DIM) and np.abs(found["latent"]).max() <= 0.5
    images = HubTeacher(teacher, truncation=0.25)(found["latent"], found["label"])
    np.testing.assert_array_equal(found["teacher_image"], to_float(to_uint8(images)))
    assert TeacherCache(cache).truncation == 0.25


def test_verify_passes_a_whole_cache_and_names_what_is_wrong(cache, teacher, tmp_path, capsys):
    assert main(["cache", "--verify", f"--out={cache}"]) == 0
    assert "every shard is as it was written" in capsys.readouterr().out
    assert main(["cache", "--verify", f"--out={cache}", f"--teacher={teacher}"]) == 0

    flags = [f"--teacher={teacher}", f"--out={tmp_path}", *SMALL, "--worker=1", "--workers=2"]
    assert main(["cache", *flags]) == 0
    assert "1 of 3 shards" in capsys.readouterr().out
    assert main(["cache", "--verify", f"--out={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert "Got 2 problems" in error and "-00002-of-00003.tfrecord is missing" in error


def test_verify_refuses_what_is_no_set(tmp_path, capsys):
    assert main(["cache", "--verify", f"--out={tmp_path}"]) == 2
    assert f"{tmp_path}, which holds no settings.json" in capsys.readouterr().err


def test_another_truncation_is_refused(cache, teacher, capsys):
    flags = [f"--teacher={teacher}", f"--out={cache}", "--classes=1-3,7", *SMALL]
    assert main(["cache", *flags, "--truncation=0.5"]) == 2
    assert "truncation: 0.5, in the folder 0.25" in capsys.readouterr().err


def test_the_truncation_is_the_flags_or_the_teachers_or_the_papers(teacher, tmp_path, capsys):
    teacher = Path(shutil.copytree(teacher, tmp_path / "teacher"))
    flags = [f"--teacher={teacher}", "--count=4", "--shard_size=4", "--batch_size=4"]

    def made(name, *more):
        code = main(["cache", *flags, f"--out={tmp_path / name}", *more])
        return TeacherCache(tmp_path / name).truncation if code == 0 else None

    assert made("papers") == 0.5
    (teacher / "config.json").write_text('{"truncation": 0.3}')
    assert made("teachers") == 0.3
    assert "4 samples of truncation 0.3: " in capsys.readouterr().out
    assert made("flags", "--truncation=0.2") == 0.2
    (teacher / "config.json").write_text('{"truncation": 3}')
    assert made("wrong") is None
    assert "truncation=3" in capsys.readouterr().err


def test_an_error_of_the_file_system_is_one_message(cache, teacher, monkeypatch, capsys):
    listdir = tf.io.gfile.listdir

    def refused(folder):
        if folder == cache:
            raise tf.errors.UnavailableError(None, None, "the network is down")
        return listdir(folder)

    monkeypatch.setattr(tf.io.gfile, "listdir", refused)
    flags = [f"--teacher={teacher}", f"--out={cache}", "--classes=1-3,7", "--truncation=0.25"]
    assert main(["cache", *flags, *SMALL]) == 2
    error = capsys.readouterr().err
    assert "the network is down" in error and "give the same command again" in error


def test_unknown_classes_are_refused(teacher, tmp_path, capsys):
    flags = [f"--teacher={teacher}", f"--out={tmp_path / 'new'}", *SMALL]
    assert main(["cache", *flags, "--classes=10"]) == 2
    assert "10" in capsys.readouterr().err and not (tmp_path / "new").exists()
