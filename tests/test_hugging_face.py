"""hf:// names are found on a Hub, in its cache, or refused in one message."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hugging_face_server import TOKEN, Hub, serve
from pair_fixtures import pairs, write_npz

from tinygan_keras.cli import main
from tinygan_keras.data.image_sets import open_images
from tinygan_keras.data.prepare_images import prepare_images
from tinygan_keras.data.teacher_cache import TeacherCache
from tinygan_keras.data.teacher_pairs import import_pairs
from tinygan_keras.embedded import EMBEDDED, find
from tinygan_keras.errors import (
    InputError,
    MissingFileError,
    MissingPackageError,
    UnusableFileError,
)
from tinygan_keras.evaluation.evaluate import _is_images
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor, load_extractor
from tinygan_keras.evaluation.real_statistics import is_statistics_file
from tinygan_keras.evaluation.results import compare, read_evaluation
from tinygan_keras.files import check_writable
from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.hugging_face import fetch
from tinygan_keras.runs.components import without_teacher
from tinygan_keras.runs.config import validate
from tinygan_keras.runs.measuring import evaluation_settings, measured_images
from tinygan_keras.teachers.download import locate, module_hash
from tinygan_keras.teachers.hub import HubTeacher

STUDENT = "tinygan_fashion_32"
_FIND = "import sys; from tinygan_keras.embedded import find; print(find(sys.argv[1]))"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub()
    hub.add("me/student", EMBEDDED[STUDENT])
    hub.add("me/teacher", EMBEDDED["biggan_fashion_32"])
    classifier = EMBEDDED["fashion_classifier"]
    files = {f"models/c/{path.relative_to(classifier)}": path for path in classifier.rglob("*")}
    files = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    hub.add("me/classifier", files=files)
    hub.add("me/torch", files={"pytorch_model.bin": b"0" * 2000, "config.json": b"{}"})
    hub.add("me/secret", files={"a.txt": b"secret"}, private=True)
    hub.add("me/gated", files={"a.txt": b"gated"}, gated=True)
    hub.add(
        "me/data", files={"real.npz": EMBEDDED["fashion_mnist_10k"].read_bytes()}, type="dataset"
    )
    folder = tmp_path_factory.mktemp("hub")
    pairs_file = write_npz(folder / "pairs.npz", *pairs(12))
    import_pairs(pairs_file, folder / "cache", progress=False)
    hub.add("me/cache", folder / "cache", type="dataset")
    prepare_images(pairs_file, folder / "real", 32, progress=False)
    hub.add("me/prepared", folder / "real", type="dataset")
    with serve(hub):
        yield hub


@pytest.fixture
def ask(hub, tmp_path):
    """What `find` makes of a name in another process, with huggingface_hub's own settings."""
    hub.requests.clear()

    def ask(name, **environment):
        variables = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint, **environment}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE"))}
        command = [sys.executable, "-c", _FIND, name]
        result = subprocess.run(
            command, env={**kept, **variables}, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    return ask


@pytest.fixture
def in_process(hub, tmp_path, monkeypatch):
    """The same Hub for this process, which has read its settings already; takes others as keywords."""
    from huggingface_hub import constants

    def settings(**values):
        for name, value in values.items():
            if name == "HF_TOKEN":
                monkeypatch.setenv(name, value)
                continue
            monkeypatch.setattr(constants, name, value)
            if name == "ENDPOINT":
                address = f"{value}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
                monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        fetch.cache_clear()

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    cache, token = str(tmp_path / "cache"), str(tmp_path / "token")
    settings(ENDPOINT=hub.endpoint, HF_HUB_CACHE=cache, HF_TOKEN_PATH=token)
    monkeypatch.chdir(tmp_path)
    hub.requests.clear()
    yield settings
    fetch.cache_clear()


def test_a_repository_is_a_folder_and_is_downloaded_once(ask, hub):
    folder = ask("hf://me/student")
    assert folder.endswith(f"/snapshots/{hub.repositories['me/student'].commit}")
    assert (
        Path(folder, "student.keras").read_bytes()
        == hub.repositories["me/student"].files["student.keras"]
    )
    assert any("/elsewhere/" in path for _, path, _ in hub.requests)  # as large files do
    hub.requests.clear()
    assert ask("hf://me/student") == folder
    # Asked anew is only which commit it is.
    assert [path for _, path, _ in hub.requests if "me/student" in path] == [
        "/api/models/me/student/revision/main"
    ]
    hub.requests.clear()
    assert ask("hf://me/student", HF_HUB_OFFLINE="1") == folder and not hub.requests
    assert ask("hf://me/student", HF_ENDPOINT="http://127.0.0.1:9") == folder  # no network


def test_a_file_comes_with_what_describes_it_and_no_more(hub, in_process):
    commit = hub.repositories["me/student"].commit
    file = find(f"hf://me/student@{commit}/student.keras")
    expected = {"student.keras", "config.json", "class_names.txt"}
    assert {path.name for path in file.parent.iterdir()} == expected
    assert find("hf://me/torch@v1/pytorch_model.bin").name == "pytorch_model.bin"
    folder = find("hf://me/classifier/models/c")
    assert {"saved_model.pb", "variables"} <= {path.name for path in folder.iterdir()}
    # A part of a repository isn't taken for the whole.
    in_process(HF_HUB_OFFLINE=True)
    with pytest.raises(UnusableFileError, match="Got no copy of"):
        find(f"hf://me/student@{commit}")


def test_the_token_opens_what_is_private_or_gated(hub, in_process):
    for name in ("hf://me/secret", "hf://me/gated"):
        with pytest.raises(MissingFileError, match="that you may read"):
            find(name)
    in_process(HF_TOKEN=TOKEN)
    for name in ("hf://me/secret", "hf://me/gated"):
        assert [path.name for path in find(name).iterdir()] == ["a.txt"]
    sent = [token for _, path, token in hub.requests if "secret" in path]
    assert sent[0] is None and sent[-1] == TOKEN


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("me/nothing", {}, MissingFileError, "me/nothing is no model that you may read"),
        ("me/nothing", {"HF_TOKEN": "of another"}, MissingFileError, "hf auth login"),
        ("datasets/me/student", {}, MissingFileError, "is no dataset that you may read"),
        ("me/student@old", {}, MissingFileError, "has no revision 'old'"),
        ("me/torch/model.bin", {}, MissingFileError, "has no 'model.bin'"),
        ("me/student", {"HF_HUB_OFFLINE": True}, UnusableFileError, "HF_HUB_OFFLINE=0"),
        ("me/student", {"ENDPOINT": "http://127.0.0.1:9"}, UnusableFileError, "HF_HOME"),
        ("student", {}, InputError, r"Expected hf://OWNER/NAME\[@REVISION\]\[/FILE\]"),
        ("buckets/me/student", {}, InputError, "A bucket is no repository"),
        ("me/stu dent", {}, InputError, "alphanumeric"),
    ],
)
def test_what_is_not_there_is_one_message(in_process, name, settings, error, message):
    in_process(**settings)
    with pytest.raises(error, match=message) as caught:
        find(f"hf://{name}")
    assert f"'hf://{name}'" in str(caught.value) and "Expected" in str(caught.value)


