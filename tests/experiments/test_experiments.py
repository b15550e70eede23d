"""The configs of the experiments: the paper's values, and real steps of every one with a small stand-in."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub
from image_tree_fixtures import write_tree

from tinygan_keras.classes.selection import class_numbers
from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.image_sets import open_training_images
from tinygan_keras.data.teacher_cache import TeacherCache, write_cache
from tinygan_keras.generators import cost
from tinygan_keras.networks.network import count_parameters
from tinygan_keras.networks.presets import DISCRIMINATORS, STUDENTS
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs.components import build_model
from tinygan_keras.runs.config import default_config, differences, epochs, validate
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.teacher_config import default_teacher_config, validate_teacher_config
from tinygan_keras.teachers.biggan_deep import BigGANDeep
from tinygan_keras.teachers.hub import HubTeacher

SIZES = {"imagenet_128": 128, "imagenet_64": 64}
CONFIGS = (
    *("imagenet_128/paper", "imagenet_128/improved", "imagenet_128/data_free"),
    *("imagenet_64/paper", "imagenet_64/improved"),
)
CIFAR10 = ("cifar10/paper", "cifar10/improved")
TWINS = ("imagenet_64/paper", "imagenet_64/improved")
"""Configs whose code others run through; they run with the slow tests only."""


@pytest.fixture(scope="module")
def scripts(repository):
    """The scripts that make teachers, importable as they are when they run."""
    folders = [str(repository / "experiments" / name) for name in ("imagenet_128", "imagenet_64")]
    sys.path[:0] = folders
    yield
    sys.path[:] = [path for path in sys.path if path not in folders]


@pytest.fixture(scope="module")
def stand_in(scripts, tmp_path_factory):
    """A small teacher of 32 px, from the script that makes the large one; ImageNet's classes."""
    from make_stand_in import write_stand_in

    folder = tmp_path_factory.mktemp("stand_in") / "32"
    return HubTeacher(write_stand_in(folder, image_size=32, channels=1), truncation=0.5)


@pytest.fixture(scope="module")
def halved(stand_in, scripts, tmp_path_factory):
    from make_teacher import make_halved_teacher

    folder = tmp_path_factory.mktemp("halved") / "16"
    return make_halved_teacher(stand_in.handle, folder, truncation=0.5)


class PlainTeacher:
    """Grey images by class, of the sizes that the teacher of a config has."""

    latent_dim, class_embedding = 128, None
    handle, content_hash = "a plain teacher", "0" * 64

    def __init__(self, image_size, num_classes, truncation):
        self.image_size, self.num_classes, self.truncation = image_size, num_classes, truncation

    def __call__(self, latents, labels):
        shades = tf.cast(labels, tf.float32)[:, None, None, None] / self.num_classes
        return tf.ones((len(latents), self.image_size, self.image_size, 3)) * shades


@pytest.fixture(scope="module")
def real_images(tmp_path_factory):
    """An ImageNet of four classes, and ten classes of 32 px in a file."""
    root = tmp_path_factory.mktemp("real")
    write_tree(root / "train")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 32, 32, 3), dtype="uint8")
    np.savez(root / "cifar10.npz", images=images, labels=np.arange(20) % 10)
    return {128: str(root), 64: str(root), 32: str(root / "cifar10.npz")}


def get_config(repository, name):
    return runpy.run_path(str(repository / "experiments" / f"{name}.py"))["get_config"]()


def tiny(config, size, real_images):
    """The config with two channels everywhere, two steps, and real images that are here."""
    config.data = "none" if config.data == "none" else real_images[size]
    for part, presets in (("student", STUDENTS), ("discriminator", DISCRIMINATORS)):
        stages = len(presets[config[part]]["channels"])
        with config[f"{part}_overrides"].unlocked():
            config[f"{part}_overrides"].channels = (2,) * stages
    config.batch_size = 2
    config.steps = config.steps_per_epoch = 2
    config.steps_per_execution = 1
    return config


