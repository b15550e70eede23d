"""The files a server is started with: read as the server reads them, and in agreement with each other."""

import ast
import inspect
import os
import re
import shlex
import subprocess

import pytest
import yaml
from absl import flags
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

import tinygan_keras.cli
from tinygan_keras.client.client import ServingClient

FAKE_SERVER = '#!/bin/sh\nprintf "%s\\n" "$@" > arguments.txt\n'

# What session_bundle_config.proto and monitoring_config.proto of TensorFlow Serving define. The package
# tensorflow-serving-api has the messages of the models' file only.
_KINDS = descriptor_pb2.FieldDescriptorProto
_INT64, _STRING = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, _INT64),
        "batch_timeout_micros": (2, _INT64),
        "max_enqueued_batches": (3, _INT64),
        "num_batch_threads": (4, _INT64),
        "thread_pool_name": (5, _STRING),
        "allowed_batch_sizes": (6, _KINDS.TYPE_INT64),
        "pad_variable_length_inputs": (7, _KINDS.TYPE_BOOL),
    },
    "PrometheusConfig": {"enable": (1, _KINDS.TYPE_BOOL), "path": (2, _KINDS.TYPE_STRING)},
    "MonitoringConfig": {"prometheus_config": (1, ".kit.PrometheusConfig")},
}


@pytest.fixture(scope="module")
def kit(repository):
    return repository / "experiments" / "serving"


@pytest.fixture(scope="module")
def batching(kit):
    return text_format.Parse((kit / "batching.config").read_text(), message("BatchingParameters"))


@pytest.fixture(scope="module")
def monitoring(kit):
    return text_format.Parse((kit / "monitoring.config").read_text(), message("MonitoringConfig"))


@pytest.fixture(scope="module")
def service(kit):
    """The server's part of the compose file."""
    (service,) = yaml.safe_load((kit / "docker-compose.yml").read_text())["services"].values()
    return service


