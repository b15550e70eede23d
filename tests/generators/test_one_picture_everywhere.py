"""A picture is (class, seed, truncation): the same three give the same picture through every door.

A door is a function from a truncation and an empty folder to the images of `CLASSES` and `SEEDS`, uint8
`[N, 32, 32, 3]`, class by class. Rounding and the order of sums may move a value by one level.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from prediction_service import ModelServer
from saved_model_session import SavedModelSession

import tinygan_keras as tg
from tinygan_keras.cli import main
from tinygan_keras.data.teacher_cache import TeacherCache, write_cache
from tinygan_keras.data.teacher_samples import sample_teacher
from tinygan_keras.generators.generator import GeneratedImages, grid_of
from tinygan_keras.generators.opening import load_student, open_generator

CLASSES, SEEDS, TRUNCATIONS = (7, 8, 0, 3, 9), (5, 2**40), (0.3, 1.0)
COUNT = len(CLASSES) * len(SEEDS)


@pytest.fixture(scope="module", params=["tinygan_fashion_32", "tinygan_v2_fashion_32"])
def model(repository, request):
    return repository / "saved_models" / request.param


@pytest.fixture(scope="module")
def generator(model):
    return open_generator(model)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "1"
    names = open_generator(model).class_names
    return tg.export_saved_model(load_student(model), path, class_names=names)


@pytest.fixture(scope="module")
def expected(model):
    """The images of the student, from nothing but the rule of the latents and its weights, by truncation."""
    from tinygan_keras.latents import latents_of_seeds

    student = load_student(model)
    labels, seeds = grid_of(CLASSES, SEEDS)
    return {
        truncation: np.rint(
            (student((latents_of_seeds(seeds, student.latent_dim, truncation), labels)) + 1) * 127.5
        ).astype(int)
        for truncation in TRUNCATIONS
    }


def in_order(images, labels, seeds):
    """Images in the order of the grid, by their labels and seeds."""
    place = {pair: k for k, pair in enumerate(zip(labels, seeds, strict=True))}
    return np.stack([images[place[pair]] for pair in itertools.product(CLASSES, SEEDS)])


# Doors


def generate(request, truncation, folder):
    generator = request.getfixturevalue("generator")
    labels, seeds = grid_of(CLASSES, SEEDS)
    return generator.generate(labels, seeds, truncation)


def generate_one_by_one(request, truncation, folder):
    generator = request.getfixturevalue("generator")
    pairs = itertools.product(CLASSES, SEEDS)
    return np.concatenate([generator.generate(k, seed, truncation) for k, seed in pairs])


def generate_by_name(request, truncation, folder):
    generator = request.getfixturevalue("generator")
    labels, seeds = grid_of(CLASSES, SEEDS)
    names = [generator.class_names[label].upper() for label in labels]
    return generator.generate(names, seeds.tolist(), truncation)


def read_in_parts(request, truncation, folder):
    generator = request.getfixturevalue("generator")
    images = GeneratedImages(generator, *grid_of(CLASSES, SEEDS), truncation)
    return np.concatenate([images.read(0, 3), images.read(3, 4), images.read(4, COUNT)])


def saved_model(request, truncation, folder):
    """`serving_default`, whose latents are made here."""
    generator = open_generator(request.getfixturevalue("exported"), truncation)
    return generator.generate(*grid_of(CLASSES, SEEDS))


def rows(truncation):
    """The inputs of the signatures that take seeds."""
    labels, seeds = grid_of(CLASSES, SEEDS)
    return {
        "label": tf.constant(labels, tf.int64),
        "seed": tf.constant(seeds),
        "truncation": tf.fill([COUNT], truncation),
    }


def signature_uint8(request, truncation, folder):
    module = tf.saved_model.load(request.getfixturevalue("exported"))
    return module.signatures["sample_uint8"](**rows(truncation))["image"].numpy()


def signature_by_name(request, truncation, folder):
    module = tf.saved_model.load(request.getfixturevalue("exported"))
    names = request.getfixturevalue("generator").class_names
    inputs = rows(truncation)
    inputs["class_name"] = tf.gather(tf.constant(names), inputs.pop("label"))
    pngs = module.signatures["sample_by_name"](**inputs)["image_bytes"]
    return np.stack([tf.io.decode_png(png).numpy() for png in pngs])


def client(transport, request, truncation):
    """Through a stand-in for a model server that runs the exported graph."""
    labels, seeds = grid_of(CLASSES, SEEDS)
    versions = {1: SavedModelSession(request.getfixturevalue("exported"))}
    with (
        ModelServer({"tinygan": versions}, grpc=transport == "grpc") as server,
        tg.ServingClient(getattr(server, f"{transport}_address"), batch_size=4) as serving_client,
    ):
        return serving_client.images(labels.tolist(), seeds.tolist(), truncation)


def client_rest(request, truncation, folder):
    return client("rest", request, truncation)


def client_grpc(request, truncation, folder):
    pytest.importorskip("tensorflow_serving", reason="needs the extra serving")
    return client("grpc", request, truncation)


def small_runtime(package, export, request, truncation, folder):
    """A student in float32 for one of the small runtimes."""
    pytest.importorskip(package, reason=f"needs the package {package}")
    export(load_student(request.getfixturevalue("model")), folder / "runtime")
    return open_generator(folder / "runtime").generate(*grid_of(CLASSES, SEEDS), truncation)


def litert(request, truncation, folder):
    return small_runtime("ai_edge_litert", tg.export_litert, request, truncation, folder)


def onnx(request, truncation, folder):
    pytest.importorskip("tf2onnx", reason="needs the package tf2onnx")
    return small_runtime("onnxruntime", tg.export_onnx, request, truncation, folder)


def openvino(request, truncation, folder):
    return small_runtime("openvino", tg.export_openvino, request, truncation, folder)


class StudentAsTeacher:
    """What `sample_teacher` and `write_cache` ask of a teacher."""

    handle = "a student"

    def __init__(self, generator, truncation):
        self.truncation, self.draw = truncation, generator.draw
        for name in ("latent_dim", "num_classes", "image_size", "content_hash"):
            setattr(self, name, getattr(generator, name))

    def __call__(self, latents, labels):
        return self.draw(latents, labels)


def teacher_samples(request, truncation, folder):
    """Sample k has the seed of the first one plus k, and classes take turns: here one at a time."""
    teacher = StudentAsTeacher(request.getfixturevalue("generator"), truncation)
    pairs = itertools.product(CLASSES, SEEDS)
    settings = {"count": 1, "batch_size": 1, "progress": False}
    samples = [sample_teacher(teacher, seed=seed, classes=k, **settings) for k, seed in pairs]
    return np.concatenate([sample.images for sample in samples])


def teacher_cache(request, truncation, folder):
    teacher = StudentAsTeacher(request.getfixturevalue("generator"), truncation)
    settings = {"count": 1, "batch_size": 1, "shard_size": 1, "progress": False}
    images = []
    for number, (label, seed) in enumerate(itertools.product(CLASSES, SEEDS)):
        write_cache(teacher, folder / str(number), seed=seed, classes=[label], **settings)
        images.append(TeacherCache(folder / str(number)).read(0, 1))
    return np.concatenate(images)


def sample(request, truncation, out, *flags):
    flags = (f"--classes={','.join(map(str, CLASSES))}", f"--truncation={truncation}", *flags)
    seeds = ",".join(map(str, SEEDS))
    model = request.getfixturevalue("model")
    assert main(["sample", f"--model={model}", f"--seeds={seeds}", f"--out={out}", *flags]) == 0
    return out


def sample_images(request, truncation, folder):
    files = sorted(sample(request, truncation, folder / "images").iterdir())
    return np.stack([np.asarray(Image.open(file)) for file in files])


def sample_folder(request, truncation, folder):
    """A folder knows no seeds; its files are numbered seed by seed."""
    out = sample(request, truncation, folder / "folder", "--format=folder")
    files = sorted(out.rglob("*.png"), key=lambda file: file.name)
    labels = [int(file.name.split("_")[1]) for file in files]
    images = [np.asarray(Image.open(file)) for file in files]
    return in_order(images, labels, np.repeat(SEEDS, len(CLASSES)).tolist())


def sample_npz(request, truncation, folder):
    with np.load(sample(request, truncation, folder / "set.npz")) as archive:
        return in_order(archive["images"], archive["labels"].tolist(), archive["seeds"].tolist())


def sample_tfrecord(request, truncation, folder):
    out = sample(request, truncation, folder / "shards", "--format=tfrecord")
    files = sorted(str(file) for file in out.glob("*.tfrecord"))
    records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files)]
    features = [record.features.feature for record in records]
    images = [tf.io.decode_png(f["image"].bytes_list.value[0]).numpy() for f in features]
    labels, seeds = ([f[name].int64_list.value[0] for f in features] for name in ("label", "seed"))
    return in_order(images, labels, seeds)


def images_in(picture, wanted):
    """Looks for images in a picture of rows, which shows pixels as squares; returns what it shows."""
    for side in range(1, 5):
        windows = np.lib.stride_tricks.sliding_window_view(picture, (32 * side, 32 * side, 3))
        windows = windows[:, :, 0, ::side, ::side]
        found = []
        for image in wanted:
            middle = np.abs(windows[..., 16, 16, :].astype(int) - image[16, 16]).max(axis=-1)
            for place in map(tuple, np.argwhere(middle <= 1)):
                if np.abs(windows[place].astype(int) - image).max() <= 1:
                    found.append(place)
                    break
        if len(found) == len(wanted):
            assert found == sorted(found)
            return np.stack([windows[place] for place in found])
    raise AssertionError("The picture doesn't show the images.")


def sample_png(request, truncation, folder):
    file = sample(request, truncation, folder / "grid.png")
    wanted = request.getfixturevalue("expected")[truncation]
    return images_in(np.asarray(Image.open(file).convert("RGB")), wanted)


def request_png(request, truncation, folder):
    versions = {1: SavedModelSession(request.getfixturevalue("exported"))}
    classes, seeds = (",".join(map(str, numbers)) for numbers in (CLASSES, SEEDS))
    flags = [f"--classes={classes}", f"--seeds={seeds}", f"--truncation={truncation}"]
    file = folder / "grid.png"
    with ModelServer({"tinygan": versions}) as server:
        assert main(["request", f"--server={server.rest_address}", *flags, f"--out={file}"]) == 0
    wanted = request.getfixturevalue("expected")[truncation]
    return images_in(np.asarray(Image.open(file).convert("RGB")), wanted)


DOORS = (
    generate,
    generate_one_by_one,
    generate_by_name,
    read_in_parts,
    saved_model,
    signature_uint8,
    signature_by_name,
    client_rest,
    client_grpc,
    request_png,
    pytest.param(litert, marks=pytest.mark.edge),
    pytest.param(onnx, marks=pytest.mark.edge),
    pytest.param(openvino, marks=pytest.mark.edge),
    teacher_samples,
    teacher_cache,
    sample_images,
    sample_folder,
    sample_npz,
    sample_tfrecord,
    sample_png,
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_same_class_seed_and_truncation_give_the_same_picture(
    door, request, expected, tmp_path
):
    for truncation in TRUNCATIONS:
        folder = tmp_path / str(truncation)
        folder.mkdir()
        images = door(request, truncation, folder)
        assert images.shape == (COUNT, 32, 32, 3) and images.dtype == np.uint8
        assert np.abs(images.astype(int) - expected[truncation]).max() <= 1