def test_a_hub_that_fails_is_one_message(hub, in_process, monkeypatch):
    monkeypatch.setattr(hub, "broken", True)
    with pytest.raises(UnusableFileError, match="500"):
        find("hf://me/torch")


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r'pip install "tinygan-keras\[hub\]"'):
        find("hf://me/not_fetched")


def test_models_and_data_open_by_name(in_process):
    generator = open_generator("hf://me/student")
    assert generator.content_hash == open_generator(STUDENT).content_hash
    assert (generator.source, generator.class_names[7]) == ("hf://me/student", "Sneaker")
    assert generator.weights == "exponential moving average"
    file = open_generator("hf://me/student/student.keras")
    assert (file.truncation, file.class_names) == (1.0, generator.class_names)

    teacher = open_generator("hf://me/teacher")
    assert (teacher.source, teacher.truncation) == ("hf://me/teacher", 1.0)
    assert teacher.class_names == generator.class_names
    assert teacher.content_hash == module_hash(str(EMBEDDED["biggan_fashion_32"]))
    assert load_extractor("hf://me/classifier/models/c").feature_dim == 128
    with pytest.raises(InputError, match="tinygan import"):
        locate("hf://me/torch")

    data = "hf://datasets/me/data/real.npz"
    assert _is_images(data) and not _is_images("hf://me/student") and not is_statistics_file(data)
    ours, theirs = (open_images(name).read(0, 2) for name in (data, "fashion_mnist_10k"))
    assert np.array_equal(ours, theirs)


