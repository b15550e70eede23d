"""The client against the stand-in: right images in the right order, and errors that say what happened."""

import base64
import contextlib
import http.client
import io
import json
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from prediction_service import Broken, ModelServer
from run_processes import free_ports
from serving_fixtures import PaintedModel, as_png, painted
from tensorflow.core.framework.tensor_pb2 import TensorProto
from urllib3.exceptions import MaxRetryError, ProtocolError

import tinygan_keras.client
from tinygan_keras import ServingClient, ServingError


@pytest.fixture(params=["rest", "grpc"])
def transport(request):
    return request.param


@pytest.fixture
def server(transport):
    models = {"tinygan": {1: PaintedModel(), 3: PaintedModel()}, "plain": {1: PaintedModel(())}}
    models["plain"][1] = PaintedModel(("serving_default",))
    labels = {"tinygan": {"stable": 1}}
    with ModelServer(models, labels, grpc=transport == "grpc") as server:
        server.address = getattr(server, f"{transport}_address")
        yield server


@pytest.fixture
def client(server):
    with ServingClient(server.address, timeout=20) as client:
        yield client


def is_over_rest(client):
    return client.target.address.startswith("http")


# Images


def test_images_come_in_the_order_asked_for(client):
    classes = [2, "Sneaker", 0, "Häschen", "T-shirt/top", 1]
    seeds = [9, 8, 7, 2**63 - 1, 5, 0]

    images = client.images(classes, seeds, truncation=0.3)

    expected = [painted(*row, 0.3) for row in zip((2, 1, 0, 2, 0, 1), seeds, strict=True)]
    assert images.dtype == np.uint8 and images.shape == (6, 4, 4, 3)
    np.testing.assert_array_equal(images, expected)


def test_one_seed_is_where_seeds_start(client):
    images = client.images(["Sneaker", 2, 2], seeds=7)
    np.testing.assert_array_equal(images, [painted(1, 7), painted(2, 8), painted(2, 9)])
    np.testing.assert_array_equal(client.images([1], truncation=0), [painted(1, 0, 0.0)])


def test_batches_are_of_the_size_and_kind_asked_for(server):
    classes, seeds = [0, "Sneaker"] * 10 + [2], range(21)
    with ServingClient(server.address, batch_size=4) as client:
        images = client.images(classes, seeds)

    expected = [painted(c if c != "Sneaker" else 1, s) for c, s in zip(classes, seeds, strict=True)]
    np.testing.assert_array_equal(images, expected)
    asked = sorted((signature, sizes["seed"]) for _, signature, sizes in server.requests)
    assert asked == [
        *[("sample", (3,)), ("sample", (4,)), ("sample", (4,))],
        *[("sample_by_name", (2,)), ("sample_by_name", (4,)), ("sample_by_name", (4,))],
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_images_don_t_depend_on_the_batch_size(server, batch_size):
    classes, seeds, truncations = [0, 1, 2] * 3, np.arange(9), np.linspace(0.1, 1, 9)
    with ServingClient(server.address, batch_size=batch_size) as client:
        images = client.images(classes, seeds, truncations)
    expected = [painted(*row) for row in zip(classes, seeds, truncations, strict=True)]
    np.testing.assert_array_equal(images, expected)


def test_numbers_of_numpy_are_numbers(client):
    images = client.images(np.array([1], "int32"), np.array([7], "uint64"), np.float32(1))
    np.testing.assert_array_equal(images, [painted(1, 7, 1.0)])


def test_files_lie_in_a_folder_for_each_class(client, tmp_path):
    folder = tmp_path / "new" / "pictures"
    paths = client.save(folder, ["T-shirt/top", 1, "Sneaker", 2], [4, 5, 6, 7], [1, 1, 0.5, 1])

    names = [path.relative_to(folder).as_posix() for path in paths]
    assert names == [
        "T_shirt_top/00000_seed_4.png",
        "Sneaker/00001_seed_5.png",
        "Sneaker/00002_seed_6.png",
        "Häschen/00003_seed_7.png",
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(paths[2])), painted(1, 6, 0.5))
    assert [path.name for path in folder.parent.iterdir()] == ["pictures"]
    with pytest.raises(FileExistsError, match=r"exists already.*Choose another name"):
        client.save(folder, [1], [1])


