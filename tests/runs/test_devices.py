"""Which devices a run computes on."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from tinygan_keras.runs import devices
from tinygan_keras.runs.components import build_model
from tinygan_keras.runs.config import default_config, validate
from tinygan_keras.runs.devices import make_strategy, resolve_dtype_policy

CLUSTER = {"worker": ["host0:2222", "host1:2222"]}


def tf_config(cluster=CLUSTER, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_mirrored_uses_every_device():
    strategy = make_strategy("mirrored")

    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) == 2


@pytest.mark.parametrize("name", ["auto", "one"])
def test_without_several_gpus_one_device_is_used(name, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert make_strategy(name).num_replicas_in_sync == 1


def test_tf_config_says_who_this_process_is(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(index="1"))
    assert devices.tf_config() == (CLUSTER["worker"], "worker 1", False)
    chief = {"chief": ["host2:1"], **CLUSTER}
    monkeypatch.setenv("TF_CONFIG", tf_config(chief, "chief"))
    assert devices.tf_config()[1:] == ("chief 0", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "TF_CONFIG=None with devices='multi_worker' .KeyError: 'cluster'"),
        ("", "TF_CONFIG='' "),
        ("{", "TF_CONFIG='{' .*JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"cluster": {"worker": ["host:1"]}}', "KeyError: 'task'"),
        (tf_config(index="one"), "invalid literal"),
        (tf_config({}), "KeyError: 'worker'"),
        (tf_config({"worker": []}), "the task worker 0 in a cluster with 0"),
        (tf_config({"chief": ["a:1", "b:1"]}, "chief"), "the cluster "),
        (tf_config({"ps": ["a:1"], **CLUSTER}), "the cluster .*ps"),
        (tf_config({"worker": ["host0", "host1:2"]}), "the addresses host0\\)"),
        (tf_config({"worker": ["a:1", "a:1"]}), "the addresses a:1, a:1"),
        (tf_config({"worker": "a:1"}), "the addresses a, :, 1"),
        (tf_config({"worker": ["a:99999"]}), "the addresses a:99999"),
        (tf_config(index=2), "the task worker 2 in a cluster with 2"),
        (tf_config(index=-1), "the task worker -1"),
        (tf_config(kind="evaluator"), "KeyError: 'evaluator'"),
    ],
)
def test_a_wrong_tf_config_is_told_with_an_example_of_a_right_one(monkeypatch, text, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(
        ValueError, match=message + r".*Expected on every host an environment variable such as"
    ):
        make_strategy("multi_worker")


@pytest.mark.parametrize(
    ("flags", "policy"),
    [("avx512bw avx512_bf16 vaes", "mixed_bfloat16"), ("amx_bf16", "mixed_bfloat16"), ("avx2", "")],
)
def test_bfloat16_is_for_processors_that_have_it(flags, policy, monkeypatch, capsys):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : fpu {flags} sse\n")
    monkeypatch.setattr(Path, "is_file", lambda *_: True)
    assert resolve_dtype_policy("auto") == (policy or "float32")
    said = capsys.readouterr().out
    assert flags.split()[0 if "amx" in flags else -1 if policy == "" else 1] in said or not policy
    assert resolve_dtype_policy("float32") == "float32" and not capsys.readouterr().out


def test_a_student_computes_in_what_auto_chooses(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "flags : fpu avx512_bf16\n")
    monkeypatch.setattr(Path, "is_file", lambda *_: True)
    config = {**default_config().to_dict(), "dtype_policy": "auto"}
    config |= {"student": "tinygan_fashion_32", "discriminator": "tinygan_fashion_32"}
    model = build_model(validate(config))
    networks = (model.student, model.ema_student, model.discriminator)
    assert {network.dtype_policy.name for network in networks} == {"mixed_bfloat16"}
    assert {variable.dtype for variable in model.student.variables} == {"float32"}
