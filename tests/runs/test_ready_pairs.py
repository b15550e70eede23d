"""From pairs that another program generated to a student, with no teacher anywhere."""

import json

import numpy as np
import pytest
from pair_fixtures import same_batches, write_class_folders, write_npz, write_numbered
from run_fixtures import TINY_DISCRIMINATOR, TINY_STUDENT, write_classifier, write_real_images

from tinygan_keras.cli import main
from tinygan_keras.data.teacher_cache import TeacherCache
from tinygan_keras.data.teacher_samples import sample_teacher
from tinygan_keras.errors import InputError
from tinygan_keras.runs.config import default_config, validate
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.measuring import evaluation_settings
from tinygan_keras.teachers.hub import HubTeacher

COUNT = 60


@pytest.fixture(scope="module")
def pairs():
    """Latents, labels and images of the embedded teacher, class by class."""
    teacher = HubTeacher("saved_models/biggan_fashion_32", truncation=1.0)
    samples = sample_teacher(teacher, COUNT, batch_size=30, progress=False)
    order = np.argsort(samples.labels, kind="stable")
    return [array[order] for array in samples]


@pytest.fixture(scope="module")
def cache(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_npz(folder / "pairs.npz", *pairs)
    flags = [f"--import={folder / 'pairs.npz'}", f"--out={folder / 'cache'}", "--shard_size=16"]
    assert main(["cache", *flags, "--truncation=1"]) == 0
    return folder / "cache"


@pytest.fixture
def config(cache, tmp_path):
    config = default_config()
    config.teacher_cache = str(cache)
    config.truncation = 1.0
    config.data = "fashion_mnist"
    config.data_subset = write_real_images(tmp_path / "real.npz")
    config.extractor = write_classifier(tmp_path / "classifier")
    config.student = config.discriminator = "tinygan_fashion_32"
    config.student_overrides = {**TINY_STUDENT, "latent_dim": 32}
    config.discriminator_overrides = TINY_DISCRIMINATOR
    config.evaluation_images, config.batch_size = 20, 4
    config.steps, config.steps_per_epoch = 4, 2
    return config


@pytest.mark.parametrize(
    "write", [write_numbered, pytest.param(write_class_folders, marks=pytest.mark.torch)]
)
def test_every_layout_gives_the_same_batches(write, pairs, cache, tmp_path, capsys):
    source = write(tmp_path / "pairs", *pairs)
    (source / "class_names.txt").write_text("\n".join("abcdefghij"))
    flags = [f"--import={source}", f"--out={tmp_path / 'cache'}", "--shard_size=16"]
    assert main(["cache", *flags]) == 0
    report = capsys.readouterr().out
    assert "60 in 10 of 10 classes" in report and "4 of 4 shards" in report
    same_batches(tmp_path / "cache", cache)
    opened = TeacherCache(tmp_path / "cache")
    assert opened.class_names == list("abcdefghij")
    assert opened.truncation == pytest.approx(1.0, abs=0.03)  # by their standard deviation
    assert main(["cache", "--verify", f"--out={tmp_path / 'cache'}"]) == 0


@pytest.mark.full
def test_a_run_needs_no_teacher(config, tmp_path):
    workdir = tmp_path / "run"
    report = distill(config, workdir)
    assert report["steps"] == 4 and "teacher" not in report
    assert report["config"]["teacher"] == "none"
    assert report["student"]["frechet_distance"] > 0
    assert (workdir / "samples.png").is_file() and (workdir / "report.md").is_file()
    assert evaluation_settings(workdir)["teacher"] == "none"
    assert json.loads((workdir / "config.json").read_text())["teacher"] == "none"
    assert distill(config, workdir) == report  # finished, although its config names a teacher
    assert main(["evaluate", f"--model={workdir}", "--metrics=frechet_distance"]) == 0
    assert main(["pictures", f"--model={workdir}", "--per_class=3"]) == 0
    assert main(["sample", f"--model={workdir}", f"--out={tmp_path / 'samples.png'}"]) == 0


def test_what_does_not_fit_the_pairs_is_refused(config, tmp_path):
    for changes, message in (
        ({"truncation": 0.5}, "cache truncation: 0.5, was 1.0"),
        ({"classes": "0-3"}, "classes: "),
        ({"student_overrides": TINY_STUDENT}, "the student with latent_dim 4. Expected 32"),
        ({"batch_size": 64}, "with 60 samples"),
    ):
        with pytest.raises(InputError, match=message):
            distill({**config.to_dict(), "extractor": "", **changes}, tmp_path / "run")
    with pytest.raises(InputError, match="teacher='none' and teacher_cache=''. Expected a teacher"):
        validate({"teacher": "none"})


@pytest.mark.full
def test_a_cache_of_a_teacher_that_is_gone_will_do(config, tmp_path):
    flags = ["--teacher=saved_models/biggan_fashion_32", "--truncation=1", "--count=12"]
    assert main(["cache", *flags, f"--out={tmp_path / 'cache'}", "--batch_size=12"]) == 0
    config.update({"teacher": "none", "teacher_cache": str(tmp_path / "cache"), "extractor": ""})
    config.data, config.steps, config.steps_per_epoch = "none", 1, 1
    report = distill(config, tmp_path / "run")
    assert report["steps"] == 1 and "teacher" not in report


def test_import_goes_with_no_teacher_and_no_choice(tmp_path, capsys):
    flags = ["--import=pairs.npz", f"--out={tmp_path / 'cache'}"]
    assert main(["cache", *flags, "--teacher=x", "--count=3"]) == 2
    assert "Got --import and --teacher and --count" in capsys.readouterr().err
    assert main(["cache", *flags]) == 2
    assert "Got the pairs pairs.npz, which are not there" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
