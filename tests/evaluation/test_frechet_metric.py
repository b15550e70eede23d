"""The Keras metric: the figure of an evaluation, in any Keras model and with Keras' own callbacks."""

import csv
import dataclasses
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from run_fixtures import (
    IMAGE_SIZE,
    LATENT_DIM,
    NUM_CLASSES,
    TINY_DISCRIMINATOR,
    TINY_STUDENT,
    write_classifier,
)

import tinygan_keras as tg
from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.distillation.losses import METRICS
from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.evaluation.extractors.extractor import FeatureExtractor
from tinygan_keras.evaluation.real_statistics import measure_reference

COUNT = 60


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return FeatureExtractor(write_classifier(tmp_path_factory.mktemp("metric") / "classifier"), 20)


def pictures(seed, count=COUNT):
    random = np.random.default_rng(seed)
    shades = random.integers(40, 216, (count, 1, IMAGE_SIZE, 3))
    return (shades + random.integers(-40, 40, (count, IMAGE_SIZE, IMAGE_SIZE, 3))).astype("uint8")


@pytest.fixture(scope="module")
def real():
    return ArrayImages(pictures(0), np.arange(COUNT) % NUM_CLASSES, None, "pictures")


@pytest.fixture(scope="module")
def statistics(extractor, real):
    return measure_reference(real, extractor, progress=False)


def expected(extractor, statistics, images):
    settings = {"metrics": "frechet_distance", "progress": False}
    found = evaluate(ArrayImages(images, None, None, "made"), extractor, statistics, **settings)
    return found["figures"]["frechet_distance"]


def floats(images):
    return images.astype("float32") / 127.5 - 1


@pytest.mark.parametrize("kind", ["uint8", "float"])
@pytest.mark.parametrize("traced", [False, True])
def test_it_is_the_figure_of_an_evaluation(extractor, statistics, kind, traced):
    images = pictures(1)
    metric = tg.metrics.FrechetDistance(extractor, statistics)
    update = tf.function(metric.update_state) if traced else metric.update_state
    for start in range(0, COUNT, 15):
        block = images[start : start + 15]
        update(None, tf.constant(floats(block) if kind == "float" else block))
    wanted = expected(extractor, statistics, images)
    assert float(metric.result()) == pytest.approx(wanted, rel=1e-5)
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_without_a_reference_the_first_argument_is_real(extractor, statistics, real):
    metric = tg.metrics.FrechetDistance(extractor)
    for start in range(0, COUNT, 20):
        rows = slice(start, start + 20)
        metric.update_state(real.read(start, start + 20), pictures(1)[rows])
    wanted = expected(extractor, statistics, pictures(1))
    assert float(metric.result()) == pytest.approx(wanted, rel=1e-5)


def test_devices_add_up(extractor, statistics):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        metric = tg.metrics.FrechetDistance(extractor, statistics)
    data = tf.data.Dataset.from_tensor_slices(pictures(1)).batch(20)
    step = tf.function(lambda images: strategy.run(metric.update_state, (None, images)))
    for images in strategy.experimental_distribute_dataset(data):
        step(images)
    wanted = expected(extractor, statistics, pictures(1))
    assert float(metric.result()) == pytest.approx(wanted, rel=1e-5)


def test_a_model_of_keras_has_it_in_its_logs(extractor, statistics):
    """A model whose outputs are images, with a `test_step` of Keras' own."""
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs))
    model.compile(loss="mse", metrics=[tg.metrics.FrechetDistance(extractor, statistics)])
    images = floats(pictures(1))
    logs = model.evaluate(images, images, batch_size=16, verbose=0, return_dict=True)
    halves = np.rint((images / 2 + 1) * 127.5).astype("uint8")
    wanted = expected(extractor, statistics, halves)
    assert logs["frechet_distance"] == pytest.approx(wanted, rel=1e-4)


def batches(seed, real):
    random = np.random.default_rng(seed)
    count = real.count
    return {
        "latent": random.normal(size=(count, LATENT_DIM)).astype("float32"),
        "label": np.arange(count) % NUM_CLASSES,
        "teacher_image": floats(pictures(seed)),
        "image": floats(real.read(0, count)),
        "image_label": real.labels,
    }


def make_model(metrics, **settings):
    model = tg.TinyGAN(
        tg.StudentGenerator.from_preset("tinygan_fashion_32", load_weights=False, **TINY_STUDENT),
        tg.Discriminator.from_preset("tinygan_fashion_32", **TINY_DISCRIMINATOR),
    )
    model.compile(metrics=metrics, **settings)
    return model