def make_cache(teacher, config, folder):
    classes = class_numbers(config.classes, teacher.num_classes) if config.classes else None
    settings = {"classes": classes, "shard_size": 4, "batch_size": 4, "progress": False}
    write_cache(teacher, folder, 8, **settings)
    return classes


# What they say


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_valid_and_end_in_a_minute_when_debugged(repository, name):
    config = validate(get_config(repository, name))
    assert epochs(config) == 30 and config.steps % config.steps_per_epoch == 0
    assert config.steps_per_epoch % config.steps_per_execution == 0
    config.debug = True
    small = validate(config)
    assert small.steps <= 20 and small.steps_per_epoch % small.steps_per_execution == 0


@pytest.mark.parametrize("name", CONFIGS + CIFAR10)
def test_configs_open_with_how_to_run_them(repository, name):
    text = (repository / "experiments" / f"{name}.py").read_text()
    docstring = text.split('"""')[1]
    for heading in ("Paper:", "Command:", "Hardware:", "Wall time:", "Expected:"):
        assert heading in docstring, heading
    command = re.search(r"tinygan distill --config=(\S+) --workdir=runs/\S+", docstring)
    assert command and command[1] == f"experiments/{name}.py"


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_configs_of_teachers_are_valid_and_build_their_networks(repository, name):
    config = get_config(repository, f"{name}/teacher")
    docstring = (repository / "experiments" / name / "teacher.py").read_text().split('"""')[1]
    for heading in ("Paper:", "Command:", "Hardware:", "Wall time:", "Expected:"):
        assert heading in docstring, heading
    assert f"tinygan teach --config=experiments/{name}/teacher.py --out=runs/" in docstring
    complete = validate_teacher_config(config)
    assert complete.steps % complete.steps_per_epoch == 0
    config.debug = True
    assert validate_teacher_config(config).steps <= 20
    if name == "fashion_mnist":  # what the defaults are known to reach, they reach
        own = ("name", "data", "data_subset", "extractor", "evaluate_every", "image_channels")
        changed = differences(complete.to_dict(), default_teacher_config().to_dict())
        assert {line.split(":")[0] for line in changed} == set(own)
    else:  # what the configs beside it expect of their teacher
        student = STUDENTS[get_config(repository, "cifar10/paper").student]
        assert config.latent_dim == config.embedding_dim == student["latent_dim"]


def test_paper_is_the_paper_to_the_last_digit(repository):
    config = validate(get_config(repository, "imagenet_128/paper"))
    assert config.feature_weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    assert (config.pixel_weight, config.pixel_weight_decay) == (0.2, 0.01)
    assert config.adversarial_distillation_weight == 0.01
    assert config.adversarial_gan_weight == 0.002 == 0.2 * config.adversarial_distillation_weight
    assert (config.discriminator_gan_weight, config.adversarial_interval) == (0.2, 5)
    assert (config.g_learning_rate, config.d_learning_rate) == (2e-4, 2e-4)
    assert (config.beta_1, config.beta_2) == (0.0, 0.9)
    assert (config.batch_size, config.steps, epochs(config)) == (32, 741_600, 30)
    assert (config.truncation, config.classes, config.ema_decay) == (0.5, "animals", 0.0)
    assert (config.gradient_clip_norm, config.horizontal_flip) == (0.0, False)
    assert (config.student, config.discriminator) == ("tinygan_128", "tinygan_128")
    assert config.teacher == "https://tfhub.dev/deepmind/biggan-deep-128/1"
    assert config.teacher_cache and not config.teacher_samples and config.data != "none"


def test_the_authors_step_is_in_every_paper_config_and_in_no_other(repository):
    defaults = default_config()
    for name in CONFIGS:
        config = get_config(repository, name)
        paper = name.endswith("paper")
        switches = ("power_iteration_per_call", "renew_fresh_latents")
        assert [config[switch] for switch in switches] == [paper] * 2, name
        assert config.reuse_teacher_features
        assert config.adam_epsilon == (1e-8 if paper else defaults.adam_epsilon)
        assert ("start_at_identity" in config.student_overrides) == paper
        assert ("class_table_stddev" in config.discriminator_overrides) == paper
        start = {"start_at_identity": False} if paper else {}
        assert config.student_overrides.to_dict() == start