def test_two_classes_never_share_a_folder(monkeypatch, tmp_path, client):
    monkeypatch.setattr("serving_fixtures.CLASS_NAMES", ("crane", "crane", "a b"))
    client.save(tmp_path / "one", [0, 0, "crane"], [1, 2, 3])
    with pytest.raises(ValueError, match=r"classes \[0, 1, 'crane'\] for the folder 'crane'"):
        client.save(tmp_path / "both", [0, 1], [1, 2])
    monkeypatch.setattr("serving_fixtures.CLASS_NAMES", ("a-b", "a b"))
    with pytest.raises(ValueError, match=r"\['a b', 'a-b'\] for the folder 'a_b'"):
        client.save(tmp_path / "signs", ["a-b", "a b"], [1, 2])
    monkeypatch.setattr("serving_fixtures.CLASS_NAMES", ("Polo", "polo"))
    with pytest.raises(ValueError, match=r"\[0, 1, 'Polo', 'polo'\] for the folder 'polo'"):
        client.save(tmp_path / "cases", [0, 1], [1, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_no_class_leads_out_of_the_folder(monkeypatch, tmp_path, client):
    """Whatever a server of somebody else's answers."""
    monkeypatch.setattr("serving_fixtures.CLASS_NAMES", ("../../out",))
    (path,) = client.save(tmp_path / "one", ["../../out"], [1])
    assert path == tmp_path / "one" / "_out" / "00000_seed_1.png"

    with pytest.raises(ValueError, match=r"row 1, class '\.\.', seed 2"):
        client.save(tmp_path / "two", ["../../out", ".."], [1, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_row_without_an_image_is_named(client, tmp_path):
    with pytest.raises(
        ValueError, match=r"row 2, class 'sneaker', seed 6, truncation 0\.25"
    ) as error:
        client.images([0, 1, "sneaker"], [4, 5, 6], 0.25)
    assert client.target.address in str(error.value)
    assert "class_names.txt of the exported folder" in str(error.value)
    with pytest.raises(ValueError, match=r"row 1, class 3, seed 5"):
        client.save(tmp_path / "pictures", [0, 3], [4, 5])
    assert list(tmp_path.iterdir()) == []


def test_row_without_an_image_can_be_left_out(client):
    pngs = client.pngs([0, 3, "nobody", 1], [1, 2, 3, 4], strict=False)
    assert [png is None for png in pngs] == [False, True, True, False]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(pngs[3]))), painted(1, 4))


# What is wrong before anything is sent


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([], []), r"classes=\[\]"),
        (([1, 2], [1]), "Got 1 seeds for 2 pictures"),
        (([1, 2], [1, 2], [0.5]), r"truncation=\[0.5\] for 2 pictures"),
        (("Sneaker", [1]), r"classes='Sneaker'.*\['Sneaker'\]"),
        (([1], -1), "seeds=-1"),
        (([1, 1], 2**63 - 1), r"seeds=9223372036854775807"),
        (([1, ""], [1, 2]), "class '' in row 1"),
        (([1, "\ud800"], [1, 2]), r"class '\\ud800' in row 1"),
        (([[1], [1, 2]], [1, 2]), r"class \[1\] in row 0"),
        (([-1], [1]), "class -1 in row 0"),
        (([1.0], [1]), r"class 1\.0"),
        (([True], [1]), "class True"),
        (([None], [1]), "class None"),
        (([1, 2], [1, -1]), r"seeds=\[1, -1\]"),
        (([1], [2**63]), r"seeds=\[9223372036854775808\].*2\*\*63 - 1"),
        (([1], [0.5]), r"seeds=\[0\.5\]"),
        (([1], ["1"]), r"seeds=\['1'\]"),
        (([1], [1], float("nan")), "truncation=nan"),
        (([1, 1], [1, 1], [0.5, float("inf")]), r"truncation=\[0\.5, inf\]"),
        (([1], [1], -0.1), r"truncation=-0\.1.*\[0, 1\]"),
        (([1], [1], 1.01), r"truncation=1\.01"),
        (([1], [1], "0.5"), r"truncation='0\.5'"),
        (([1], [1], None), "truncation=None"),
        (([1, 1], 1, [[1], [1, 2]]), "or one for each"),
    ],
)
def test_rows_that_can_t_be_are_refused_unsent(rows, message):
    client = ServingClient("http://127.0.0.1:1", retries=0)
    with pytest.raises(ValueError, match=message):
        client.pngs(*rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("127.0.0.1:8501",), "the address '127.0.0.1:8501'.*http://127.0.0.1:8501"),
        (("http://127.0.0.1",), "a port"),
        (("http://127.0.0.1:port",), "a port"),
        (("ftp://127.0.0.1:8501",), "for REST, or"),
        (("http://me:secret@127.0.0.1:8501",), "'http://...@127.0.0.1:8501'.*any user, password"),
        (("me:secret@127.0.0.1:8501",), "'...@127.0.0.1:8501'.*any user, password"),
        (("http://@127.0.0.1:8501",), "any user"),
        (("http://127.0.0.1:8501#top",), "any user, password, path or #fragment"),
        (("http://127.0.0.1\n:8501",), "nothing else"),
        (("http://a b:8501",), "nothing else"),
        (("grpc://\ud800:8500",), "the address 'grpc://\\\\ud800:8500'"),
        (("http://127.0.0.1:8501/v1/models/tinygan:predict",), "nothing else"),
        ((None,), "the address None"),
        (("http://h:1", ""), "model=''"),
        (("http://h:1", "a/b"), "without / and :"),
        (("http://h:1", "m", "1"), "version='1'"),
        (("http://h:1", "m", -1), "version=-1"),
        (("http://h:1", "m", 2**70), "version=1180591620717411303424"),
        (("http://h:1", "\ud800"), "model="),
        (("http://h:1", "m", None, None, 1e10), "timeout=10000000000.0.*to 1000000"),
        (("http://h:1", "m", 1, "stable"), "one of the two"),
        (("http://h:1", "m", None, ""), "label=''"),
        (("http://h:1", "m", None, None, 0), "timeout=0"),
        (("http://h:1", "m", None, None, float("nan")), "timeout=nan"),
        (("http://h:1", "m", None, None, 1, -1), "retries=-1"),
        (("http://h:1", "m", None, None, 1, 101), "retries=101.*to 100"),
        (("http://h:1", "m", None, None, 1, 1, 0), "batch_size=0"),
        (("http://h:1", "m", None, None, 1, 1, 2.5), "batch_size=2.5"),
    ],
)
def test_arguments_that_can_t_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"Got .*{message}"):
        ServingClient(*arguments)


