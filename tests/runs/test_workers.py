"""One run in several processes: one state, one writer, and what happens when a process dies."""

import json
import random
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from run_fixtures import small_config, tiny_config
from run_processes import KILLED, tf_configs
from test_resume import EXIT_CODES, assert_equal_states, job, log, state

from tinygan_keras.runs.checkpoints import latest_checkpoint
from tinygan_keras.runs.devices import WorkerLost, Workers, make_strategy
from tinygan_keras.runs.devices import tf_config as read_tf_config


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = small_config(tmp_path_factory.mktemp("source"))
    config.update({"devices": "multi_worker", "steps": 8, "steps_per_epoch": 2})
    config.adversarial_interval = 1  # a second kind of step takes as long to trace as the first
    return config.to_dict()


def jobs(config, folder, name, **settings):
    """The jobs of two workers with a folder each; `settings` are of the second one."""
    first, second = (
        job(config, folder, f"{name}{index}", environment=environment)
        for index, environment in enumerate(tf_configs(2))
    )
    return first, {**second, **settings}


@pytest.fixture(scope="module")
def untouched(processes, config, tmp_path_factory):
    """Two workers that nothing interrupted."""
    both = jobs(config, tmp_path_factory.mktemp("untouched"), "worker")
    assert processes.run(*both) == [0, 0], log(*both)
    return both


def test_both_workers_end_with_the_same_state_and_only_the_chief_writes(untouched):
    chief, other = untouched
    assert_equal_states(state(chief), state(other))
    assert json.loads((chief["workdir"] / "report.json").read_text())["steps"] == 8
    assert (chief["workdir"] / "student.keras").is_file()
    assert not other["workdir"].exists()


@pytest.mark.full
def test_a_worker_killed_in_the_middle_and_replaced_changes_nothing(
    processes, config, untouched, tmp_path
):
    broken = jobs(config, tmp_path, "broken", kill_at=5)
    codes = processes.run(*broken, timeout=200)
    assert codes == [1, KILLED], log(*broken)  # it doesn't wait forever
    said = broken[0]["log"].read_text()
    assert "WorkerLost: Got no answer from another worker" in said
    assert "Start the same command on all hosts again" in said

    # The replacement has a disk of its own, with nothing on it.
    again = jobs(config, tmp_path, "broken", workdir=tmp_path / "empty")
    assert processes.run(*again) == [0, 0], log(*again)

    assert "Resuming after epoch 2 of 4" in again[0]["log"].read_text()
    assert_equal_states(state(again[0]), state(untouched[0]))
    assert_equal_states(state(again[1]), state(untouched[0]))
    history = (again[0]["workdir"] / "history.csv").read_text()
    assert history.splitlines()[-1].startswith("3,")
    assert len(history.splitlines()) == 5


@pytest.mark.full
def test_a_signal_to_one_worker_saves_and_ends_all_and_changes_nothing(processes, config, tmp_path):
    """In the middle of an epoch; the checkpoint inside it is made by all together, and the chief writes."""
    # Long enough for the next meeting of the two, about a second later.
    config = {**config, "steps": 150, "steps_per_epoch": 150}
    whole = jobs(config, tmp_path, "whole")
    assert processes.run(*whole) == [0, 0], log(*whole)
    signalled = jobs(config, tmp_path, "signalled", kill_at=3, signal=int(signal.SIGTERM))
    assert processes.run(*signalled, timeout=200) == [143, 143], log(*signalled)
    epoch, step, _ = latest_checkpoint(signalled[0]["workdir"] / "checkpoints")
    assert epoch == 0 and 3 <= step < 150
    again = jobs(config, tmp_path, "signalled")
    assert processes.run(*again) == [0, 0], log(*again)
    assert f"Resuming after epoch 0 and {step} steps" in again[0]["log"].read_text()
    for one, other in zip(again, whole, strict=True):
        assert_equal_states(state(one), state(other))
    tables = [
        np.genfromtxt(run["workdir"] / "history.csv", delimiter=",")[1:]
        for run in (again[0], whole[0])
    ]
    np.testing.assert_allclose(*tables, rtol=1e-6)


