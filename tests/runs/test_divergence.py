"""A training that diverges stops, says why, and spares the last good checkpoint."""

import keras
import numpy as np
import pytest
from run_fixtures import gan_batches, tiny_gan

from tinygan_keras.distillation.losses import METRICS
from tinygan_keras.runs.checkpoints import Checkpoints, latest_checkpoint
from tinygan_keras.runs.divergence import DivergenceError, StopOnDivergence, broken_weights


@pytest.fixture
def model():
    return tiny_gan()


def fit(model, data, folder, check_every=100, **settings):
    callbacks = [StopOnDivergence(check_every), Checkpoints(folder)]
    model.fit(data, verbose=0, callbacks=callbacks, **settings)


def test_a_good_training_is_left_alone(model, tmp_path):
    fit(model, gan_batches(2), tmp_path, check_every=1)
    assert latest_checkpoint(tmp_path)[0] == 1
    assert not broken_weights(model)


def test_the_term_and_the_step_are_named_and_the_former_checkpoint_is_kept(model, tmp_path):
    fit(model, gan_batches(2), tmp_path)
    bad = gan_batches(3).map(lambda batch: {**batch, "image": batch["image"] * np.nan})
    with pytest.raises(DivergenceError) as caught:
        fit_unchecked(model, bad, tmp_path, initial_epoch=1, epochs=2)
    assert "step 5: discriminator_gan in 3 steps" in str(caught.value), "first what failed first"
    assert "gradient_clip_norm" in str(caught.value)
    done, _, path = latest_checkpoint(tmp_path)
    assert done == 1
    fresh = tiny_gan()
    fresh.load_weights(path)
    assert not broken_weights(fresh)
    assert not fresh.failures.numpy().any()


def fit_unchecked(model, data, folder, **settings):
    """`TinyGAN.fit` looks at the first batch; this goes past it."""
    callbacks = [StopOnDivergence(), Checkpoints(folder)]
    keras.Model.fit(model, data, verbose=0, callbacks=callbacks, **settings)


def test_sums_are_named_only_when_no_term_is_to_blame(model):
    callback = StopOnDivergence()
    callback.set_model(model)
    counts = np.zeros(len(METRICS))
    counts[[METRICS.index("g_loss"), METRICS.index("pixel_distillation")]] = 3
    model.failures.assign(counts)
    with pytest.raises(
        DivergenceError, match=r"pixel_distillation in 3 steps \(mean 2\)"
    ) as caught:
        callback.on_epoch_end(0, {"pixel_distillation": 2.0})
    assert "g_loss" not in str(caught.value)
    counts[METRICS.index("pixel_distillation")] = 0
    model.failures.assign(counts)
    with pytest.raises(DivergenceError, match="g_loss in 3 steps"):
        callback.on_epoch_end(0)


def test_what_an_earlier_training_failed_at_is_forgotten(model, tmp_path):
    model.failures.assign(np.ones(len(METRICS)))
    fit(model, gan_batches(2), tmp_path)
    assert latest_checkpoint(tmp_path)[0] == 1


def test_replicas_that_fail_at_the_same_step_count_once(model):
    class FourReplicas:
        num_replicas_in_sync = 4

    callback = StopOnDivergence()
    callback.set_model(model)
    counts = np.zeros(len(METRICS))
    counts[METRICS.index("pixel_distillation")] = 5  # at one step all four, at another one of them
    model.failures.assign(counts)
    model._distribute_strategy = FourReplicas()
    with pytest.raises(DivergenceError, match="pixel_distillation in 2 steps"):
        callback.on_epoch_end(0)


def test_counts_are_read_every_few_batches_and_not_in_between(model):
    callback = StopOnDivergence(check_every=10)
    callback.set_model(model)
    looks = []
    callback._check_terms = lambda logs=None: looks.append(batch)
    callback.on_epoch_begin(0)
    for batch in range(0, 40, 4):  # four steps per execution
        callback.on_train_batch_begin(batch)
    assert looks == [12, 24, 36]


def test_weights_that_are_not_finite_are_named(model):
    variable = model.g_optimizer.variables[-1]
    variable.assign(np.full(variable.shape, np.inf))
    callback = StopOnDivergence()
    callback.set_model(model)
    with pytest.raises(DivergenceError, match=f"weights that are not finite.*{variable.path}"):
        callback.on_epoch_end(0)


def test_every_process_raises_when_one_has_reason_to(model):
    callback = StopOnDivergence(total=lambda count: count + 1)
    callback.set_model(model)
    with pytest.raises(DivergenceError, match="those of another worker"):
        callback.on_epoch_end(0)


def test_looking_less_often_than_always_is_refused():
    with pytest.raises(ValueError, match="check_every=0"):
        StopOnDivergence(0)
