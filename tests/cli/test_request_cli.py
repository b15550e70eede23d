"""`tinygan request`: pictures from a server, and one message for what is wrong."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from prediction_service import ModelServer
from serving_fixtures import PaintedModel, painted

from tinygan_keras.cli import main


@pytest.fixture
def server():
    models = {"tinygan": {1: PaintedModel(), 2: PaintedModel()}}
    with ModelServer(models, {"tinygan": {"stable": 1}}) as server:
        yield server


def request(server, *more):
    return main(["request", f"--server={server.rest_address}", *map(str, more)])


def test_folder_of_named_and_numbered_classes(server, tmp_path, capsys):
    out = tmp_path / "pictures"
    flags = ["--classes=Sneaker, 2", "--seeds=5,7", "--truncation=0.25"]

    assert request(server, *flags, f"--out={out}") == 0

    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert names == [
        *("Häschen/00002_seed_5.png", "Häschen/00003_seed_7.png"),
        *("Sneaker/00000_seed_5.png", "Sneaker/00001_seed_7.png"),
    ]
    image = np.asarray(Image.open(out / "Häschen" / "00003_seed_7.png"))
    np.testing.assert_array_equal(image, painted(2, 7, 0.25))
    assert capsys.readouterr().out == f"4 images: {out}\n"


def test_one_picture_with_a_row_per_class(server, tmp_path):
    out = tmp_path / "new" / "picture.png"

    assert request(server, "--classes=Sneaker,2", "--seeds=0-2", f"--out={out}") == 0

    picture = np.asarray(Image.open(out).convert("RGB"))
    enlarged = [painted(*row).repeat(16, 0).repeat(16, 1) for row in ((1, 0), (1, 2), (2, 0))]
    places = [find(picture, image) for image in enlarged]
    assert places[0][0] == places[1][0] < places[2][0]  # rows
    assert places[0][1] == places[2][1] < places[1][1]  # columns
    assert [path.name for path in out.parent.iterdir()] == ["picture.png"]


def find(picture, image):
    """Where an image lies in a picture, which it does once."""
    height, width, _ = image.shape
    windows = np.lib.stride_tricks.sliding_window_view(picture, image.shape)[:, :, 0]
    corner = np.argwhere((windows[..., 0, 0, :] == image[0, 0]).all(-1))
    (place,) = [
        (y, x) for y, x in corner if (picture[y : y + height, x : x + width] == image).all()
    ]
    return place


def test_a_version_is_asked_for_by_number_or_label(server, tmp_path):
    del server.models["tinygan"][2]
    for code, which in ((0, "--version=1"), (0, "--version_label=stable"), (2, "--version=2")):
        out = f"--out={tmp_path / which}"
        assert request(server, "--classes=0", which, out) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes=0"], "Got no --server"),
        (["--server=http://127.0.0.1:8501"], "no --classes"),
        (["--server={server}", "--classes=0", "--per_class=1"], "--seeds=0-7"),
        (["--server={server}", "--classes=0", "--seeds=-1"], "seeds"),
        (["--server={server}", "--classes=0", "--truncation=nan"], "truncation"),
        (["--server={server}", "--classes=0", "--truncation=2"], "truncation"),
        (["--server={server}", "--classes=0", "--timeout=0"], "timeout"),
        (["--server={server}", "--classes=Sneeker"], "class 'Sneeker', seed 0, truncation 0.5"),
        (["--server={server}", "--classes=0-3", "--seeds=5"], "row 3, class 3, seed 5"),
        (["--server={server}", "--classes=0,"], "class '' in row 8"),
        (["--server={server}", "--classes=5-3,1"], "class '5-3', seed 0"),
        (["--server={server}", "--classes=0", "--model=big"], "Servable not found"),
        (["--server={server}", "--classes=0", "--version=1", "--version_label=a"], "one of the"),
        (["--server={server}", "--classes=0", "--out={here}"], "a folder. Expected a file"),
        (["--server=127.0.0.1:8501", "--classes=0"], "a scheme, a host and a port"),
        (["--server={server}", "--classes=0", "--retries=-1"], "retries"),
        (["--server={server}", "--classes=0", "--batch_size=0"], "batch_size"),
        (["--server={server}", "--classes=0", "--out=there"], "there, which exists already"),
        (["--server={server}", "--clases=0"], "Did you mean: classes"),
        (["--server=http://127.0.0.1:1", "--classes=0", "--timeout=0.3"], "Start it"),
    ],
)
def test_mistake_is_one_message_and_exit_code_2(
    server, arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "there").mkdir()
    words = [word.format(server=server.rest_address, here="folder.png") for word in arguments]

    code = main(["request", *words])

    error = capsys.readouterr().err
    assert code == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "samples.png").exists()


def test_grpc_without_its_extra_is_one_message(monkeypatch, capsys):
    for name in ("tensorflow_serving", "tensorflow_serving.apis"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["request", "--server=grpc://127.0.0.1:8500", "--classes=0"]) == 2
    assert "tinygan-keras[serving]" in capsys.readouterr().err


def test_pictures_come_without_tensorflow(server, tmp_path):
    program = (
        "import sys; from tinygan_keras.cli import main\n"
        "code = main(['request', *sys.argv[1:]])\n"
        "print(code, [name for name in ('tensorflow', 'keras', 'grpc') if name in sys.modules])\n"
    )
    flags = [f"--server={server.rest_address}", "--classes=Sneaker", f"--out={tmp_path / 'a.png'}"]
    done = subprocess.run(
        [sys.executable, "-c", program, *flags], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert (tmp_path / "a.png").is_file()
