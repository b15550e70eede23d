"""The files a server is started with: read as the server reads them, and in agreement with each other."""

import ast
import importlib
import inspect
import os
import re
import shlex
import subprocess

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tinygan_keras import ServingClient
from tinygan_keras.cli import main

FAKE_SERVER = '#!/bin/sh\nprintf "%s\\n" "$@" > arguments.txt\n'


@pytest.fixture(scope="module")
def kit(repository):
    return repository / "experiments" / "serving"


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


def parsed_models(text):
    models = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = models.model_config_list.config
    return model


def test_models_file_serves_the_default_model_of_the_client(kit):
    model = parsed_models((kit / "models.config").read_text())

    assert model.name == inspect.signature(ServingClient).parameters["model"].default
    assert model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    # A broken version counts: `stable`, its successor, and two of these.
    assert model.model_version_policy.latest.num_versions >= 4
    assert dict(model.version_labels) == {"stable": 1}


def test_batches_of_the_client_fit_into_those_of_the_server(kit):
    (size,) = re.findall(r"max_batch_size { value: (\d+) }", (kit / "batching.config").read_text())
    assert inspect.signature(ServingClient).parameters["batch_size"].default <= int(size)


def test_prometheus_asks_where_the_server_answers(kit, service):
    (job,) = yaml.safe_load((kit / "prometheus.yml").read_text())["scrape_configs"]
    assert f'path: "{job["metrics_path"]}"' in (kit / "monitoring.config").read_text()
    (target,) = job["static_configs"][0]["targets"]
    assert f"{target}:8501" in service["ports"]


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
    # With the defaults a broken version holds up all others for 5 minutes, and gRPC requests are refused.
    assert {"--load_retry_interval_micros=1000000", "--grpc_max_threads=64"} <= in_container
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


def test_commands_of_the_readme_can_be_given(kit, monkeypatch):
    text = (kit / "README.md").read_text()
    commands = re.findall(r"^    (tinygan .*)$", text, re.MULTILINE)
    commands += re.findall(r"`(tinygan export --.*?)`", text)
    assert {command.split()[1] for command in commands} == {"export", "request"}
    for command in commands:
        name, *words = shlex.split(command)[1:]
        command = importlib.import_module(f"tinygan_keras.cli.{name}")
        monkeypatch.setattr(command, "run", lambda *given: None)
        assert main([name, *words]) == 0
    (program,) = re.findall(
        r"^    from tinygan_keras.*?(?=\n\n[^ ])", text, re.DOTALL | re.MULTILINE
    )
    ast.parse(re.sub(r"^    ", "", program, flags=re.MULTILINE))
