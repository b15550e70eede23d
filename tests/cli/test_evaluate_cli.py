"""`tinygan evaluate`, `compare` and `reference` as a user runs them, with a user's mistakes."""

import json
import shutil
import warnings

import keras
import numpy as np
import pytest
from PIL import Image
from run_fixtures import (
    IMAGE_SIZE,
    NUM_CLASSES,
    TINY_STUDENT,
    write_classifier,
    write_real_images,
    write_teacher,
)

from tinygan_keras.cli import main
from tinygan_keras.evaluation import evaluate as evaluate_module
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor
from tinygan_keras.networks.student import StudentGenerator


@pytest.fixture(scope="module", autouse=True)
def _own_home(tmp_path_factory):
    """Statistics of real images are kept in Keras' home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder, and beside it teacher, classifier, real images and a folder of images."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("evaluate_cli")
    (folder / "run").mkdir()
    student = StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT)
    student.save(folder / "run" / "student.keras")
    names = [f"class {label}" for label in range(NUM_CLASSES)]
    (folder / "run" / "class_names.txt").write_text("\n".join(names))
    config = {
        "teacher": write_teacher(folder / "teacher"),
        "extractor": write_classifier(folder / "classifier"),
        "data": "fashion_mnist",
        "data_subset": write_real_images(folder / "real.npz"),
        "truncation": 0.8,
        "sample_seed": 11,
        "evaluation_images": 30,
    }
    (folder / "run" / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(0)
    for label in range(2):
        (folder / "images" / str(label)).mkdir(parents=True)
        for index in range(6):
            save(random, folder / "images" / str(label) / f"{index}.png")
    return folder


def save(random, path, mode="RGB", size=IMAGE_SIZE):
    shape = (size, size, 3) if mode == "RGB" else (size, size)
    Image.fromarray(random.integers(0, 256, shape, dtype="uint8")).save(path)


@pytest.fixture(scope="module")
def evaluated(folder):
    assert main(["evaluate", f"--model={folder / 'run'}"]) == 0
    return folder / "run" / "evaluation"


def test_a_run_is_evaluated_with_its_own_settings(evaluated):
    result = json.loads((evaluated / "evaluation.json").read_text())
    protocol = result["protocol"]
    assert (protocol["generated_images"], protocol["seed"]) == (30, 11)
    assert (protocol["truncation"], protocol["real_images"]) == (0.8, 40)
    assert result["teacher"]["figures"]["label_accuracy"] == 1.0
    assert sorted(path.name for path in evaluated.iterdir()) == [
        "classes.png",
        "classes_and_teacher.png",
        "evaluation.json",
        "evaluation.md",
        "gap.png",
    ]
    assert result["gap"]["sentence"] in (evaluated / "evaluation.md").read_text()


def test_the_table_and_its_notes_are_printed(folder, tmp_path, capsys):
    flags = ["--num_images=4", "--teacher=none", f"--out={tmp_path}"]
    assert main(["evaluate", f"--model={folder / 'run'}", *flags]) == 0
    printed = capsys.readouterr().out
    assert "Frechet distance" in printed
    assert "Note: 4 images for 4 features" in printed
    assert "PSNR" not in printed
    assert str(tmp_path / "evaluation.md") in printed


def test_a_folder_of_images_is_evaluated(folder, tmp_path, capsys):
    flags = [f"--extractor={folder / 'classifier'}", f"--real={folder / 'real.npz'}"]
    assert (
        main(["evaluate", f"--model={folder / 'images'}", *flags, f"--out={tmp_path / 'e'}"]) == 0
    )
    result = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert result["protocol"]["generated_images"] == 12
    assert [row["images"] for row in result["classes"]] == [6, 6]


def test_gray_images_are_converted_with_a_note(folder, tmp_path, capsys):
    (tmp_path / "gray").mkdir()
    for index in range(6):
        save(np.random.default_rng(index), tmp_path / "gray" / f"{index}.png", mode="L")
    flags = [f"--extractor={folder / 'classifier'}", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={tmp_path / 'gray'}", *flags]) == 0
    printed = capsys.readouterr().out
    assert "Note: Converted 6 of 6 files to RGB" in printed
    assert "Note: The images have no labels" in printed


def test_a_frechet_distance_alone_pays_for_nothing_else(folder, evaluated, tmp_path):
    flags = ["--metrics=frechet_distance", f"--out={tmp_path}"]
    assert main(["evaluate", f"--model={folder / 'run'}", *flags]) == 0
    ours, full = (
        json.loads((path / "evaluation.json").read_text()) for path in (tmp_path, evaluated)
    )
    of_frechet = {"frechet_distance", "frechet_distance_error", "frechet_bias", "frechet_floor"}
    assert set(ours["figures"]) == of_frechet
    assert ours["figures"]["frechet_distance"] == full["figures"]["frechet_distance"]
    assert ours["teacher"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.json", "evaluation.md"]


def test_a_saved_reference_gives_the_same_figures(folder, evaluated, tmp_path, capsys):
    reference = tmp_path / "real_statistics.npz"
    flags = [f"--real={folder / 'real.npz'}", f"--extractor={folder / 'classifier'}"]
    for _ in range(2):  # a reference may be measured anew
        assert main(["reference", *flags, f"--out={reference}"]) == 0
        assert "40 real images" in capsys.readouterr().out
    flags = [f"--real={reference}", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={folder / 'run'}", *flags]) == 0
    ours, theirs = (
        json.loads((path / "evaluation.json").read_text()) for path in (evaluated, tmp_path / "e")
    )
    assert ours["figures"] == theirs["figures"]
    assert main(["compare", str(folder / "run"), str(tmp_path / "e")]) == 0


def test_different_protocols_are_not_compared(folder, evaluated, tmp_path, capsys):
    flags = ["--seed=12", "--num_images=20", "--teacher=none", f"--out={tmp_path}"]
    assert main(["evaluate", f"--model={folder / 'run'}", *flags]) == 0
    capsys.readouterr()
    assert main(["compare", str(folder / "run"), str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"seed: 11 ({folder / 'run'}), 12 ({tmp_path})" in captured.err
    assert "generated_images: 30" in captured.err
    names = [str(folder / "run"), str(tmp_path)]
    assert main(["compare", *names, "--ignore=seed,generated_images"]) == 0
    assert "Differences ignored: seed, generated_images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "Got no --model"),
        (["evaluate", "--model={folder}/teacher"], "no --out"),
        (["evaluate", "--model={folder}/run", "--num_images=1"], "1 is not integer >= 2"),
        (["evaluate", "--model={folder}/run", "--truncation=1.5"], "in the range [0.0, 1.0]"),
        (["evaluate", "--model={folder}/nowhere", "--out={out}"], "doesn't exist"),
        (["evaluate", "--model={folder}/run", "--extractor=inceptoin"], "Did you mean 'inception'"),
        (["evaluate", "--model={folder}/run", "--real={folder}/nothing"], "are not there"),
        (["evaluate", "--model={folder}/run", "--labels=some"], "<auto|reference|balanced>"),
        (["evaluate", "--model={folder}/run", "--seed=-1"], "not a non-negative integer"),
        (["evaluate", "--model={folder}/run", "--metrics=frechet"], "mean 'frechet_distance'"),
        (["evaluate", "--model={folder}/run", "--resize=cubic"], "Did you mean 'bicubic'"),
        (["compare", "{folder}/run"], "Expected two or more"),
        (["compare", "{folder}/teacher", "{folder}/run"], "Evaluate it first"),
        (["compare", "{folder}/run", "{folder}/run/evaluation", "--ignore=sed"], "mean 'seed'"),
        (["reference", "--real={folder}/real.npz"], "Got no --out"),
        (["reference", "--real={folder}/real.npz", "--out=x.txt"], "ends in .npz"),
        (["reference", "--real=x", "--out={folder}/real.npz"], "a file that holds no statistics"),
    ],
)
def test_mistakes_are_one_message(arguments, message, folder, evaluated, tmp_path, capsys):
    arguments = [word.format(folder=folder, out=tmp_path / "e") for word in arguments]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("command", "out", "message"),
    [
        (["evaluate", "--model=run"], "real.npz", "which is a file. Expected a folder"),
        (["evaluate", "--model=run"], "real.npz/deeper", "where nothing can be written"),
        (["reference", "--real=real.npz"], "real.npz/deeper.npz", "which is a file"),
        (["reference", "--real=real.npz"], "folder.npz", "a folder. Expected a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_measuring(
    command, out, message, folder, tmp_path, monkeypatch, capsys
):
    for name in ("run", "real.npz"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "folder.npz").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FeatureExtractor, "__call__", lambda *_: pytest.fail("it measured"))

    assert main([*command, f"--extractor={folder / 'classifier'}", f"--out={out}"]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list((tmp_path / "folder.npz").iterdir()) == []


def test_warnings_become_notes_once(folder, tmp_path, monkeypatch, capsys):
    real = evaluate_module.evaluate

    def warning(*args, **kwargs):
        for _ in range(2):
            warnings.warn("The cache is full.", stacklevel=2)
        return real(*args, **kwargs)

    monkeypatch.setattr(evaluate_module, "evaluate", warning)
    flags = ["--num_images=4", "--teacher=none", f"--out={tmp_path}"]
    assert main(["evaluate", f"--model={folder / 'run'}", *flags]) == 0

    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Note: ")]
    assert notes.count("Note: The cache is full.") == 1
    assert sum(note.startswith("Note: 4 images for 4 features") for note in notes) == 1
    assert len(set(notes)) == len(notes)


def test_the_kernel_of_a_run_goes_with_its_extractor(folder, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "resize": "area"}))
    kernels = []

    def stop(*args, **kwargs):
        kernels.append(kwargs.get("resize"))
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_module, "evaluate", stop)
    for flags in ([], ["--resize=bicubic"], ["--extractor=inception"]):
        assert main(["evaluate", f"--model={run}", *flags]) == 130
    assert kernels == ["area", "bicubic", None]


def test_an_exported_model_is_evaluated_like_its_run(folder, evaluated, tmp_path, capsys):
    exported = tmp_path / "exported"
    assert main(["export", f"--model={folder / 'run'}", f"--out={exported}"]) == 0
    flags = [f"--extractor={folder / 'classifier'}", f"--real={folder / 'real.npz'}"]
    flags += [f"--teacher={folder / 'teacher'}", "--num_images=30", "--seed=11"]
    flags += ["--truncation=0.8", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={exported}", *flags]) == 0
    result, run = (
        json.loads((path / "evaluation.json").read_text()) for path in (tmp_path / "e", evaluated)
    )
    assert result["generator"]["format"] == "saved model"
    assert result["protocol"]["labels"] == run["protocol"]["labels"]
    for name in ("frechet_distance", "kernel_distance", "teacher_l1"):
        assert result["figures"][name] == pytest.approx(run["figures"][name], rel=1e-3)


def test_an_archive_of_images_is_evaluated(folder, tmp_path):
    """The real images, held against themselves."""
    flags = [f"--real={folder / 'real.npz'}", f"--extractor={folder / 'classifier'}"]
    flags += [f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={folder / 'real.npz'}", *flags]) == 0
    result = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert result["protocol"]["generated_images"] == result["protocol"]["real_images"] == 40
    assert result["figures"]["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert result["figures"]["recall"] == 1.0
    assert [row["images"] for row in result["classes"]] == [4] * NUM_CLASSES


def test_a_corrupt_file_is_named_and_counted(folder, tmp_path, capsys):
    random = np.random.default_rng(0)
    for index in range(6):
        save(random, tmp_path / f"{index}.png")
    for index in (2, 4):
        path = tmp_path / f"{index}.png"
        path.write_bytes(path.read_bytes()[:-400])
    flags = [f"--extractor={folder / 'classifier'}", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert "2.png" in error and "4.png" in error
    assert "2 of 6 files" in error


def test_mixed_sizes_are_refused(folder, tmp_path, capsys):
    random = np.random.default_rng(0)
    save(random, tmp_path / "a.png")
    save(random, tmp_path / "b.png", size=16)
    flags = [f"--extractor={folder / 'classifier'}", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert "16" in error and "32" in error
