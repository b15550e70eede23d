"""A run that is killed again and again ends like one that nobody touched."""

import csv
import json
import random

import numpy as np
import pytest
from run_fixtures import small_config
from run_processes import KILLED

from tinygan_keras.generators.opening import load_student
from tinygan_keras.runs.checkpoints import latest_checkpoint

STEPS_PER_EPOCH = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = small_config(tmp_path_factory.mktemp("source"))
    config.steps_per_epoch = STEPS_PER_EPOCH
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
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-7)


def assert_whole(folder):
    """What must hold after a kill at any moment: at most one checkpoint, complete; readable files."""
    found = list((folder / "checkpoints").glob("epoch_*"))
    assert len(found) <= 2  # the kill may fall between the rename and the removal of the former one
    done, path = latest_checkpoint(folder / "checkpoints")
    if path is not None:
        import h5py

        with h5py.File(path) as file:
            file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
    json.loads((folder / "config.json").read_text())
    if (folder / "seconds.json").exists():
        json.loads((folder / "seconds.json").read_text())
    return done


@pytest.mark.parametrize(
    "kills",
    [pytest.param(3, marks=pytest.mark.full), pytest.param(20, marks=pytest.mark.slow)],
)
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(
    processes, config, tmp_path, kills
):
    config = {**config, "steps": (kills + 1) * 3 * STEPS_PER_EPOCH}
    untouched = job(config, tmp_path, "untouched")
    assert processes.run(untouched) == [0], log(untouched)
    moments = random.Random(0)
    killed = job(config, tmp_path, "killed")
    done = 0
    for _ in range(kills):
        # Moments in steps, not in seconds: they must fall into the training however busy the machine is.
        killed.update({"kill_at": moments.randint(2, 5), "kill_later": moments.uniform(0.01, 1)})
        assert processes.run(killed) == [KILLED], log(killed)
        before, done = done, assert_whole(tmp_path / "killed")
        assert done >= before + killed["kill_at"] // STEPS_PER_EPOCH, "an epoch is lost"
    assert 0 < done < config["steps"] // STEPS_PER_EPOCH, "no kill in the middle proves nothing"
    (tmp_path / "killed" / "checkpoints" / ".unfinished-0-epoch_00001.weights.h5").write_bytes(
        b"torn"
    )
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
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == [
        f"epoch_{config['steps'] // STEPS_PER_EPOCH:05d}.weights.h5"
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
