"""One whole run at the smallest size: what it leaves, how it resumes, and what it refuses."""

import errno
import functools
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from run_fixtures import LATENT_DIM, interrupt, small_config, tiny_config

from tinygan_keras.cli import main
from tinygan_keras.data import keras_sets
from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.evaluation.results import read_evaluation
from tinygan_keras.generators.opening import load_generator, load_student, open_generator
from tinygan_keras.runs import checkpoints, measuring
from tinygan_keras.runs import distill as run
from tinygan_keras.runs.config import former_config
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.divergence import DivergenceError
from tinygan_keras.runs.measuring import evaluation_settings, measured_images
from tinygan_keras.runs.run_folder import RunFolder, Stopwatch
from tinygan_keras.runs.teacher_config import former_teacher_config


@pytest.fixture(scope="module", autouse=True)
def _small_machine(tmp_path_factory):
    """Makes every run of this module read its own few images, and measure speed only briefly.

    Its steps run eagerly: tracing a graph takes longer than these few steps. `test_resume.py` has graphs.
    """
    with pytest.MonkeyPatch.context() as patch:
        eagerly = functools.partialmethod(TinyGAN.compile, run_eagerly=True)
        patch.setattr(TinyGAN, "compile", eagerly)
        brief = functools.partial(measuring.images_per_second, seconds=0.0)
        patch.setattr(measuring, "images_per_second", brief)
        empty = tmp_path_factory.mktemp("no_data")
        patch.setenv("KERAS_HOME", str(empty))
        patch.setattr(keras_sets, "DEBIAN_FOLDER", empty)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tmp_path_factory.mktemp("source")


@pytest.fixture(scope="module")
def base_config(source):
    return tiny_config(source)


@pytest.fixture
def config(base_config):
    return base_config.copy_and_resolve_references()


@pytest.fixture(scope="module")
def finished(base_config, tmp_path_factory):
    """The folder of a run that nothing interrupted, and its report."""
    workdir = tmp_path_factory.mktemp("runs") / "new" / "finished"
    return workdir, distill(base_config, workdir)


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights_of(workdir):
    return load_student(workdir).get_weights()


def files_of(workdir):
    return {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}


def test_run_leaves_everything_a_user_is_promised(finished):
    workdir, _ = finished
    for name in ("report.md", "student.keras", "class_names.txt", "saved_model/1/saved_model.pb"):
        assert (workdir / name).is_file()
    assert list(workdir.glob("checkpoints/*.weights.h5"))
    assert list(workdir.glob("tensorboard/train/events*"))
    assert Image.open(workdir / "samples.png").width > 32
    assert Image.open(workdir / "training.gif").n_frames == 3  # untrained, and after two epochs
    assert len((workdir / "history.csv").read_text().splitlines()) == 3
    assert "pixel_distillation" in (workdir / "history.csv").read_text()


def test_report_holds_the_promised_figures(finished):
    workdir, report = finished
    figures = {"parameters", "frechet_distance", "label_accuracy", "images_per_second"}
    figures |= {"multiply_adds"}
    assert figures <= set(report["teacher"])
    assert figures | {"frechet_to_teacher"} <= set(report["student"])
    for key in ("seconds", "protocol", "seed", "git_commit", "versions", "config"):
        assert key in report
    assert report["protocol"]["generated_images"] == 20
    assert report["protocol"]["real_images"] == 40
    assert report["config"]["steps"] == report["steps"] == 4
    assert report["seconds"] == pytest.approx(sum(report["seconds_by_phase"].values()), abs=0.1)
    assert report == json.loads((workdir / "report.json").read_text())


def test_figures_are_those_of_teacher_and_student(finished):
    _, report = finished
    assert report["teacher"]["parameters"] == 1
    assert report["student"]["parameters"] == load_student(finished[0]).count_params() - sum(
        int(np.prod(w.shape)) for w in load_student(finished[0]).non_trainable_weights
    )
    assert report["teacher"]["label_accuracy"] == 1.0  # a stripe per class, by construction
    assert report["student"]["frechet_to_teacher"] > 0