def test_numbers_of_numpy_are_arguments(server):
    sizes = {"timeout": np.float32(20), "retries": np.int8(1), "batch_size": np.int8(100)}
    with ServingClient(server.address, **sizes) as client:
        assert len(client.pngs([1] * 250, range(250))) == 250


def test_rest_needs_no_tensorflow(tmp_path):
    """The client of a server without models, in a process of its own: it gets as far as an answer."""
    program = (
        "import sys\n"
        "from tinygan_keras import ServingClient\n"
        "client = ServingClient(sys.argv[1])\n"
        "images = client.images([0, 'Sneaker'], [1, 2])\n"
        "client.save(sys.argv[2], [0], [1])\n"
        "heavy = ('tensorflow', 'keras', 'grpc', 'scipy', 'matplotlib', 'google.protobuf')\n"
        "print(images.shape, client.status()[0].state, [m for m in heavy if m in sys.modules])\n"
    )
    with ModelServer({"tinygan": {1: PaintedModel()}}) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.rest_address, str(tmp_path / "pictures")],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 4, 4, 3) AVAILABLE []"


def test_grpc_without_its_extra_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"tinygan-keras\[serving\].*REST port"):
        ServingClient("grpc://127.0.0.1:8500")


# What the server says


def test_versions_and_labels(server):
    for arguments, expected in (({}, [3, 1]), ({"version": 1}, [1]), ({"label": "stable"}, [1])):
        with ServingClient(server.address, **arguments) as client:
            assert [(v.version, v.state, v.error) for v in client.status()] == [
                (version, "AVAILABLE", "") for version in expected
            ]
            np.testing.assert_array_equal(client.images([1], [2]), [painted(1, 2)])


