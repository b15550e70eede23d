"""What the client relies on, with an exported student behind it: in the stand-in, or in TensorFlow Serving.

`pytest -m tf_serving` takes the real one: at the address in the environment variable TINYGAN_TF_SERVING, as
127.0.0.1:8501,8500 (REST and gRPC; the embedded student as "tinygan"), or else a `tensorflow_model_server` on
the PATH, started by experiments/serving/start_server.sh. The stand-in runs the graph by TensorFlow's C++
loader.
"""

import contextlib
import dataclasses
import io
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from prediction_service import ModelServer
from run_processes import free_ports

from experiments.benchmarks.serving_malformed import MALFORMED, ROWS, WRONG_ROW, send
from tinygan_keras import ServingClient, ServingError
from tinygan_keras.generators.opening import open_generator
from tinygan_keras.images import to_uint8
from tinygan_keras.latents import latents_of_seeds
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.exporting import export_saved_model

CLASS_NAMES = ("T-shirt/top", "Sneaker", "Häschen")
STARTED_IN = 120  # seconds


@pytest.fixture(scope="module")
def student():
    return StudentGenerator(channels=(8, 4), latent_dim=6, num_classes=3, embedding_dim=4)


@pytest.fixture(scope="module")
def models(student, tmp_path_factory):
    """A folder with one version of a tiny student."""
    folder = tmp_path_factory.mktemp("models")
    export_saved_model(student, folder / "tinygan" / "1", class_names=CLASS_NAMES)
    return folder


@contextlib.contextmanager
def stand_in(models, transport, repository):
    from saved_model_session import SavedModelSession

    versions = {1: SavedModelSession(models / "tinygan" / "1")}
    with ModelServer({"tinygan": versions}, grpc=transport == "grpc") as server:
        yield getattr(server, f"{transport}_address")


@contextlib.contextmanager
def real_server(models, transport, repository):
    scheme = {"rest": "http", "grpc": "grpc"}[transport]
    if place := os.environ.get("TINYGAN_TF_SERVING"):
        host, _, ports = place.rpartition(":")
        yield f"{scheme}://{host}:{ports.split(',')[transport == 'grpc']}"
        return
    if not shutil.which("tensorflow_model_server"):
        pytest.fail(
            "Got no tensorflow_model_server on the PATH and no TINYGAN_TF_SERVING. Expected one of them, "
            "such as TINYGAN_TF_SERVING=127.0.0.1:8501,8500."
        )
    ports = dict(zip(("rest", "grpc"), free_ports(2), strict=True))
    process = subprocess.Popen(
        [repository / "experiments" / "serving" / "start_server.sh", models],
        env={**os.environ, "REST_PORT": str(ports["rest"]), "GRPC_PORT": str(ports["grpc"])},
    )
    try:
        with ServingClient(
            f"http://127.0.0.1:{ports['rest']}", timeout=STARTED_IN, retries=100
        ) as client:
            client.status()  # it listens when the model is loaded
        yield f"{scheme}://127.0.0.1:{ports[transport]}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(
    scope="module",
    params=[
        (stand_in, "rest"),
        (stand_in, "grpc"),
        pytest.param((real_server, "rest"), marks=pytest.mark.tf_serving),
        pytest.param((real_server, "grpc"), marks=pytest.mark.tf_serving),
    ],
    ids=["stand-in-rest", "stand-in-grpc", "real-rest", "real-grpc"],
)
def address(request, models, repository):
    start, transport = request.param
    with start(models, transport, repository) as address:
        yield address


@pytest.fixture
def served(request, student, repository):
    """The generator behind the server."""
    start, _ = request.node.callspec.params["address"]
    if start is real_server and "TINYGAN_TF_SERVING" in os.environ:
        return open_generator(repository / "saved_models" / "tinygan_fashion_32")
    return dataclasses.replace(open_generator(student), class_names=CLASS_NAMES)


@pytest.fixture
def client(address):
    with ServingClient(address) as client:
        yield client


def outputs_of(client, signature, **changes):
    return client.predict(signature, {**ROWS, **changes})


def opened(png) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)), "int16")


def test_three_signatures_give_the_same_images(client):
    generated = outputs_of(client, "sample")
    pixels = outputs_of(client, "sample_uint8")
    names = {"class_name": np.array(generated["class_name"], object)}
    by_name = {**{key: ROWS[key] for key in ("seed", "truncation")}, **names}
    named = client.predict("sample_by_name", by_name)

    assert generated["valid"] == pixels["valid"] == named["valid"] == [True] * 3
    assert generated["class_name"] == pixels["class_name"] == named["class_name"]
    images = np.array([opened(png) for png in generated["image_bytes"]])
    assert images.shape[3] == 3 and images.std() > 0
    np.testing.assert_array_equal(images, pixels["image"])
    np.testing.assert_array_equal(images, [opened(png) for png in named["image_bytes"]])
    assert np.abs(images[0] - images[2]).max() > 1  # the seed counts


