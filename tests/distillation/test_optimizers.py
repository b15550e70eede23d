"""What an optimiser does with the gradients of several replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.distillation.optimizers import apply_gradients, ready_optimizers


@pytest.fixture
def strategy():
    # Collectives of a second strategy in one process collide on CPUs, and other tests have theirs.
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def step(strategy, make_optimizer, of_first, of_second):
    """One step from 0; returns the weights and the optimiser."""
    with strategy.scope():
        variable = keras.Variable(np.zeros(2, "float32"))
        optimizer = make_optimizer()
        optimizer.build([variable])

    @tf.function
    def run():
        def on_replica():
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            found = tf.where(first, tf.constant(of_first), tf.constant(of_second))
            apply_gradients(optimizer, [found], [variable])

        strategy.run(on_replica)

    run()
    for copy in strategy.experimental_local_results(variable.value):
        np.testing.assert_array_equal(copy.numpy(), variable.numpy())
    return variable.numpy(), optimizer


def test_replicas_gradients_are_added_up(strategy):
    weights, _ = step(strategy, lambda: keras.optimizers.SGD(1.0), [3.0, 1.0], [0.0, 3.0])
    np.testing.assert_allclose(weights, [-3.0, -4.0])


def test_the_norm_that_is_clipped_is_that_of_all_replicas_together(strategy):
    def clipping():
        return keras.optimizers.SGD(1.0, global_clipnorm=1.0)

    weights, _ = step(strategy, clipping, [3.0, 1.0], [0.0, 3.0])
    np.testing.assert_allclose(weights, [-0.6, -0.8], rtol=1e-6)
    weights, _ = step(strategy, clipping, [3.0, 0.1], [-3.0, 0.1])
    np.testing.assert_allclose(weights, [0.0, -0.2], atol=1e-6)  # apart they would be clipped


def test_a_step_is_left_out_everywhere_if_one_replica_has_overflown(strategy):
    def scaling():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=8.0)

    weights, optimizer = step(strategy, scaling, [8.0, 8.0], [np.inf, 8.0])
    np.testing.assert_array_equal(weights, [0.0, 0.0])
    assert optimizer.dynamic_scale.numpy() == 4.0
    weights, optimizer = step(strategy, scaling, [8.0, 8.0], [16.0, 8.0])
    np.testing.assert_allclose(weights, [-3.0, -2.0])
    assert optimizer.dynamic_scale.numpy() == 8.0


def test_one_optimizer_for_both_networks_is_refused():
    network, optimizer = keras.Sequential(), keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="one optimizer object as g_optimizer and d_optimizer"):
        ready_optimizers(network, optimizer, network, optimizer)


def test_the_optimizers_are_the_paper_s_where_none_is_given():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    g_optimizer, d_optimizer = ready_optimizers(network, None, network, "sgd")
    assert (float(g_optimizer.learning_rate), g_optimizer.beta_1, g_optimizer.beta_2) == (
        pytest.approx(2e-4),
        0.0,
        0.9,
    )
    assert isinstance(d_optimizer, keras.optimizers.SGD) and d_optimizer.built