@pytest.mark.parametrize("num_versions", [2, 3])
def test_a_broken_version_counts_as_one_of_the_newest(transport, num_versions):
    """Two are kept, and the second newest of three is the one before last, whatever became of the newest."""
    versions = {1: PaintedModel(), 2: PaintedModel(), 3: Broken("no saved_model.pb", retries=1)}
    labels = {"tinygan": {"stable": 1}}
    options = {"grpc": transport == "grpc", "num_versions": num_versions}
    with ModelServer({"tinygan": versions}, labels, **options) as server:
        address = getattr(server, f"{transport}_address")
        with ServingClient(address) as latest, ServingClient(address, label="stable") as stable:
            assert latest.status()[0] == (3, "LOADING", "")
            assert latest.status()[0] == (3, "END", "no saved_model.pb")
            assert len(latest.status()) == num_versions
            np.testing.assert_array_equal(latest.images([1], [2]), [painted(1, 2)])
            if num_versions == 3:
                np.testing.assert_array_equal(stable.images([1], [2]), [painted(1, 2)])
                return
            with pytest.raises(ServingError, match=r"Specific\(tinygan, 1\).*its log") as error:
                stable.images([1], [2])
            assert error.value.code == "NOT_FOUND"


def test_single_output_has_its_name(client):
    """Over REST it comes without."""
    inputs = {"z": np.zeros((2, 3), "float32"), "label": np.array([1, 2])}
    outputs = client.predict("serving_default", inputs)
    assert list(outputs) == ["image"] and np.shape(outputs["image"]) == (2, 4, 4, 3)


def test_metadata_says_types_and_shapes(client):
    metadata = client.metadata()
    assert sorted(metadata) == ["sample", "sample_by_name", "sample_uint8", "serving_default"]
    row = {"seed": "int64 [?]", "truncation": "float32 [?]"}
    assert metadata["sample"]["inputs"] == {"label": "int64 [?]", **row}
    assert metadata["sample_by_name"] == {
        "inputs": {"class_name": "string [?]", **row},
        "outputs": {"image_bytes": "string [?]", "class_name": "string [?]", "valid": "bool [?]"},
    }


@pytest.mark.parametrize(
    ("arguments", "code", "reason", "fix"),
    [
        ({"model": "tiny"}, "NOT_FOUND", r"Latest\(tiny\)", "Check model= and version="),
        ({"version": 2}, "NOT_FOUND", r"Specific\(tinygan, 2\)", "Check model= and version="),
        ({"label": "best"}, "INVALID_ARGUMENT", "version label: best", "version_labels"),
        (
            {"model": "plain"},
            "FAILED_PRECONDITION",
            'ignature .*"sample".* not found',
            "tinygan export",
        ),
    ],
    ids=["model", "version", "label", "no student"],
)
def test_unknown_model_version_label_and_signature(server, arguments, code, reason, fix):
    with (
        ServingClient(server.address, **arguments) as client,
        pytest.raises(ServingError, match=f"{reason}.*{fix}") as error,
    ):
        client.pngs([1], [1])
    if code == "FAILED_PRECONDITION" and is_over_rest(client):
        code = "INVALID_ARGUMENT"  # both are 400
    assert error.value.code == code
    assert f"Got {code} from {server.address} for the model " in str(error.value)
    assert repr(client.target.model) in str(error.value)


