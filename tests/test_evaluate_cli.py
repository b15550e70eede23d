"""`tinygan evaluate`, `compare` and `reference` as a user runs them, with a user's mistakes."""

import json

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
        "evaluation.json",
        "evaluation.md",
    ]


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


def test_a_saved_reference_gives_the_same_figures(folder, evaluated, tmp_path, capsys):
    reference = tmp_path / "real_statistics.npz"
    flags = [f"--real={folder / 'real.npz'}", f"--extractor={folder / 'classifier'}"]
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
        (["evaluate", "--model={folder}/run", "--num_images=1"], "Expected 2 or more"),
        (["evaluate", "--model={folder}/run", "--truncation=0"], r"(0, 1]"),
        (["evaluate", "--model={folder}/nowhere", "--out={out}"], "doesn't exist"),
        (["evaluate", "--model={folder}/run", "--extractor=inceptoin"], "Did you mean 'inception'"),
        (["evaluate", "--model={folder}/run", "--real={folder}/nothing"], "nothing"),
        (["evaluate", "--model={folder}/run", "--labels=some"], "labels"),
        (["compare", "{folder}/run"], "Expected two or more"),
        (["compare", "{folder}/teacher", "{folder}/run"], "Evaluate it first"),
        (["compare", "{folder}/run", "{folder}/run/evaluation", "--ignore=sed"], "mean 'seed'"),
        (["reference", "--real={folder}/real.npz", "--out=x.txt"], "Expected both"),
    ],
)
def test_mistakes_are_one_message(arguments, message, folder, evaluated, tmp_path, capsys):
    arguments = [word.format(folder=folder, out=tmp_path / "e") for word in arguments]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


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
    assert "2 corrupt of 6" in error


def test_mixed_sizes_are_refused(folder, tmp_path, capsys):
    random = np.random.default_rng(0)
    save(random, tmp_path / "a.png")
    save(random, tmp_path / "b.png", size=16)
    flags = [f"--extractor={folder / 'classifier'}", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", f"--model={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert "16" in error and "32" in error
