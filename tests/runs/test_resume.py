"""A run that is killed again and again ends like one that nobody touched."""

import csv
import json
import random
import signal

import h5py
import numpy as np
import pytest
from run_fixtures import small_config

from tinygan_keras.generators.opening import load_student
from tinygan_keras.runs.checkpoints import latest_checkpoint

STEPS_PER_EPOCH = 4
EXIT_CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = small_config(tmp_path_factory.mktemp("source"))
    config.steps_per_epoch = STEPS_PER_EPOCH
    config.checkpoint_minutes = 1e-6  # after every step
    return config.to_dict()


def job(config, folder, name, **settings):
    paths = {key: folder / f"{name}.{key}" for key in ("log", "weights")}
    paths["weights"] = paths["weights"].with_suffix(".npz")
    return {"config": config, "workdir": folder / name, **paths, **settings}


def state(job):
    with np.load(job["weights"]) as arrays:
        return [arrays[f"arr_{place}"] for place in range(len(arrays.files))]


def log(*jobs):
    return "\n".join(job["log"].read_text()[-3000:] for job in jobs)


def numbers(rows):
    """The figures of each epoch; Keras writes NA into columns that it reserves for others."""
    return [{name: float(text) for name, text in row.items() if text != "NA"} for row in rows]


def assert_equal_states(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_whole(folder):
    """What must hold after a kill at any moment: complete checkpoints, readable files; returns the steps."""
    found = list((folder / "checkpoints").glob("epoch_*"))
    assert len(found) <= 3  # the kill may fall between the rename and the removal of the oldest one
    for path in found:
        with h5py.File(path) as file:
            file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
    epoch, step, _ = latest_checkpoint(folder / "checkpoints")
    json.loads((folder / "config.json").read_text())
    if (folder / "seconds.json").exists():
        json.loads((folder / "seconds.json").read_text())
    return epoch * STEPS_PER_EPOCH + step


@pytest.mark.parametrize(
    ("kills", "devices"),
    [
        (2, "one"),
        pytest.param(3, "mirrored", marks=pytest.mark.full),
        pytest.param(20, "one", marks=pytest.mark.slow),
        pytest.param(20, "mirrored", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(
    processes, config, tmp_path, kills, devices
):
    steps = (kills + 1) * 2 * STEPS_PER_EPOCH
    config = {**config, "steps": steps, "devices": devices, "adversarial_interval": 1}
    cpus = {"cpus": 2} if devices == "mirrored" else {}
    untouched = job(config, tmp_path, "untouched", **cpus)
    assert processes.run(untouched) == [0], log(untouched)
    moments = random.Random(0)
    killed = job(config, tmp_path, "killed", **cpus)
    done, inside = 0, 0
    for kill in range(kills):
        number = list(EXIT_CODES)[kill % 3]
        # Moments in steps, not in seconds: they must fall into the training however busy the machine is.
        killed.update({"kill_at": moments.randint(2, 5), "kill_later": moments.uniform(0.01, 1)})
        killed["signal"] = int(number)
        assert processes.run(killed) == [EXIT_CODES[number]], log(killed)
        before, done = done, assert_whole(tmp_path / "killed")
        # After SIGKILL the last checkpoint may be missing, which was being written.
        in_flight = number == signal.SIGKILL
        assert done >= before + killed["kill_at"] - in_flight, "more is lost than a step"
        inside += done % STEPS_PER_EPOCH > 0
    assert 0 < done < steps, "no kill in the middle proves nothing"
    assert inside, "no kill inside an epoch proves little"
    torn = tmp_path / "killed" / "checkpoints" / ".unfinished-0-epoch_00001.weights.h5"
    torn.write_bytes(b"torn")
    del killed["kill_at"]
    assert processes.run(killed) == [0], log(killed)

    report = json.loads((tmp_path / "killed" / "report.json").read_text())
    assert report["steps"] == config["steps"]
    assert_equal_states(state(killed), state(untouched))
    rows = [
        list(csv.DictReader((tmp_path / n / "history.csv").open())) for n in ("killed", "untouched")
    ]
    assert [row["epoch"] for row in rows[0]] == [row["epoch"] for row in rows[1]]
    assert [int(row["epoch"]) for row in rows[0]] == list(range(config["steps"] // STEPS_PER_EPOCH))
    for one, other in zip(*map(numbers, rows), strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    last = config["steps"] // STEPS_PER_EPOCH
    assert sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()) == [
        f"epoch_{last - 1:05d}_step_{STEPS_PER_EPOCH - 1:08d}.weights.h5",
        f"epoch_{last:05d}.weights.h5",
    ]


@pytest.mark.slow
def test_a_run_on_two_devices_is_the_run_on_one(processes, config, tmp_path):
    """Synchronised statistics, the mean of both halves of a batch, and several steps per execution."""
    config = {**config, "steps": 8, "steps_per_epoch": 4, "adversarial_interval": 3}
    one = job(config, tmp_path, "one")
    two = job(
        {**config, "devices": "mirrored", "steps_per_execution": 4},
        tmp_path,
        "two",
        cpus=2,
        export=True,
    )
    assert processes.run(one, two) == [0, 0], log(one, two)
    histories = [np.genfromtxt(j["workdir"] / "history.csv", delimiter=",")[1:] for j in (one, two)]
    np.testing.assert_allclose(*histories, rtol=1e-3, atol=1e-4)
    students = [load_student(j["workdir"]).get_weights() for j in (one, two)]
    for a, b in zip(*students, strict=True):
        # Adam makes steps of one size out of gradients near zero, whatever their sign.
        np.testing.assert_allclose(a, b, atol=1e-3)