def test_exported_student_is_the_averaged_one(finished):
    workdir, _ = finished
    latents, labels = np.ones((2, LATENT_DIM), "float32"), np.array([3, 7])
    served = tf.saved_model.load(str(workdir / "saved_model" / "1")).signatures["serving_default"]

    images = served(z=tf.constant(latents), label=tf.constant(labels, tf.int64))["image"]

    expected = load_student(workdir)((latents, labels), training=False)
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_interrupted_run_resumes_to_the_same_student(finished, config, tmp_path):
    interrupt(distill, config, tmp_path / "resumed")
    assert (tmp_path / "resumed" / "student.keras").is_file()
    assert not (tmp_path / "resumed" / "report.json").exists()

    report = distill(config, tmp_path / "resumed")

    assert report["steps"] == 4
    assert len((tmp_path / "resumed" / "history.csv").read_text().splitlines()) == 3
    for resumed, expected in zip(
        weights_of(tmp_path / "resumed"), weights_of(finished[0]), strict=True
    ):
        np.testing.assert_allclose(resumed, expected, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"figures": {}, "protocol": {}}', '{"generator": null}']
)
def test_an_evaluation_of_the_reference_student_that_is_none_is_left_out(finished, tmp_path, text):
    folder = shutil.copytree(finished[0], tmp_path / "theirs")
    (folder / "evaluation" / "evaluation.json").write_text(text)
    theirs = types.SimpleNamespace(reference_student=open_generator(folder))
    found = types.SimpleNamespace(reference_student=str(folder))
    protocol = finished[1]["protocol"]
    assert measuring.reference_evaluation(theirs, found, protocol) == {}


def test_an_evaluation_of_the_reference_student_is_of_its_weights_and_of_one_protocol(
    finished, tmp_path
):
    folder = shutil.copytree(finished[0], tmp_path / "theirs")
    theirs = types.SimpleNamespace(reference_student=open_generator(folder))
    where, protocol = types.SimpleNamespace(reference_student=str(folder)), finished[1]["protocol"]
    find = functools.partial(measuring.reference_evaluation, theirs, where)
    assert find(protocol) == find({**protocol, "versions": {}}) == read_evaluation(folder)
    assert find({**protocol, "truncation": 0.7}) == {} == find({**protocol, "more": 1})
    assert find({**protocol, "real_images": 1}, but_for=("real_images",))
    shuffled = load_student(folder)
    shuffled.set_weights([2 * weights for weights in shuffled.get_weights()])
    theirs.reference_student = open_generator(shuffled)
    assert find(protocol) == {}


@pytest.mark.parametrize("images", [20, 30])
def test_the_reference_student_is_measured_where_its_own_figures_are_others(
    finished, config, tmp_path, monkeypatch, images
):
    measured = []

    def noted(generator, *arguments, **settings):
        measured.append(generator.source)
        return evaluate(generator, *arguments, **settings)

    monkeypatch.setattr(measuring, "evaluate", noted)
    config.update({"reference_student": str(finished[0]), "steps": 2, "steps_per_epoch": 2})
    config.evaluation_images = images

    report = distill(config, tmp_path / "run")

    theirs = {name: report["reference_student"][name] for name in ("recall", "frechet_distance")}
    own = {name: finished[1]["student"][name] for name in theirs}
    if images == finished[1]["protocol"]["generated_images"]:
        assert measured == [config.name]
        assert theirs == own
        assert report["reference_student"]["teacher_l1"] == finished[1]["student"]["teacher_l1"]
        assert "are those of its own evaluation, by tinygan-keras" in report["notes"][-1]
    else:
        assert measured == [config.name, str(finished[0])]
        assert theirs != own


@pytest.mark.filterwarnings("ignore::UserWarning")  # of so few images
def test_evaluation_at_the_end_is_the_one_tinygan_evaluate_repeats(finished, tmp_path):
    workdir, report = finished
    settings = evaluation_settings(workdir)
    result = evaluate(
        workdir,
        settings["extractor"],
        reference=measured_images(workdir),
        teacher=settings["teacher"],
        num_images=settings["num_images"],
        seed=settings["seed"],
        progress=False,
    )
    written = read_evaluation(workdir)
    assert result["figures"] == written["figures"]
    assert result["protocol"] == written["protocol"] == report["protocol"]
    assert result["generator"]["content_hash"] == written["generator"]["content_hash"]
    assert written["figures"].items() <= report["student"].items()