@pytest.mark.slow
def test_each_worker_takes_its_part_of_the_batches_of_one_process(
    processes, config, untouched, tmp_path
):
    alone = job({**config, "devices": "one"}, tmp_path, "alone")
    assert processes.run(alone) == [0], log(alone)
    tables = [
        np.genfromtxt(run["workdir"] / "history.csv", delimiter=",")[1:]
        for run in (untouched[0], alone)
    ]
    np.testing.assert_allclose(*tables, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_chief_may_die_as_well(processes, config, untouched, tmp_path):
    first, second = jobs(config, tmp_path, "broken")
    assert processes.run({**first, "kill_at": 5}, second, timeout=200) == [KILLED, 1], log(second)
    assert "WorkerLost: Got no answer" in second["log"].read_text()
    again = jobs(config, tmp_path, "broken")
    assert processes.run(*again) == [0, 0], log(*again)
    assert_equal_states(state(again[1]), state(untouched[0]))
    finished = jobs(config, tmp_path, "broken")
    assert processes.run(*finished) == [0, 0], log(*finished)
    assert "finished already" in finished[1]["log"].read_text()


@pytest.mark.slow
def test_two_workers_killed_twenty_times_end_as_if_nothing_had_happened(
    processes, config, tmp_path
):
    """By each signal in turn, one worker of the two each time; they meet, and may save, once a second."""
    steps_per_epoch, kills = 40, 20
    config = {**config, "steps": 1600, "steps_per_epoch": steps_per_epoch}
    config["checkpoint_minutes"] = 1e-6
    whole = jobs(config, tmp_path, "whole")
    assert processes.run(*whole, timeout=600) == [0, 0], log(*whole)
    moments, done, inside = random.Random(0), 0, 0
    for kill in range(kills):
        number = list(EXIT_CODES)[kill % 3]
        both = jobs(config, tmp_path, "killed")
        killed = moments.randrange(2)
        both[killed].update({"kill_at": moments.randint(2, 40), "signal": int(number)})
        both[killed]["kill_later"] = moments.uniform(0.01, 1)
        codes = processes.run(*both, timeout=200)
        expected = [EXIT_CODES[number]] * 2  # the signal of one ends both
        if number == signal.SIGKILL:
            expected[1 - killed] = 1
        assert codes == expected, log(*both)
        epoch, step, _ = latest_checkpoint(both[0]["workdir"] / "checkpoints")
        before, done = done, epoch * steps_per_epoch + step
        assert done >= before, "a checkpoint was lost"
        if number != signal.SIGKILL:
            assert done >= before + both[killed]["kill_at"], "a step before the signal was lost"
        inside += done % steps_per_epoch > 0
    assert 0 < done < config["steps"] and inside, "no kill in the middle proves nothing"
    again = jobs(config, tmp_path, "killed")
    assert processes.run(*again, timeout=600) == [0, 0], log(*again)
    for one, other in zip(again, whole, strict=True):
        assert_equal_states(state(one), state(other))


@pytest.mark.slow
def test_all_workers_stop_when_the_losses_diverge(processes, config, tmp_path):
    config = {**config, "divergence_limit": 1e-3, "teacher_samples": 0}  # a live teacher
    diverging = jobs(config, tmp_path, "diverging")
    assert processes.run(*diverging) == [1, 1], log(*diverging)
    for one in diverging:
        assert "DivergenceError: Got a loss that" in one["log"].read_text()
        assert "WorkerLost" not in one["log"].read_text()


@pytest.mark.slow
def test_all_workers_stop_when_nothing_gets_better(processes, tmp_path):
    """The chief alone evaluates, while the others wait."""
    config = tiny_config(tmp_path)
    config.update({"devices": "multi_worker", "steps": 24, "evaluate_every": 1, "patience": 2})
    config.update({"training_evaluation_images": 20, "steps_per_execution": 2})
    both = jobs(config.to_dict(), tmp_path, "patient")
    assert processes.run(*both) == [0, 0], log(*both)
    report = json.loads((both[0]["workdir"] / "report.json").read_text())
    best = json.loads((both[0]["workdir"] / "best" / "best.json").read_text())
    assert report["steps"] == 2 * (best["epoch"] + 2) < 24
    assert_equal_states(state(both[0]), state(both[1]))


@pytest.mark.parametrize("chief_stops", [False, True])
def test_the_others_follow_the_chief_when_it_stops(chief_stops):
    class Other(Workers):
        def from_chief(self, number):
            assert not number, "the others don't decide"
            return int(chief_stops)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.stop_training = False
    Other(tf.distribute.get_strategy()).follow_chief(model)
    assert model.stop_training is chief_stops


def test_one_process_is_its_own_chief():
    workers = Workers(make_strategy("one"))
    assert (workers.count, workers.is_chief) == (1, True)
    assert workers.from_chief(7) == workers.total(7) == 7
    workers.leave()


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "chief"),
    [
        ({"worker": ["a:1", "b:1"]}, "worker", 0, True),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, False),
        ({"chief": ["c:1"], "worker": ["a:1"]}, "worker", 0, False),
        ({"chief": ["c:1"], "worker": ["a:1"]}, "chief", 0, True),
    ],
)
def test_the_chief_is_the_one_called_so_or_worker_zero(monkeypatch, cluster, kind, index, chief):
    text = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
    monkeypatch.setenv("TF_CONFIG", text)
    assert read_tf_config()[2] is chief


def test_a_lost_worker_is_told_from_other_errors():
    lost = tf.errors.UnavailableError(
        None, None, "{{node a}} Collective ops is aborted by: 1\n2\n3"
    )
    alone, two = Workers(tf.distribute.get_strategy()), Workers(tf.distribute.get_strategy())
    two.count = 2
    message = r"Start the same command .*says: Collective ops .*: 1 2$"
    with pytest.raises(WorkerLost, match=message), two.watched():
        raise lost
    with pytest.raises(tf.errors.UnavailableError), alone.watched():
        raise lost
    with pytest.raises(tf.errors.InternalError), two.watched():
        raise tf.errors.InternalError(None, None, "no memory")
