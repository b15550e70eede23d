"""What is exported keeps its contract in every loader that may read it, the C++ one above all.

The names, types and answers here are what clients rely on: a change to one of them is a change for them.
"""

import io
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from saved_model_session import SavedModelSession, SessionError

from tinygan_keras.generators.opening import open_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.exporting import export_saved_model

LATENT_DIM, NAMES, SIZE = 6, ("T-shirt/top", "Häschen", "dog's"), 8
ROW = {"seed": ("int64", 1), "truncation": ("float32", 1)}
PNG = {"image_bytes": ("string", 1), "class_name": ("string", 1), "valid": ("bool", 1)}
CONTRACT = {  # types and ranks of inputs and outputs
    "serving_default": ({"z": ("float32", 2), "label": ("int64", 1)}, {"image": ("float32", 4)}),
    "sample": ({"label": ("int64", 1), **ROW}, PNG),
    "sample_uint8": (
        {"label": ("int64", 1), **ROW},
        {"image": ("uint8", 4), "class_name": ("string", 1), "valid": ("bool", 1)},
    ),
    "sample_by_name": ({"class_name": ("string", 1), **ROW}, PNG),
}


def make_student(seed):
    student = StudentGenerator(
        channels=(8, 4), latent_dim=LATENT_DIM, num_classes=3, embedding_dim=4
    )
    random = np.random.default_rng(seed)
    for variable in student.trainable_variables:
        variable.assign(variable + random.normal(0, 0.3, variable.shape))
    return student


@pytest.fixture(scope="module")
def student():
    return make_student(0)


@pytest.fixture(scope="module")
def exported(student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tinygan") / "1"
    return export_saved_model(student, folder, class_names=NAMES, truncation=0.5)


@pytest.fixture(scope="module")
def session(exported):
    with SavedModelSession(exported) as session:
        yield session


@pytest.fixture(scope="module")
def in_python(exported):
    return tf.saved_model.load(exported).signatures


def strings(*values):
    return np.array([value.encode() for value in values], object)


def requests(count=5) -> dict:
    """An answerable request for every signature."""
    random = np.random.default_rng(count)
    label = np.arange(count) % 3
    row = {
        "seed": random.integers(0, 2**63 - 1, count),
        "truncation": random.uniform(0.1, 1, count).astype("float32"),
    }
    z = random.normal(size=(count, LATENT_DIM)).astype("float32")
    return {
        "serving_default": {"z": z, "label": label},
        "sample": {"label": label, **row},
        "sample_uint8": {"label": label, **row},
        "sample_by_name": {"class_name": strings(*(NAMES[c] for c in label)), **row},
    }


def part(inputs, rows):
    return {name: value[rows] for name, value in inputs.items()}


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_signatures_are_those_of_the_contract(session):
    found = {name: s for name, s in session.signatures.items() if not name.startswith("__")}
    assert set(found) == set(CONTRACT)
    for name, sides in CONTRACT.items():
        for side, wanted in zip(("inputs", "outputs"), sides, strict=True):
            infos = getattr(found[name], side)
            got = {
                key: (tf.dtypes.as_dtype(info.dtype).name, len(info.tensor_shape.dim))
                for key, info in infos.items()
            }
            assert got == wanted
            for info in infos.values():  # any number of rows, everything else known
                first, *others = (dimension.size for dimension in info.tensor_shape.dim)
                assert first == -1
                assert min(others, default=1) > 0
        assert found[name].method_name == "tensorflow/serving/predict"


@pytest.mark.parametrize("signature", CONTRACT)
def test_cpp_and_python_give_the_same_bits(session, in_python, signature):
    inputs = requests()[signature]
    expected = in_python[signature](**{name: tf.constant(x) for name, x in inputs.items()})

    outputs = session.run(signature, inputs)

    assert set(outputs) == set(expected) == set(CONTRACT[signature][1])
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, expected[name].numpy())


@pytest.mark.parametrize("signature", CONTRACT)
def test_version_1_loader_gives_the_same_bits(session, exported, signature):
    inputs = requests()[signature]
    with tf.Graph().as_default(), tf.compat.v1.Session() as old:
        graph = tf.compat.v1.saved_model.load(old, ["serve"], str(exported))
        definition = graph.signature_def[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: info.name for name, info in definition.outputs.items()}
        outputs = old.run(fetches, feed)

    for name, value in session.run(signature, inputs).items():
        np.testing.assert_array_equal(value, outputs[name])