def test_our_student_and_step_are_in_every_config_but_the_paper_s(repository):
    for name in CONFIGS + CIFAR10:
        config = get_config(repository, name)
        paper = name.endswith("paper")
        assert config.student.startswith("tinygan_v2_") != paper
        assert config.fresh_latents == paper


@pytest.mark.parametrize(
    "path", ["recipes/grid.py", "sizes/fashion_mnist.py", "sizes/cifar10.py", "cifar10/grid.py"]
)
def test_candidates_of_the_bench_are_valid_and_within_their_share_of_the_teacher(repository, path):
    folder = repository / "experiments"
    bench = runpy.run_path(str(folder / "recipes" / "bench.py"))
    grid = bench["load_grid"](folder / path)
    data = "cifar10" if "cifar10" in path else "fashion"
    parameters, multiply_adds = {
        "fashion": (1_251_426, 158_076_800),
        "cifar10": (1_354_212, 158_768_832),
    }[data]
    for name in grid[1]:
        part = int(name.split("_")[1]) if path.startswith("sizes") else 16
        config = validate(bench["config_of"](grid, name, 100_000))
        assert config.seed == 100_000 and config.steps % config.steps_per_epoch == 0
        assert bench["config_of"](grid, name, 0, "pictures").data == "pictures"
        student = StudentGenerator.from_preset(
            config.student, load_weights=False, **config.student_overrides
        )
        specs = tf.TensorSpec((1, student.latent_dim)), tf.TensorSpec((1,), tf.int32)
        assert part * count_parameters(student) <= parameters
        assert part * cost.multiply_adds(student, specs) <= multiply_adds
        family = name.split("_")[0]
        if name in ("ours", "ours_16", "paper", "paper_16"):
            preset = STUDENTS[f"tinygan_{'v2_' if family == 'ours' else ''}{data}_32"]
            assert {key: getattr(student, key) for key in preset} == preset


def test_paper_decays_from_step_300_000_to_the_last(repository):
    config = validate(get_config(repository, "imagenet_128/paper"))
    config.student_overrides = {"channels": (2, 2), "num_classes": 2}
    config.discriminator_overrides = {"channels": (2,), "num_classes": 2, "image_size": 8}
    config.feature_weights = (1.0,)
    model = build_model(config)
    for optimizer in (model.g_optimizer, model.d_optimizer):
        rates = [0.0, 0.0, 0.0, 0.0]
        for place, step in enumerate((300_000, 300_442, 520_800, 741_600)):
            optimizer.iterations.assign(step)
            rates[place] = float(optimizer.learning_rate)
        assert rates == pytest.approx([2e-4, 2e-4 * (1 - 442 / 441_600), 1e-4, 0.0], rel=1e-6)


def test_sizes_and_data_free_differ_in_what_they_name_only(repository):
    def plain(name):
        return get_config(repository, name).to_dict()

    def changed(name, other):
        return {line.split(":")[0] for line in differences(plain(name), plain(other))}

    networks = {"name", "teacher", "teacher_cache", "data", "student", "discriminator"}
    networks |= {"feature_weights"}
    assert changed("imagenet_64/paper", "imagenet_128/paper") == networks
    assert changed("imagenet_64/improved", "imagenet_128/improved") == networks
    assert changed("imagenet_128/data_free", "imagenet_128/improved") == {"data", "horizontal_flip"}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_run_sees_as_many_teacher_images_as_its_paper_twin(repository, name):
    config = get_config(repository, name)
    paper = get_config(repository, f"{name.split('/')[0]}/paper")
    assert config.batch_size * config.steps == paper.batch_size * paper.steps
    readme = (repository / "experiments" / name.split("/")[0] / "README.md").read_text()
    images_of_an_epoch = paper.batch_size * paper.steps_per_epoch
    assert f"--count={images_of_an_epoch}" in readme
    assert f"--out={config.teacher_cache}" in readme