ROWS = {
    "label": np.array([1, 2]),
    "seed": np.array([1, 2]),
    "truncation": np.ones(2, "float32"),
}


@pytest.mark.parametrize(
    ("changes", "over_rest", "over_grpc"),
    [
        ({"seed": None}, "Missing but required: {seed}", "Missing but required: {seed}"),
        ({"label": np.ones(2)}, "expected type: int64", "to be int64 but double"),
        ({"label": np.array(["a", "b"])}, "expected type: int64", "to be int64 but string"),
        ({"seed": np.ones((2, 1), "int64")}, "of shape", "of shape"),
        ({"seed": np.ones(3, "int64")}, "of one length", "of one length"),
        ({"seed": None, "sead": np.ones(2, "int64")}, "but required: {seed}", "alias not found"),
    ],
    ids=["missing", "float", "string", "shape", "length", "name"],
)
def test_inputs_that_don_t_fit_are_refused_in_the_server_s_words(
    client, changes, over_rest, over_grpc
):
    """A client of another version of the model would send them."""
    inputs = {name: value for name, value in {**ROWS, **changes}.items() if value is not None}
    with pytest.raises(ServingError) as error:
        client.predict("sample", inputs)
    assert error.value.code == "INVALID_ARGUMENT"
    assert (over_rest if is_over_rest(client) else over_grpc) in error.value.reason
    assert "Export the student again" in str(error.value)


def test_inputs_too_many_are_refused_but_in_columns(client):
    inputs = {**ROWS, "extra": np.ones(2, "int64")}
    if is_over_rest(client):
        assert client.predict("sample", inputs)["valid"] == [True, True]
    else:
        with pytest.raises(ServingError, match="Sent extra: {extra}"):
            client.predict("sample", inputs)


# Asking again


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setitem(tinygan_keras.client._RETRIES, "backoff_max", 0.01)
    monkeypatch.setitem(tinygan_keras.client._GRPC_RETRIES, "initialBackoff", "0.01s")
    monkeypatch.setitem(tinygan_keras.client._GRPC_RETRIES, "maxBackoff", "0.01s")


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_server_without_time_is_asked_again(short_pauses, server, code):
    server.fail(code, times=4)
    with ServingClient(server.address) as client:
        np.testing.assert_array_equal(client.images([1], [2]), [painted(1, 2)])
    assert not server._failures


def test_end_of_the_retries_is_said_in_the_server_s_words(short_pauses, server):
    server.fail("RESOURCE_EXHAUSTED", times=10)
    with (
        ServingClient(server.address, retries=2) as client,
        pytest.raises(ServingError, match=r"asked to fail\. .*--grpc_max_threads=64") as error,
    ):
        client.pngs([1], [1])
    assert error.value.code == "RESOURCE_EXHAUSTED" and len(server._failures) == 7


@pytest.mark.parametrize(
    "code",
    ["INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL", "PERMISSION_DENIED"],
)
def test_what_won_t_pass_is_not_repeated(server, client, code):
    server.fail(code, times=2)
    with pytest.raises(ServingError, match="asked to fail"):
        client.pngs([1], [1])
    assert len(server._failures) == 1


def test_no_retries_is_one_request(server):
    server.fail("UNAVAILABLE", times=2)
    with ServingClient(server.address, retries=0) as client, pytest.raises(ServingError):
        client.pngs([1], [1])
    assert len(server._failures) == 1


def test_message_that_is_too_large_wants_smaller_batches(server):
    server.fail("RESOURCE_EXHAUSTED", message="Received message larger than max (9 vs. 4)")
    with (
        ServingClient(server.address, retries=0) as client,
        pytest.raises(ServingError, match="smaller batch_size="),
    ):
        client.pngs([1], [1])


