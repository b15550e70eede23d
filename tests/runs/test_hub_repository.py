"""A student becomes a repository of the Hugging Face Hub that says what is known, and no more."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
import yaml
from PIL import Image
from run_fixtures import TINY_STUDENT

from tinygan_keras.cli import main
from tinygan_keras.embedded import EMBEDDED
from tinygan_keras.errors import ExistingFileError, InputError, MissingFileError
from tinygan_keras.evaluation.results import compare, read_evaluation
from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs.hub_repository import _data_set, export_hub

STUDENT = "tinygan_fashion_32"


def header(folder) -> dict:
    """The metadata of a card, as the Hub reads it."""
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


@pytest.fixture
def run(tmp_path):
    """A run with an evaluation of its weights, and settings of somebody's machine."""
    folder = shutil.copytree(EMBEDDED[STUDENT], tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "teacher": "hf://deep/teacher@v2",
        "teacher_cache": str(tmp_path / "private" / "cache"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def tiny(tmp_path):
    """A student in a file of its own, of which nothing is known."""
    keras.utils.set_random_seed(0)
    (tmp_path / "tiny").mkdir()
    path = tmp_path / "tiny" / "my.keras"
    StudentGenerator.from_preset(STUDENT, **TINY_STUDENT).save(path)
    return path


def test_a_run_becomes_a_repository(run, tmp_path, capsys):
    out = tmp_path / "hub" / "mine"
    arguments = [f"--model={run}", "--format=hub", "--license=mit", f"--out={out}"]
    assert main(["export", *arguments]) == 0
    assert f"hf upload OWNER/NAME {out}" in capsys.readouterr().out

    assert {path.name for path in out.iterdir()} == {
        *("student.keras", "config.json", "class_names.txt", "pictures", "evaluation", "README.md")
    }
    generator = open_generator(out)  # as it is when it has been fetched
    assert generator.content_hash == open_generator(run).content_hash
    assert (generator.truncation, generator.class_names[7]) == (1.0, "Sneaker")
    assert compare({"run": read_evaluation(run), "hub": read_evaluation(out)})
    pictures = {path.name for path in (out / "pictures").iterdir()}
    assert pictures == {"samples.png", *(path.name for path in (run / "pictures").iterdir())}
    shown = set(re.findall(r"\]\(pictures/([\w.]+)\)", (out / "README.md").read_text()))
    assert shown == pictures
    text = "".join(path.read_text() for path in out.rglob("*") if path.suffix in (".json", ".md"))
    assert str(tmp_path) not in text and '"teacher_cache": "./cache"' in text


def test_the_header_has_the_figures_of_the_evaluation(run, tmp_path):
    card = header(export_hub(run, tmp_path / "hub", license="mit"))
    assert (card["library_name"], card["license"]) == ("keras", "mit")
    assert card["base_model"] == "deep/teacher"
    assert card["datasets"] == ["zalando-datasets/fashion_mnist"]
    assert {"tinygan", "gan"} <= set(card["tags"])

    (model,) = card["model-index"]
    (results,) = model["results"]
    figures = json.loads((run / "evaluation" / "evaluation.json").read_text())["figures"]
    values = {metric["type"]: metric["value"] for metric in results["metrics"]}
    assert values == {name: figures[name] for name in values}
    assert card["metrics"] == list(values)
    assert {"frechet_distance", "label_accuracy", "frechet_to_teacher"} <= set(values)
    assert "frechet_floor" not in values  # of the real images
    assert results["dataset"]["args"]["extractor"] == "fashion_classifier"
    assert results["dataset"]["args"]["generated_images"] == 10_000


def test_figures_of_other_weights_are_left_out(run, tmp_path):
    student = load_student(run)
    student.set_weights([weight + 0.01 for weight in student.get_weights()])
    student.save(run / "student.keras")
    with pytest.warns(UserWarning, match="of other weights"):
        out = export_hub(run, tmp_path / "hub")
    assert not {"metrics", "model-index"} & set(header(out))
    assert "## Figures" not in (out / "README.md").read_text()
    assert not (out / "evaluation").exists()


def test_what_is_not_known_is_not_said(tiny, tmp_path):
    shutil.copytree(EMBEDDED[STUDENT] / "evaluation", tiny.parent / "evaluation")  # of another file
    out = export_hub(tiny, tmp_path / "hub")
    card = header(out)
    assert card["license"] == "unknown"
    assert not {"base_model", "datasets", "metrics", "model-index"} & set(card)
    text = (out / "README.md").read_text()
    assert "| truncation of the training | unknown |" in text and "## Figures" not in text
    assert not (out / "class_names.txt").exists()
    assert open_generator(out).content_hash == open_generator(tiny).content_hash


def test_samples_are_of_the_classes_that_were_trained(tiny, tmp_path):
    (tiny.parent / "config.json").write_text(json.dumps({"classes": "3,5", "truncation": 0.5}))
    out = export_hub(tiny, tmp_path / "hub")
    picture = np.asarray(Image.open(out / "pictures" / "samples.png"))
    assert 2 * 64 < picture.shape[0] < 3 * 64
    assert ".generate('3', seeds=7)" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fashion_mnist:test", "zalando-datasets/fashion_mnist"),
        ("fashion_mnist_10k.npz (28x28 gray)", "zalando-datasets/fashion_mnist"),
        ("tfds:imagenet2012", "ILSVRC/imagenet-1k"),
        ("keras:cifar100, test", "uoft-cs/cifar100"),
        ("cifar10_of_mine.npz", None),
        ("pictures/mnist", None),
        ("mnist", None),
        ("./mnist", None),
        ("hf://datasets/me/faces@v2/train", "me/faces"),
        ("none", None),
    ],
)
def test_only_data_sets_that_are_known_have_the_hubs_name(name, expected):
    assert _data_set(name) == expected


def test_mistakes_leave_nothing(run, tmp_path, capsys):
    out = tmp_path / "hub"
    with pytest.raises(InputError, match="Expected hf://OWNER/NAME"):
        export_hub(run, out, base_model="no repository")
    with pytest.raises(MissingFileError, match=r"student\.keras"):
        export_hub("biggan_fashion_32", out)
    with pytest.raises(ExistingFileError, match="exists already"):
        export_hub(run, run)
    arguments = ["export", f"--model={run}", f"--out={out}"]
    assert main([*arguments, "--format=hub", "--precision=int8"]) == 2
    assert main([*arguments, "--license=mit"]) == 2
    errors = capsys.readouterr().err
    assert "--precision=int8" in errors and "add --format=hub" in errors
    assert not out.exists()