def test_callbacks_of_keras_see_it_in_a_distillation(extractor, statistics, real, tmp_path):
    model = make_model([tg.metrics.FrechetDistance(extractor, statistics)])
    monitor = "val_frechet_distance"
    best = tmp_path / "best.weights.h5"
    settings = {"mode": "min", "save_best_only": True, "save_weights_only": True}
    keep = keras.callbacks.ModelCheckpoint(best, monitor, **settings)
    stop = keras.callbacks.EarlyStopping(monitor, mode="min", patience=0, min_delta=1e9)
    rows = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    data, validation = batches(3, real), batches(4, real)
    history = model.fit(
        data, batch_size=20, epochs=4, verbose=0, validation_data=validation, validation_batch_size=20,
        callbacks=[keep, stop, rows],
    ).history  # fmt: skip
    assert len(history[monitor]) == 2, "stopped after the first epoch without an improvement"
    assert "frechet_distance" not in history, "it would take a pass of the extractor in every step"
    images = model.ema_student((validation["latent"], validation["label"]))
    wanted = expected(
        extractor, statistics, np.rint((np.array(images) + 1) * 127.5).astype("uint8")
    )
    assert history[monitor][-1] == pytest.approx(wanted, rel=1e-4)
    with open(tmp_path / "log.csv") as file:
        logged = [float(row[monitor]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(logged, history[monitor])
    assert best.is_file()
    values = model.evaluate(validation, batch_size=20, verbose=0)
    assert values[-1] == pytest.approx(wanted, rel=1e-4)


def test_weights_of_a_model_are_the_same_with_and_without_it(extractor, statistics, real, tmp_path):
    with_metric = make_model([tg.metrics.FrechetDistance(extractor, statistics)])
    with_metric.save_weights(tmp_path / "a.weights.h5")
    make_model(None).load_weights(tmp_path / "a.weights.h5")
    settings = {"batch_size": 20, "verbose": 0, "return_dict": True}
    assert set(make_model(None).evaluate(batches(3, real), **settings)) <= set(METRICS)


def test_it_is_saved_by_name(extractor, statistics, real, tmp_path):
    statistics.save(tmp_path / "real.npz")
    metric = tg.metrics.FrechetDistance(str(extractor.path), tmp_path / "real.npz")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    metric.update_state(None, pictures(1))
    twin.update_state(None, pictures(1))
    assert float(metric.result()) == float(twin.result())
    unnamed = tg.metrics.FrechetDistance(extractor, statistics).get_config()
    with pytest.raises(ValueError, match="extractor and reference had no name"):
        tg.metrics.FrechetDistance.from_config(unnamed)


def test_statistics_of_another_kind_are_refused(extractor, real, statistics, tmp_path):
    other = dataclasses.replace(statistics, protocol={**statistics.protocol, "extractor_hash": "x"})
    metric = tg.metrics.FrechetDistance(extractor, other)
    with pytest.raises(ValueError, match="taken in another way:\\n  extractor_hash"):
        metric.update_state(None, pictures(1))
    np.savez(tmp_path / "a.npz", mu=np.zeros(7), sigma=np.eye(7))
    with pytest.raises(ValueError, match="statistics of 7 features. Expected 4"):
        tg.metrics.FrechetDistance(extractor, tmp_path / "a.npz")


def test_a_diverged_student_gives_nan_or_the_reason(extractor, statistics):
    metric = tg.metrics.FrechetDistance(extractor, statistics)
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or values out of range"):
        metric.update_state(None, np.full((4, IMAGE_SIZE, IMAGE_SIZE, 3), np.nan, "float32"))


def test_images_from_0_to_1_are_noticed(extractor, statistics):
    images = floats(pictures(1))
    for kind, warned in ((images, 0), (pictures(1), 0), ((images + 1) / 2, 1)):
        metric = tg.metrics.FrechetDistance(extractor, statistics)
        tf.function(metric.update_state)(None, tf.constant(kind))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            metric.result()
        said = [str(one.message) for one in caught]
        assert sum("60 images without a value below 0" in text for text in said) == warned


def test_real_images_from_0_to_1_are_noticed_too(extractor):
    metric = tg.metrics.FrechetDistance(extractor)
    metric.update_state((floats(pictures(0)) + 1) / 2, pictures(1))
    with pytest.warns(UserWarning, match="without a value below 0"):
        metric.result()


def test_early_stopping_knows_that_less_is_better(extractor, statistics):
    """In models that compile as Keras does."""
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs))
    model.compile(loss="mse", metrics=[tg.metrics.FrechetDistance(extractor, statistics)])
    images = floats(pictures(1))
    stop = keras.callbacks.EarlyStopping("val_frechet_distance", patience=0, min_delta=1e9)
    data = {"validation_data": (images, images), "batch_size": 20, "verbose": 0}
    history = model.fit(images, images, epochs=3, callbacks=[stop], **data).history
    assert len(history["val_frechet_distance"]) == 2


def test_what_bare_statistics_cannot_say_is_said(extractor, statistics, tmp_path):
    np.savez(tmp_path / "other.npz", mu=statistics.mean, sigma=statistics.covariance)
    metric = tg.metrics.FrechetDistance(extractor, tmp_path / "other.npz")
    with pytest.warns(UserWarning, match="mu and sigma only"):
        metric.update_state(None, pictures(1))


@pytest.mark.parametrize("reference", [True, False])
def test_a_distance_is_computed_once_for_the_same_images(
    extractor, statistics, monkeypatch, reference
):
    computed = []
    monkeypatch.setattr(
        "tinygan_keras.evaluation.metrics.frechet_metric.frechet_distance",
        lambda *sides: computed.append(sides) or float(len(computed)),
    )
    metric = tg.metrics.FrechetDistance(extractor, statistics if reference else None)
    for seed, wanted in ((1, 1), (2, 2), (2, 3)):
        metric.update_state(pictures(0), pictures(seed))
        assert [float(metric.result()) for _ in range(3)] == [wanted] * 3
        if seed == 1:  # then as many others, and then more of these
            metric.reset_state()
    metric.reset_state()
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda e, s: tg.metrics.FrechetDistance(keras.layers.Dense(2)), "of type Dense"),
        (lambda e, s: tg.metrics.FrechetDistance(e, s, resize="bilinear"), "a loaded extractor"),
        (lambda e, s: tg.metrics.FrechetDistance(e, s).update_state(None, pictures(0), 1.0), "weight"),
        (lambda e, s: tg.metrics.FrechetDistance(e, s).update_state(None, np.zeros((2, 8, 8, 3))), "8x8"),
        (lambda e, s: make_model(["mae"]), "FrechetDistance"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message(extractor, statistics, mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake(extractor, statistics)
