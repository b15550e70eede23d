"""The model: who is updated by what, schedules, saving, devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.distillation.losses import METRICS, default_feature_weights
from tinygan_keras.distillation.tinygan import TinyGAN
from tinygan_keras.networks.discriminator import Discriminator
from tinygan_keras.networks.student import StudentGenerator

LATENT_DIM, CLASSES, SIZE, BATCH = 6, 3, 8, 4


class LinearTeacher:
    """A teacher that is a fixed function of its inputs, with one variable to watch."""

    image_size, latent_dim, num_classes, truncation = SIZE, LATENT_DIM, CLASSES, 0.5

    def __init__(self):
        rng = np.random.default_rng(0)
        kernel = rng.normal(size=(LATENT_DIM + CLASSES, SIZE * SIZE * 3)).astype("float32")
        self.kernel = tf.Variable(0.3 * kernel, trainable=True)

    def __call__(self, latents, labels):
        inputs = tf.concat([latents, tf.one_hot(labels, CLASSES)], axis=1)
        return tf.tanh(tf.reshape(inputs @ self.kernel, (-1, SIZE, SIZE, 3)))


def make_student(**overrides):
    arguments = {"channels": (8, 4), "latent_dim": LATENT_DIM, "num_classes": CLASSES}
    return StudentGenerator(**{**arguments, "embedding_dim": 4, **overrides})


def make_discriminator(**overrides):
    return Discriminator(channels=(4, 8), num_classes=CLASSES, image_size=SIZE, **overrides)


def make_model(teacher=None, optimizer=keras.optimizers.SGD, rate=0.05, dtype=None, **settings):
    model = TinyGAN(make_student(dtype=dtype), make_discriminator(dtype=dtype), teacher=teacher)
    settings.setdefault("adversarial_interval", 1)
    settings.setdefault("run_eagerly", True)  # tracing a graph takes longer than these steps
    model.compile(optimizer(rate), optimizer(rate), **settings)
    return model


def make_batch(seed=0, real=True, batch=BATCH):
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(batch, LATENT_DIM)).astype("float32")
    labels = rng.integers(0, CLASSES, batch).astype("int32")
    example = {
        "latent": latents,
        "label": labels,
        "teacher_image": LinearTeacher()(latents, labels).numpy(),
    }
    if real:
        example["image"] = rng.uniform(-1, 1, (batch, SIZE, SIZE, 3)).astype("float32")
        example["image_label"] = rng.integers(0, CLASSES, batch).astype("int32")
        example["fresh_latent"] = rng.normal(size=(batch, LATENT_DIM)).astype("float32")
    return example


def dataset(steps=2, **kwargs):
    batches = [make_batch(seed, **kwargs) for seed in range(steps)]
    stacked = {key: np.stack([b[key] for b in batches]) for key in batches[0]}
    return tf.data.Dataset.from_tensor_slices(stacked)


def values(variables):
    return [v.numpy() for v in variables]


def moved(before, variables):
    return [not np.array_equal(a, v.numpy()) for a, v in zip(before, variables, strict=True)]


def test_history_has_one_figure_per_term():
    history = make_model().fit(dataset(), verbose=0).history
    assert set(history) == set(METRICS)
    assert all(np.isfinite(value) for values in history.values() for value in values)


def test_losses_are_the_weighted_sums_of_their_terms():
    weights = {
        "pixel_weight": 0.7,
        "adversarial_distillation_weight": 0.3,
        "adversarial_gan_weight": 0.11,
        "discriminator_gan_weight": 0.13,
    }
    logs = make_model(**weights).train_on_batch(make_batch(), return_dict=True)
    expected = logs["feature_distillation"] + 0.7 * logs["pixel_distillation"]
    expected += 0.3 * logs["adversarial_distillation"] + 0.11 * logs["adversarial_gan"]
    assert logs["g_loss"] == pytest.approx(expected, rel=1e-5)
    expected = logs["discriminator_distillation"] + 0.13 * logs["discriminator_gan"]
    assert logs["d_loss"] == pytest.approx(expected, rel=1e-5)


def test_terms_match_the_formulas_on_the_networks_outputs():
    model, batch = make_model(), make_batch()
    logs = model.test_on_batch(batch, return_dict=True)
    images = model.student((batch["latent"], batch["label"]))
    teacher = model.discriminator((batch["teacher_image"], batch["label"]))
    student = model.discriminator((images, batch["label"]))
    expected = sum(
        alpha * np.mean(np.abs(np.array(t) - np.array(s)))
        for alpha, t, s in zip((0.25, 1.0), teacher["features"], student["features"], strict=True)
    )
    assert logs["feature_distillation"] == pytest.approx(expected, rel=1e-5)
    hinge = np.mean(np.maximum(0, 1 - np.array(teacher["logits"])))
    hinge += np.mean(np.maximum(0, 1 + np.array(student["logits"])))
    assert logs["discriminator_distillation"] == pytest.approx(hinge, rel=1e-5)


def test_paper_feature_weights():
    assert default_feature_weights(5) == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)


def test_discriminator_update_never_moves_the_student():
    model = make_model(LinearTeacher())
    model.g_optimizer.learning_rate = 0.0
    student = values(model.student.trainable_variables)
    discriminator = values(model.discriminator.trainable_variables)
    model.train_on_batch(make_batch())
    assert not any(moved(student, model.student.trainable_variables))
    assert all(moved(discriminator, model.discriminator.trainable_variables))


def test_student_update_never_moves_the_discriminator():
    model = make_model(LinearTeacher())
    model.d_optimizer.learning_rate = 0.0
    student = values(model.student.trainable_variables)
    discriminator = values(model.discriminator.trainable_variables)
    model.train_on_batch(make_batch())
    assert not any(moved(discriminator, model.discriminator.trainable_variables))
    # Biases and 4x4 weights in front of a batch norm hardly move, but the others must.
    assert sum(moved(student, model.student.trainable_variables)) > 20


def test_discriminator_loss_has_no_gradient_for_the_student():
    model, batch = make_model(), make_batch(real=False)
    with tf.GradientTape() as tape:
        images = model.student((batch["latent"], batch["label"]))
        terms = model.objectives.discriminator_terms(
            model.discriminator, batch, images, None, training=False
        )
    gradients = tape.gradient(
        terms["d_loss"], model.student.trainable_variables, unconnected_gradients="none"
    )
    assert all(gradient is None for gradient in gradients)


def test_power_iteration_runs_once_a_step_in_the_discriminator_update_only():
    model, batch = make_model(), make_batch()
    vectors = [v for v in model.discriminator.non_trainable_variables if v.name == "u"]
    before = values(vectors)
    images = tf.constant(batch["teacher_image"])
    model.objectives.student_terms(model.discriminator, batch, images, 0.2, adversarial=True)
    assert not any(moved(before, vectors))
    model.train_on_batch(batch)
    assert all(moved(before[:2], vectors[:2]))


def count_of_iterations(model, batch):
    """How many power iterations a step takes, with weights that stay."""
    model.g_optimizer.learning_rate = model.d_optimizer.learning_rate = 0.0
    stage = model.discriminator.get_layer("stage_0")
    vectors = [stage.u.numpy()]
    for _ in range(10):
        stage(batch["image"], training=True)
        vectors.append(stage.u.numpy())
    stage.u.assign(vectors[0])
    model.train_on_batch(batch)
    distances = [np.abs(vector - stage.u.numpy()).max() for vector in vectors]
    assert min(distances) < 1e-6
    return int(np.argmin(distances))


@pytest.mark.parametrize(
    ("per_call", "reuse", "counts"),
    [(False, False, [1, 1]), (True, True, [7, 5]), (True, False, [8, 6])],
)
def test_power_iterations_are_one_a_step_or_one_a_call(per_call, reuse, counts):
    model = make_model(
        adversarial_interval=2, power_iteration_per_call=per_call, reuse_teacher_features=reuse
    )
    assert [count_of_iterations(model, make_batch()) for _ in counts] == counts
    before = values(model.discriminator.variables)
    model.test_on_batch(make_batch())
    assert not any(moved(before, model.discriminator.variables))


@pytest.mark.parametrize("reuse", [False, True])
def test_teacher_features_come_from_after_the_discriminator_s_update_or_from_before(reuse):
    model, batch = make_model(reuse_teacher_features=reuse), make_batch()
    model.g_optimizer.learning_rate = 0.0
    teacher = batch["teacher_image"], batch["label"]
    maps_of = {True: model.discriminator(teacher)["features"]}
    logs = model.train_on_batch(batch, return_dict=True)
    maps_of[False] = model.discriminator(teacher)["features"]
    images = model.student((batch["latent"], batch["label"]), training=True)
    student = model.discriminator((images, batch["label"]))["features"]
    expected = {
        key: sum(
            alpha * np.mean(np.abs(np.array(t) - np.array(s)))
            for alpha, t, s in zip((0.25, 1.0), maps, student, strict=True)
        )
        for key, maps in maps_of.items()
    }
    assert logs["feature_distillation"] == pytest.approx(expected[reuse], rel=1e-5)
    assert logs["feature_distillation"] != pytest.approx(expected[not reuse], rel=1e-3)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("renew", [False, True])
def test_the_student_s_gan_term_has_the_discriminator_s_latents_or_its_own(renew, given):
    model, batch = make_model(renew_fresh_latents=renew), make_batch()
    model.g_optimizer.learning_rate = 0.0
    shape = batch["latent"].shape
    fresh, own = (model._fresh_latents(shape, again).numpy() for again in (False, True))
    assert not np.isin(own, fresh).any()
    if given:  # of a distribution that only the batch knows
        fresh, own = batch["fresh_latent"], np.roll(batch["fresh_latent"], 1, axis=0)
    else:
        del batch["fresh_latent"]
    logs = model.train_on_batch(batch, return_dict=True)
    labels = batch["image_label"]
    term_of = {}
    for key, latents in ((True, own), (False, fresh)):
        images = model.student((latents, labels), training=True)
        term_of[key] = -np.mean(model.discriminator((images, labels))["logits"])
    assert logs["adversarial_gan"] == pytest.approx(term_of[renew], rel=1e-4)
    assert logs["adversarial_gan"] != pytest.approx(term_of[not renew], rel=1e-3)


@pytest.mark.parametrize("fresh", [True, False])
def test_relativistic_terms_compare_the_images_of_a_pair(fresh):
    model = make_model(adversarial_loss="relativistic", fresh_latents=fresh)
    batch = make_batch()
    logs = model.test_on_batch(batch, return_dict=True)
    images = model.student((batch["latent"], batch["label"]))
    pieces = {
        "teacher": (batch["teacher_image"], batch["label"]),
        "student": (images, batch["label"]),
        "real": (batch["image"], batch["image_label"]),
    }
    latents = batch["fresh_latent"], batch["image_label"]
    pieces["fresh"] = (model.student(latents), batch["image_label"])
    logits = {name: np.array(model.discriminator(p)["logits"]) for name, p in pieces.items()}

    def unlike(preferred, other):
        return np.mean(np.log1p(np.exp(logits[other] - logits[preferred])))

    drawn, compared = ("fresh", "real") if fresh else ("student", "teacher")
    expected = {
        "discriminator_distillation": unlike("teacher", "student"),
        "discriminator_gan": unlike("real", drawn),
        "adversarial_distillation": unlike("student", "teacher"),
        "adversarial_gan": unlike(drawn, compared),
    }
    assert {name: logs[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reuse", [False, True])
def test_relativistic_student_meets_the_updated_discriminator(reuse):
    model = make_model(adversarial_loss="relativistic", reuse_teacher_features=reuse)
    model.g_optimizer.learning_rate = 0.0
    batch = make_batch()
    teacher = batch["teacher_image"], batch["label"]
    logits = {True: np.array(model.discriminator(teacher)["logits"])}
    logs = model.train_on_batch(batch, return_dict=True)
    logits[False] = np.array(model.discriminator(teacher)["logits"])
    images = model.student((batch["latent"], batch["label"]), training=True)
    own = np.array(model.discriminator((images, batch["label"]))["logits"])
    term = {key: np.mean(np.log1p(np.exp(value - own))) for key, value in logits.items()}
    assert logs["adversarial_distillation"] == pytest.approx(term[reuse], rel=1e-5)
    assert logs["adversarial_distillation"] != pytest.approx(term[not reuse], rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "real"),
    [
        ({}, True),
        ({}, False),
        ({"dtype": "mixed_bfloat16"}, True),
        ({"reuse_teacher_features": True, "power_iteration_per_call": True}, True),
        ({"renew_fresh_latents": True}, True),
    ],
)
def test_relativistic_student_learns_to_be_preferred(settings, real):
    weights = {"feature_weights": (0.0, 0.0), "pixel_weight": 0.0}
    weights |= {"adversarial_distillation_weight": 1.0}
    model = make_model(adversarial_loss="relativistic", rate=0.5, **weights, **settings)
    model.d_optimizer.learning_rate = 0.0
    batch, terms = make_batch(real=real), []
    for _ in range(10):
        logs = model.train_on_batch(batch, return_dict=True)
        terms.append(logs["adversarial_distillation"])
        model.reset_metrics()
    assert terms[-1] < terms[0] - 1e-3
    assert ("adversarial_gan" in logs) == real


def test_images_of_the_pairs_serve_the_gan_terms_too():
    weights = {"adversarial_distillation_weight": 0.3, "adversarial_gan_weight": 0.11}
    model, batch = make_model(fresh_latents=False, **weights), make_batch()
    model.g_optimizer.learning_rate = model.d_optimizer.learning_rate = 0.0
    before = values(model.student.non_trainable_variables)
    logs = model.train_on_batch(batch, return_dict=True)
    moving = values(model.student.non_trainable_variables)
    expected = logs["feature_distillation"] + 0.2 * logs["pixel_distillation"]
    expected += 0.41 * logs["adversarial_gan"]
    assert logs["g_loss"] == pytest.approx(expected, rel=1e-5)
    expected = logs["discriminator_distillation"] + 0.2 * logs["discriminator_gan"]
    assert logs["d_loss"] == pytest.approx(expected, rel=1e-5)
    logs = model.test_on_batch(batch, return_dict=True)
    images = model.student((batch["latent"], batch["label"]))
    logits = [
        np.array(model.discriminator(inputs)["logits"])
        for inputs in ((batch["image"], batch["image_label"]), (images, batch["label"]))
    ]
    hinge = np.mean(np.maximum(0, 1 - logits[0])) + np.mean(np.maximum(0, 1 + logits[1]))
    assert logs["discriminator_gan"] == pytest.approx(hinge, rel=1e-5)
    assert logs["adversarial_gan"] == pytest.approx(-np.mean(logits[1]), rel=1e-5)
    # The student has generated once: its moving statistics have moved once.
    once = make_student()
    once.set_weights(model.student.get_weights())
    for variable, value in zip(once.non_trainable_variables, before, strict=True):
        variable.assign(value)
    once((batch["latent"], batch["label"]), training=True)
    for variable, value in zip(once.non_trainable_variables, moving, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-7)


def test_the_teacher_never_moves_and_is_never_saved(tmp_path):
    teacher = LinearTeacher()
    model = make_model(teacher)
    before = teacher.kernel.numpy()
    batch = make_batch()
    del batch["teacher_image"]
    model.train_on_batch(batch)
    np.testing.assert_array_equal(teacher.kernel.numpy(), before)
    assert all(v is not teacher.kernel for v in model.variables)
    saved = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    shapes = [shape for _, shape in tf.train.list_variables(saved)]
    assert list(before.shape) not in shapes


def test_live_teacher_equals_cached_images():
    batch = make_batch()
    del batch["teacher_image"]
    live_model = make_model(LinearTeacher())
    live_model.set_weights(make_model().get_weights())
    reference = make_model()
    reference.set_weights(live_model.get_weights())
    live = live_model.train_on_batch(batch, return_dict=True)
    cached = reference.train_on_batch(make_batch(), return_dict=True)
    assert live == pytest.approx(cached, rel=1e-5)


def test_data_free_batches_leave_out_the_gan_terms():
    logs = make_model().train_on_batch(make_batch(real=False), return_dict=True)
    assert "adversarial_gan" not in logs and "discriminator_gan" not in logs
    assert logs["d_loss"] == pytest.approx(logs["discriminator_distillation"])


def test_adversarial_terms_count_at_every_nth_step_only():
    model = make_model(adversarial_interval=3, adversarial_distillation_weight=10.0)
    model.g_optimizer.learning_rate = model.d_optimizer.learning_rate = 0.0
    counted = []
    for _ in range(7):
        model.reset_metrics()
        logs = model.train_on_batch(make_batch(), return_dict=True)
        plain = logs["feature_distillation"] + 0.2 * logs["pixel_distillation"]
        counted.append(abs(logs["g_loss"] - plain) > 1e-6)
    assert counted == [True, False, False, True, False, False, True]


def test_pixel_weight_falls_once_an_epoch_not_once_a_step_and_stops_at_zero():
    model = make_model(pixel_weight=0.2, pixel_weight_decay=0.08)
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.pixel_weight))
    )
    model.fit(dataset(steps=3), epochs=4, callbacks=[record], verbose=0)
    assert seen == pytest.approx([0.12, 0.04, 0.0, 0.0], abs=1e-6)


def test_average_warms_up_and_follows_the_student():
    model = make_model()
    before = values(model.ema_student.variables)
    model.train_on_batch(make_batch())
    after = values(model.student.variables)
    for old, new, average in zip(before, after, model.ema_student.variables, strict=True):
        np.testing.assert_allclose(average.numpy(), 0.1 * old + 0.9 * new, atol=1e-6)


def test_fresh_latents_repeat_with_the_step_and_follow_the_truncation():
    model = make_model(LinearTeacher())
    first, again = model._fresh_latents((64, 6)).numpy(), model._fresh_latents((64, 6)).numpy()
    model.step.assign_add(1)
    other = model._fresh_latents((64, 6)).numpy()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 2 * LinearTeacher.truncation
    assert np.abs(first).max() > LinearTeacher.truncation  # not uniform on [-t, t]


# The third of the authors' settings makes random numbers: XLA has others, and so has each replica.
AUTHORS_STEP = {"reuse_teacher_features": True, "power_iteration_per_call": True}


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("eager", {}),
        ("xla", {}),
        ("xla", {"fresh_latents": False, "adversarial_interval": 2}),
        ("xla", {"adversarial_loss": "relativistic"}),
        ("eager", {**AUTHORS_STEP, "renew_fresh_latents": True, "adversarial_interval": 2}),
        pytest.param("xla", {**AUTHORS_STEP, "adversarial_interval": 2}, marks=pytest.mark.full),
    ],
)
def test_other_modes_equal_graph_mode(mode, settings):
    graph = make_model(run_eagerly=False, **settings)
    other = make_model(run_eagerly=mode == "eager", jit_compile=mode == "xla", **settings)
    other.set_weights(graph.get_weights())
    for seed in range(3):
        batch = make_batch(seed)
        expected = graph.train_on_batch(batch, return_dict=True)
        assert other.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-3)


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [{}, {"fresh_latents": False}, {"adversarial_loss": "relativistic"}, AUTHORS_STEP],
)
def test_two_replicas_give_the_losses_of_one_device(settings):
    """Both replicas see the same half batch, so batch statistics are those of the whole batch.

    With SGD, because Adam would hide gradients that are twice too large. The host sets steps of both kinds
    apart, alone and in loops on the devices: one, two, one in the first execution of four.
    """
    half = make_batch()
    whole = {key: np.concatenate([value, value]) for key, value in half.items()}
    one = make_model(run_eagerly=False, adversarial_interval=3, **settings)
    weights = one.get_weights()
    # Collectives of a second strategy in one process collide on CPUs, and other tests have theirs.
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        two = make_model(
            run_eagerly=False, adversarial_interval=3, steps_per_execution=4, **settings
        )
    two.set_weights(weights)
    options = tf.data.Options()
    off = tf.data.experimental.AutoShardPolicy.OFF
    options.experimental_distribute.auto_shard_policy = off
    data = tf.data.Dataset.from_tensors(whole).repeat(8).with_options(options)
    expected = one.fit(data, verbose=0).history
    got = two.fit(data, verbose=0).history
    for name in METRICS:
        assert got[name] == pytest.approx(expected[name], rel=1e-4), name
    for a, b in zip(one.student.trainable_variables, two.student.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_keras_file_round_trip_continues_exactly(tmp_path):
    model = make_model(LinearTeacher(), optimizer=keras.optimizers.Adam, rate=1e-3)
    model.fit(dataset(steps=3), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.teacher = model.teacher
    assert float(loaded.pixel_weight) == pytest.approx(0.19)
    assert int(loaded.step) == 3
    assert loaded.objectives == model.objectives
    batch = make_batch(9)
    expected = model.train_on_batch(batch, return_dict=True)
    got = loaded.train_on_batch(batch, return_dict=True)
    model.reset_metrics(), loaded.reset_metrics()
    assert got == pytest.approx(expected, rel=1e-4)
    expected = model.train_on_batch(batch, return_dict=True)
    assert loaded.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-4)


def test_a_file_from_before_a_setting_existed_loads_with_what_was_done_then():
    model = make_model()
    config, compiled = model.get_config(), model.get_compile_config()
    later = (*AUTHORS_STEP, "renew_fresh_latents")
    assert [compiled[name] for name in later] == [True, False, False]
    for name in (*later, "fresh_latents", "adversarial_loss"):
        del compiled[name]
    del config["student"]["config"]["start_at_identity"]
    del config["discriminator"]["config"]["class_table_stddev"]
    loaded = TinyGAN.from_config(config)
    loaded.compile_from_config(compiled)
    assert not any(getattr(loaded.objectives, name) for name in later)  # as it was then
    loaded.objectives.reuse_teacher_features = True
    assert loaded.objectives == model.objectives
    assert loaded.student.get_config() == model.student.get_config()
    assert loaded.discriminator.get_config() == model.discriminator.get_config()


def test_keras_file_keeps_the_type_of_the_networks(tmp_path):
    model = make_model(dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for network in (loaded.student, loaded.ema_student, loaded.discriminator):
        assert network.compute_dtype == "bfloat16"
        assert {one.compute_dtype for one in network.layers if one.weights} == {"bfloat16"}


def test_weights_only_round_trip_continues_exactly(tmp_path):
    model = make_model(optimizer=keras.optimizers.Adam, rate=1e-3)
    model.fit(dataset(steps=3), verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make_model(optimizer=keras.optimizers.Adam, rate=1e-3)
    other.load_weights(tmp_path / "model.weights.h5")
    model.reset_metrics()
    for seed in (4, 5):
        batch = make_batch(seed)
        expected = model.train_on_batch(batch, return_dict=True)
        assert other.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-4)


def test_discriminator_learns_to_tell_noise_from_the_teacher():
    model = make_model(optimizer=keras.optimizers.Adam, rate=2e-3)
    model.g_optimizer.learning_rate = 0.0
    batch = make_batch(real=False)
    first = model.train_on_batch(batch, return_dict=True)["d_loss"]
    for _ in range(15):
        model.reset_metrics()
        last = model.train_on_batch(batch, return_dict=True)["d_loss"]
    assert last < first


@pytest.mark.parametrize(
    ("attribute", "value"), [("image_size", 16), ("latent_dim", 7), ("num_classes", 10)]
)
def test_a_teacher_of_another_size_is_refused(attribute, value):
    teacher = LinearTeacher()
    setattr(teacher, attribute, value)
    with pytest.raises(ValueError, match=f"Got the teacher .* {value}"):
        make_model(teacher)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="renew_fresh_latents=True and fresh_latents=False"):
        make_model(renew_fresh_latents=True, fresh_latents=False)
    with pytest.raises(ValueError, match="adversarial_loss='wasserstein'. Expected hinge or relat"):
        make_model(adversarial_loss="wasserstein")
    with pytest.raises(ValueError, match="feature_weights"):
        make_model(feature_weights=[1.0])
    with pytest.raises(ValueError, match="adversarial_interval"):
        make_model(adversarial_interval=0)
    with pytest.raises(ValueError, match="feature_weights=.*Expected 0"):
        make_model(feature_weights=[1.0, -1.0])
    with pytest.raises(ValueError, match="pixel_weight=-1"):
        make_model(pixel_weight=-1.0)


@pytest.mark.full
def test_xla_leaves_out_a_teacher_that_it_can_t_compile():
    teacher = LinearTeacher()
    teacher.is_pure = False
    batch = make_batch()
    del batch["teacher_image"]
    settings = {"run_eagerly": False, "adversarial_interval": 2, **AUTHORS_STEP}
    model = make_model(teacher, jit_compile=True, **settings)
    expected = make_model(LinearTeacher(), **settings)
    expected.set_weights(model.get_weights())
    expected = expected.train_on_batch(batch, return_dict=True)
    assert model.train_on_batch(batch, return_dict=True) == pytest.approx(expected, rel=1e-3)


@pytest.mark.full
def test_a_teacher_that_is_set_later_is_the_one_of_the_next_step():
    class Negative(LinearTeacher):
        is_pure = False  # the step was to be compiled as a whole before

        def __call__(self, latents, labels):
            return -super().__call__(latents, labels)

    batch = make_batch()
    del batch["teacher_image"]
    model = make_model(LinearTeacher(), jit_compile=True, run_eagerly=False, rate=0.0)
    before = model.train_on_batch(batch, return_dict=True)["pixel_distillation"]
    model.teacher = Negative()
    assert model.compiles_parts and not model.jit_compile
    model.reset_metrics()
    after = model.train_on_batch(batch, return_dict=True)["pixel_distillation"]
    assert abs(after - before) > 1e-3


def test_the_mean_of_the_fresh_term_is_that_of_the_adversarial_steps():
    model = make_model(adversarial_interval=2)
    history = model.fit(dataset(steps=2), verbose=0).history
    both = model.trackers["adversarial_gan"].variables
    assert float(both[1]) == 1.0  # the weight of the mean: one of two steps
    assert history["adversarial_gan"][0] != 0.0


def test_fresh_images_move_the_student_at_adversarial_steps_only():
    def moves(interval, weight):
        keras.utils.set_random_seed(0)
        model = make_model(
            adversarial_interval=interval,
            adversarial_gan_weight=weight,
            adversarial_distillation_weight=0.0,
        )
        model.step.assign(1)
        model.train_on_batch(make_batch())
        return np.concatenate([v.numpy().ravel() for v in model.student.trainable_variables])

    np.testing.assert_array_equal(moves(2, 5.0), moves(2, 0.0))
    assert not np.array_equal(moves(1, 5.0), moves(1, 0.0))


@pytest.mark.parametrize("authors", [False, True])
def test_a_step_of_a_network_in_half_precision_scales_the_loss(authors):
    """Without scaling, gradients this small are zero in float16."""
    settings = {**AUTHORS_STEP, "renew_fresh_latents": True} if authors else {}
    model = make_model(run_eagerly=False, dtype="mixed_float16", **settings)
    assert isinstance(model.g_optimizer, keras.optimizers.LossScaleOptimizer)
    before = values(model.student.trainable_variables)
    logs = model.train_on_batch(make_batch(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert sum(moved(before, model.student.trainable_variables)) > 15
    optimizer = model.d_optimizer
    model.compile(d_optimizer=optimizer)
    assert model.d_optimizer is optimizer


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("float32", marks=pytest.mark.full),
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_xla_inside_of_two_replicas_gives_the_losses_of_one_device(policy):
    """The same half batch on both, so that statistics of a replica are those of the whole batch."""
    half = make_batch()
    whole = {key: np.concatenate([value, value]) for key, value in half.items()}
    options = tf.data.Options()
    off = tf.data.experimental.AutoShardPolicy.OFF
    options.experimental_distribute.auto_shard_policy = off
    data = tf.data.Dataset.from_tensors(whole).repeat(2).with_options(options)
    one = make_model(run_eagerly=False, adversarial_interval=2, dtype=policy)
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        two = make_model(run_eagerly=False, adversarial_interval=2, jit_compile=True, dtype=policy)
    assert two.compiles_parts
    two.set_weights(one.get_weights())
    expected = one.fit(data, verbose=0).history
    got = two.fit(data, verbose=0).history
    for name in METRICS:
        tolerance = {"rel": 1e-4} if policy == "float32" else {"rel": 2e-2, "abs": 5e-3}
        assert got[name] == pytest.approx(expected[name], **tolerance), name


def test_xla_with_synchronised_statistics_is_refused():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = TinyGAN(make_student(synchronized=True), make_discriminator())
        with pytest.raises(ValueError, match="synchronized=False"):
            model.compile(jit_compile=True)


def test_terms_beyond_the_limit_are_counted_by_name():
    model = make_model(divergence_limit=1.0)
    model.train_on_batch(make_batch())
    assert not model.failures.numpy()[METRICS.index("pixel_distillation")]
    model.student.get_layer("to_rgb").bias.assign([np.nan] * 3)
    model.train_on_batch(make_batch())
    assert model.failures.numpy()[METRICS.index("pixel_distillation")] == 1


# Networks of one's own


class PlainStudent(keras.Model):
    """A subclassed student that keeps the contract and nothing else."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(CLASSES, 4)
        self.dense = keras.layers.Dense(SIZE * SIZE * 3, activation="tanh")
        self.reshape = keras.layers.Reshape((SIZE, SIZE, 3))

    def call(self, inputs, training=False):
        latents, labels = inputs
        return self.reshape(
            self.dense(keras.ops.concatenate([latents, self.embedding(labels)], -1))
        )