def test_pauses_grow_differ_and_end_before_the_deadline():
    pauses = []
    for _ in range(2):
        retry = tinygan_keras.client._Retry(7, **tinygan_keras.client._RETRIES)
        retry.end = time.monotonic() + 60
        for place, least in enumerate((0, 0.2, 0.4, 0.8, 1.6, 3.2, 5)):
            retry = retry.increment("POST", "/", error=dropped())
            pauses.append(retry.get_backoff_time())
            assert least <= pauses[-1] <= min(5, least + 0.2 * (place > 0))
    assert pauses[1] != pauses[8]
    retry.end = time.monotonic() + 1
    with pytest.raises(MaxRetryError):
        retry.increment("POST", "/", error=dropped())


def dropped():
    return ProtocolError("Connection aborted.", ConnectionResetError("reset"))


def test_slow_server_ends_at_the_timeout(server):
    server.delay = 2.0
    start = time.monotonic()
    with (
        ServingClient(server.address, timeout=0.2) as client,
        pytest.raises(ServingError, match=r"larger timeout= or a smaller batch_size=") as error,
    ):
        client.pngs([1], [1])
    assert error.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - start < 1.8


def test_retries_end_at_the_timeout(server):
    server.fail("UNAVAILABLE", times=100)
    start = time.monotonic()
    with (
        ServingClient(server.address, timeout=0.5, retries=100) as client,
        pytest.raises(ServingError),
    ):
        client.pngs([1], [1])
    assert 100 - len(server._failures) in (2, 3, 4)
    assert time.monotonic() - start < 3.0


def test_nothing_is_sent_after_the_timeout(rest_server):
    rest_server.fail("UNAVAILABLE", times=100)
    rest_server.delay = 0.3
    with (
        ServingClient(rest_server.rest_address, timeout=0.8, retries=100) as client,
        pytest.raises(ServingError),
    ):
        client.pngs([1], [1])
    time.sleep(1.0)
    assert 100 - len(rest_server._failures) == 2


def test_nobody_at_the_address(short_pauses, transport):
    scheme = "grpc" if transport == "grpc" else "http"
    address = f"{scheme}://127.0.0.1:{free_ports(1)[0]}"
    with (
        ServingClient(address, retries=3) as client,
        pytest.raises(ServingError, match=f"{address}.*refused.*Start it") as error,
    ):
        client.pngs([1], [1])
    assert error.value.code == "UNAVAILABLE"


def test_error_of_one_request_ends_the_others(server):
    with ServingClient(server.address, batch_size=1) as client:
        server.delay = 0.02
        with pytest.raises(ValueError, match="row 0, class 9"):
            client.pngs([9] + [1] * 200, range(201))
    assert len(server.requests) < 50


def test_errors_can_be_sent_to_other_processes(client):
    with pytest.raises(ServingError) as error:
        client.predict("sample", {})
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value)
    assert (copy.code, copy.reason, copy.target) == (
        error.value.code,
        error.value.reason,
        client.target,
    )


# REST alone


@pytest.fixture
def rest_server():
    with ModelServer({"tinygan": {1: PaintedModel()}}) as server:
        yield server


def test_dropped_connection_is_tried_again(short_pauses, rest_server):
    rest_server.fail("DROP", times=2)
    with ServingClient(rest_server.rest_address) as client:
        np.testing.assert_array_equal(client.images([1], [2]), [painted(1, 2)])


def test_limit_of_the_server_is_told_apart_from_the_client_s(rest_server):
    rest_server.fail("DEADLINE_EXCEEDED", message="Timed out")
    with pytest.raises(ServingError, match=r"504.*--rest_api_timeout_in_ms") as error:
        ServingClient(rest_server.rest_address).pngs([1], [1])
    assert error.value.code == "DEADLINE_EXCEEDED"


def test_http_on_the_grpc_port_leaves_the_terminal_alone():
    with ModelServer({"tinygan": {1: PaintedModel()}}, grpc=True) as server:
        address = server.grpc_address.replace("grpc:", "http:")
        with pytest.raises(ServingError, match="doesn't speak HTTP.*Give grpc://") as error:
            ServingClient(address).status()
    assert str(error.value).isprintable()