def test_images_don_t_depend_on_what_they_are_generated_with(address):
    classes, seeds, truncation = [0, 1] * 5, range(10), np.linspace(0.1, 1, 10)
    generated = []
    for batch_size in (1, 3, 32, 32):
        with ServingClient(address, batch_size=batch_size) as client:
            generated.append(client.images(classes, seeds, truncation).astype("int16"))
    assert np.abs(generated[0] - generated[1]).max() <= 1
    assert np.abs(generated[0] - generated[2]).max() <= 1
    np.testing.assert_array_equal(generated[2], generated[3])


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": np.array([1, -1, 1])},
        {"label": np.array([1, 2**62, 1])},
        {"seed": np.array([5, -6, 7])},
        {"truncation": np.array([0.5, -0.5, 0.5], "float32")},
        {"truncation": np.array([0.5, 1.5, 0.5], "float32")},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={next(iter(wrong.values()))[1]}",
)
def test_wrong_row_leaves_its_neighbours_alone(client, wrong):
    right, got = outputs_of(client, "sample"), outputs_of(client, "sample", **wrong)

    assert got["valid"] == [True, False, True]
    assert got["class_name"] == [right["class_name"][0], "", right["class_name"][2]]
    assert not opened(got["image_bytes"][WRONG_ROW]).any()
    for place in (0, 2):
        difference = opened(got["image_bytes"][place]) - opened(right["image_bytes"][place])
        assert np.abs(difference).max() <= 1


def test_unknown_name_is_a_wrong_row(client):
    with pytest.raises(ValueError, match="row 1, class 'nobody here', seed 3"):
        client.images([0, "nobody here"], [2, 3])
    (first, second) = client.pngs([0, "nobody here"], [2, 3], strict=False)
    assert first and second is None


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.name.replace(" ", "_"))
def test_malformed_requests_are_answered_with_their_reason(client, case):
    problem, _ = send(case, client.target.address, 30.0)
    assert problem is None


@pytest.mark.parametrize("truncation", [0.0, 0.3, 1.0])
def test_pictures_are_those_of_the_student(client, served, truncation):
    """A picture is (class, seed, truncation), from a server too."""
    seeds = [0, 7, 2**40]
    images = client.images([0, *served.class_names[1:3]], seeds, truncation).astype("int16")
    expected = served.generate([0, 1, 2], seeds, truncation)
    assert np.abs(images - expected).max() <= 1


def test_latents_of_a_seed_give_the_picture_of_that_seed(client):
    labels, seeds = np.array([1, 0]), np.array([5, 2**40])
    latents = latents_of_seeds(seeds, latent_dim_of(client), 0.5)
    outputs = client.predict("serving_default", {"z": latents, "label": labels})
    images = client.images(labels, seeds, 0.5)
    difference = to_uint8(np.array(outputs["image"])).astype("int16") - images
    assert list(outputs) == ["image"] and np.abs(difference).max() <= 1


def test_label_out_of_range_is_refused_by_serving_default(client):
    inputs = {"z": np.zeros((1, latent_dim_of(client)), "float32"), "label": np.array([2**62])}
    with pytest.raises(ServingError, match="out of range") as error:
        client.predict("serving_default", inputs)
    assert error.value.code == "INVALID_ARGUMENT"


def latent_dim_of(client) -> int:
    latents = client.metadata()["serving_default"]["inputs"]["z"]
    return int(re.fullmatch(r"float32 \[\?, (\d+)\]", latents)[1])


def test_server_says_what_it_serves(client):
    assert "AVAILABLE" in [version.state for version in client.status()]
    row = {"seed": "int64 [?]", "truncation": "float32 [?]"}
    png = {"image_bytes": "string [?]", "class_name": "string [?]", "valid": "bool [?]"}
    metadata = client.metadata()
    assert metadata["sample"]["inputs"] == {"label": "int64 [?]", **row}
    assert metadata["sample_by_name"]["inputs"] == {"class_name": "string [?]", **row}
    assert metadata["sample"]["outputs"] == metadata["sample_by_name"]["outputs"] == png
    assert metadata["sample_uint8"]["outputs"]["image"].startswith("uint8 [?, ")
