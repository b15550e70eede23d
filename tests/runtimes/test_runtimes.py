"""What every small runtime promises: the student's images, all or nothing, never in place of anything."""

import functools
import importlib
import json
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runtimes.conversion import Order
from tinygan_keras.runtimes.formats import FORMATS, open_runtime
from tinygan_keras.runtimes.litert import export_litert
from tinygan_keras.runtimes.onnx import export_onnx
from tinygan_keras.runtimes.openvino import export_openvino
from tinygan_keras.saved_model import equivalence

EXPORTS = {"litert": export_litert, "onnx": export_onnx, "openvino": export_openvino}
NAMES = ("cat", "dog", "cow")
LATENT_DIM = 6

edge = pytest.mark.edge
every_runtime = pytest.mark.parametrize(
    "runtime", [pytest.param(name, marks=edge) for name in EXPORTS]
)


@pytest.fixture(scope="module")
def student():
    student = StudentGenerator(
        channels=(8, 8, 4), latent_dim=LATENT_DIM, num_classes=3, embedding_dim=4
    )
    random = np.random.default_rng(0)
    for variable in student.variables:
        if "variance" not in variable.path:
            values = np.asarray(variable)
            variable.assign(values + random.normal(0.0, 0.2, values.shape))
    return student


@pytest.fixture
def inputs():
    latents = np.random.default_rng(1).uniform(-1, 1, (5, LATENT_DIM)).astype("float32")
    return latents, np.array([0, 1, 2, 1, 0], "int32")


@pytest.fixture(scope="module")
def exported(student, tmp_path_factory):
    """Function that exports the student in float32, once for all tests."""
    folder = tmp_path_factory.mktemp("exports")

    @functools.cache
    def export(runtime):
        return EXPORTS[runtime](student, folder / runtime, class_names=NAMES, truncation=0.25)

    return export


@every_runtime
def test_float32_gives_the_same_images_in_any_number(runtime, exported, student, inputs):
    export = exported(runtime)

    generator = open_runtime(export.path, threads=1)

    latents, labels = inputs
    expected = student(inputs, training=False)
    np.testing.assert_allclose(generator.draw(latents, labels), expected, atol=1e-5)
    one = generator.draw(tf.constant(latents[3:4]), tf.constant(labels[3:4], tf.int64))
    np.testing.assert_allclose(one, expected[3:4], atol=1e-5)
    assert one.dtype == np.float32
    assert (generator.latent_dim, generator.num_classes, generator.image_size) == (6, 3, 16)
    assert (generator.class_names, generator.truncation) == (NAMES, 0.25)
    assert generator.format == f"{runtime} float32"
    assert generator.parameters == sum(np.size(v) for v in student.trainable_variables)
    assert export.max_difference <= 1e-5
    assert export.bytes == export.float32_bytes > 0


@every_runtime
def test_a_picture_is_that_of_the_student(runtime, exported, student):
    path = exported(runtime).path
    generator = open_generator(path, truncation=0.75)
    assert (generator.format, generator.truncation) == (f"{runtime} float32", 0.75)
    assert open_generator(path / FORMATS[runtime].file).truncation == 0.25

    for truncation in (None, 0.0, 1.0):
        images = generator.generate("dog,0", seeds=[4, 2**40], truncation=truncation)
        expected = open_generator(student).generate(
            [1, 0], seeds=[4, 2**40], truncation=0.75 if truncation is None else truncation
        )
        assert np.abs(images.astype(int) - expected).max() <= 1


@every_runtime
def test_int8_is_near_the_student(runtime, student, inputs, tmp_path):
    exported = EXPORTS[runtime](student, tmp_path / "out", "int8", truncation=0.5)

    images = open_runtime(exported.path).draw(*inputs)

    near = equivalence.difference(images, student(inputs, training=False))
    assert 25 < near.psnr < 70  # quantised, and well
    assert images.dtype == np.float32
    config = json.loads((exported.path / "config.json").read_text())
    assert config["precision"] == "int8"
    assert config["psnr"] == exported.psnr
    assert not (exported.path / "class_names.txt").exists()


@every_runtime
def test_a_static_batch_gives_any_number(runtime, student, inputs, tmp_path):
    path = EXPORTS[runtime](student, tmp_path / "out", batch_size=2).path

    generator = open_runtime(path / FORMATS[runtime].file)  # the file stands for its folder

    expected = student(inputs, training=False)
    np.testing.assert_allclose(generator.draw(*inputs), expected, atol=1e-5)


@every_runtime
def test_wrong_labels_are_refused(runtime, exported):
    generator = open_runtime(exported(runtime).path)
    latents = np.zeros((2, LATENT_DIM))
    for labels in ([0, 3], [0, 2**32], [-1, 0]):
        with pytest.raises(ValueError, match="Got labels from .* Expected numbers from 0 to 2"):
            generator.draw(latents, np.array(labels))
    for labels in ([0.5, 1.0], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"Got labels .* Expected int \(2,\)"):
            generator.draw(latents, np.array(labels))


@every_runtime
def test_a_damaged_file_is_named(runtime, exported, tmp_path):
    path = shutil.copytree(exported(runtime).path, tmp_path / "out")
    file = path / FORMATS[runtime].file
    file.write_bytes(file.read_bytes()[:100])

    with pytest.raises(ValueError, match=f"{FORMATS[runtime].file}, which can't be loaded"):
        open_runtime(path)


def test_only_exports_are_opened(tmp_path):
    (tmp_path / "config.json").write_text('{"truncation": 0.5}')
    for path in (tmp_path, tmp_path / "missing.tflite"):
        with pytest.raises(
            FileNotFoundError, match="Expected a folder that `tinygan export` wrote"
        ):
            open_runtime(path)