def answering(text, pause=None, at_once=0):
    """Listens once and answers any request with these bytes, one by one if there is a pause; its address.

    Args:
        at_once: How many bytes come without a pause, before the others.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listener.accept()
        with listener, connection, connection.makefile("rb") as request:
            # To the last byte: closing before would reset the connection.
            request.readline()
            headers = http.client.parse_headers(request)
            request.read(int(headers["Content-Length"] or 0))
            if pause is None:
                connection.sendall(text)
                return
            with contextlib.suppress(OSError):  # who asked has gone
                connection.sendall(text[:at_once])
                for byte in text[at_once:]:
                    connection.sendall(bytes([byte]))
                    time.sleep(pause)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "doesn't speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>welcome</html>", "<html>welcome"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>oops</html>", "HTTP status 502: '<html>oops"),
        (
            b'HTTP/1.1 502 Bad Gateway\r\n\r\n{"error": {"code": 1}}',
            '502: \'{"error": {"code": 1}}',
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "[[[["),
        (b'HTTP/1.1 200 OK\r\n\r\n{"outputs": null}', "null"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"outputs": {"image_bytes": ["x"]}}', '"x"'),
        (b'HTTP/1.1 200 OK\r\n\r\n{"outputs": {"valid": true}}', '"valid": true'),
    ],
    ids=["ssh", "html", "gateway", "no words", "deep", "no output", "no base64", "no rows"],
)
def test_what_isn_t_tensorflow_serving_is_found_out(text, reason):
    with pytest.raises(ServingError, match="Expected TensorFlow Serving") as error:
        ServingClient(answering(text), retries=0).pngs([1], [1])
    assert reason in error.value.reason


def test_other_number_of_rows_is_an_error():
    text = b'HTTP/1.1 200 OK\r\n\r\n{"outputs": {"image_bytes": [], "class_name": [], "valid": []}}'
    with pytest.raises(ServingError, match="answered 1 rows with 0 values of image_bytes"):
        ServingClient(answering(text), retries=0).pngs([1], [1])


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("status", {"model_version_status": None}),
        ("status", {"model_version_status": [{"state": "AVAILABLE"}]}),
        ("status", {"model_version_status": [{"version": float("inf")}]}),
        ("status", []),
        ("metadata", {"metadata": {"signature_def": {"signature_def": {"sample": 1}}}}),
        ("metadata", {"metadata": {"signature_def": {"signature_def": []}}}),
    ],
)
def test_other_answers_are_named(call, answer):
    text = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(answer).encode()
    client = ServingClient(answering(text), retries=0)
    with pytest.raises(ServingError, match="isn't TensorFlow Serving's: .*Expected TensorFlow"):
        getattr(client, call)()


VAST = bytearray(as_png(np.zeros((4, 4, 3), "uint8")))
VAST[16:24] = 2 * (60_000).to_bytes(4, "big")  # the sizes
VAST[29:33] = zlib.crc32(VAST[12:29]).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("png", "class_name", "reason"),
    [
        (b"no picture", "a", "can't be read"),
        (as_png(np.zeros((4, 4, 3), "uint8"))[:-30], "a", "can't be read"),
        (VAST, "a", "can't be read .*exceeds limit"),
        (b"", None, "values of class_name, or with some of another type"),
    ],
    ids=["no picture", "cut short", "vast", "no name"],
)
def test_other_values_are_named(png, class_name, reason):
    picture = {"b64": base64.b64encode(png).decode()}
    outputs = {"image_bytes": [picture], "class_name": [class_name], "valid": [True]}
    text = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"outputs": outputs}).encode()
    with pytest.raises(ServingError, match=reason):
        ServingClient(answering(text), retries=0).images([1], [1])


def test_address_that_is_none_is_named():
    with pytest.raises(ServingError, match="Check the address"):
        ServingClient("http://..:8501", retries=0).pngs([1], [1])


@pytest.mark.parametrize("length", [b"Content-Length: 99\r\n", b""], ids=["length", "no length"])
@pytest.mark.parametrize("of_the_head", [True, False], ids=["head", "body"])
def test_server_that_answers_drop_by_drop_ends_at_the_timeout(length, of_the_head):
    head = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n"
    at_once = 0 if of_the_head else len(head)
    address = answering(head + b" " * 99, pause=0.05, at_once=at_once)
    start = time.monotonic()
    with pytest.raises(ServingError, match="no answer within") as error:
        ServingClient(address, timeout=0.5, retries=0).pngs([1], [1])
    assert error.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - start < 3.0  # whole, the answer takes 5 seconds or more


@pytest.fixture
def tls_address(tmp_path, rest_server):
    """A server with a certificate of its own making, which SSL_CERT_FILE may name."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    http_server = rest_server._rest._http
    http_server.socket = context.wrap_socket(http_server.socket, server_side=True)
    return f"https://localhost:{rest_server.rest_address.rpartition(':')[2]}"


