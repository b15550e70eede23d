"""Our networks and training step against a twin in PyTorch, with the same weights and batches.

The twin runs in float64 where gradients are compared, so that what is seen is our rounding and not its.
"""

import dataclasses
import functools
import itertools
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.pytorch_twin import authors_step, networks, step, weights  # noqa: E402
from tinygan_keras.networks.discriminator import Discriminator  # noqa: E402
from tinygan_keras.networks.student import StudentGenerator  # noqa: E402
from tinygan_keras.runs.components import build_model  # noqa: E402
from tinygan_keras.runs.config import default_config  # noqa: E402

pytestmark = pytest.mark.torch

BATCH, SIZE, CLASSES, LATENT_DIM = 4, 128, 1000, 128


def randomize(network, seed=0):
    """Moves every variable off its initial value: biases, affine maps, moving statistics, embeddings, u."""
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        value = variable.numpy()
        noise = rng.normal(size=value.shape)
        if variable.name == "moving_variance":
            value = rng.uniform(0.5, 1.5, value.shape)
        elif variable.name in ("moving_mean", "bias", "gamma", "beta"):
            value = value + 0.1 * noise
        elif "embeddings" in variable.path:
            value = noise
        elif variable.name == "u":
            value = noise / np.linalg.norm(noise)
        else:
            value = value + 0.3 * value.std() * noise
        variable.assign(value)
    return network


LATENTS = {  # of a step, and the labels that go with them
    "latent": "label",
    "fresh_latent": "image_label",
    "second_fresh_latent": "image_label",
}


def make_batch(seed=0):
    """A batch as `TinyGAN` takes it."""
    rng = np.random.default_rng(seed)
    batch = {}
    for latent, image, label in (
        ("latent", "teacher_image", "label"),
        ("fresh_latent", "image", "image_label"),
    ):
        batch[latent] = 0.5 * rng.normal(size=(BATCH, LATENT_DIM)).astype("float32")
        batch[label] = rng.integers(0, CLASSES, BATCH).astype("int32")
        coarse = rng.uniform(-1, 1, (BATCH, 16, 16, 3)).astype("float32")
        batch[image] = coarse.repeat(8, axis=1).repeat(8, axis=2)
    return batch