@pytest.mark.parametrize("text", ["{", "[1]", '"runs"'])
def test_a_broken_config_in_the_run_folder_is_named(tmp_path, config, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json.*Expected"):
        distill(config, tmp_path)


@pytest.mark.full
def test_an_extractor_of_another_size_and_other_classes_measures_a_run(config, tmp_path):
    config.extractor = write_extractor(tmp_path / "extractor", size=16)
    config.update({"resize": "bilinear+antialias", "teacher_samples": 4, "steps": 2})
    report = distill(config, tmp_path / "run")
    assert report["protocol"]["resize"] == "bilinear, antialias True, to 16"
    assert report["student"]["frechet_distance"] > 0
    assert "label_accuracy" not in report["student"], "3 logits, 10 classes"

    assert main(["evaluate", f"--model={tmp_path / 'run'}", f"--out={tmp_path / 'again'}"]) == 0

    again = json.loads((tmp_path / "again" / "evaluation.json").read_text())
    assert again["protocol"] == report["protocol"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"Got images of 32x32 pixels. Expected 16x16.*Choose a kernel"),
        ({"resize": "bilinaer"}, "Got resize='bilinaer'.*Did you mean 'bilinear'"),
        (
            {"resize": "area", "evaluate_every": 1, "monitor": "label_accuracy"},
            "10 classes of the teacher and 3 of the feature",
        ),
    ],
)
def test_extractors_that_do_not_fit_are_refused_before_training(
    config, tmp_path, monkeypatch, changes, message
):
    monkeypatch.setattr(run, "train", lambda *_: pytest.fail("the run started"))
    config.extractor = write_extractor(tmp_path / "extractor", size=16)
    config.update(changes)
    with pytest.raises(ValueError, match=message):
        distill(config, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def write_extractor(folder, size) -> str:
    """Three colours as features and as logits."""

    class Colours(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)])
        def classify(self, images):
            colours = tf.reduce_mean(images[:, ::2], axis=(1, 2))
            return {"features": colours, "logits": colours}

    module = Colours()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.classify})
    return str(folder)


@pytest.mark.full
def test_students_are_evaluated_during_training(config, tmp_path):
    config.update({"evaluate_every": 1, "training_evaluation_images": 20})
    distill(config, tmp_path)
    header, *rows = (tmp_path / "history.csv").read_text().splitlines()
    distances = [row.split(",")[header.split(",").index("val_frechet_distance")] for row in rows]
    best = json.loads((tmp_path / "best" / "best.json").read_text())
    assert best["value"] == pytest.approx(min(map(float, distances)))
    assert load_generator(tmp_path / "best" / "best_student.keras").class_names
    assert list(tmp_path.glob("tensorboard/evaluation/events*"))


@pytest.mark.full
def test_a_run_stops_when_nothing_gets_better_and_stays_stopped(config, tmp_path, monkeypatch):
    config.update({"evaluate_every": 1, "patience": 2, "steps": 12})
    unchanging = {"figures": {"frechet_distance": 1.0}, "protocol": {}, "notes": [], "classes": []}
    monkeypatch.setattr(measuring, "evaluate", lambda *a, **k: unchanging | {"teacher": unchanging})

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "summarize", stop)
        distill(config, tmp_path)
    report = distill(config, tmp_path)
    assert report["steps"] == 6  # of 12: the first epoch and two that were not better


def test_finished_run_is_left_as_it_is(finished, config, capsys):
    workdir, report = finished
    before = files_of(workdir)

    again = distill(config, workdir)

    assert again == report
    assert files_of(workdir) == before
    assert "finished already" in capsys.readouterr().out


def test_folder_of_another_config_is_refused_and_kept(finished, config):
    workdir, _ = finished
    before = files_of(workdir)
    config.steps = 2
    with pytest.raises(ValueError, match=r"steps: 2, was 4"):
        distill(config, workdir)
    assert files_of(workdir) == before


def named_images(**levels):
    """One image of one level for each name."""
    pixels = np.array(list(levels.values()), "uint8")[:, None, None, None] * np.ones((1, 2, 2, 3))
    return ArrayImages(pixels.astype("uint8"), files=list(levels))


@pytest.mark.parametrize(
    ("defaults", "setting", "value", "message"),
    [
        (former_config, "reuse_teacher_features", True, "reuse_teacher_features: True, was False"),
        (former_config, "renew_fresh_latents", True, "renew_fresh_latents: True, was False"),
        (former_teacher_config, "adam_epsilon", 1e-6, "adam_epsilon: 1e-06, was 1e-07"),
    ],
)
def test_a_run_from_before_a_setting_existed_is_resumed_with_its_default(
    tmp_path, defaults, setting, value, message
):
    folder, config = RunFolder(tmp_path), defaults()
    folder.begin({name: config[name] for name in config if name != setting}, {})
    folder.check_config(config, defaults())
    config[setting] = value
    with pytest.raises(ValueError, match=message):
        folder.check_config(config, defaults())


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (named_images(a=1, b=9), "1 changed (b)"),
        (named_images(a=1, b=2, c=3), "1 new (c)"),
        (None, ""),
    ],
)
def test_a_run_is_not_resumed_with_other_real_images(tmp_path, images, words):
    folder = RunFolder(tmp_path)
    former = {"real images": "ab", "cached": None}
    folder.begin({}, former, real_images=named_images(a=1, b=2))
    with pytest.raises(ValueError, match="Got other real images than .*--overwrite") as caught:
        folder.begin({}, {**former, "real images": "other"}, real_images=images)
    assert words in str(caught.value)
    with pytest.raises(ValueError, match="Got other real images and cached"):
        folder.begin({}, {"real images": "other", "cached": "x"}, real_images=images)


