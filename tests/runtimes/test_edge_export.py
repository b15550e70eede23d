"""Exports for LiteRT, ONNX Runtime and OpenVINO: the student's images, all or nothing, never over a thing."""

import functools
import importlib
import json
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.generators.opening import load_generator, load_student
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runtimes import parity
from tinygan_keras.runtimes.edge_runtimes import load_runtime
from tinygan_keras.runtimes.export_litert import export_litert
from tinygan_keras.runtimes.export_onnx import export_onnx
from tinygan_keras.runtimes.export_openvino import export_openvino
from tinygan_keras.runtimes.forms import FORMS

EXPORTS = {"litert": export_litert, "onnx": export_onnx, "openvino": export_openvino}
NAMES = ("cat", "dog", "cow")
LATENT_DIM = 6

edge = pytest.mark.edge
every_form = pytest.mark.parametrize("form", [pytest.param(name, marks=edge) for name in EXPORTS])


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
    """Function that exports the student in float32 in a form, once for all tests."""
    folder = tmp_path_factory.mktemp("exports")

    @functools.cache
    def export(form):
        return EXPORTS[form](student, folder / form, class_names=NAMES, truncation=0.25)

    return export


@every_form
def test_float32_draws_the_same_images_in_any_number(form, exported, student, inputs):
    export = exported(form)

    generator = load_runtime(export.path, threads=1)
    latents, labels = inputs
    expected = student(inputs, training=False)
    np.testing.assert_allclose(generator.draw(latents, labels), expected, atol=1e-5)
    one = generator.draw(tf.constant(latents[3:4]), tf.constant(labels[3:4], tf.int64))
    np.testing.assert_allclose(one, expected[3:4], atol=1e-5)
    assert one.dtype == np.float32
    assert (generator.latent_dim, generator.num_classes, generator.image_size) == (6, 3, 16)
    assert (generator.class_names, generator.truncation) == (NAMES, 0.25)
    assert generator.format == f"{form} float32"
    assert export.max_difference <= 1e-5
    assert export.bytes == export.float32_bytes > 0


@every_form
def test_int8_is_near_the_student(form, student, inputs, tmp_path):
    exported = EXPORTS[form](student, tmp_path / "out", "int8", truncation=0.5)

    images = load_runtime(exported.path).draw(*inputs)
    near = parity.difference(images, student(inputs, training=False))
    assert 25 < near.psnr < 70  # quantised, and well
    assert images.dtype == np.float32
    config = json.loads((exported.path / "config.json").read_text())
    assert config["precision"] == "int8"
    assert config["psnr"] == exported.psnr
    assert not (exported.path / "class_names.txt").exists()


@every_form
def test_a_static_batch_draws_any_number(form, student, inputs, tmp_path):
    path = EXPORTS[form](student, tmp_path / "out", batch_size=2).path

    generator = load_runtime(path / FORMS[form].file)  # the file stands for its folder
    expected = student(inputs, training=False)
    np.testing.assert_allclose(generator.draw(*inputs), expected, atol=1e-5)


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
def test_static_and_dynamic_batches_are_in_the_files(student, tmp_path):
    onnx = pytest.importorskip("onnx")

    sizes = []
    for batch_size in (2, None):
        path = export_onnx(student, tmp_path / f"{batch_size}", batch_size=batch_size).path
        first, _ = onnx.load(path / "model.onnx").graph.input
        sizes.append(first.type.tensor_type.shape.dim[0].dim_value)
    assert sizes == [2, 0]