def clear_of_kinks(student, discriminator, batch):
    """Moves every ReLU of both networks so that each of its channels is all open or all shut.

    An activation within rounding of zero may be open in one program and shut in the other, and one
    of a million moves the gradient of a whole tensor by some thousandths of itself: PyTorch's own
    float32 differs from its float64 by up to 1.3e-2 on random weights. Away from the kinks it
    differs by 3e-4.
    """
    rng = np.random.default_rng(0)
    for variable in student.variables:
        shape = variable.shape
        if variable.path.endswith("affine/kernel"):
            variable.assign(0.003 * rng.normal(size=shape))
        elif variable.path.endswith("affine/bias"):
            scale, shift = 0.15 + 0.02 * rng.normal(size=shape[0] // 2), 1.2
            variable.assign([*scale, *(shift * rng.choice([-1, 1], shape[0] // 2))])
        elif variable.name == "gamma":
            variable.assign(0.15 + 0.02 * rng.normal(size=shape))
        elif variable.name == "beta":
            variable.assign(1.5 * rng.choice([-1, 1], shape))
    inputs = images_of_a_step(student, batch)
    for layer in discriminator.layers:
        if layer.name.startswith("stage_"):
            maps = discriminator(inputs)["features"][int(layer.name[-1])].numpy()
            maps = np.where(maps < 0, maps / 0.01, maps)
            low, high = maps.min((0, 1, 2)), maps.max((0, 1, 2))
            opened = rng.random(low.shape) < 0.5
            layer.bias.assign_add(np.where(opened, 0.3 - low, -0.3 - high))


def images_of_a_step(student, batch):
    """All images that the discriminator sees in a step, and their labels; the student stays as it is."""
    before = student.get_weights()
    pairs = [(batch["teacher_image"], batch["label"]), (batch["image"], batch["image_label"])]
    for latent, label in LATENTS.items():
        if latent in batch:
            images = student((batch[latent], batch[label]), training=True).numpy()
            pairs.append((images, batch[label]))
    student.set_weights(before)
    return tuple(np.concatenate(column) for column in zip(*pairs, strict=True))


def statistics_of_a_step(student, batch):
    """Mean and variance of each batch of latents in the student's norms; the student stays as it is."""
    before, found = student.get_weights(), {}
    start = weights.carried(student.variables)
    for latent, label in LATENTS.items():
        if latent in batch:
            student((batch[latent], batch[label]), training=True)
            moved = weights.carried(student.variables)
            names = [name for name in moved if "running_" in name]
            found[latent] = {name: (moved[name] - 0.9 * start[name]) / 0.1 for name in names}
            student.set_weights(before)
    return found


def to_numpy(value):
    value = value.detach()
    return (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy()


def state(twin):
    return {name: value.detach().clone().numpy() for name, value in twin.state_dict().items()}


@pytest.fixture(scope="module")
def student():
    return randomize(StudentGenerator.from_preset("tinygan_128"))


@pytest.fixture(scope="module")
def discriminator():
    network = randomize(Discriminator.from_preset("tinygan_128"))
    batch = make_batch()
    for _ in range(3):  # on its way to the singular vectors, as in training
        network((batch["image"], batch["label"]), training=True)
    return network


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_images_agree(student, training, memory_format):
    before = student.get_weights()
    batch = make_batch()
    twin = weights.load(networks.Student(), student).to(memory_format=memory_format).train(training)
    images = student((batch["latent"], batch["label"]), training=training).numpy()
    inputs = (weights.batch_to_torch(batch[name]) for name in ("latent", "label"))
    twin_images = to_numpy(twin(*inputs))
    assert images.shape == (BATCH, SIZE, SIZE, 3) and images.std() > 0.1
    np.testing.assert_allclose(images, twin_images, rtol=0, atol=1e-4)
    assert_same_state(student, twin, tolerance=1e-5)
    student.set_weights(before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_logits_and_feature_maps_agree(discriminator, training, memory_format):
    before = discriminator.get_weights()
    batch = make_batch()
    twin = weights.load(networks.Discriminator(), discriminator)
    twin = twin.to(memory_format=memory_format).train(training)
    outputs = discriminator((batch["image"], batch["image_label"]), training=training)
    logits, maps = twin(
        weights.batch_to_torch(batch["image"]), weights.batch_to_torch(batch["image_label"])
    )
    assert len(outputs["features"]) == len(maps) == 5
    for ours, twins in zip((outputs["logits"], *outputs["features"]), (logits, *maps), strict=True):
        assert 0.01 < np.std(ours) < 100
        np.testing.assert_allclose(ours, to_numpy(twins), rtol=1e-4, atol=1e-4)
    assert_same_state(discriminator, twin, tolerance=1e-5)
    discriminator.set_weights(before)


def test_class_conditional_normalisation_starts_alike(student):
    """Scale 1 and shift 0, whatever the class."""
    fresh = StudentGenerator.from_preset("tinygan_128")
    ours = weights.carried(fresh.variables)["blocks.0.norm_0.affine.bias"]
    np.testing.assert_array_equal(ours, networks.Student().blocks[0].norm_0.affine.bias.detach())


def test_the_authors_start_values():
    torch.manual_seed(0)
    twin = networks.Student()
    authors_step.start_norms(twin)
    student = StudentGenerator.from_preset("tinygan_128", start_at_identity=False)
    values = weights.carried(student.variables)
    norms = [name for name in values if name.endswith("affine.weight")]
    assert len(norms) == 10
    for name in norms:
        np.testing.assert_array_equal(values[name], twin.get_parameter(name).detach(), name)
    biases = [
        np.concatenate([source[n.replace("weight", "bias")] for n in norms])
        for source in (values, {n: p.detach().numpy() for n, p in twin.named_parameters()})
    ]
    np.testing.assert_allclose(
        *(np.quantile(each, [0, 0.1, 0.5, 0.9, 1]) for each in biases), atol=3e-3
    )
    tables = [
        Discriminator.from_preset("tinygan_128", class_table_stddev=1.0)
        .get_layer("projection")
        .embeddings,
        authors_step.Discriminator().projection.weight_orig.detach(),
    ]
    np.testing.assert_allclose(*(np.quantile(each, [0.1, 0.5, 0.9]) for each in tables), atol=0.01)


def test_every_weight_has_a_counterpart(student, discriminator):
    for network, twin in (
        (student, networks.Student()),
        (discriminator, networks.Discriminator()),
    ):
        values = weights.carried(network.trainable_variables)
        parameters = {name: tuple(p.shape) for name, p in twin.named_parameters()}
        assert {name: value.shape for name, value in values.items()} == parameters


def test_another_network_is_refused(student):
    with pytest.raises(ValueError, match="that the twin lacks"):
        weights.load(networks.Student(channels=(512, 512, 256)), student)

    class Stranger:
        path = "student_generator/attention/kernel"

    with pytest.raises(ValueError, match="Add its counterpart"):
        weights.carried([Stranger()], [np.zeros(3)])


def test_the_twin_has_the_settings_of_the_paper():
    model = build_model(default_config())
    assert step.FEATURE_WEIGHTS == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    paper = {
        "feature_weights": step.FEATURE_WEIGHTS,
        "pixel_weight": 0.2,
        "adversarial_distillation_weight": 0.01,
        "adversarial_gan_weight": 0.2 * 0.01,
        "discriminator_gan_weight": 0.2,
        "adversarial_interval": 5,
    }
    ours = dataclasses.asdict(model.objectives)
    for name, value in paper.items():
        assert ours[name] == value, name
        assert getattr(step, name.upper()) == value, name
    assert model.ema_decay == step.EMA_DECAY
    for optimizer in (model.g_optimizer, model.d_optimizer):
        assert type(optimizer) is keras.optimizers.Adam
        assert float(optimizer.learning_rate) == pytest.approx(step.LEARNING_RATE) == 2e-4
        assert (optimizer.beta_1, optimizer.beta_2) == step.BETAS == (0.0, 0.9)
        assert optimizer.epsilon == step.EPSILON


def test_optimisers_agree_over_several_steps():
    """Gradients from 1 down to rounding, where the place of epsilon shows."""
    optimizer = build_model(default_config()).g_optimizer
    optimizer = type(optimizer).from_config(optimizer.get_config())
    rng = np.random.default_rng(0)
    scales = 10.0 ** np.arange(-9, 1)
    variable = keras.Variable(np.zeros((20, 10)), dtype="float32")
    parameter = torch.nn.Parameter(torch.zeros(20, 10, dtype=torch.float64))
    twin = step.adam([parameter])
    for updates in range(1, 7):
        gradient = (rng.normal(size=(20, 10)) * scales).astype("float32")
        optimizer.apply([tf.constant(gradient)], [variable])
        step.take_step(twin, (torch.from_numpy(gradient).double() * parameter).sum(), updates)
        np.testing.assert_allclose(variable.numpy(), parameter.detach(), rtol=1e-4, atol=1e-8)


class Step(NamedTuple):
    """One step of ours and one of the twin's from the same weights; values by the twin's names."""

    program: str
    number: int
    clear: bool
    terms: tuple
    before: dict
    gradients: tuple
    after: tuple
    average: tuple
    statistics: dict  # of batches in the student's norms, by the latents that they come from


def recorded(optimizer, variables):
    """Has an optimiser keep the gradients it is given, out of a compiled step too."""
    kept = [tf.Variable(tf.fill(v.shape, np.nan)) for v in variables]
    apply = optimizer.apply

    def record(gradients, variables=None):
        for place, gradient in zip(kept, gradients, strict=True):
            place.assign(tf.convert_to_tensor(gradient))
        return apply(gradients, variables)

    optimizer.apply = record
    return kept


PARTS = ("student", "discriminator")


@functools.cache
def build(program):
    """The model of a twin's program, with optimisers that keep their gradients; `start` brings it back."""
    paper = Path(__file__).parents[2] / "experiments" / "imagenet_128" / "paper.py"
    configs = {"ours": default_config, "authors": runpy.run_path(str(paper))["get_config"]}
    config = configs[program]()
    config.reuse_teacher_features = program == "authors"
    model = build_model(config)
    model.kept = {
        "student": recorded(model.g_optimizer, model.student.trainable_variables),
        "discriminator": recorded(model.d_optimizer, model.discriminator.trainable_variables),
    }
    changing = (*model.variables, *model.g_optimizer.variables, *model.d_optimizer.variables)
    model.start = [(variable, variable.numpy()) for variable in changing]
    return model


@pytest.fixture(
    scope="module",
    params=itertools.product(("ours", "authors"), (True, False), (0, 3)),
    ids=lambda taken: f"{taken[0]}-{'clear' if taken[1] else 'kinks'}-step{taken[2]}",
)
def taken(request):
    """A step of this package's program, or of the authors', which is that of `paper.py`."""
    program, clear, number = request.param
    model = build(program)
    for variable, value in model.start:
        variable.assign(value)
    batch = make_batch()
    ours = {part: randomize(getattr(model, part)) for part in PARTS}
    for _ in range(20):  # on its way to the singular vectors, as in training
        model.discriminator((batch["image"], batch["label"]), training=True)
    model.step.assign(number)
    inputs = dict(batch)
    if program == "authors":
        table = model.discriminator.get_layer("projection")
        # On their way there, their iteration and ours are half a step apart.
        _, vectors = tf.linalg.eigh(tf.matmul(table.embeddings, table.embeddings, transpose_a=True))
        table.u.assign(vectors[None, :, -1])
        del batch["fresh_latent"]
        for again, key in enumerate(("fresh_latent", "second_fresh_latent")):
            inputs[key] = model._fresh_latents((BATCH, LATENT_DIM), again=bool(again)).numpy()
    if clear:
        clear_of_kinks(model.student, model.discriminator, inputs)
    statistics = statistics_of_a_step(model.student, inputs)
    logits = model.discriminator(images_of_a_step(model.student, inputs))["logits"]
    # Both sides of each hinge: some images count, some don't.
    model.discriminator.get_layer("head").bias.assign_add([-np.quantile(logits, 0.4)])

    twins = {"student": weights.load(networks.Student(), model.student).double()}
    if program == "ours":
        twin = weights.load(networks.Discriminator(), model.discriminator)
        twins["discriminator"] = twin.double()
        trainer = step.Trainer(*twins.values(), step=number)
        weights.load(trainer.average, model.ema_student)
    else:
        twin = authors_step.load(authors_step.Discriminator(), model.discriminator)
        twins["discriminator"] = twin.double()
        trainer = authors_step.Trainer(*twins.values(), step_number=number + 4)
    before = {part: weights.carried(network.variables) for part, network in ours.items()}
    logs = model.train_on_batch(batch, return_dict=True)
    terms = trainer.train_step(
        {k: weights.batch_to_torch(v, torch.float64) for k, v in inputs.items()}
    )
    gradients = {p: {n: x.grad.numpy() for n, x in twins[p].named_parameters()} for p in PARTS}
    after = {p: state(twins[p]) for p in PARTS}
    if program == "authors":
        for values in (gradients, after):
            values["discriminator"] = by_our_names(values["discriminator"], before["discriminator"])
    return Step(
        program,
        number,
        clear,
        (logs, {name: float(value) for name, value in terms.items()}),
        before,
        (
            {p: weights.carried(ours[p].trainable_variables, model.kept[p]) for p in PARTS},
            gradients,
        ),
        ({p: weights.carried(ours[p].variables) for p in PARTS}, after),
        (
            weights.carried(model.ema_student.variables),
            state(trainer.average) if program == "ours" else None,
        ),
        statistics,
    )


def by_our_names(values, names):
    pairs = ((name, authors_step.their_name(name)) for name in names)
    return {name: values[theirs] for name, theirs in pairs if theirs in values}


def test_losses_agree(taken):
    ours, twins = taken.terms
    assert ("adversarial_gan" in twins) == (taken.number == 0)
    left_out = 2 if taken.program == "authors" else 1  # between adversarial steps
    assert len(twins) == (8 if taken.number == 0 else 8 - left_out)  # the paper's six, two sums
    for name, value in twins.items():
        assert value != 0
        assert ours[name] == pytest.approx(value, rel=1e-4), name


def has_no_true_gradient(name):
    """A constant per channel in front of a batch norm, which takes it away again.

    All convolutions of the student but the last are such; what they get is rounding.
    """
    return name.endswith(".bias") and (".separable_" in name or ".shortcut." in name)


@pytest.mark.parametrize("part", PARTS)
def test_gradients_of_every_parameter_agree(taken, part):
    """Largest difference within a tensor, as a share of its largest gradient.

    With activations at their kinks (see `clear_of_kinks`) single tensors may differ by what
    PyTorch's own float32 differs from its float64.
    """
    ours, twins = (gradients[part] for gradients in taken.gradients)
    assert ours.keys() == twins.keys()
    scale = max(np.abs(value).max() for value in twins.values())
    shares = {}
    for name, value in twins.items():
        difference = np.abs(ours[name] - value).max()
        if has_no_true_gradient(name):
            assert np.abs(value).max() < 1e-12 * scale, name
            assert difference < 1e-4 * scale, name
        else:
            assert np.abs(value).max() > 1e-6 * scale, name
            shares[name] = difference / np.abs(value).max()
    assert len(shares) == (len(twins) - 25 if part == "student" else len(twins))
    if taken.clear:
        assert max(shares.values()) < 1e-3, shares
    else:
        assert max(shares.values()) < 4e-2 and np.median(list(shares.values())) < 5e-3, shares


@pytest.mark.parametrize("part", PARTS)
def test_both_updates_agree(taken, part):
    """Every element whose gradient is clear of rounding.

    The first step of Adam is nearly the learning rate times the sign, whatever the size; near zero,
    rounding may turn it. Nothing moves by more than the learning rate. The authors' epsilon is added after
    the bias correction, Keras' before: with gradients near it, the first steps show that.
    """
    smallest = 3e-6 if taken.program == "authors" else 0.0
    ours, twins = (after[part] for after in taken.after)
    for name, gradient in taken.gradients[1][part].items():
        start = taken.before[part][name]
        rounding = 2 * np.spacing(np.abs(start).max())
        moves = ours[name] - start, twins[name] - start
        assert max(np.abs(move).max() for move in moves) < 1.001 * step.LEARNING_RATE + rounding
        if not has_no_true_gradient(name):
            share = (1e-2 if taken.clear else 0.1) * np.abs(gradient).max()
            clear = np.abs(gradient) > max(share, smallest)
            difference = np.abs(moves[0] - moves[1])[clear].max(initial=0.0)
            assert difference < 0.02 * step.LEARNING_RATE + rounding, name


def moved_once_more(taken, name, ours):
    """A moving statistic of ours as the authors' program leaves it, which generates S(z, y) twice.

    The second time is before S(z', y) of the student's update, if the step is an adversarial one.
    """
    again, last = (taken.statistics[latent][name] for latent in ("latent", "second_fresh_latent"))
    assert not np.allclose(again, last, rtol=1e-3)
    adversarial = taken.number == 0
    before = (ours - 0.1 * last) / 0.9 if adversarial else ours
    moved = 0.9 * before + 0.1 * again
    return 0.9 * moved + 0.1 * last if adversarial else moved


@pytest.mark.parametrize("part", PARTS)
def test_moving_statistics_and_power_iteration_agree(taken, part):
    ours, twins = (after[part] for after in taken.after)
    names = sorted(name for name in ours if "running_" in name or name.endswith(".u"))
    assert len(names) == (22 if part == "student" else 7)
    if (taken.program, part) == ("authors", "student"):
        ours = {name: moved_once_more(taken, name, ours[name]) for name in names}
    for name in names:
        if ours[name].size > 1:  # the one of a single output is 1
            assert not np.array_equal(ours[name], taken.before[part][name]), name
        # The authors' goes on after the update, of the class table from its other vector: half a step.
        atol = 2e-4 if taken.program == "authors" else 1e-5
        np.testing.assert_allclose(ours[name], twins[name], rtol=1e-4, atol=atol, err_msg=name)


def test_averages_agree(taken):
    ours, twins = taken.average
    twins = twins or taken.after[0]["student"]  # the authors average nothing
    for name, value in ours.items():
        np.testing.assert_allclose(
            value, twins[name], rtol=1e-4, atol=2.01 * step.LEARNING_RATE, err_msg=name
        )


def assert_same_state(network, twin, tolerance):
    """Weights, moving statistics and vectors of power iteration."""
    twins = state(twin)
    for name, value in weights.carried(network.variables).items():
        np.testing.assert_allclose(value, twins[name], rtol=tolerance, atol=tolerance, err_msg=name)
