"""The benchmark for GPUs: its tables from given figures, and its processes at debug size on the CPU."""

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import gpu, gpu_sides

TWO_GPUS = {"gpus": ["NVIDIA A", "NVIDIA A"], "libraries": {"tensorflow": "2"}, "cores": 8}


@pytest.fixture
def readme(repository, tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text((repository / "experiments" / "benchmarks" / "README.md").read_text())
    return copy


@pytest.fixture
def given(monkeypatch):
    """Lets `gpu` have what a function says in place of processes; returns what was asked."""
    asked = []

    def use(measured, found=TWO_GPUS, prepared=""):
        def answer(function, arguments, limit):
            if function == "measure":
                asked.append(arguments)
                answer = measured(*arguments[:2])
                failed = isinstance(answer, str)
                return (None, answer) if failed else ({"milliseconds": answer, "memory": 2.0}, "")
            return (found, "") if function == "machine" else (None, prepared)

        monkeypatch.setattr(gpu, "in_a_process", answer)
        return asked

    return use


def between(readme, name):
    return readme.read_text().split(f"<!-- gpu, {name} -->\n")[1].split("<!-- end of")[0]


def debug_size(kind, **settings):
    settings = {"batch_size": 4, "debug": True, **settings}
    return gpu.in_a_process("measure", (kind, settings, 5, 1, 1), limit=300)


# Tables, from given figures


def test_a_step_is_compared_with_the_quickest_of_the_twin(given, readme):
    def measured(kind, settings):
        batch, precision = settings["batch_size"], settings["precision"]
        if kind == "ours":
            if settings["xla"] == "on" and precision == "TF32":
                return "XLA"
            return batch * {"float32": 1.0, "TF32": 0.6, "bfloat16": 0.3}[precision]
        if settings["compiled"]:
            return "compiler"
        if batch == 64 and precision == "float32":
            return "memory"
        return 2.0 * batch if settings["layout"] == "NCHW" else 1.2 * batch

    given(measured)
    gpu.main(["--tables=step", "--batches=32,64", "--rounds=1", "--write"], readme)
    rows = between(readme, "step").splitlines()
    for row in (
        "| ours, float32 | 32.00 | 64.00 |",
        "| ours, XLA, TF32 | XLA | XLA |",
        "| PyTorch, channels last, float32 | 38.40 | memory |",
        "| torch.compile, NCHW, bfloat16 | compiler | compiler |",
        "| PyTorch, float32 | 0.83 |  |",  # 1 / 1.2, and no opponent at 64
        "| PyTorch, quickest precision | 0.25 | 0.25 |",
        "| torch.compile, quickest precision |  |  |",
        "| ours, bfloat16 | 2.0 | 2.0 |",  # its memory
    ):
        assert row in rows, row
    assert "2 x NVIDIA A, tensorflow 2" in rows[0]
    assert "Not run" in between(readme, "data")


def test_the_median_of_the_rounds_counts_and_failures_are_not_repeated(given, readme):
    turns = iter([5.0, "memory", 3.0, 9.0, 8.0, 7.0, 4.0])
    asked = given(lambda kind, settings: next(turns))
    gpu.main(["--tables=data", "--batches=32", "--write"], readme)
    assert [each[1]["source"] for each in asked] == [
        *("memory", "cache", "teacher"),
        *("memory", "teacher") * 2,
    ]
    rows = between(readme, "data").splitlines()
    assert "| images in memory | 7.00 |" in rows  # of 5, 9 and 7
    assert "| from a cache | memory |" in rows


@pytest.mark.parametrize("gpus", [1, 2])
def test_devices_share_a_batch(given, readme, gpus):
    found = TWO_GPUS | {"gpus": ["NVIDIA A"] * gpus}

    def measured(kind, settings):
        wanted = settings.get("devices", 1)
        return "one GPU" if wanted > gpus else 10.0 / wanted

    asked = given(measured, found)
    gpu.main(["--tables=devices", "--batches=32", "--rounds=1", "--write"], readme)
    assert {arguments[1]["batch_size"] for arguments in asked} == {32}
    rows = between(readme, "devices").splitlines()
    if gpus == 1:
        assert "| several devices, XLA | one GPU |" in rows
        assert "| several devices, XLA |  |" in rows  # its ratio
    else:
        assert "| 2 devices, XLA off, synchronised batch norm | 5.00 |" in rows
        assert "| 2 devices, XLA off, synchronised batch norm | 0.50 |" in rows


def test_the_rest_goes_on_where_a_cache_cannot_be_made(given, readme):
    given(lambda kind, settings: {"row by row": 12.0}.get(settings["way"], 3.0), prepared="memory")
    gpu.main(["--tables=data,export", "--batches=32", "--rounds=1", "--write"], readme)
    for name, what in (("data", "cache"), ("export", "students")):
        assert between(readme, name) == f"Not measured: memory, while {what} were made.\n"
    given(lambda kind, settings: {"row by row": 12.0}.get(settings["way"], 3.0))
    gpu.main(["--tables=export", "--batches=32", "--rounds=1", "--write"], readme)
    assert "| row by row | 4.00 |" in between(readme, "export").splitlines()


def test_everything_else_of_the_readme_stays(given, readme, repository):
    before = (repository / "experiments" / "benchmarks" / "README.md").read_text()
    given(lambda kind, settings: 1.0)
    gpu.main(["--rounds=1"], readme)
    assert readme.read_text() == before, "nothing is written unasked"
    gpu.main(["--rounds=1", "--write"], readme)
    for name in gpu.TABLES:
        assert "| batch 32 | batch 64 | batch 128 | batch 256 |" in between(readme, name)
    after = readme.read_text()
    for name in gpu.TABLES:
        after = after.replace(between(readme, name), "Not run on a GPU yet.\n")
    assert after == before


# What fails


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug", "--write"],
        ["--steps=7"],
        ["--batches=32,0"],
        ["--batches=many"],
        ["--tables=steps"],
        ["--precisions=float16"],
        ["--rounds=0"],
    ],
)
def test_wrong_flags_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        gpu.main(arguments)
    assert refused.value.code == 2 and "error: " in capsys.readouterr().err


