"""What a training is given: data of every kind, arguments and callbacks of Keras, networks that fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_tinygan import (
    CLASSES,
    LATENT_DIM,
    SIZE,
    LinearTeacher,
    PlainDiscriminator,
    PlainStudent,
    dataset,
    make_batch,
)

from tinygan_keras.distillation.batch_checks import CheckBatches
from tinygan_keras.distillation.tinygan import TinyGAN


class SmallStudent(PlainStudent):
    """Few layers make quick steps; it says its sizes, as ours do."""

    num_classes, image_size, latent_dim = CLASSES, SIZE, LATENT_DIM


def make_model(teacher=None, rate=0.05, run_eagerly=True, **settings):
    student, discriminator, batch = SmallStudent(), PlainDiscriminator(), make_batch()
    student((batch["latent"], batch["label"]))
    discriminator((batch["image"], batch["label"]))
    model = TinyGAN(student, discriminator, teacher=teacher)
    optimizers = keras.optimizers.SGD(rate), keras.optimizers.SGD(rate)
    model.compile(*optimizers, adversarial_interval=1, run_eagerly=run_eagerly, **settings)
    return model


# Kinds of data


class PyBatches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def as_generator(batches):
    yield from batches


def as_dataset(batches):
    return tf.data.Dataset.from_tensor_slices(stacked(batches))


def as_arrays(batches):
    return {key: value.reshape(-1, *value.shape[2:]) for key, value in stacked(batches).items()}


def stacked(batches):
    return {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}


KINDS = [as_dataset, PyBatches, as_generator, as_arrays]


def good_then(change, steps=4):
    """Batches of which the third and all later ones are changed."""
    batches = [make_batch(seed) for seed in range(steps)]
    for batch in batches[2:]:
        change(batch)
    return batches


def last_label_too_large(batch):
    batch["label"] = np.array([0, 1, 2, CLASSES], "int32")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_trains(kind):
    model = make_model()
    model.fit(kind(good_then(lambda batch: None)), batch_size=4, verbose=0)
    assert int(model.step) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_in_the_first_batch_is_refused_before_anything_is_computed(kind):
    model, batch = make_model(), make_batch()
    last_label_too_large(batch)
    with pytest.raises(ValueError, match=r"'label' with the value 3\. Expected \[0, 2\]"):
        model.fit(kind([batch]), verbose=0)
    assert int(model.step) == 0


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_value_in_a_later_batch_is_reported_in_its_epoch(kind):
    seen = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model = make_model()
    with pytest.raises(ValueError, match=r"'label' with the value 3 in \d batch.* \[0, 2\]"):
        model.fit(kind(good_then(last_label_too_large)), callbacks=[record], verbose=0)
    assert not seen, "what comes after an epoch may save it"
    model.fit(kind(good_then(lambda batch: None)), verbose=0)  # what was reported is forgotten


@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.full)])
def test_labels_out_of_range_are_reported_whatever_compiles_the_step(xla):
    model = make_model(run_eagerly=False, jit_compile=xla)
    with pytest.raises(ValueError, match="'label' with the value 3 in 2 batches"):
        model.fit(as_dataset(good_then(last_label_too_large)), verbose=0)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_label", -1, r"value -1 .*\[0, 2\].*The student has 3 classes"),
        ("image", 127.5, r"value 127.5 .*\[-1, 1\].*to_float"),
        ("teacher_image", -1.5, r"value -1.5 .*\[-1, 1\]"),
        ("teacher_image", np.nan, r"NaN or infinite.*\[-1, 1\]"),
        ("latent", np.nan, "NaN or infinite.*Expected numbers"),
        ("fresh_latent", np.inf, "NaN or infinite.*Expected numbers"),
    ],
)
def test_every_value_of_every_batch_is_checked(key, value, message):
    batches = [make_batch(seed) for seed in range(2)]
    batches[1][key].flat[-1] = value
    with pytest.raises(ValueError, match=f"'{key}' with .*{message}"):
        make_model().fit(as_dataset(batches), verbose=0)


def test_images_of_a_live_teacher_are_checked_too():
    class Loud(LinearTeacher):
        def __call__(self, latents, labels):
            return 3.0 * super().__call__(latents, labels)

    batch = make_batch()
    del batch["teacher_image"]
    with pytest.raises(ValueError, match="'teacher_image' with the value -?[23]"):
        make_model(Loud()).fit(as_dataset([batch]), verbose=0)


def test_evaluation_and_validation_data_are_checked():
    model, batches = make_model(), good_then(last_label_too_large)
    with pytest.raises(ValueError, match="'label' with the value 3 in 2 batches"):
        model.evaluate(as_dataset(batches), verbose=0)
    with pytest.raises(ValueError, match="'label' with the value 3 in 2 batches"):
        model.fit(dataset(), validation_data=as_dataset(batches), verbose=0)
    figures = model.evaluate(dataset(), verbose=0, return_dict=True)
    assert np.isfinite(list(figures.values())).all()
    with pytest.raises(ValueError, match="endless data set without validation_steps"):
        model.fit(dataset(), validation_data=dataset().repeat(), verbose=0)


def test_single_batches_are_checked_before_they_are_used():
    model, batch = make_model(), make_batch()
    last_label_too_large(batch)
    for call in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="'label' with the value 3"):
            call(batch)
    assert int(model.step) == 0


def test_the_host_looks_after_1_2_4_8_batches_and_not_in_between():
    looks = []

    class Model:
        class batch_faults:
            check = staticmethod(lambda: looks.append(batch))

    callback = CheckBatches()
    callback.set_model(Model())
    callback.on_epoch_begin(0)
    for batch in range(100):
        callback.on_train_batch_begin(batch)
    assert looks == [1, 2, 4, 8, 16, 32, 64]


def test_labels_in_a_column_are_taken_as_they_are():
    model, batch = make_model(), make_batch()
    expected = model.test_on_batch(batch, return_dict=True)
    for key in ("label", "image_label"):
        batch[key] = batch[key][:, None]
    assert model.test_on_batch(batch, return_dict=True) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.pop("latent"), "Expected latent too"),
        (lambda b: b.pop("teacher_image"), "teacher=teacher"),
        (lambda b: b.pop("image_label"), "Expected image_label too"),
        (lambda b: b.update(latent=b["latent"][:, :4]), "'latent' of shape"),
        (lambda b: b.update(image=b["image"][:2]), "same number of examples"),
        (lambda b: b.update({key: b[key][:0] for key in b}), r"\[0, .*\[None, .*at least one"),
        (lambda b: b.update(teacher_image=b["teacher_image"][:, :4]), "'teacher_image' of shape"),
        (lambda b: b.update(label=np.eye(3, dtype="int32")[b["label"]]), r"np\.argmax\(labels"),
        (lambda b: b.update(label=b["label"].astype("float32")), r"astype\('int32'\)"),
        (lambda b: b.update(label=np.zeros((4, 1, 1), "int32")), "one class number per image"),
    ],
)
def test_bad_batches_are_refused_before_training(change, message):
    model, batch = make_model(), make_batch()
    change(batch)
    with pytest.raises(ValueError, match=message):
        model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
    assert int(model.step) == 0


@pytest.mark.parametrize("data", [as_generator([]), PyBatches([]), dataset().take(0)])
def test_an_empty_data_set_is_refused(data):
    with pytest.raises(ValueError, match="empty data set"):
        make_model().fit(data, verbose=0)


def test_an_endless_data_set_needs_a_number_of_steps():
    class Endless(PyBatches):
        num_batches = None

    model = make_model()
    for data in (dataset().repeat(), Endless([make_batch()])):
        with pytest.raises(ValueError, match="endless data set without steps_per_epoch"):
            model.fit(data, verbose=0)
        with pytest.raises(ValueError, match="endless data set without steps"):
            model.evaluate(data, verbose=0)
    model.fit(dataset().repeat(), steps_per_epoch=2, verbose=0)
    assert int(model.step) == 2


# Replicas


@pytest.fixture(scope="module")
def replicated():
    # Collectives of a second strategy in one process collide on CPUs, and other tests have theirs.
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        return make_model(run_eagerly=False)


def steps_of(model):
    return int(keras.ops.convert_to_numpy(model.step))


def test_batches_that_replicas_share_unevenly_train(replicated):
    """The first batch has two rows and one, and the last a single one, which nobody can share."""
    arrays = make_batch(batch=7)
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(3)
    step = steps_of(replicated)
    # Private to Keras: should it go or get another name, Keras' own would look at the first batch.
    assert callable(keras.Model._maybe_symbolic_build)
    replicated.fit(data, verbose=0)
    assert steps_of(replicated) == step + 2
    replicated.fit(arrays, batch_size=3, verbose=0)
    assert steps_of(replicated) == step + 4
    weights = map(keras.ops.convert_to_numpy, replicated.student.variables)
    assert all(np.isfinite(weight).all() for weight in weights)


def test_a_leftover_that_replicas_can_t_share_is_refused_where_it_is_known(replicated):
    step = steps_of(replicated)
    with pytest.raises(ValueError, match="last batch of 1 rows for 2 replicas"):
        replicated.fit(PyBatches([make_batch(), make_batch(batch=1)]), verbose=0)
    assert steps_of(replicated) == step


@pytest.mark.full
def test_what_the_second_replica_alone_sees_is_reported(replicated):
    data = tf.data.Dataset.from_tensor_slices(as_arrays(good_then(last_label_too_large, 3)))
    with pytest.raises(ValueError, match="'label' with the value 3 in 1 batch of"):
        replicated.fit(data.batch(4), verbose=0)


# Arguments and callbacks of Keras


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("y", lambda model: model.fit(dataset(), np.arange(4))),
        ("sample_weight", lambda model: model.fit(dataset(), sample_weight=np.ones(4))),
        ("class_weight", lambda model: model.fit(dataset(), class_weight={0: 2.0})),
        ("y", lambda model: model.fit(dataset().map(lambda batch: (batch, batch["label"])))),
        ("sample_weight", lambda model: model.train_on_batch(make_batch(), None, np.ones(4))),
        ("class_weight", lambda model: model.train_on_batch(make_batch(), class_weight={0: 1})),
        ("y", lambda model: model.test_on_batch(make_batch(), np.arange(4))),
        ("sample_weight", lambda model: model.evaluate(dataset(), sample_weight=np.ones(4))),
        ("optimizer", lambda model: model.compile(optimizer="adam")),
        ("loss", lambda model: model.compile(loss="mse")),
        ("anything", lambda model: model.compile(anything=1)),
        (
            "SwapEMAWeights",
            lambda model: model.fit(dataset(), callbacks=[keras.callbacks.SwapEMAWeights()]),
        ),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_name(name, call):
    model = make_model()
    with pytest.raises(ValueError, match=f"Got {name} in .*Expected none in a TinyGAN"):
        call(model)
    assert int(model.step) == 0


def test_learning_rate_callbacks_drive_both_optimizers():
    model = make_model()
    model.d_optimizer.learning_rate = 0.2
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(dataset(), verbose=0, callbacks=[halve])
    assert float(model.g_optimizer.learning_rate) == pytest.approx(0.025)
    assert float(model.d_optimizer.learning_rate) == pytest.approx(0.1)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "g_loss", mode="min", factor=0.5, patience=1, min_delta=1e9
    )
    history = model.fit(dataset(), epochs=2, verbose=0, callbacks=[plateau]).history
    assert float(model.g_optimizer.learning_rate) == pytest.approx(0.0125)
    assert history["learning_rate_d_optimizer"] == pytest.approx([0.1, 0.1])
    model.optimizer.learning_rate = 0.5  # as callbacks for one optimiser do
    assert float(model.g_optimizer.learning_rate) == float(model.d_optimizer.learning_rate) == 0.5


def test_fit_ends_with_the_averages_of_optimizers_that_have_them():
    model = make_model()
    optimizers = [keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5) for _ in range(2)]
    model.compile(*optimizers, run_eagerly=True)
    model.fit(dataset(), verbose=0)
    for optimizer, network in zip(optimizers, (model.student, model.discriminator), strict=True):
        averages = optimizer._model_variables_moving_average
        for average, variable in zip(averages, network.trainable_variables, strict=True):
            np.testing.assert_array_equal(average.numpy(), variable.numpy())


def test_terminate_on_nan_terminates():
    model = make_model(rate=1e30)
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(dataset(), epochs=5, verbose=0, callbacks=[stop])
    assert len(history.epoch) < 5
    assert "loss" not in history.history
