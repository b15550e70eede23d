"""`tinygan sample`: images as a user asks for them, and one message for a mistake."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tinygan_keras.cli import main
from tinygan_keras.data.image_sets import open_images
from tinygan_keras.data.keras_sets import FASHION_MNIST_NAMES


def test_sample_writes_named_classes_into_a_folder(run_folder, tmp_path):
    flags = ["--classes=sneaker,T-shirt/top,8", "--seeds=4,9", f"--out={tmp_path / 'out'}"]

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
    flags = ["--classes=Sneaker,8", "--seeds=3-4", *flags]

    assert main(["sample", f"--model={run_folder}", *flags]) == 0

    assert [path.name for path in tmp_path.iterdir()] == [written]
    assert capsys.readouterr().out == f"4 images: {written}\n"
    if written.endswith(".npz"):
        images = open_images(tmp_path / written)
        assert images.labels.tolist() == [7, 8, 7, 8]
        assert images.class_names == FASHION_MNIST_NAMES
        assert np.load(tmp_path / written)["seeds"].tolist() == [3, 3, 4, 4]
    if written == "samples":
        assert sorted(path.name for path in (tmp_path / written).iterdir()) == ["Bag", "Sneaker"]


def test_sample_is_a_function_of_its_seed_and_of_the_truncation(run_folder, tmp_path):
    pictures = {}
    for name, flags in {
        "first": ["--seeds=1,2"],
        "again": ["--seeds=1-2", "--truncation=0.25"],  # that of the run
        "seed": ["--seeds=2-3"],
        "truncation": ["--seeds=1-2", "--truncation=1"],
        "nought": ["--seeds=1-2", "--truncation=0"],
    }.items():
        out = tmp_path / f"{name}.png"
        main(["sample", f"--model={run_folder}", f"--out={out}", *flags])
        pictures[name] = np.asarray(Image.open(out))

    assert np.array_equal(pictures["first"], pictures["again"])
    assert not np.array_equal(pictures["first"], pictures["seed"])
    assert not np.array_equal(pictures["first"], pictures["truncation"])
    assert not np.array_equal(pictures["first"], pictures["nought"])


def test_a_teacher_generates_with_its_statistics_at_the_truncation(tmp_path):
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
        flags = [*flags, "--classes=0", "--seeds=0", f"--out={out}"]
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
        (["sample", "--model={run}", "--classes=Sneeker"], "Did you mean 7 (Sneaker)?"),
        (["sample", "--model={run}", "--classes=10"], "from 0 to 9"),
        (["sample", "--model={run}", "--labels=8"], "--classes=Sneaker,8 chooses classes"),
        (["sample", "--model={run}", "--per_class=2"], "--seeds=0-7 makes eight images of each"),
        (["sample", "--model={run}", "--seed=1"], "--seeds=0-7 gives each image a seed"),
        (["sample", "--model={run}", "--truncation=2"], "--truncation=2"),
        (["sample", "--model={run}", "--seeds=-1"], "--seeds=-1"),
        (["sample", "--model={run}", "--out={config}"], "exists already"),
        (["sample", "--model={run}", "--out={config}/a/b.png"], "where nothing can be written"),
        (["sample", "--model={run}", "--format=csv"], "png|npz|images|folder|tfrecord"),
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