class PlainDiscriminator(keras.Model):
    """A subclassed discriminator of two feature maps."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stages = [keras.layers.Conv2D(8, 3, 2, padding="same") for _ in range(2)]
        self.dense = keras.layers.Dense(1)
        self.embedding = keras.layers.Embedding(CLASSES, 8)

    def call(self, inputs, training=False):
        images, labels = inputs
        features = [self.stages[0](images)]
        features.append(self.stages[1](features[0]))
        pooled = keras.ops.sum(features[1], (1, 2))
        matched = keras.ops.sum(pooled * self.embedding(labels), -1, keepdims=True)
        return {"logits": self.dense(pooled) + matched, "features": features}


def test_subclassed_networks_that_keep_the_contract_train():
    batch = make_batch()
    student, discriminator = PlainStudent(), PlainDiscriminator()
    with pytest.raises(ValueError, match="type PlainStudent that has never been called"):
        TinyGAN(student, discriminator)
    student((batch["latent"], batch["label"]))
    model = TinyGAN(student, discriminator)
    with pytest.raises(ValueError, match="type PlainDiscriminator that has never been called"):
        model.compile()
    discriminator((batch["image"], batch["image_label"]))
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
    assert model.objectives.feature_weights == (0.25, 1.0)
    before = values(model.student.variables), values(model.ema_student.variables)
    logs = model.train_on_batch(batch, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert all(moved(before[0], model.student.variables))
    assert all(moved(before[1], model.ema_student.variables))
