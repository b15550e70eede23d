"""The way from a folder of images to a teacher at the smallest size: results, resuming, refusals."""

import csv
import functools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from image_tree_fixtures import write_classes
from PIL import Image
from run_fixtures import interrupt, write_classifier

from tinygan_keras.cli import main
from tinygan_keras.generators.cost import multiply_adds
from tinygan_keras.generators.opening import load_student, open_generator
from tinygan_keras.latents import sample_latents
from tinygan_keras.networks.network import count_parameters
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.runs import measuring
from tinygan_keras.runs import teach as module
from tinygan_keras.runs.checkpoints import load_checkpoint
from tinygan_keras.runs.config import load_config, validate
from tinygan_keras.runs.distill import distill
from tinygan_keras.runs.teach import teach
from tinygan_keras.runs.teacher_config import (
    SIZES,
    default_teacher_config,
    student_config_text,
    validate_teacher_config,
)
from tinygan_keras.teachers.biggan import BigGANDiscriminator, BigGANGenerator
from tinygan_keras.teachers.hub import HubTeacher
from tinygan_keras.teachers.own_teacher import ClassConditionalGAN

COMPILE = ClassConditionalGAN.compile  # without what the fixture below makes of it


@pytest.fixture(scope="module", autouse=True)
def _small_machine():
    """Runs steps eagerly, as tracing takes longer than so few, and measures speed and statistics briefly."""
    measure = module.measure_standing_statistics

    def briefly(generator, batches, size, **settings):
        measure(generator, batches=1, batch_size=6, progress=False, **settings)

    with pytest.MonkeyPatch.context() as patch:
        eagerly = functools.partialmethod(ClassConditionalGAN.compile, run_eagerly=True)
        patch.setattr(ClassConditionalGAN, "compile", eagerly)
        patch.setattr(module, "measure_standing_statistics", briefly)
        brief = functools.partial(measuring.images_per_second, seconds=0.0)
        patch.setattr(measuring, "images_per_second", brief)
        yield