@every_runtime
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"precision": "int4"}, ValueError, "Got precision 'int4'"),
        ({"batch_size": 0}, ValueError, "Got batch_size=0"),
        ({"batch_size": True}, ValueError, "Got batch_size=True"),
        ({"class_names": ["one"]}, ValueError, "Expected 3, a name of one line per class"),
        ({"class_names": ["a\nb", "c", "d"]}, ValueError, "a name of one line per class"),
        ({"truncation": 2.0}, ValueError, "truncation"),
        ({"student": object()}, TypeError, "without latent_dim, num_classes, image_size"),
        ({"path": "gs://bucket/model"}, ValueError, "Expected a folder on a disk"),
        ({"path": ""}, FileExistsError, "exists already"),  # the folder of the test
    ],
)
def test_mistakes_are_found_before_anything_is_converted(
    runtime, arguments, error, message, student, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = {"student": student, "path": tmp_path / "out", **arguments}
    monkeypatch.setattr(Order, "write_source", None)
    with pytest.raises(error, match=message):
        EXPORTS[runtime](**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("runtime", "module"),
    [(name, module) for name, format in FORMATS.items() for module in format.packages],
)
def test_a_missing_extra_is_named(runtime, module, student, tmp_path, monkeypatch):
    for format in FORMATS.values():
        for name in format.packages:
            monkeypatch.setitem(sys.modules, name, None if name == module else object())

    with pytest.raises(ImportError, match=rf'pip install "tinygan-keras\[{runtime}\]"'):
        EXPORTS[runtime](student, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@edge
def test_other_images_are_refused_and_leave_nothing(student, tmp_path, monkeypatch):
    monkeypatch.setattr(equivalence, "LARGEST_DIFFERENCE", -1.0)
    monkeypatch.setattr(equivalence, "LARGEST_ROUNDING", -1.0)
    (tmp_path / "kept").write_text("kept")

    with pytest.raises(ValueError, match="Nothing was written"):
        export_litert(student, tmp_path / "out")

    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(("batch_size", "batches", "rows"), [(None, 8, 8), (1, 64, 1), (50, 2, 50)])
def test_calibration_batches_have_the_size_of_the_format(student, batch_size, batches, rows):
    made = Order(student, "int8", batch_size, 0.5).calibration_batches()

    assert len(made) == batches
    assert {batch["z"].shape for batch in made} == {(rows, LATENT_DIM)}
    assert {batch["label"].dtype for batch in made} == {np.dtype("int32")}
    assert 0.5 < max(np.abs(batch["z"]).max() for batch in made) <= 1.0


def operators(file):
    """A LiteRT model's operators, sorted, such as "CONV_2D"; others begin with "CUSTOM "."""
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0))
    return sorted(
        f"CUSTOM {operator.customCode.decode()}"
        if operator.customCode
        else names[operator.builtinCode]
        for operator in model.operatorCodes
    )


@edge
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_litert_needs_built_in_operators_only(precision, student, tmp_path):
    path = export_litert(student, tmp_path / "out", precision).path

    found = operators(path / "model.tflite")
    assert {"DEPTHWISE_CONV_2D", "RESIZE_BILINEAR", "TANH"} <= set(found)
    assert not [name for name in found if name.startswith("CUSTOM")]
    # Whole numbers throughout: one step in and one out.
    assert (precision == "int8") == ({"QUANTIZE", "DEQUANTIZE"} <= set(found))


@edge
def test_litert_refuses_operators_that_are_not_built_in(tmp_path):
    class Unusual(keras.Model):
        latent_dim, num_classes, image_size = 4, 3, 2

        def call(self, inputs, training=False):
            latents, labels = inputs
            values = tf.linalg.det(tf.reshape(latents, (-1, 2, 2)))[:, None, None, None]
            return values * tf.ones((2, 2, 3)) + 0.0 * tf.cast(labels[0], "float32")

    with pytest.raises(ValueError, match="that LiteRT can't hold"):
        export_litert(Unusual(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@edge
def test_float16_halves_the_weights(tmp_path):
    student = StudentGenerator(channels=(64, 4), latent_dim=32, num_classes=3, embedding_dim=4)

    exported = export_litert(student, tmp_path / "out", "float16")

    assert exported.psnr > 60
    assert exported.bytes < 0.6 * exported.float32_bytes


@edge
def test_a_student_of_half_precision_is_exported_in_float32(tmp_path):
    student = StudentGenerator(
        channels=(8, 4), latent_dim=6, num_classes=3, embedding_dim=4, dtype="mixed_bfloat16"
    )
    assert export_litert(student, tmp_path / "out").max_difference <= 1e-5


@edge
def test_static_and_dynamic_batches_are_in_the_onnx_files(student, tmp_path):
    onnx = pytest.importorskip("onnx")

    sizes = []
    for batch_size in (2, None):
        path = export_onnx(student, tmp_path / f"{batch_size}", batch_size=batch_size).path
        first, _ = onnx.load(path / "model.onnx").graph.input
        sizes.append(first.type.tensor_type.shape.dim[0].dim_value)
    assert sizes == [2, 0]


@edge
@pytest.mark.parametrize("name", ["tinygan_fashion_32", "tinygan_v2_fashion_32"])
def test_the_embedded_student_loses_little(repository, tmp_path, name):
    """The paper's network: 20 dB and three quarters of its size without the rewrite of `balancing`."""
    student = load_student(repository / "saved_models" / name)

    exported = export_litert(student, tmp_path / "out", "int8", truncation=1.0)

    assert exported.psnr > 27
    assert exported.bytes < 0.6 * exported.float32_bytes
