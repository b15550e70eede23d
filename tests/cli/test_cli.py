"""The command line: quick help, one clear message for a mistake, and commands that do their work."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from run_fixtures import TINY_STUDENT

import tinygan_keras.runs.distill
from tinygan_keras.cli import checks, main
from tinygan_keras.data.fashion_mnist import CLASS_NAMES
from tinygan_keras.data.image_source import open_images
from tinygan_keras.generators.loading import load_generator
from tinygan_keras.networks.student import StudentGenerator

CONFIG = "from tinygan_keras.runs.config import default_config as get_config"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """What a run leaves, as far as the other commands read it."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    student = StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT)
    student.save(folder / "student.keras")
    (folder / "class_names.txt").write_text("\n".join(CLASS_NAMES))
    (folder / "config.json").write_text(json.dumps({"truncation": 0.25}))
    return folder


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def test_help_is_answered_without_tensorflow():
    program = (
        "import sys; from tinygan_keras.cli import main\n"
        "helps = [[name, '--help'] for name in ('distill', 'sample', 'export')]\n"
        "for words in (['--help'], *helps, ['nonsense']):\n"
        "    main(words)\n"
        "print([name for name in ('tensorflow', 'keras', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--workdir" in done.stdout
    assert "learning_rate_decay_start" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distil"], "Did you mean 'distill'?"),
        (["distill"], "Expected both"),
        (["distill", "--config={config}", "--workdir=x", "--config.stepz=3"], "mean 'steps'?"),
        (["distill", "--config={config}", "--workdir=x", "--config.steps=many"], "steps=many"),
        (["distill", "--config={config}", "--workdir=x", "--config.steps=0"], "steps=0"),
        (["distill", "--config=missing.py", "--workdir=x"], "missing.py, which doesn't exist"),
        (["distill", "--config.steps=3", "--workdir=x"], "no --config"),
        (["distill", "--config={config}", "somewhere"], "Expected flags only"),
        (["sample"], "Got no --model"),
        (["sample", "--modle=x"], "Did you mean: model"),
        (["sample", "--model=missing"], "run folder"),
        (["sample", "--model={run}", "--labels=Sneeker"], "Did you mean 'Sneaker'?"),
        (["sample", "--model={run}", "--labels=10"], "from 0 to 9"),
        (["sample", "--model={run}", "--per_class=0"], "--per_class=0"),
        (["sample", "--model={run}", "--truncation=2"], "--truncation=2"),
        (["sample", "--model={run}", "--seed=-1"], "Got --seed=-1. Expected 0 or more"),
        (["sample", "--model={run}", "--out={config}"], "which is a file. Expected a folder"),
        (["sample", "--model={run}", "--out={config}/a/b.png"], "where nothing can be written"),
        (["sample", "--model={run}", "--format=csv"], "png|npz|folder|tfrecord"),
        (["sample", "--model={run}", "--format=npz", "--out=set"], "a file that ends in .npz"),
        (["sample", "--model={run}", "--format=png", "--out=set.npz"], "ends in .png"),
        (["sample", "--model={run}", "--format=folder", "--out=set.png"], "Expected a folder"),
        (["sample", "--model={run}", "--format=tfrecord", "--out={run}"], "exists already"),
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
            "Got batch_size=0 for litert",
        ),
    ],
)
def test_mistake_is_one_message_and_exit_code_2(
    arguments, message, config_file, run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = [word.format(config=config_file, run=run_folder) for word in arguments]

    code = main(arguments)

    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_errors_of_the_program_keep_their_traceback(config_file, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("raised outside the package")

    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", broken)
    with pytest.raises(ValueError, match="outside"):
        main(["distill", f"--config={config_file}", "--workdir=x"])


def test_distill_gets_config_overrides_and_workdir(config_file, monkeypatch):
    calls = []
    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", lambda *a, **k: calls.append((a, k)))
    overrides = ["--config.steps=7", "--config.student_overrides={'channels': (8, 8)}"]
    overrides += ["--config.debug", "--config.image_size=32", "--overwrite"]

    assert main(["distill", f"--config={config_file}", "--workdir=here", *overrides]) == 0

    ((config, workdir), keywords) = calls[0]
    assert (config.steps, config.debug, config.image_size) == (7, True, 32)
    assert config.student_overrides.to_dict() == {"channels": (8, 8)}
    assert (workdir, keywords) == ("here", {"overwrite": True})


def test_interruption_is_exit_code_130(config_file, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(tinygan_keras.runs.distill, "distill", stop)
    assert main(["distill", f"--config={config_file}", "--workdir=x"]) == 130


def test_sample_draws_named_classes_into_a_folder(run_folder, tmp_path):
    flags = ["--labels=sneaker,T-shirt/top,8", "--per_class=2", f"--out={tmp_path / 'out'}"]

    assert main(["sample", f"--model={run_folder}", *flags]) == 0

    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name[:9] for name in names] == [
        *("00000_007", "00001_007"),
        *("00002_000", "00003_000"),
        *("00004_008", "00005_008"),
    ]
    assert names[0] == "00000_007_Sneaker.png"
    assert Image.open(tmp_path / "out" / names[0]).size == (32, 32)


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        (["--format=npz"], "samples.npz"),
        (["--out=mine.npz"], "mine.npz"),
        (["--format=folder"], "samples"),
        (["--format=tfrecord", "--out=shards"], "shards"),
        (["--format=png"], "samples.png"),
        ([], "samples.png"),
    ],
)
def test_sample_writes_in_the_form_that_is_asked_for(
    flags, written, run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = ["--labels=Sneaker,8", "--per_class=2", *flags]

    assert main(["sample", f"--model={run_folder}", *flags]) == 0

    assert [path.name for path in tmp_path.iterdir()] == [written]
    assert capsys.readouterr().out == f"4 images: {written}\n"
    if written.endswith(".npz"):
        images = open_images(tmp_path / written)
        assert images.labels.tolist() == [7, 8, 7, 8]
        assert images.class_names == CLASS_NAMES
    if written == "samples":
        assert sorted(path.name for path in (tmp_path / written).iterdir()) == ["Bag", "Sneaker"]


def test_sample_is_a_function_of_its_seed_and_of_the_truncation(run_folder, tmp_path):
    pictures = {}
    for name, flags in {
        "first": ["--seed=1"],
        "again": ["--seed=1", "--truncation=0.25"],  # that of the run
        "seed": ["--seed=2"],
        "truncation": ["--seed=1", "--truncation=1"],
    }.items():
        out = tmp_path / f"{name}.png"
        main(["sample", f"--model={run_folder}", "--per_class=2", f"--out={out}", *flags])
        pictures[name] = np.asarray(Image.open(out))

    assert np.array_equal(pictures["first"], pictures["again"])
    assert not np.array_equal(pictures["first"], pictures["seed"])
    assert not np.array_equal(pictures["first"], pictures["truncation"])


def test_a_teacher_draws_with_its_statistics_at_the_truncation(tmp_path):
    """Its images are as bright as the truncation, whatever the latents."""
    specs = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 3]), tf.TensorSpec([])]
    module = tf.Module()
    module.default = tf.function(
        lambda z, y, truncation: {"default": tf.fill([tf.shape(z)[0], 16, 16, 3], truncation)},
        input_signature=[
            tf.TensorSpec(spec.shape, spec.dtype, name)
            for spec, name in zip(specs, ("z", "y", "truncation"), strict=True)
        ],
    )
    tf.saved_model.save(module, str(tmp_path / "t"), signatures={"default": module.default})

    for flags, brightness in (([], 0.5), (["--truncation=0.2"], 0.2)):
        out = tmp_path / str(brightness)
        flags = [*flags, "--labels=0", "--per_class=1", f"--out={out}"]
        assert main(["sample", f"--model={tmp_path / 't'}", *flags]) == 0
        (path,) = out.iterdir()
        image = np.asarray(Image.open(path), "float32") / 127.5 - 1
        np.testing.assert_allclose(image, brightness, atol=0.01)


