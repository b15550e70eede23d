"""`tinygan sample`: images as a user asks for them, and one message for a mistake."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tinygan_keras.cli import main
from tinygan_keras.data.fashion_mnist import CLASS_NAMES
from tinygan_keras.data.image_source import open_images


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample"], "Got no --model"),
        (["sample", "--modle=x"], "Did you mean: model"),
        (["sample", "--model=missing"], "run folder"),
        (["sample", "--model={run}", "--labels=Sneeker"], "Did you mean 7 (Sneaker)?"),
        (["sample", "--model={run}", "--labels=10"], "from 0 to 9"),
        (["sample", "--model={run}", "--per_class=0"], "--per_class=0"),
        (["sample", "--model={run}", "--truncation=2"], "--truncation=2"),
        (["sample", "--model={run}", "--seed=-1"], "--seed=-1"),
        (["sample", "--model={run}", "--out={config}"], "exists already"),
        (["sample", "--model={run}", "--out={config}/a/b.png"], "where nothing can be written"),
        (["sample", "--model={run}", "--format=csv"], "png|npz|folder|tfrecord"),
        (["sample", "--model={run}", "--format=npz", "--out=set"], "a file that ends in .npz"),
        (["sample", "--model={run}", "--format=png", "--out=set.npz"], "ends in .png"),
        (["sample", "--model={run}", "--format=folder", "--out=set.png"], "Expected a folder"),
        (["sample", "--model={run}", "--format=tfrecord", "--out={run}"], "exists already"),
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