@pytest.fixture(scope="module")
def base_config(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    write_classes(source / "photos", apple=8, kiwi=8, plum=6)
    config = default_teacher_config()
    config.data = str(source / "photos")
    config.extractor = write_classifier(source / "classifier")
    config.generator_channels, config.discriminator_channels = (8, 8, 8, 8), (4, 4, 4, 4)
    config.latent_dim, config.embedding_dim, config.attention_size = 8, 3, 0
    config.batch_size, config.steps, config.steps_per_epoch = 4, 4, 2
    config.d_steps, config.horizontal_flip = 2, True
    config.evaluation_images, config.training_evaluation_images = 12, 8
    config.evaluate_every = 1
    config.dtype_policy = "float32"
    return config


@pytest.fixture
def config(base_config):
    return base_config.copy_and_resolve_references()


@pytest.fixture(scope="module")
def finished(base_config, tmp_path_factory):
    """The folder of a run that nothing interrupted, and its report."""
    out = tmp_path_factory.mktemp("runs") / "teacher"
    return out, teach(base_config, out)


def images_of(out):
    teacher = HubTeacher(out, truncation=0.7)
    return teacher(sample_latents(6, 8, 0.7), np.arange(6) % 3).numpy()


def test_a_run_leaves_a_teacher_and_everything_about_it(finished):
    out, report = finished
    names = ("module/saved_model.pb", "module/samples.png", "report.json", "distill.py")
    assert all((out / name).is_file() for name in (*names, "best/best.weights.h5"))
    pictures = sorted(path.name for path in (out / "progress").iterdir())
    assert pictures == ["epoch_00000.png", "epoch_00001.png", "epoch_00002.png"]
    assert Image.open(out / "training.gif").n_frames == 3
    rows = list(csv.DictReader((out / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {"d_loss", "g_loss", "val_frechet_distance"} <= set(rows[0])
    assert report["teacher"]["frechet_distance"] > 0
    assert report["protocol"]["generated_images"] == report["protocol"]["real_images"] == 12
    assert report["dtype_policy"] == "float32" and report["config"]["steps"] == 4


def test_the_teacher_is_one_for_every_command(finished):
    out, report = finished
    generator = open_generator(out)
    assert (generator.class_names, generator.truncation) == (("apple", "kiwi", "plum"), 1.0)
    assert generator.generate("kiwi", seeds=3).shape == (1, 32, 32, 3)
    assert generator.content_hash == report["teacher"]["content_hash"]
    assert HubTeacher(out / "module").content_hash == generator.content_hash
    sizes = {"latent_dim": 8, "num_classes": 3, "image_size": 32}
    assert sizes == {name: getattr(generator, name) for name in sizes}


def test_its_card_has_the_figures_of_the_evaluation(finished):
    out, report = finished
    card = (out / "module" / "model_card.md").read_text()
    assert "BigGAN teacher, 32 px, 3 classes" in card and "22 images of folder photos" in card
    assert f"{report['teacher']['frechet_distance']:.4g}" in card
    assert "## Protocol" in card and "## Config" in card


def test_the_teacher_is_the_best_that_was_evaluated(finished, base_config):
    out, report = finished
    values = [
        float(row["val_frechet_distance"]) for row in csv.DictReader((out / "history.csv").open())
    ]
    assert report["steps"] == 2 * (1 + int(np.argmin(values)))
    latents, labels = sample_latents(6, 8, 0.7), np.arange(6) % 3
    config = validate_teacher_config(base_config)
    components = module._open_components(config)
    load_checkpoint(components.model, out / "best" / "best.weights.h5")
    again = components.model.ema_generator
    module._measure_statistics(components, config, again)
    np.testing.assert_allclose(again((latents, labels), truncation=0.7), images_of(out), atol=1e-5)


def test_an_interrupted_run_ends_as_if_nothing_had_happened(finished, config, tmp_path):
    out = tmp_path / "again"
    interrupt(teach, config, out)
    assert not (out / "module").exists()
    tf.random.set_seed(99)  # what a new process would have is of no consequence
    report = teach(config, out)
    np.testing.assert_allclose(images_of(out), images_of(finished[0]), atol=1e-6)
    assert report["steps"] == finished[1]["steps"]
    histories = [np.genfromtxt(f / "history.csv", delimiter=",")[1:] for f in (out, finished[0])]
    np.testing.assert_allclose(*histories, atol=1e-5)


@pytest.mark.full
def test_in_a_graph_with_attention_and_in_half_precision_it_trains_too(config, tmp_path):
    config.attention_size, config.dtype_policy, config.evaluate_every = 16, "mixed_bfloat16", 0
    config.steps_per_execution = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassConditionalGAN, "compile", COMPILE)
        report = teach(config, tmp_path / "out")
    assert report["dtype_policy"] == "mixed_bfloat16" and report["steps"] == 4
    assert report["teacher"]["frechet_distance"] > 0
    rows = np.genfromtxt(tmp_path / "out" / "history.csv", delimiter=",", names=True)
    assert np.isfinite([rows["d_loss"], rows["g_loss"]]).all()
    card = (tmp_path / "out" / "module" / "model_card.md").read_text()
    assert "self-attention" in card


def test_a_finished_run_is_left_alone_and_another_config_is_refused(finished, config, capsys):
    out, report = finished
    assert teach(config, out) == report
    assert "finished already" in capsys.readouterr().out
    config.g_learning_rate = 1e-5
    with pytest.raises(ValueError, match="g_learning_rate: 1e-05, was 0.0003"):
        teach(config, out)


@pytest.mark.full
def test_a_diverging_training_stops_and_names_the_loss(config, tmp_path):
    config.divergence_limit, config.evaluate_every, config.extractor = 1e-3, 0, ""
    with pytest.raises(ArithmeticError, match="d_loss in 2 steps.*g_loss"):
        teach(config, tmp_path)


def test_its_student_is_one_command_away(finished, base_config):
    out, _ = finished
    student = validate(load_config(out / "distill.py"))
    assert (student.teacher, student.data) == (str(out), base_config.data)
    assert student.student_overrides.num_classes == 3 and student.horizontal_flip
    assert student.classes == ""


def test_commands_know_the_run(finished, base_config, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "of plums")
    (out / "config.json").write_text(
        json.dumps(json.loads((out / "config.json").read_text()) | {"classes": "kiwi,plum"})
    )
    assert main(["evaluate", f"--model={out}", "--metrics=frechet_distance"]) == 0
    assert main(["pictures", f"--model={out}", "--per_class=3"]) == 0


@pytest.mark.full
def test_three_commands_lead_from_images_to_a_served_student(finished, tmp_path):
    out, _ = finished
    config = load_config(out / "distill.py")
    config.debug, config.evaluation_images = True, 8
    config.student_overrides.channels = (4, 4, 4, 4)
    config.discriminator_overrides.channels = (4, 4, 4)
    distill(config, tmp_path / "student")
    student = load_student(tmp_path / "student")
    assert HubTeacher(out).class_embedding.shape == (student.num_classes, student.embedding_dim)
    arguments = ["export", f"--model={tmp_path / 'student'}", f"--out={tmp_path / 'serving' / '1'}"]
    assert main(arguments) == 0
    served = tf.saved_model.load(str(tmp_path / "serving" / "1"))
    assert "sample_by_name" in served.signatures


def test_classes_without_images_are_left_out_of_everything(config, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 8, 8, 3), dtype="uint8")
    names = np.array(["apple", "kiwi", "plum"])
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(12) % 2 * 2, class_names=names)
    config.data, config.d_steps = str(tmp_path / "a.npz"), 1
    components = module._open_components(config)
    assert components.classes == (0, 2) and components.model.generator.num_classes == 3
    assert module.TeacherGallery(components, config).names == ["apple", "plum"]
    text = student_config_text(config, "runs/t", 3, components.classes)
    assert "config.classes = '0,2'" in text
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "measure_standing_statistics", lambda *_, **kept: drawn.append(kept))
        module._measure_statistics(components, config, components.model.ema_generator)
    # As often as in training, and not class by class.
    assert sorted(drawn[0]["classes"]) == [0] * 6 + [2] * 6
    assert list(drawn[0]["classes"]) != sorted(drawn[0]["classes"])