@pytest.mark.full
def test_command_line_of_tensorflow_shows_every_signature(exported):
    program = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    command = [*program, "show", "--dir", str(exported), "--all"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name, (inputs, outputs) in CONTRACT.items():
        _, _, block = shown.partition(f"signature_def['{name}']:")
        block, _, _ = block.partition("signature_def[")
        for side, tensors in (("inputs", inputs), ("outputs", outputs)):
            assert set(re.findall(rf"{side}\['(\w+)'\] tensor_info", block)) == set(tensors)


def test_images_are_those_of_the_student(session, student):
    inputs = requests()["serving_default"]
    images = session.run("serving_default", inputs)["image"]
    expected = student((inputs["z"], inputs["label"]), training=False)
    np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize("truncation", [0.0, 0.5, 1.0])
def test_pictures_are_those_of_the_generator(session, student, truncation):
    inputs = {**requests()["sample_uint8"], "truncation": np.full(5, truncation, "float32")}

    outputs = session.run("sample_uint8", inputs)

    expected = open_generator(student).generate(inputs["label"], inputs["seed"], truncation)
    assert np.abs(outputs["image"].astype(int) - expected).max() <= 1
    assert (outputs["image"] == expected).mean() > 0.99
    assert outputs["valid"].all()


def test_picture_numbers_and_names_are_of_the_same_images(session):
    wanted = requests()
    numbers = session.run("sample_uint8", wanted["sample_uint8"])
    for signature in ("sample", "sample_by_name"):
        outputs = session.run(signature, wanted[signature])
        pictures = np.stack([decoded(png) for png in outputs["image_bytes"]])
        np.testing.assert_array_equal(pictures, numbers["image"])
        names = [name.decode() for name in outputs["class_name"]]
        assert names == [NAMES[label] for label in wanted["sample"]["label"]]


@pytest.mark.parametrize("signature", CONTRACT)
def test_row_is_the_same_in_any_company(session, signature):
    inputs = requests(7)[signature]
    together = session.run(signature, inputs)

    backwards = session.run(signature, part(inputs, slice(None, None, -1)))
    for name, value in backwards.items():
        np.testing.assert_array_equal(value[::-1], together[name])
    for row in range(7):
        for name, value in session.run(signature, part(inputs, slice(row, row + 1))).items():
            np.testing.assert_array_equal(value[0], together[name][row])


def test_other_seeds_truncations_and_classes_give_other_images(session):
    def image(label=0, seed=1, truncation=0.5):
        inputs = {"label": [label], "seed": [seed], "truncation": np.float32([truncation])}
        return session.run("sample_uint8", inputs)["image"]

    for other in (image(label=1), image(seed=2), image(seed=1 + 2**32), image(truncation=0.25)):
        assert (image() != other).any()


@pytest.mark.parametrize(
    "bad",
    [
        {"label": -1},
        {"label": 3},
        {"label": 2**62},
        {"seed": -1},
        {"seed": -(2**63)},
        {"truncation": -0.5},
        {"truncation": 1.0001},
        {"truncation": np.inf},
        {"truncation": np.nan},
    ],
    ids=str,
)
def test_bad_row_is_blank_and_leaves_its_neighbours_alone(session, bad):
    inputs = requests()["sample"]
    good = session.run("sample", inputs)
    for name, value in bad.items():
        inputs[name] = inputs[name].copy()
        inputs[name][2] = value

    outputs = session.run("sample", inputs)

    assert outputs["valid"].tolist() == [True, True, False, True, True]
    assert outputs["class_name"][2] == b""
    assert not decoded(outputs["image_bytes"][2]).any()
    numbers = session.run("sample_uint8", inputs)
    assert not numbers["image"][2].any()
    for row in (0, 1, 3, 4):
        for name in outputs:
            assert outputs[name][row] == good[name][row]


@pytest.mark.parametrize("name", ["cat", "", "Haschen", "t-shirt/top", "dog's\n", "x" * 1000])
def test_unknown_name_is_a_bad_row(session, name):
    inputs = part(requests()["sample_by_name"], slice(2))
    inputs["class_name"] = strings(NAMES[1], name)

    outputs = session.run("sample_by_name", inputs)

    assert outputs["valid"].tolist() == [True, False]
    assert outputs["class_name"].tolist() == [NAMES[1].encode(), b""]


@pytest.mark.parametrize(
    ("signature", "wrong", "said"),
    [
        ("serving_default", {"label": np.array([0, 1, 3, 0, 0])}, "label is out of range.*0 to 2"),
        ("serving_default", {"label": np.array([0, -1, 0, 0, 0])}, "label is out of range"),
        ("serving_default", {"label": np.array([0, 1])}, "z, label have different numbers of rows"),
        ("serving_default", {"z": np.full((5, 6), np.nan, "float32")}, "not finite"),
        ("serving_default", {"z": np.full((5, 6), np.inf, "float32")}, "not finite"),
        ("sample", {"seed": np.array([1, 2])}, r"label, seed, truncation have.*\[5 2 5\]"),
        ("sample", {"truncation": np.float32([0.5])}, "different numbers of rows"),
        ("sample_uint8", {"label": np.arange(6) % 3}, "different numbers of rows"),
        ("sample_by_name", {"class_name": strings("cat")}, "class_name, seed, truncation have"),
        ("serving_default", {"z": np.zeros((5, 7), "float32")}, r"z has .*\[B, 6\].*\[5 7\]"),
        ("serving_default", {"z": np.zeros((5, 1), "float32")}, r"z has .*\[B, 6\].*\[5 1\]"),
        ("serving_default", {"z": np.zeros(6, "float32")}, r"z has another shape.*\[6\]"),
        ("serving_default", {"z": np.zeros((5, 6, 2), "float32")}, r"z has .*\[5 6 2\]"),
        ("serving_default", {"z": np.float32(0)}, "z has another shape"),
        ("serving_default", {"label": np.zeros((5, 1), "int64")}, r"label has .*\[B\].*\[5 1\]"),
        ("serving_default", {"label": np.array(1)}, "label has another shape"),
        ("sample", {"seed": np.zeros((5, 1), "int64")}, "seed has another shape"),
        ("sample", {"label": np.array(1)}, "label has another shape"),
        (
            "sample_by_name",
            {"class_name": strings(*NAMES)[:, None]},
            "class_name has another shape",
        ),
        # TensorFlow's own words.
        ("serving_default", {"z": np.zeros((5, 6))}, "float but double"),
        ("serving_default", {"label": np.zeros(5, "int32")}, "int64 but int32"),
    ],
)
def test_wrong_request_is_an_invalid_argument_with_a_reason(session, signature, wrong, said):
    with pytest.raises(SessionError, match=f"(?s){said}") as caught:
        session.run(signature, {**requests()[signature], **wrong})
    assert caught.value.code == "INVALID_ARGUMENT"
    session.run(signature, requests()[signature])  # and the model goes on


def test_requests_of_any_shape_are_answered_or_refused(session):
    """Never a crash, which would take the server along, and never another code."""
    random = np.random.default_rng(0)
    shapes = [(), (0,), (1,), (2,), (2, 1), (2, 6), (2, 5), (0, 6), (1, 2, 6)]
    kinds = {"float32": "float32", "int64": "int64", "string": object}
    for signature, (wanted, _) in CONTRACT.items():
        for _ in range(30):
            inputs = {}
            for name, (kind, _) in wanted.items():
                shape = shapes[random.integers(len(shapes))]
                inputs[name] = np.full(shape, b"" if kind == "string" else 0, kinds[kind])
            try:
                session.run(signature, inputs)
            except SessionError as error:
                assert error.code == "INVALID_ARGUMENT", (signature, inputs)


def test_request_of_no_rows_gets_an_answer_of_no_rows(session):
    for signature, inputs in requests().items():
        outputs = session.run(signature, part(inputs, slice(0)))
        assert all(len(value) == 0 for value in outputs.values())


def test_versions_live_side_by_side(session, exported):
    other = export_saved_model(make_student(1), exported.parent / "2", class_names=NAMES)
    inputs = requests()["sample"]
    before = session.run("sample", inputs)["image_bytes"]

    with SavedModelSession(other) as newer:
        answers = newer.run("sample", inputs)

    assert (answers["image_bytes"] != before).any()
    assert answers["valid"].all()
    assert (session.run("sample", inputs)["image_bytes"] == before).all()


def test_broken_folder_is_refused_by_the_loader(exported, tmp_path):
    """So that this loader can fail."""
    copy = shutil.copytree(exported, tmp_path / "1")
    (copy / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(SessionError):
        SavedModelSession(copy)


def test_warm_up_requests_are_servings_own_and_are_answered(session, exported):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    replayed = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signature = request.model_spec.signature_name
        outputs = session.run(signature, inputs)
        assert outputs.get("valid", np.array(True)).all()
        replayed.append((signature, len(next(iter(outputs.values())))))
    assert sorted(replayed) == sorted((name, count) for name in CONTRACT for count in (1, 8))
