"""The script that trains feature extractors: a few steps, and what it writes."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.evaluation.extractors.extractor import load_extractor

COLOURS = {"blue": (40, 60, 200), "red": (200, 60, 40)}


@pytest.fixture
def colours(tmp_path):
    """A folder of two classes, 32 noisy images each."""
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "colours" / name).mkdir(parents=True)
        for number in range(32):
            image = np.clip(random.normal(colour, 20, (32, 32, 3)), 0, 255).astype("uint8")
            Image.fromarray(image).save(tmp_path / "colours" / name / f"{number}.png")
    return tmp_path / "colours"


@pytest.mark.full
@pytest.mark.parametrize(
    ("options", "features"),
    [
        (["--channels=4,6"], 6),
        (
            [
                *("--architecture=resnet9", "--channels=4,4,4,8", "--flip"),
                *("--cutout=8", "--label_smoothing=0.1"),
                *("--optimizer=sgd", "--learning_rate=0.1", "--dtype_policy=mixed_bfloat16"),
            ],
            8,
        ),
    ],
    ids=["plain", "resnet9"],
)
def test_the_script_trains_an_extractor_that_tells_classes_apart(
    repository, colours, options, features
):
    script = repository / "experiments" / "train_classifier.py"
    command = [sys.executable, script, "--data=colours", "--test=colours", "--output=classifier"]
    command += ["--epochs=12", "--batch_size=16", *options]
    subprocess.run(command, cwd=colours.parent, check=True)
    extractor = load_extractor(colours.parent / "classifier")
    images = np.stack([np.full((32, 32, 3), COLOURS[name], "uint8") for name in sorted(COLOURS)])
    found, logits = extractor(images)
    assert found.shape == (2, features) and found.dtype == "float32"
    assert np.argmax(logits, axis=-1).tolist() == [0, 1]
    card = (colours.parent / "classifier" / "model_card.md").read_text()
    assert "| test accuracy | 100.00% of 64 test images |" in card
    for option in options:
        assert option in card