def test_a_teacher_of_grey_images_draws_no_colours(config, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype="uint8")
    np.savez(tmp_path / "a.npz", images=grey.repeat(3, axis=-1), labels=np.arange(12) % 3)
    config.data, config.d_steps, config.image_channels = str(tmp_path / "a.npz"), 1, 1
    model = module._open_components(config).model
    images = model.generator(inputs := (sample_latents(6, 8, 1.0), np.arange(6) % 3), training=True)
    assert images.shape == (6, 32, 32, 3) and np.ptp(images, axis=-1).max() == 0
    assert np.ptp(model.ema_generator(inputs), axis=(1, 2)).min() > 0


def test_numbers_of_classes_with_gaps_are_refused(config, tmp_path):
    images = np.zeros((12, 8, 8, 3), "uint8")
    np.savez(tmp_path / "a.npz", images=images, labels=1990 + np.arange(12) % 3)
    config.data = str(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="of 3 classes, whose largest number is 1992"):
        teach(config, tmp_path / "out")


# What can't be trained with


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": ""}, "Got no real images. Expected --data"),
        ({"data": "none"}, "Got no real images. Expected --data"),
        ({"data": "nowhere/"}, "nowhere.*not there"),
        ({"image_size": 48}, "image_size=48. Expected one of 32, 64, 128"),
        ({"image_size": 64}, "generator_channels=.* with image_size=64. Expected 5 .*--image_size"),
        ({"attention_size": 24}, "Expected the side of a feature map"),
        ({"attention_size": 16, "generator_channels": (8, 8, 4, 8)}, "of 8 channels or more"),
        ({"latent_dim": 9}, "latent_dim=9 can't be cut into 4"),
        ({"generator_channels": (8, 0, 8, 8)}, "generator_channels.*Expected 1 or more"),
        ({"dtype_policy": "mixed_float16"}, "Expected one of auto, float32, mixed_bfloat16"),
        ({"image_channels": 2}, "image_channels=2. Expected one of 1, 3"),
        ({"image_channels": 1}, "some of them in colour, and image_channels=1. Expected grey"),
        ({"batch_size": 64}, "22 images. Expected at least those of a step, 128"),
        ({"classes": "apple"}, "of one class. Expected two or more"),
        ({"classes": "pear"}, "pear"),
        ({"extractor": "nowhere"}, "nowhere"),
        ({"evaluate_every": 1, "extractor": ""}, "a feature extractor to measure with"),
        ({"steps": 5}, "whole epochs"),
        ({"teacher": "x"}, "Got the setting 'teacher'"),
    ],
)
def test_what_cannot_work_is_one_message_before_anything_is_computed(
    config, tmp_path, settings, message
):
    given = config.to_dict() | {"evaluate_every": 0} | settings
    with pytest.raises((ValueError, OSError), match=message):
        teach(given, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_images_without_classes_are_refused(config, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    config.data = str(tmp_path)
    with pytest.raises(ValueError, match="no labels. Expected the class of every image"):
        teach(config, tmp_path / "out")


# Settings


@pytest.mark.parametrize("size", SIZES)
def test_defaults_fit_each_size_and_so_do_those_of_its_student(size, tmp_path):
    config = default_teacher_config(size)
    config.data, config.image_channels = "photos", 1
    config = validate_teacher_config(config)
    assert 4 * 2 ** (len(config.generator_channels) - 1) == size
    assert config.latent_dim % len(config.generator_channels) == 0
    (tmp_path / "distill.py").write_text(student_config_text(config, "runs/a b", 7))
    student = validate(load_config(tmp_path / "distill.py"))
    assert (student.student, student.data) == (f"tinygan_v2_{size}", "photos")
    assert student.student_overrides.image_channels == 1, "grey as its teacher"
    names = ("latent_dim", "embedding_dim", "attention_size")
    settings = {name: config[name] for name in names} | {"channels": config.generator_channels}
    costs = []
    for network in (
        BigGANGenerator(**settings, num_classes=7),
        StudentGenerator.from_preset(student.student, **student.student_overrides),
    ):
        specs = tf.TensorSpec((1, config.latent_dim)), tf.TensorSpec((1,), tf.int32)
        costs.append((count_parameters(network), multiply_adds(network, specs)))
    assert all(16 * own <= teacher for teacher, own in zip(*costs, strict=True))
    assert "'runs/a b'/distill.py" in (tmp_path / "distill.py").read_text()


def test_the_embedded_teacher_has_the_default_networks(repository):
    embedded = HubTeacher(repository / "saved_models" / "biggan_fashion_32")
    names = ("channels", "latent_dim", "embedding_dim", "attention_size")
    settings = SIZES[32] | {"channels": SIZES[32]["generator_channels"]}
    generator = BigGANGenerator(**{name: settings[name] for name in names}, image_channels=1)
    sizes = [int(np.prod(v.shape)) for v in generator.trainable_variables]
    assert embedded.parameters == sum(sizes)
    assert BigGANDiscriminator(SIZES[32]["discriminator_channels"]).image_size == 32


# The command


def test_the_command_takes_defaults_by_size_and_single_settings(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "teach", lambda *a, **k: calls.append((a, k)))
    arguments = ["teach", "--data=photos", "--image_size=64", "--out=runs/t"]
    assert main([*arguments, "--config.steps=500", "--config.horizontal_flip"]) == 0
    ((config, out), settings), *_ = calls
    assert (out, settings) == ("runs/t", {"overwrite": False})
    assert (config.data, config.image_size, config.steps) == ("photos", 64, 500)
    assert config.horizontal_flip and config.latent_dim == SIZES[64]["latent_dim"]


def test_the_command_takes_a_config_file(monkeypatch, repository):
    calls = []
    monkeypatch.setattr(module, "teach", lambda *a, **_: calls.append(a))
    path = repository / "experiments" / "fashion_mnist" / "teacher.py"
    assert main(["teach", f"--config={path}", "--out=runs/t", "--config.seed=3"]) == 0
    assert (calls[0][0].data, calls[0][0].seed) == ("fashion_mnist", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Got no --out"),
        (["--out={out}"], "Got no real images. Expected --data"),
        (["--out={out}", "--data=x", "--image_size=48"], "image_size=48. Expected one of"),
        (["--out={out}", "--data={out}-x"], "not there"),
        (["--out={out}", "--config.stepz=3"], "mean 'steps'?"),
        (["--out={out}", "--config=missing.py"], "missing.py, which is no file here"),
    ],
)
def test_a_mistake_of_the_command_is_one_message(arguments, message, tmp_path, capsys):
    out = tmp_path / "t"
    assert main(["teach", *(word.format(out=out) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