@edge
def test_float16_halves_the_weights(tmp_path):
    student = StudentGenerator(channels=(64, 4), latent_dim=32, num_classes=3, embedding_dim=4)

    exported = export_litert(student, tmp_path / "out", "float16")

    assert exported.psnr > 60
    assert exported.bytes < 0.6 * exported.float32_bytes


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
def test_operators_that_are_not_built_in_are_seen_and_refused(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([2, 2])])
    def needs_more(x):
        return tf.linalg.det(x)

    function = needs_more.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.allow_custom_ops = True
    (tmp_path / "custom.tflite").write_bytes(converter.convert())
    assert operators(tmp_path / "custom.tflite") == ["CUSTOM MatrixDeterminant"]

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
def test_the_embedded_student_loses_little(repository, tmp_path):
    """20 dB and three quarters of its size without the rewrite of `balancing`."""
    student = load_student(repository / "saved_models" / "tinygan_fashion_32")

    exported = export_litert(student, tmp_path / "out", "int8", truncation=1.0)

    assert exported.psnr > 27
    assert exported.bytes < 0.6 * exported.float32_bytes


@edge
def test_other_images_are_refused_and_leave_nothing(student, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LARGEST_DIFFERENCE", -1.0)
    (tmp_path / "kept").write_text("kept")

    with pytest.raises(ValueError, match="Nothing was written"):
        export_litert(student, tmp_path / "out")

    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


@every_form
def test_everything_that_draws_takes_a_runtime(form, exported, student):
    path = exported(form).path
    generator = load_generator(path, truncation=0.75)
    assert (generator.format, generator.truncation) == (f"{form} float32", 0.75)
    assert load_generator(path / FORMS[form].file).truncation == 0.25
    assert generator.parameters == sum(np.size(v) for v in student.trainable_variables)

    assert generator.generate(["dog", "0"], seeds=2).shape == (2, 16, 16, 3)
    latents = np.zeros((2, LATENT_DIM))
    for labels in ([0, 3], [0, 2**32], [-1, 0], [0.5, 1.0]):
        with pytest.raises(
            ValueError, match="Got labels from .* Expected whole numbers from 0 to 2"
        ):
            generator.draw(latents, np.array(labels))
    with pytest.raises(ValueError, match="Got 2 latents and 3 labels"):
        generator.draw(latents, np.array([0, 1, 2]))


@every_form
def test_a_damaged_file_is_named(form, exported, tmp_path):
    path = shutil.copytree(exported(form).path, tmp_path / "out")
    file = path / FORMS[form].file
    file.write_bytes(file.read_bytes()[:100])

    with pytest.raises(ValueError, match=f"{FORMS[form].file}, which can't be loaded"):
        load_runtime(path)


def test_only_exports_are_loaded(tmp_path):
    (tmp_path / "config.json").write_text('{"truncation": 0.5}')
    for path in (tmp_path, tmp_path / "missing.tflite"):
        with pytest.raises(
            FileNotFoundError, match="Expected a folder that `tinygan export` wrote"
        ):
            load_runtime(path)


@every_form
def test_an_export_is_never_replaced(form, student, tmp_path):
    with pytest.raises(FileExistsError, match="exists already"):
        EXPORTS[form](student, tmp_path)
    assert list(tmp_path.iterdir()) == []


@every_form
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
    ],
)
def test_mistakes_are_found_before_anything_is_converted(
    form, arguments, error, message, student, tmp_path
):
    arguments = {"student": student, "path": tmp_path / "out", **arguments}
    with pytest.raises(error, match=message):
        EXPORTS[form](**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "module"),
    [
        ("litert", "ai_edge_litert.interpreter"),
        ("onnx", "tf2onnx"),
        ("onnx", "onnxruntime"),
        ("openvino", "openvino"),
        ("openvino", "nncf"),
    ],
)
def test_a_missing_extra_is_named(form, module, student, tmp_path, monkeypatch):
    for name in (
        "ai_edge_litert.interpreter",
        "onnx",
        "onnxruntime",
        "tf2onnx",
        "openvino",
        "nncf",
    ):
        monkeypatch.setitem(sys.modules, name, None if name == module else object())

    with pytest.raises(ImportError, match=rf'pip install "tinygan-keras\[{form}\]"'):
        EXPORTS[form](student, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
