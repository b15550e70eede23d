"""`tinygan pictures`: its flags, its mistakes, and what it says."""

import json
import shutil

import keras
import pytest
from PIL import Image
from run_fixtures import TINY_STUDENT, write_classifier, write_real_images, write_teacher

from tinygan_keras.cli import main
from tinygan_keras.data.keras_sets import FASHION_MNIST_NAMES
from tinygan_keras.evaluation.extractors import extractor as extractor_module
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.pictures import report
from tinygan_keras.runs.progress_pictures import animate_run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run folder, its teacher, a classifier and real images."""
    keras.utils.set_random_seed(0)
    place = tmp_path_factory.mktemp("place")
    run = place / "runs" / "mine"
    run.mkdir(parents=True)
    StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT).save(run / "student.keras")
    (run / "class_names.txt").write_text("\n".join(FASHION_MNIST_NAMES))
    (run / "config.json").write_text(json.dumps({"truncation": 0.25, "teacher": "teacher"}))
    write_teacher(place / "teacher")
    write_classifier(place / "classifier")
    write_real_images(place / "real.npz")
    return place


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def test_all_pictures_of_a_run_are_made_and_named(here, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--extractor=classifier", "--real=real.npz", "--per_class=4", "--classes=0,1,2"]

    assert main(["pictures", "--model=runs/mine", f"--out={out}", *flags]) == 0

    names = ["class_grid", "feature_map", "feature_mosaic", "gap"]
    names += ["interpolation_class", "interpolation_z", "neighbours"]
    assert [path.stem for path in sorted(out.iterdir())] == names
    printed = capsys.readouterr().out
    for name in names:
        assert f"{out / name}.png: " in printed
    assert "the teacher's images" in printed, "the run's own teacher"
    assert f"7 of 7 pictures: {out}" in printed


def test_a_run_gives_a_moving_picture_of_the_chosen_length(here, tmp_path, capsys):
    shutil.copytree(here / "runs" / "mine", tmp_path / "run")
    (tmp_path / "run" / "progress").mkdir()
    for epoch in range(4):
        picture = Image.new("RGB", (8, 8), (60 * epoch, 0, 0))
        picture.save(tmp_path / "run" / "progress" / f"epoch_{epoch:05d}.png")
    model, out = f"--model={tmp_path / 'run'}", tmp_path / "out"
    flags = ["--classes=0,1", "--teacher=none", "--per_class=2", f"--out={out}"]

    assert main(["pictures", model, "--seconds=1.5", *flags]) == 0
    assert f"{out / 'training.gif'}: 1.5 seconds" in capsys.readouterr().out
    with Image.open(out / "training.gif") as animation:
        assert animation.n_frames == 4

    assert main(["pictures", "--model=runs/mine", "--seconds=2", *flags]) == 2
    assert "has no pictures of a training" in capsys.readouterr().err
    with pytest.raises(ValueError, match="0.1 to 600"):
        animate_run(tmp_path / "run", out / "long.gif", seconds=1e6)


def test_what_is_not_made_is_named(here, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--teacher=none", "--classes=bag,3", "--seed=5", f"--out={out}"]

    assert main(["pictures", "--model=runs/mine", *flags]) == 0

    printed = capsys.readouterr().out
    assert "not made: neighbours.png: it needs a feature extractor and real images." in printed
    assert f"3 of 7 pictures: {out}" in printed
    assert Image.open(out / "class_grid.png").height < 300, "two classes, without a teacher"


@pytest.mark.full  # exports
def test_exported_model_cannot_mix_classes_and_says_so(here, tmp_path, capsys):
    assert main(["export", "--model=runs/mine", f"--out={tmp_path / 'exported'}"]) == 0
    out = tmp_path / "out"

    code = main(["pictures", f"--model={tmp_path / 'exported'}", "--classes=0,1", f"--out={out}"])

    assert code == 0
    assert "not made: interpolation_class.png: a saved model" in capsys.readouterr().out


def test_flags_reach_the_report(here, monkeypatch):
    calls = []
    monkeypatch.setattr(report, "draw_album", lambda *a, **k: calls.append((a, k)) or [])
    flags = ["--seed=3", "--truncation=0.7", "--classes=Bag,1", "--map=tsne", "--teacher=teacher"]

    assert main(["pictures", "--model=runs/mine", "--real=real.npz", *flags]) == 0
    assert main(["pictures", "--model=runs/mine", "--out=there", "--teacher=none"]) == 0

    (given, chosen), (there, default) = calls
    assert (given[0].source, given[0].truncation, given[1]) == (
        "runs/mine",
        0.7,
        "runs/mine/pictures",
    )
    assert (there[0].source, there[1]) == ("runs/mine", "there")
    assert (chosen["seed"], chosen["truncation"], chosen["map_method"]) == (3, 0.7, "tsne")
    assert (chosen["classes"], chosen["teacher"]) == ("Bag,1", "teacher")
    assert (chosen["real"], chosen["extractor"]) == ("real.npz", None)
    assert (default["seed"], default["truncation"]) == (report.SEED, None)
    assert (default["classes"], default["teacher"]) == ("", None)


def test_the_kernel_of_a_run_goes_with_its_extractor(here, tmp_path, monkeypatch):
    shutil.copytree(here / "runs" / "mine", tmp_path / "run")
    config = {"extractor": str(here / "classifier"), "resize": "area"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    kernels = []
    monkeypatch.setattr(
        extractor_module, "load_extractor", lambda _, resize: kernels.append(resize)
    )
    monkeypatch.setattr(report, "draw_album", lambda *a, **k: [])

    for flags in ([], ["--resize=bicubic"], ["--extractor=inception"]):
        assert main(["pictures", f"--model={tmp_path / 'run'}", *flags]) == 0
    assert kernels == ["area", "bicubic", None]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Got no --model"),
        (["--model=missing"], "missing"),
        (["--model=runs/mine", "--map=umap"], "map"),
        (["--model=runs/mine", "--per_class=1"], "per_class"),
        (["--model=runs/mine", "--truncation=2"], "truncation"),
        (["--model=runs/mine", "--classes=Baag"], "Did you mean 8 (Bag)?"),
        (["--model=runs/mine", "--classes=10"], "from 0 to 9"),
        (["--model=runs/mine", "--teacher=missing"], "missing"),
        (["--model=runs/mine", "--extractor=missing"], "missing"),
        (["--model=runs/mine", "--real=missing"], "missing"),
        (["--model=runs/mine", "--seed=-1"], "seed"),
        (["--model=runs/mine", "--out=real.npz"], "a file. Expected a folder"),
        (["--model=runs/mine", "--out=real.npz/pictures"], "where nothing can be written"),
        (["--model=real.npz"], "real.npz"),
    ],
)
def test_mistake_is_one_message_and_exit_code_2(flags, message, here, capsys):
    code = main(["pictures", *flags])

    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert not (here / "pictures").exists()