def test_server_without_tls_is_found_out(rest_server):
    address = rest_server.rest_address.replace("http:", "https:")
    with pytest.raises(ServingError, match="SSLError.*Give http://"):
        ServingClient(address, retries=0).status()


def test_certificates_are_looked_at(tls_address, tmp_path, monkeypatch):
    with pytest.raises(ServingError, match="certificate verify failed.*SSL_CERT_FILE"):
        ServingClient(tls_address, retries=0).pngs([1], [1])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    images = ServingClient(tls_address, retries=0).images([1], [2])
    np.testing.assert_array_equal(images, [painted(1, 2)])


# gRPC alone


def test_server_that_comes_up_is_found():
    (port,) = free_ports(1)
    address = f"grpc://127.0.0.1:{port}"
    with ServingClient(address, retries=4) as client:
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            ServingClient(address, retries=0).status()
        server = ModelServer({"tinygan": {1: PaintedModel()}}, grpc=True)
        server.grpc_port = port
        threading.Timer(0.3, server.__enter__).start()
        try:
            np.testing.assert_array_equal(client.images([1], [2]), [painted(1, 2)])
        finally:
            server.__exit__()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("valid", {"bool_val": [True]}),
        ("class_name", {"dtype": 7, "string_val": [b"a"]}),
        ("valid", {"dtype": 99}),
        ("valid", {"dtype": 10, "tensor_content": b"abc", "tensor_shape": {"dim": [{"size": 7}]}}),
    ],
    ids=["one value", "one name", "unknown type", "other size"],
)
def test_other_tensors_are_named(name, change):
    from tensorflow_serving.apis.predict_pb2 import PredictResponse

    change = {"dtype": 10, **change}
    response = PredictResponse(outputs={name: TensorProto(**change)})
    with ServingClient("grpc://127.0.0.1:1", retries=0) as client:
        client._transport._predictions.Predict = lambda request, timeout: response
        with pytest.raises(
            ServingError, match="isn't TensorFlow Serving's: .* in 'outputs.*Expected"
        ):
            client.pngs([1], [1])


def test_other_metadata_are_named():
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse

    response = GetModelMetadataResponse()
    response.metadata["signature_def"].type_url = "a/tensorflow.serving.SignatureDefMap"
    response.metadata["signature_def"].value = b"\xff"
    with ServingClient("grpc://127.0.0.1:1", retries=0) as client:
        client._transport._predictions.GetModelMetadata = lambda request, timeout: response
        with pytest.raises(ServingError, match="isn't TensorFlow Serving's"):
            client.metadata()


def test_large_answers_pass():
    """More than the 4 MB that gRPC takes by default."""

    class Large(PaintedModel):
        def run(self, signature, inputs):
            outputs = super().run(signature, inputs)
            outputs["image_bytes"][:] = bytes(6_000_000)
            return outputs

    with (
        ModelServer({"tinygan": {1: Large()}}, grpc=True) as server,
        ServingClient(server.grpc_address) as client,
    ):
        assert len(client.pngs([1], [1])[0]) == 6_000_000