CACHED, OTHER = "hf://datasets/me/cache", "hf://me/student/config.json"
DOORS = {
    "cache": lambda: len(TeacherCache(CACHED).labels),
    "settings": lambda: without_teacher(validate({"teacher_cache": CACHED})).teacher,
    "verify": lambda: main(["cache", "--verify", f"--out={CACHED}"]),
    "classifier": lambda: FeatureExtractor("hf://me/classifier/models/c").name,
    "evaluation": lambda: len(compare({"a": read_evaluation("hf://me/student")})) > 0,
    "student": lambda: load_student("hf://me/student").name,
    "teacher": lambda: HubTeacher("hf://me/teacher", truncation=1.0).num_classes,
    "images": lambda: open_images("hf://datasets/me/data/real.npz").name,
    "records": lambda: open_images("hf://datasets/me/prepared").name,
}
EXPECTED = {
    "cache": 12,
    "settings": "none",
    "verify": 0,
    "classifier": "hf://me/classifier/models/c",
    "evaluation": True,
    "student": "student_generator",
    "teacher": 10,
    "images": "real.npz (28x28 gray, padded to 32x32 RGB)",
    "records": "prepared hf://datasets/me/prepared",
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_takes_a_name_of_the_hub(door, in_process):
    assert DOORS[door]() == EXPECTED[door]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cache", f"--import={OTHER}", "--out=c"], "Expected an .npz"),
        (["import", "--model=hf://me/student", "--out=c"], "torch|checkpoints"),
        (["sample", "--model=hf://me/torch"], "Got 'hf://me/torch', .*import a PyTorch checkpoint"),
        (["distill", f"--config={OTHER}", "--workdir=w"], "no file here"),
        (["demo", "--out=hf://me/new"], "a place on a disk"),
        (["cache", "--teacher=t", "--count=9", "--out=hf://me/new"], "Expected a folder on a disk"),
        (["sample", "--model=hf://me/student", "--out=hf://me/new"], "a place on a disk"),
    ],
)
def test_a_mistake_with_a_name_of_the_hub_is_one_message(in_process, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error.replace("\n", " ")) and "Traceback" not in error
    assert not list(Path().glob("hf:*"))


def test_nothing_is_written_to_an_address(tmp_path):
    with pytest.raises(InputError, match="hf upload"):
        check_writable("hf://me/new", "the workdir")


def test_a_run_is_asked_once_and_nothing_is_written_to_the_cache(hub, in_process):
    assert read_evaluation("hf://me/student")["figures"]
    settings = evaluation_settings("hf://me/student")
    assert settings["extractor"] == "fashion_classifier" and not {"out", "pictures"} & set(settings)
    assert measured_images("hf://me/student") == "fashion_mnist_10k"
    revisions = [path for _, path, _ in hub.requests if "/revision/" in path]
    assert revisions == ["/api/models/me/student/revision/main"]
