"""Runs in processes of their own, which a test may kill: `RunProcesses`, and what it starts, `main`.

One process imports TensorFlow, without waking its runtime up, and then forks one child for every run: the
import takes longer than the run. This file is a script too, so it imports nothing heavy at its top.
"""

import faulthandler
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

KILLED = -signal.SIGKILL


class RunProcesses:
    """Starts runs: `processes.run(job, job)` waits for all of them and returns their exit codes.

    A job is a dict: `config` (plain, settings that differ), `workdir`, `log` (a file for all it says), and
    optionally `environment`; `cpus`, the number of logical devices; `weights`, an .npz file for the state
    after the training; and `kill_at`, the step before which it kills itself, counted from 0 in this process,
    with `kill_later`, how long after that it does, in units of the longest pause between two steps so far,
    and `signal`, by which (default: SIGKILL).
    Nothing is exported for a server, unless the job says `export`.
    """

    def __init__(self):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment.pop("TF_CONFIG", None)
        environment.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        root = str(Path(__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *jobs, timeout=300) -> list:
        """Returns the exit codes; one that takes longer than `timeout` seconds is killed: None."""
        request = {"jobs": jobs, "timeout": timeout}
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


def free_ports(count) -> list:
    """Ports of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def tf_configs(count) -> list:
    """The environments of the workers of one cluster on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(count)
    ]


def main():
    """Reads requests from the standard input, one a line, and forks."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print doesn't belong among the answers
    sys.modules["pandas"] = (
        None  # optional in Keras; with pyarrow, which MLflow brings, it has threads
    )
    import keras  # noqa: F401
    from tensorflow.python.eager import context

    from tinygan_keras.runs import distill  # noqa: F401

    threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["one"]
    assert not context.context()._initialized, "a fork of a TensorFlow that is awake hangs"
    assert len(threads) == 1, "threads don't survive a fork"
    for line in sys.stdin:
        request = json.loads(line)
        children = [_fork(job) for job in request["jobs"]]
        codes = _wait(children, time.monotonic() + request["timeout"])
        answers.write(json.dumps(codes) + "\n")
        answers.flush()


def _fork(job) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        faulthandler.enable()
        os.environ.update(job.get("environment", {}))
        _distill(job)
        code = 0
    except KeyboardInterrupt as error:
        code = getattr(error, "exit_code", 130)  # as the command line does
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(children, deadline) -> list:
    codes = {}
    while len(codes) < len(children) and time.monotonic() < deadline:
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    for late in (signal.SIGABRT, signal.SIGKILL):  # the first makes it say where it stands
        for child in set(children) - set(codes):
            os.kill(child, late)
        time.sleep(1)
    for child in set(children) - set(codes):
        os.waitpid(child, 0)
    return [codes.get(child) for child in children]


def _distill(job):
    import functools

    import keras
    import numpy as np
    import tensorflow as tf

    from tinygan_keras.runs import distill as run
    from tinygan_keras.runs import measuring
    from tinygan_keras.runs.checkpoints import state_of
    from tinygan_keras.runs.config import default_config

    class Killing(run.StopOnDivergence):
        """Kills this process in the middle of the training; it is the first callback of every worker."""

        steps, longest, last = 0, 0.0, None

        def on_train_batch_begin(self, batch, logs=None):
            super().on_train_batch_begin(batch, logs)
            now = time.monotonic()
            if self.steps > 1:  # the first one traces
                self.longest = max(self.longest, now - self.last)
            self.last = now
            if self.steps == job.get("kill_at"):
                threading.Thread(target=self._kill, daemon=True).start()
                if not job.get("kill_later") and "signal" not in job:
                    time.sleep(60)
            self.steps += 1

        def _kill(self):
            time.sleep(job.get("kill_later", 0.0) * self.longest)
            os.kill(os.getpid(), job.get("signal", signal.SIGKILL))

    fit = run.fit

    def fit_and_save(the_run, *arguments, **more):
        fit(the_run, *arguments, **more)
        if job.get("weights"):
            state = state_of(the_run.components.model)
            np.savez(job["weights"], *[keras.ops.convert_to_numpy(v) for v in state])

    if job.get("cpus"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * job["cpus"]
        tf.config.set_logical_device_configuration(cpu, parts)
    if not job.get("export"):
        run.export_saved_model = lambda *_, **__: None
    run.fit = fit_and_save
    run.StopOnDivergence = Killing
    measuring.images_per_second = functools.partial(measuring.images_per_second, seconds=0.0)
    measuring._TIMED_BATCH = 4
    config = default_config()
    with config.unlocked():
        config.update(job["config"])
    keras.utils.disable_interactive_logging()
    run.distill(config, job["workdir"])


if __name__ == "__main__":
    main()