@pytest.fixture
def started(kit, tmp_path):
    """Runs start_server.sh with a program that only writes down what it was given."""
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text(FAKE_SERVER)
    program.chmod(0o755)

    def start(*arguments, path=program.parent, **variables):
        environment = {**os.environ, "PATH": f"{path}:/usr/bin:/bin", **variables}
        return subprocess.run(
            [kit / "start_server.sh", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def message(name):
    """An empty message of TensorFlow Serving."""
    file = descriptor_pb2.FileDescriptorProto(name="kit.proto", package="kit", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for message_name, fields in MESSAGES.items():
        definition = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            field = definition.field.add(name=field_name, number=number, label=1)
            if isinstance(kind, str):
                field.type, field.type_name = _KINDS.TYPE_MESSAGE, kind
            else:
                field.type = kind
            if field_name == "allowed_batch_sizes":
                field.label = _KINDS.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName("google/protobuf/wrappers.proto").CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kit.{name}"))()


def parsed_models(text):
    models = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = models.model_config_list.config
    return model


def test_models_file_serves_the_default_model_of_the_client(kit):
    model = parsed_models((kit / "models.config").read_text())

    assert model.name == inspect.signature(ServingClient).parameters["model"].default
    assert model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 2
    assert dict(model.version_labels) == {"stable": 1}


def test_batches_of_the_client_fit_into_those_of_the_server(batching):
    from_client = inspect.signature(ServingClient).parameters["batch_size"].default
    assert from_client <= batching.max_batch_size.value
    assert batching.num_batch_threads.value >= 1
    assert batching.max_enqueued_batches.value >= batching.num_batch_threads.value
    assert 0 < batching.batch_timeout_micros.value <= 10_000
    sizes = list(batching.allowed_batch_sizes)
    assert not sizes or (sizes == sorted(sizes) and sizes[-1] == batching.max_batch_size.value)


def test_prometheus_asks_where_the_server_answers(kit, monitoring, service):
    assert monitoring.prometheus_config.enable
    (job,) = yaml.safe_load((kit / "prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == monitoring.prometheus_config.path
    (target,) = job["static_configs"][0]["targets"]
    assert f"{target}:8501" in service["ports"]


def test_a_misspelt_field_would_be_found():
    with pytest.raises(text_format.ParseError, match="max_batch_sise"):
        text_format.Parse("max_batch_sise { value: 32 }", message("BatchingParameters"))
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch_size: 32", message("BatchingParameters"))


def test_compose_publishes_on_this_machine_only(service):
    assert service["image"].startswith("tensorflow/serving:")
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    mounted = [volume.rsplit(":", 2)[1:] for volume in service["volumes"]]
    assert mounted == [["/models", "ro"], ["/config", "ro"]]


def test_compose_and_script_start_the_same_server(kit, service, started, tmp_path):
    models = tmp_path / "my & models"
    models.mkdir()

    done = started("my & models", "--tensorflow_session_parallelism=2")

    assert done.returncode == 0, done.stderr
    given = (tmp_path / "arguments.txt").read_text().splitlines()
    assert given[:2] == ["--port=8500", "--rest_api_port=8501"]  # the image has them by itself
    assert given[-1] == "--tensorflow_session_parallelism=2"
    in_container = {option.replace("/config/", f"{kit}/") for option in service["command"]}
    expected = {option.replace(f"{models}/", f"{kit}/") for option in given[2:-1]}
    assert in_container == expected
    for option in service["command"]:
        if "/config/" in option:
            assert (kit / option.split("/config/")[1]).is_file()


def test_script_puts_the_real_folder_in_once(started, tmp_path):
    models = tmp_path / "my & models"
    models.mkdir()
    started(models, GRPC_PORT="1", REST_PORT="2")

    config = models / "models.config"
    assert parsed_models(config.read_text()).base_path == f"{models}/tinygan"
    assert (tmp_path / "arguments.txt").read_text().startswith("--port=1\n--rest_api_port=2\n")
    config.write_text("what somebody changed")
    assert started(models).returncode == 0
    assert config.read_text() == "what somebody changed"


def test_script_finds_that_the_models_have_moved(started, tmp_path):
    (tmp_path / "before" / "tinygan").mkdir(parents=True)
    assert started("before").returncode == 0
    assert started("before").returncode == 0
    (tmp_path / "before").rename(tmp_path / "now")
    (tmp_path / "arguments.txt").unlink()

    done = started("now")

    assert done.returncode == 2
    assert f"Got {tmp_path}/before/tinygan in {tmp_path}/now/models.config" in done.stderr
    assert not (tmp_path / "arguments.txt").exists()


def test_requests_are_put_together_only_on_demand(kit, service, started, tmp_path):
    (tmp_path / "models").mkdir()
    started("models")
    given = (tmp_path / "arguments.txt").read_text() + "\n".join(service["command"])
    assert "batching" not in given
    (options,) = re.findall(
        r"start_server.sh serving (--.*?)\n\n", (kit / "README.md").read_text(), re.S
    )
    commented = re.findall(r"# - (--.*batching.*)", (kit / "docker-compose.yml").read_text())
    options = options.replace("\\\n", "").replace("experiments/serving/", "/config/")
    assert shlex.split(options) == commented


def test_script_says_what_is_missing(started, tmp_path):
    for arguments, message_part in (((), "Got no folder."), (("nowhere",), "Got nowhere.")):
        done = started(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message_part in done.stderr and "tinygan/1" in done.stderr
    done = started(tmp_path, path="/nowhere")
    assert done.returncode == 2 and "docker-compose.yml" in done.stderr


def test_script_is_posix_shell(kit):
    subprocess.run(["sh", "-n", kit / "start_server.sh"], check=True)
    assert os.access(kit / "start_server.sh", os.X_OK)


def test_commands_of_the_readme_can_be_given(kit):
    text = (kit / "README.md").read_text()
    commands = re.findall(r"^    (tinygan .*)$", text, re.MULTILINE)
    commands += re.findall(r"`(tinygan export --.*?)`", text)
    assert {command.split()[1] for command in commands} == {"export", "request"}
    for command in commands:
        name, *words = shlex.split(command)[1:]
        module = __import__(f"tinygan_keras.cli.{name}", fromlist=["define_flags"])
        values = flags.FlagValues()
        module.define_flags(values, words)
        assert tinygan_keras.cli._parse(values, name, words, takes_names=False) == []
    (program,) = re.findall(
        r"^    from tinygan_keras.*?(?=\n\n[^ ])", text, re.DOTALL | re.MULTILINE
    )
    ast.parse(re.sub(r"^    ", "", program, flags=re.MULTILINE))
