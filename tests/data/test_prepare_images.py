"""`tinygan prepare`: what is written, refused before anything is, left out, and gone on with after a kill."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from image_tree_fixtures import pixels, write_classes, write_image, write_tree

from tinygan_keras import cli
from tinygan_keras.data.image_sets import open_images, open_training_images
from tinygan_keras.data.prepare_images import prepare_images


def by_content(images):
    labels = [-1] * images.count if images.labels is None else images.labels.tolist()
    return sorted(zip(map(bytes, images.read(0, images.count)), labels, strict=True))


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_tree_of_wnids_becomes_imagenets_classes(tmp_path, capsys):
    write_tree(tmp_path / "data" / "train", per_class=6)
    report = prepare_images(tmp_path / "data", tmp_path / "out", 16, "animals", shard_size=5)
    assert "Checking 18 images" in capsys.readouterr().out
    for text in (
        "Prepared folder data/train",
        "images: 18 in 3 of 1,000 classes",
        "left out: 6 images of other classes",
        "sizes: 40x33 to 61x58 pixels",
        "written: 4 of 4 shards",
    ):
        assert text in " ".join(report.split())
    direct = open_training_images(tmp_path / "data", 16, 1000, range(398))
    prepared = open_training_images(tmp_path / "out", 16, 1000, range(398))
    assert by_content(prepared) == by_content(direct)
    assert np.unique(prepared.labels[:5]).size > 1, "stored in random order"
    fish = open_training_images(tmp_path / "out", 16, 3, (0,), ("goldfish", "tench", "puffer"))
    assert fish.count == 6


def test_images_without_labels_and_numbered_folders_are_prepared(tmp_path):
    for number in range(3):
        write_image(tmp_path / "flat" / f"{number}.png", pixels(number, 8, 8))
    write_classes(tmp_path / "numbers", **{"0": 2, "7": 1})
    for name, labels in (("flat", None), ("numbers", [0, 0, 7])):
        prepare_images(tmp_path / name, tmp_path / f"{name} out", 4, progress=False)
        images = open_images(tmp_path / f"{name} out")
        assert images.class_names is None and images.image_size == 4
        assert by_content(images) == by_content(open_images(tmp_path / name, image_size=4))
        assert labels is None or sorted(images.labels) == labels
    (batch,) = open_images(tmp_path / "flat out").batches(2).take(1)
    assert set(batch) == {"image"}


def test_what_cannot_be_read_is_refused_before_anything_is_written_or_left_out(tmp_path):
    data = write_classes(tmp_path / "data", cat=5, dog=5)
    (data / "cat" / "2.png").write_bytes((data / "cat" / "2.png").read_bytes()[:-40])
    (data / "dog" / "x.jpg").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"2 of 11 files.*cat/2.png.*dog/x.jpg.*--skip_unreadable"):
        prepare_images(data, tmp_path / "out", 6, progress=False)
    assert not (tmp_path / "out").exists()
    arguments = {"skip_unreadable": True, "progress": False, "shard_size": 2}
    report = prepare_images(data, tmp_path / "out", 6, **arguments)
    assert "left out, unreadable: 2 of 11 files that can't be decoded: cat/2.png" in report
    (data / "cat" / "2.png").unlink()
    (data / "dog" / "x.jpg").unlink()
    expected = by_content(open_images(data))
    assert by_content(open_images(tmp_path / "out")) == expected
    prepare_images(data, tmp_path / "sound", 6, **arguments)
    assert files_of(tmp_path / "sound").keys() == files_of(tmp_path / "out").keys()


def test_workers_make_what_one_would_and_a_lost_shard_is_made_again(tmp_path, monkeypatch):
    data = write_classes(tmp_path / "data", cat=7, dog=6)
    arguments = {"image_size": 6, "shard_size": 3, "progress": False}
    prepare_images(data, tmp_path / "one", **arguments)
    for worker in (2, 0, 1):
        report = prepare_images(data, tmp_path / "many", **arguments, worker=worker, workers=3)
    assert "5 of 5 shards" in report
    shards = {name: content for name, content in files_of(tmp_path / "one").items() if "." in name}
    assert {
        n: c for n, c in files_of(tmp_path / "many").items() if n in shards
    }.keys() == shards.keys()
    for name, content in shards.items():
        if name.endswith(".tfrecord"):
            assert (tmp_path / "many" / name).read_bytes() == content
    lost = sorted(name for name in shards if name.endswith(".tfrecord"))[2]
    (tmp_path / "many" / lost).unlink()
    from tinygan_keras.data import image_decoding

    decode, decoded = image_decoding.decode, []
    monkeypatch.setattr(image_decoding, "decode", lambda path: decoded.append(path) or decode(path))
    prepare_images(data, tmp_path / "many", **arguments)
    assert (tmp_path / "many" / lost).read_bytes() == shards[lost]
    assert len(decoded) == 6, "each image of the shard is checked and converted, and no other"


@pytest.mark.parametrize("change", ["image", "size", "classes", "foreign"])
def test_other_images_are_never_mixed(tmp_path, change):
    data = write_classes(tmp_path / "data", cat=3, dog=2)
    out, size, classes = tmp_path / "out", 6, ""
    if change == "foreign":
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("the only copy")
    else:
        prepare_images(data, out, size, progress=False)
    before = files_of(out)
    if change == "image":
        write_image(data / "cat" / "9.png")
    size += change == "size"
    classes = "dog" if change == "classes" else ""
    with pytest.raises(ValueError, match="differ|which is no set of records"):
        prepare_images(data, out, size, classes, progress=False)
    assert files_of(out) == before


@pytest.mark.full
def test_a_kill_at_any_moment_costs_nothing(tmp_path):
    write_tree(tmp_path / "data", per_class=40)
    command = [sys.executable, "-m", "tinygan_keras", "prepare", f"--data={tmp_path / 'data'}"]
    command += ["--image_size=64", "--shard_size=10", f"--out={tmp_path / 'out'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        if len(list((tmp_path / "out").glob("real-*.tfrecord"))) >= 3:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {n: os.stat(tmp_path / "out" / n).st_mtime_ns for n in os.listdir(tmp_path / "out")}
    assert cli.main(command[3:]) == 0
    kept = [n for n in done if n.startswith("real-")]  # an unfinished file is hidden
    assert kept and all(os.stat(tmp_path / "out" / n).st_mtime_ns == done[n] for n in kept)
    prepare_images(tmp_path / "data", tmp_path / "whole", 64, shard_size=10, progress=False)
    assert files_of(tmp_path / "out").keys() == files_of(tmp_path / "whole").keys()
    for name, content in files_of(tmp_path / "whole").items():
        if name != "settings.json":  # says where the images were, too
            assert (tmp_path / "out" / name).read_bytes() == content


def test_the_command_prepares_verifies_and_names_damage(tmp_path, capsys):
    data, out = write_classes(tmp_path / "data", cat=3, dog=2), tmp_path / "out"
    assert cli.main(["prepare", f"--data={data}", "--image_size=6", f"--out={out}"]) == 0
    assert "Prepared folder data" in capsys.readouterr().out
    assert cli.main(["prepare", f"--out={out}", "--verify"]) == 0
    (shard,) = out.glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert cli.main(["prepare", f"--out={out}", "--verify"]) == 2
    assert shard.name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--image_size=6",), "no --data"),
        (("--data=nowhere", "--image_size=6"), "are not there"),
        (("--data=nowhere", "--image_size=0"), "image_size"),
        (
            ("--data=x", "--image_size=6", "--runner=DirectRunner", "--workers=2"),
            "Expected one of them",
        ),
        (("--verify",), "holds no settings.json"),
    ],
)
def test_mistakes_are_refused_in_one_message(tmp_path, capsys, flags, message):
    assert cli.main(["prepare", f"--out={tmp_path / 'out'}", *flags]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.beam
def test_beam_makes_the_same_shards(tmp_path):
    data = write_classes(tmp_path / "data", cat=4, dog=3)
    (data / "cat" / "bad.png").write_bytes(b"bad")
    arguments = {"image_size": 6, "shard_size": 3, "progress": False, "skip_unreadable": True}
    prepare_images(data, tmp_path / "one", **arguments)
    prepare_images(data, tmp_path / "beam", **arguments, runner=["--runner=DirectRunner"])
    for path in (tmp_path / "one").glob("*.tfrecord"):
        assert (tmp_path / "beam" / path.name).read_bytes() == path.read_bytes()


def test_classes_of_images_without_labels_are_refused(tmp_path):
    write_image(tmp_path / "flat" / "0.png")
    with pytest.raises(ValueError, match="which has no labels"):
        prepare_images(tmp_path / "flat", tmp_path / "out", 6, "3", progress=False)