# The stand-in


def test_stand_in_has_the_size_of_the_original():
    large = BigGANDeep()
    assert large.parameters == pytest.approx(50_390_000, abs=5_000)  # as published
    assert len(large.blocks) == 10 and large.attention_size == 64
    shapes = large.shapes()
    assert shapes["Generator/GBlock/conv1/w"] == (3, 3, 512, 512)
    assert shapes["Generator/GBlock_9/conv3/w"] == (1, 1, 64, 128)


@pytest.mark.full
def test_stand_in_is_a_teacher(stand_in):
    assert stand_in.is_pure and (stand_in.image_size, stand_in.latent_dim) == (32, 128)
    assert stand_in.class_embedding.shape == (1000, 128)
    latents = np.random.default_rng(0).uniform(-1, 1, (4, 128)).astype("float32")
    images = stand_in(latents, [0, 1, 2, 3]).numpy()
    assert 0.1 < images.std() < 0.9 and np.mean(np.abs(images) > 0.99) < 0.1
    same_class = stand_in(latents, [1, 1, 1, 1]).numpy()
    np.testing.assert_allclose(same_class[1], images[1], atol=1e-4)
    assert np.abs(same_class[0] - images[0]).mean() > 0.01  # the class counts
    assert np.abs(same_class[0] - same_class[1]).mean() > 0.01  # the latent counts


@pytest.mark.full
def test_stand_in_is_a_hub_module_with_raw_and_averaged_weights(stand_in):
    folder = Path(stand_in.folder)
    assert (folder / "tfhub_module.pb").read_bytes() == b"\x08\x03"
    shapes = dict(tf.train.list_variables(str(folder / "variables" / "variables")))
    raw = {name for name in shapes if f"{name}/ema_0.9999" in shapes}
    assert stand_in.parameters == sum(int(np.prod(shapes[name])) for name in raw)
    assert "Generator/GBlock_5/conv3/w" in raw and "Generator/GenZ/G_linear/u0" in shapes
    assert shapes["Generator/GBlock/BatchNorm/mean_table"] == [51, 4]


@pytest.mark.full
def test_stand_in_normalises_by_truncation(stand_in):
    latents, labels = tf.zeros((2, 128)), tf.one_hot([3, 4], 1000)
    draw = tensorflow_hub.load(stand_in.handle).signatures["default"]
    images = [draw(z=latents, y=labels, truncation=tf.constant(t)) for t in (0.5, 0.04, 0.05)]
    images = [image["default"].numpy() for image in images]
    np.testing.assert_allclose(images[0], stand_in(latents, [3, 4]), atol=1e-5)
    step = np.abs(images[0] - images[1]).max()
    assert step > 1e-3  # other statistics
    assert 0 < np.abs(images[1] - images[2]).max() < step / 5  # and lines between them


