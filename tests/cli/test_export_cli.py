"""`tinygan export`: what it writes and says, and one message for a mistake."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.cli import main
from tinygan_keras.data.keras_sets import FASHION_MNIST_NAMES
from tinygan_keras.generators.opening import load_generator


@pytest.mark.edge
def test_export_says_what_it_lost(run_folder, tmp_path, capsys):
    flags = ["--format=litert", "--precision=int8", "--batch_size=2", f"--out={tmp_path / 'edge'}"]

    assert main(["export", f"--model={run_folder}", *flags]) == 0

    told = capsys.readouterr().out
    assert "of float32" in told
    assert "PSNR" in told
    config = json.loads((tmp_path / "edge" / "config.json").read_text())
    assert (config["precision"], config["batch_size"], config["truncation"]) == ("int8", 2, 0.25)
    assert (tmp_path / "edge" / "class_names.txt").read_text().splitlines() == list(
        FASHION_MNIST_NAMES
    )


def test_export_without_its_extra_is_one_message(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openvino", None)
    flags = ["--format=openvino", f"--out={tmp_path / 'edge'}"]

    assert main(["export", f"--model={run_folder}", *flags]) == 2
    assert 'pip install "tinygan-keras[openvino]"' in capsys.readouterr().err


def test_exported_model_has_the_figures_of_its_run(run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / "report.json").write_text(json.dumps({"student": {"frechet_distance": 1.2345}}))

    assert main(["export", f"--model={folder}", f"--out={tmp_path / '1'}"]) == 0

    assert "1.234" in (tmp_path / "1" / "model_card.md").read_text()


def test_exported_model_samples_the_same_images(run_folder, tmp_path):
    exported = tmp_path / "serving" / "1"
    assert main(["export", f"--model={run_folder}", f"--out={exported}"]) == 0
    assert load_generator(exported).class_names == FASHION_MNIST_NAMES
    assert load_generator(exported).truncation == 0.25

    pictures = []
    for model in (run_folder, exported):
        out = tmp_path / f"{len(pictures)}"
        flags = ["--classes=3", "--seeds=0,1", "--truncation=0.5", f"--out={out}"]
        assert main(["sample", f"--model={model}", *flags]) == 0
        pictures.append([np.asarray(Image.open(path), "int") for path in sorted(out.iterdir())])

    assert np.abs(np.array(pictures[0]) - np.array(pictures[1])).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "--model={run}"], "no --out"),
        (["export", "--model={run}", "--out={run}"], "exists already"),
        (["export", "--model={run}", "--out=x", "--precision=int8"], "Add --format=litert"),
        (["export", "--model={run}", "--out=x", "--batch_size=1"], "any batch"),
        (
            ["export", "--model={run}", "--out=x", "--format=onnx", "--precision=float16"],
            "Got precision 'float16' for onnx. Expected one of float32, int8",
        ),
        (
            ["export", "--model={run}", "--out=x", "--format=litert", "--batch_size=0"],
            "--batch_size=0: 0 is not a positive integer",
        ),
    ],
)
def test_mistake_is_one_message_and_exit_code_2(
    arguments, message, run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text("")
    arguments = [word.format(config="config.py", run=run_folder) for word in arguments]

    assert main(arguments) == 2

    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