def test_a_run_is_not_resumed_with_another_teacher_of_the_same_name(tmp_path):
    config, run = small_config(tmp_path), tmp_path / "run"
    interrupt(distill, config, run)
    assets = Path(config.teacher) / "assets"
    assets.mkdir(exist_ok=True)
    (assets / "another.txt").write_text("of another module")
    with pytest.raises(ValueError, match="Got other teacher files than .*--overwrite"):
        distill(config, run)
    (assets / "another.txt").unlink()
    data = json.loads((run / "data.json").read_text())
    del data["teacher files"]  # as version 0.2 wrote it
    (run / "data.json").write_text(json.dumps(data))
    assert distill(config, run)["steps"] == config.steps


def test_a_second_process_is_refused_and_the_first_one_named(tmp_path):
    program = (
        "import sys; from tinygan_keras.runs.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).locked():\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout.readline() == b"locked\n"
    with (
        pytest.raises(OSError, match=f"in which process {first.pid} on .* is at work"),
        RunFolder(tmp_path).locked(),
    ):
        pass
    first.kill()
    first.communicate()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"], "as after a kill at any moment"
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(OSError, match="is at work"),
        RunFolder(tmp_path).locked(),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_run_whose_folder_vanishes_stops_and_does_not_make_it_again(
    config, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    monkeypatch.setattr(
        checkpoints.RestOfEpoch, "on_epoch_end", lambda *_: shutil.rmtree(folder, True)
    )
    config.update({"extractor": "", "data": "none"})
    with pytest.raises(OSError, match=r"run without the file \.lock of this run.*Bring it back"):
        distill(config, folder)
    assert not folder.exists()


def test_a_run_leaves_the_folder_of_another_alone(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.locked():
        folder.check_ours()
        (tmp_path / ".lock").write_text("process 1 on another host")
        with pytest.raises(OSError, match="another has its name"):
            folder.check_ours()
    assert (tmp_path / ".lock").is_file()


@pytest.mark.parametrize("minutes", [0.0, 1e-9])
def test_a_run_whose_folder_another_has_taken_writes_nothing_in_it(
    config, tmp_path, monkeypatch, minutes
):
    folder, there = tmp_path / "run", {}

    class Taken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in (".lock", "config.json", "seconds.json"):
                (folder / name).write_text("process 1 on another host")
            there.update(files_in(folder))

    monkeypatch.setattr(run, "ProgressPictures", lambda *_: Taken())
    config.update({"extractor": "", "data": "none", "checkpoint_minutes": minutes})
    with pytest.raises(OSError, match="another has its name"):
        distill(config, folder)
    assert files_in(folder) == there


def test_overwrite_removes_what_a_run_writes_whatever_attributes_there_are(tmp_path):
    folder = RunFolder(tmp_path)
    folder.precious = tmp_path / "precious"
    folder.precious.mkdir()
    folder.history_csv.write_text("e,a\n")
    folder.begin({}, {}, overwrite=True)
    assert folder.precious.is_dir() and not folder.history_csv.exists()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no space can be claimed here")
def test_a_full_disk_is_reported_and_loses_nothing(config, tmp_path, monkeypatch, capsys):
    config.update({"extractor": "", "data": "none", "steps": 4})
    fallocate, calls = os.posix_fallocate, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fallocate(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        OSError, match="No space left on device. Expected room .*from the last checkpoint"
    ):
        distill(config, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == [
        "epoch_00001.weights.h5"
    ]
    assert distill(config, tmp_path / "run")["steps"] == 4
    assert "Resuming after epoch 1 of 2" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(config, tmp_path, monkeypatch):
    config.update({"extractor": "", "data": "none"})
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    with pytest.raises(OSError, match="1 MiB of free space .*for checkpoints and results of this"):
        distill(config, tmp_path / "run")
    assert not (tmp_path / "run" / "history.csv").exists()


def test_overwrite_redoes_the_run_and_spares_foreign_files(finished, config, tmp_path):
    """The new run has a live teacher, no real images and no extractor, to see that run as well."""
    workdir = tmp_path / "copy"
    shutil.copytree(finished[0], workdir)
    (workdir / "notes.txt").write_text("mine")
    config.update({"steps": 2, "teacher_samples": 0, "data": "none", "extractor": ""})

    report = distill(config, workdir, overwrite=True)

    assert (workdir / "notes.txt").read_text() == "mine"
    assert report["steps"] == 2
    assert len((workdir / "history.csv").read_text().splitlines()) == 2
    assert "adversarial_gan" not in (workdir / "history.csv").read_text()
    assert Image.open(workdir / "training.gif").n_frames == 2
    assert report["student"]["multiply_adds"] > 0
    assert "frechet_distance" not in report["student"]


def test_unwritable_workdir_is_refused_first(config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    config.teacher = "not/looked/at"
    with pytest.raises(OSError, match=r"for the workdir.*Choose another"):
        distill(config, tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"student_overrides": {"channels": (4, 4, 4)}},
            "image_size 32. Expected 16, as the student",
        ),
        ({"student_overrides": {"latent_dim": 7}}, "the student with latent_dim 7"),
        ({"student_overrides": {"num_classes": 3}}, "num_classes 10. Expected 3, as the student"),
        ({"image_size": 64}, "the setting image_size with image_size 64"),
        ({"student_overrides": {"chanels": (4,)}}, "student_overrides.*chanels"),
        ({"teacher": "no/such/folder"}, "no/such/folder"),
        ({"extractor": "no/such/folder"}, "no/such/folder"),
        ({"data_subset": "no/such/file.npz"}, "no/such/file.npz"),
        ({"reference_student": "no/such/folder"}, "no/such/folder"),
        ({"steps": 0}, "steps=0"),
        ({"evaluate_every": 1, "monitor": "frechet"}, "Expected one of frechet_distance"),
        ({"evaluate_every": 1, "extractor": ""}, "evaluate_every=1 and extractor=''"),
        ({"patience": 3}, "evaluate_every=0"),
        ({"evaluate_every": 1, "data": "none"}, "others need real images"),
    ],
)
def test_mistakes_are_told_before_training_and_leave_nothing(
    config, tmp_path, monkeypatch, changes, message
):
    def never(*args, **kwargs):
        raise AssertionError("the run started")

    monkeypatch.setattr(run, "open_batches", never)
    for name, value in changes.items():
        if name == "student_overrides":
            config.student_overrides.update(value)
        else:
            config[name] = value
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        distill(config, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("e,a\n0,1\n1,2\n", "e,a\n0,1\n1,2\n"),
        ("e,a\n0,1\n1,2\n2,3\n", "e,a\n0,1\n1,2\n"),  # killed between the row and the checkpoint
        ("e,a\n0,1\n1,2\n2,", "e,a\n0,1\n1,2\n"),  # in the middle of a row
        ("e,a\n0,1\n1,5\n1,2\n", "e,a\n0,1\n1,2\n"),
        ("", ""),
    ],
)
def test_the_table_of_epochs_is_brought_to_the_epochs_done(tmp_path, before, after):
    folder = RunFolder(tmp_path)
    folder.history_csv.write_text(before)
    folder.repair_history(2)
    assert folder.history_csv.read_text() == after


@pytest.mark.parametrize("text", ["", "{", '{"training": 3', "[1]", '{"training": "long"}'])
def test_seconds_that_are_torn_stop_no_run(tmp_path, capsys, text):
    (tmp_path / "seconds.json").write_text(text)
    watch = Stopwatch()
    watch.keep_in(RunFolder(tmp_path))
    assert watch.seconds == {}
    assert "can't be read" in capsys.readouterr().out
    with watch.phase("training"):
        pass
    assert list(json.loads((tmp_path / "seconds.json").read_text())) == ["training"]


def test_a_run_that_diverges_ends_with_the_term_and_the_last_good_checkpoint(config, tmp_path):
    config.update({"divergence_limit": 1e-3, "extractor": ""})
    with pytest.raises(DivergenceError, match=r"by step 2: .*Last good checkpoint: none"):
        distill(config, tmp_path)
    assert not list((tmp_path / "checkpoints").glob("*"))
    assert not (tmp_path / "report.json").exists()