@pytest.mark.slow
def test_half_size_teacher_draws_the_means_of_the_large_one(stand_in, halved):
    small = HubTeacher(halved, truncation=0.5)
    latents = np.random.default_rng(0).uniform(-1, 1, (2, 128)).astype("float32")
    expected = stand_in(latents, [0, 999]).numpy().reshape(2, 16, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_allclose(small(latents, [0, 999]).numpy(), expected, atol=1e-5)
    assert small.parameters == stand_in.parameters
    np.testing.assert_array_equal(small.class_embedding, stand_in.class_embedding)


@pytest.mark.slow
def test_half_size_teacher_has_one_truncation(halved):
    with pytest.raises(ValueError, match="nan"):
        HubTeacher(halved, truncation=0.7)


def test_stand_in_refuses_to_overwrite_and_unknown_sizes(scripts, tmp_path):
    from make_stand_in import write_stand_in

    with pytest.raises(FileExistsError, match="delete it first"):
        write_stand_in(tmp_path)
    with pytest.raises(ValueError, match="32, 64, 128, 256, 512"):
        write_stand_in(tmp_path / "new", image_size=48)
    assert not list(tmp_path.iterdir())


# Real steps


@pytest.fixture
def eager_functions():
    """Steps of tiny networks cost less than tracing them."""
    tf.config.run_functions_eagerly(True)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")
@pytest.mark.parametrize(
    "name",
    [
        "imagenet_128/paper",
        *(pytest.param(name, marks=pytest.mark.full) for name in CONFIGS[1:] if name not in TWINS),
    ],
)
def test_configs_take_real_steps(repository, real_images, tmp_path, eager_functions, name):
    size = SIZES[name.split("/")[0]]
    config = validate(tiny(get_config(repository, name), size, real_images))
    teacher = PlainTeacher(size, 1000, config.truncation)
    classes = make_cache(teacher, config, tmp_path)
    real = open_training_images(config.data, size, teacher.num_classes, classes)
    flip = config.horizontal_flip
    batches = distillation_batches(TeacherCache(tmp_path), real, 2, horizontal_flip=flip)
    model = build_model(config)
    networks = (model.student, model.discriminator)
    before = [[v.numpy() for v in network.trainable_variables] for network in networks]
    history = model.fit(batches, steps_per_epoch=config.steps, verbose=0, shuffle=False).history
    assert all(np.isfinite(value).all() for value in history.values()), history
    for old, network in zip(before, networks, strict=True):
        pairs = zip(old, network.trainable_variables, strict=True)
        assert any(np.any(a != b.numpy()) for a, b in pairs)
    assert ("adversarial_gan" in history) == (not name.endswith("data_free"))
    if classes is not None:
        assert next(iter(batches))["label"].numpy().max() < 398


@pytest.fixture(scope="module")
def teachers(scripts, tmp_path_factory):
    """Folders of stand-ins by image size: all of the design, with the least of channels."""
    from make_stand_in import write_stand_in
    from make_teacher import make_halved_teacher

    root = tmp_path_factory.mktemp("stand_ins")
    large = write_stand_in(root / "128", channels=1)
    return {
        128: large,
        64: make_halved_teacher(large, root / "64"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_runs_to_its_report(repository, teachers, real_images, tmp_path, name):
    size = SIZES[name.split("/")[0]]
    config = tiny(get_config(repository, name), size, real_images)
    config.teacher, config.teacher_cache = str(teachers[size]), str(tmp_path / "cache")
    make_cache(HubTeacher(config.teacher, config.truncation), config, config.teacher_cache)
    report = distill(config, tmp_path / "run")
    assert report and (tmp_path / "run" / "student.keras").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR10)
def test_students_of_cifar10_run_to_their_report(repository, real_images, tmp_path, name):
    config = get_config(repository, name)
    config.data, config.debug = real_images[32], True
    report = distill(config, tmp_path / "run")
    assert report["student"]["parameters"] * 16 <= report["teacher"]["parameters"]
    assert (tmp_path / "run" / "student.keras").is_file()


@pytest.mark.slow
def test_paper_takes_steps_at_full_size(repository, scripts, real_images, tmp_path):
    """The stand-in of 50 million parameters, the paper's networks, and two steps."""
    from make_stand_in import write_stand_in

    config = get_config(repository, "imagenet_128/paper")
    folder = write_stand_in(tmp_path / "teacher")
    teacher = HubTeacher(folder, truncation=config.truncation)
    assert teacher.parameters == 50_388_609
    specs = tf.TensorSpec((1, 128)), tf.TensorSpec((1,), tf.int32)
    assert cost.multiply_adds(teacher, *specs) == pytest.approx(11.3e9, rel=0.01)
    classes = make_cache(teacher, config, tmp_path / "cache")
    real = open_training_images(real_images[128], 128, 1000, classes)
    batches = distillation_batches(TeacherCache(tmp_path / "cache"), real, 2)
    model = build_model(config)
    model.student.set_class_embedding(teacher.class_embedding)
    history = model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False).history
    assert np.isfinite(history["g_loss"]).all() and np.isfinite(history["d_loss"]).all()