def test_no_gpu_is_said_at_once(given):
    asked = given(lambda kind, settings: 1.0, TWO_GPUS | {"gpus": []})
    with pytest.raises(SystemExit, match="Got no GPU"):
        gpu.main([])
    assert not asked


def test_reasons_are_a_word():
    import tensorflow as tf

    reasons = {
        "memory": tf.errors.ResourceExhaustedError(None, None, "Allocator (GPU_0_bfc)"),
        "XLA": tf.errors.InvalidArgumentError(
            None, None, "Detected unsupported ops by XLA_GPU_JIT"
        ),
        "uneven": gpu_sides.Impossible("uneven"),
        "ZeroDivisionError": ZeroDivisionError("division by zero"),
    }
    for word, error in reasons.items():
        assert gpu_sides.reason(error) == word
    out = tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY while XLA compiled")
    assert gpu_sides.reason(out) == "memory"


class Deadly:
    """Ends the process that receives it, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)


def test_processes_that_die_or_hang_have_a_reason():
    started = time.monotonic()
    endless = ("ours", {"batch_size": 4, "debug": True}, 5, 10**9, 1)
    assert gpu.in_a_process("measure", endless, limit=1) == (None, "timeout")
    assert gpu.in_a_process("measure", (Deadly(),), limit=60) == (None, "killed")
    assert time.monotonic() - started < 60


# At debug size, in processes as on a GPU


def test_what_cannot_be_shared_is_uneven():
    assert debug_size("ours", batch_size=3, devices=2) == (None, "uneven")


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bfloat16", "xla": "off"},
        pytest.param({"devices": 2, "synchronized": True}, marks=pytest.mark.slow),
        pytest.param({"precision": "TF32", "xla": "on"}, marks=pytest.mark.slow),
        pytest.param({"xla": "on", "devices": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_our_step_is_timed(settings):
    result, failure = debug_size("ours", **settings)
    assert failure == "" and 0 < result["milliseconds"] < 60_000 and 0.1 < result["memory"] < 8


@pytest.mark.slow
def test_data_and_exports_are_timed(capsys):
    arguments = ["--debug", "--rounds=1", "--batches=4", "--cycles=1", "--warm_up=1"]
    gpu.main([*arguments, "--tables=data,export"])
    said = capsys.readouterr().out
    for name in (
        "images in memory",
        "from a cache",
        "teacher in the step",
        "at once",
        "row by row",
    ):
        row = next(line for line in said.splitlines() if line.startswith(f"| {name} |"))
        assert float(row.split("|")[2]) > 0, row


@pytest.mark.torch
@pytest.mark.parametrize("precision", gpu.PRECISIONS)
def test_the_twin_is_timed(precision):
    result, failure = debug_size("twin", precision=precision, layout="channels last")
    assert failure == "" and 0 < result["milliseconds"] < 60_000


@pytest.mark.torch
@pytest.mark.slow
def test_the_compiled_twin_is_timed():
    result, failure = debug_size("twin", precision="bfloat16", compiled=True)
    assert failure == "" and 0 < result["milliseconds"] < 60_000


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_without_torch_the_cell_says_so():
    assert debug_size("twin", precision="float32") == (None, "no torch")
