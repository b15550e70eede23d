"""The config: the paper's defaults, and one clear error for every mistake."""

import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from tinygan_keras.distillation.losses import ADVERSARIAL_LOSSES
from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.evaluation.metrics import MONITORS
from tinygan_keras.networks.presets import STUDENTS
from tinygan_keras.runs.config import (
    LOSS_SETTINGS,
    default_config,
    differences,
    epochs,
    validate,
)


def test_defaults_are_valid_and_complete():
    assert validate({}).to_dict() == default_config().to_dict()


def test_defaults_are_the_paper_recipe():
    config = default_config()

    assert (config.batch_size, epochs(config), config.truncation) == (32, 30, 0.5)
    assert (config.g_learning_rate, config.d_learning_rate) == (2e-4, 2e-4)
    assert (config.beta_1, config.beta_2) == (0.0, 0.9)
    # From step 300,000 of about 742,000.
    assert config.learning_rate_decay_start * config.steps == pytest.approx(300_000, rel=0.02)
    assert config.steps * config.batch_size == pytest.approx(30 * 791_000, rel=1e-3)
    assert config.student in STUDENTS


def test_loss_settings_are_the_keywords_of_compile_with_the_same_defaults():
    keywords = inspect.signature(TinyGAN.compile).parameters
    for name in LOSS_SETTINGS:
        assert default_config()[name] == keywords[name].default


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("steps", 0),
        ("batch_size", -1),
        ("truncation", 0.0),
        ("truncation", 1.5),
        ("g_learning_rate", 0.0),
        ("beta_2", 1.0),
        ("ema_decay", 1.0),
        ("learning_rate_decay_start", 2.0),
        ("pixel_weight", -0.1),
        ("feature_weights", (0.5, -1.0)),
        ("adversarial_interval", 0),
        ("evaluation_images", 1),
        ("teacher", ""),
        ("student", "tinygan_33"),
        ("devices", "two"),
        ("jit_compile", "yes"),
        ("dtype_policy", "float8"),
        ("steps", "many"),
        ("image_size", 0),
    ],
)
def test_value_out_of_range_is_refused_by_name(setting, value):
    with pytest.raises(ValueError, match=rf"(?s)Got {setting}=.*Expected"):
        validate({setting: value})


def test_unknown_setting_is_refused_with_the_nearest_name():
    config = default_config()
    config.stepz = 5
    with pytest.raises(ValueError, match="'stepz'.*'steps'"):
        validate(config)


def test_part_of_an_epoch_is_refused_with_the_nearest_whole_ones():
    with pytest.raises(ValueError, match="steps=900 or 1200"):
        validate({"steps": 1000, "steps_per_epoch": 300})


def test_an_epoch_holds_whole_executions():
    with pytest.raises(ValueError, match="steps_per_execution=7 and .*divisor of the 20 steps"):
        validate({"steps": 40, "steps_per_epoch": 20, "steps_per_execution": 7})
    debug = validate({"steps_per_execution": 4, "debug": True})
    assert debug.steps_per_epoch % debug.steps_per_execution == 0


def test_run_shorter_than_an_epoch_is_one_epoch():
    assert epochs(validate({"steps": 200, "steps_per_epoch": 300})) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 7, "sample_seed": 7}, "Set sample_seed=14 or more"),
        (
            {"seed": 2**40 + 5},
            "sample_seed=1099511627776 with 10,000 images.*=1099511627788 or more",
        ),
        ({"sample_seed": 1_000_000, "teacher_samples": 2_000_000}, "and 2,000,000 seeds from 0 on"),
    ],
)
def test_evaluation_on_the_latents_of_the_training_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        validate(settings)
    validate({**settings, "sample_seed": 3_000_000})
    validate({**settings, "seed": 0, "sample_seed": default_config().sample_seed})


def test_the_home_folder_is_known_in_every_path():
    config = validate({"teacher": "~/teacher", "data": "keras:cifar10", "extractor": "~/e"})
    assert config.teacher == str(Path.home() / "teacher")
    assert config.data == "keras:cifar10"


@pytest.mark.parametrize("monitor", MONITORS)
def test_without_real_images_only_two_figures_can_be_monitored(monitor):
    config = {"evaluate_every": 1, "extractor": "inception", "monitor": monitor}
    assert validate(config | {"data": "fashion_mnist"}).monitor == monitor
    if monitor in ("inception_score", "label_accuracy"):
        assert validate(config | {"data": "none"}).monitor == monitor
        return
    with pytest.raises(ValueError, match=rf"monitor='{monitor}' and data='none'.*label_accuracy"):
        validate(config | {"data": "none"})


def test_the_config_imports_no_tensorflow():
    program = (
        "import sys; import tinygan_keras.runs.config\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]"]


def test_fewer_teacher_samples_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="at least one batch"):
        validate({"teacher_samples": 8, "batch_size": 16})


def test_debug_shrinks_the_run_and_leaves_the_given_config_alone():
    config = default_config()
    config.debug = True

    small = validate(config)

    assert small.steps <= 20
    assert small.evaluation_images <= 64
    assert config.steps == default_config().steps
    assert validate(small).to_dict() == small.to_dict()


def test_overrides_are_free_dictionaries():
    config = validate({"student_overrides": {"channels": (8, 8)}})

    assert isinstance(config.student_overrides, ConfigDict)
    assert config.to_dict()["student_overrides"] == {"channels": (8, 8)}


def test_adversarial_losses_are_those_of_the_model():
    for name in ADVERSARIAL_LOSSES:
        assert validate({"adversarial_loss": name}).adversarial_loss == name
    with pytest.raises(ValueError, match=f"Expected one of {', '.join(ADVERSARIAL_LOSSES)}"):
        validate({"adversarial_loss": "wasserstein"})


def test_differences_name_both_values():
    assert differences({"steps": 5, "seed": 0}, {"steps": 9, "seed": 0}) == ["steps: 5, was 9"]


@pytest.mark.parametrize("name", ["config", "full", "paper", "paper_full"])
def test_shipped_configs_are_valid(repository, name):
    path = repository / "experiments" / "fashion_mnist" / f"{name}.py"

    config = runpy.run_path(str(path))["get_config"]()

    student = "tinygan_fashion_32" if name.startswith("paper") else "tinygan_v2_fashion_32"
    assert validate(config).student == student