def test_places_to_write_are_tried_and_nothing_is_left(tmp_path):
    checks.check_out_folder(tmp_path / "a" / "b")
    checks.check_out_file(tmp_path / "c" / "d.npz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there" / "kept").mkdir(parents=True)
    checks.check_out_folder(tmp_path / "there")
    checks.check_out_folder(tmp_path / "there" / "new")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["kept"]
    with pytest.raises(IsADirectoryError, match="a folder. Expected a file"):
        checks.check_out_file(tmp_path / "there")


@pytest.mark.edge
def test_export_says_what_it_lost(run_folder, tmp_path, capsys):
    flags = ["--format=litert", "--precision=int8", "--batch_size=2", f"--out={tmp_path / 'edge'}"]

    assert main(["export", f"--model={run_folder}", *flags]) == 0

    told = capsys.readouterr().out
    assert "of float32" in told
    assert "PSNR" in told
    config = json.loads((tmp_path / "edge" / "config.json").read_text())
    assert (config["precision"], config["batch_size"], config["truncation"]) == ("int8", 2, 0.25)
    assert (tmp_path / "edge" / "class_names.txt").read_text().splitlines() == list(CLASS_NAMES)


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
    assert load_generator(exported).class_names == CLASS_NAMES
    assert load_generator(exported).truncation == 0.25

    pictures = []
    for model in (run_folder, exported):
        out = tmp_path / f"{len(pictures)}"
        flags = ["--labels=3", "--per_class=2", "--truncation=0.5", f"--out={out}"]
        assert main(["sample", f"--model={model}", *flags]) == 0
        pictures.append([np.asarray(Image.open(path), "int") for path in sorted(out.iterdir())])

    assert np.abs(np.array(pictures[0]) - np.array(pictures[1])).max() <= 1
