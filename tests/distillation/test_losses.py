"""Every number here is worked out by hand from the formulas of Chang & Lu (arXiv:2009.13829)."""

import numpy as np
import pytest
import tensorflow as tf

from tinygan_keras.distillation import losses


def test_feature_distillation_sums_weighted_mean_absolute_differences():
    teacher = [tf.constant([[[[0.0], [1.0]]]]), tf.constant([[[[2.0]]], [[[4.0]]]])]
    student = [tf.constant([[[[0.5], [-1.0]]]]), tf.constant([[[[3.0]]], [[[1.0]]]])]
    # Map 1: mean(|-0.5|, |2|) = 1.25; map 2: mean(|-1|, |3|) = 2. So 1.25 / 4 + 2 * 1 = 2.3125.
    loss = losses.feature_distillation(teacher, student, [0.25, 1.0])
    assert loss.shape == ()
    assert float(loss) == 2.3125


def test_feature_distillation_averages_over_each_whole_map_not_over_all_maps():
    large, small = tf.zeros((2, 4, 4, 8)), tf.zeros((2, 1, 1, 1))
    loss = losses.feature_distillation([large, small], [large + 1.0, small + 1.0], [1.0, 1.0])
    assert float(loss) == 2.0


def test_feature_distillation_gives_the_teacher_no_gradient():
    teacher, student = tf.Variable([[0.0, 1.0]]), tf.Variable([[0.5, -1.0]])
    with tf.GradientTape() as tape:
        loss = losses.feature_distillation([teacher], [student], [3.0])
    teacher_gradient, student_gradient = tape.gradient(loss, [teacher, student])
    assert teacher_gradient is None
    # d/ds of 3 * mean |t - s| is 3 * sign(s - t) / 2.
    assert student_gradient.numpy().tolist() == [[1.5, -1.5]]


@pytest.mark.parametrize(("teacher", "student", "weights"), [(2, 1, 2), (1, 2, 2), (2, 2, 1)])
def test_feature_distillation_rejects_lists_of_unequal_length(teacher, student, weights):
    tensor = tf.zeros((1, 1))
    with pytest.raises(ValueError, match="one weight per feature map"):
        losses.feature_distillation([tensor] * teacher, [tensor] * student, [1.0] * weights)


def test_pixel_distillation_is_the_mean_absolute_difference():
    teacher = tf.constant([[[[1.0, -1.0, 0.0]]], [[[0.5, 0.5, 0.5]]]])
    student = tf.constant([[[[-1.0, -1.0, 0.5]]], [[[0.5, 0.0, 0.5]]]])
    # (2 + 0 + 0.5 + 0 + 0.5 + 0) / 6
    assert float(losses.pixel_distillation(teacher, student)) == 0.5


def test_pixel_distillation_gives_the_teacher_no_gradient():
    teacher, student = tf.Variable([1.0, 0.0]), tf.Variable([0.0, 0.25])
    with tf.GradientTape() as tape:
        loss = losses.pixel_distillation(teacher, student)
    teacher_gradient, student_gradient = tape.gradient(loss, [teacher, student])
    assert teacher_gradient is None
    assert student_gradient.numpy().tolist() == [-0.5, 0.5]


def test_generator_adversarial_is_the_negative_mean_logit():
    logits = tf.Variable([[2.0], [-0.5], [0.0]])
    with tf.GradientTape() as tape:
        loss = losses.generator_adversarial(logits)
    assert float(loss) == -0.5
    assert tape.gradient(loss, logits).numpy() == pytest.approx(-1 / 3)


def test_discriminator_adversarial_is_the_hinge_on_both_sides():
    real, generated = tf.Variable([[2.0], [0.5]]), tf.Variable([[-3.0], [0.25]])
    with tf.GradientTape() as tape:
        loss = losses.discriminator_adversarial(real, generated)
    # Real: mean(max(0, -1), max(0, 0.5)) = 0.25; generated: mean(max(0, -2), max(0, 1.25)) = 0.625.
    assert float(loss) == 0.875
    real_gradient, generated_gradient = tape.gradient(loss, [real, generated])
    # Beyond the margin there is nothing left to learn.
    assert real_gradient.numpy().tolist() == [[0.0], [-0.5]]
    assert generated_gradient.numpy().tolist() == [[0.0], [0.5]]


def test_discriminator_adversarial_rejects_batches_of_different_size():
    # Both means would exist, but one image too many on one side is a mistake of the caller.
    with pytest.raises(ValueError, match="incompatible"):
        losses.discriminator_adversarial(tf.zeros((1, 1)), tf.zeros((4, 1)))


def test_relativistic_compares_the_images_of_a_pair():
    preferred, other = tf.Variable([[2.0], [0.5]]), tf.Variable([[2.0], [-0.5]])
    with tf.GradientTape(persistent=True) as tape:
        loss = losses.relativistic(preferred, other)
    # Equal logits: log 2. One apart: log(1 + 1/e).
    assert float(loss) == pytest.approx((0.693147 + 0.313262) / 2, abs=1e-6)
    # Half of the sigmoid of the difference: the smaller the further the pair is apart.
    expected = np.array([[0.25], [0.134471]])
    for logits, sign in ((preferred, -1), (other, 1)):
        assert tape.gradient(loss, logits).numpy() == pytest.approx(sign * expected, abs=1e-6)


def test_losses_of_half_precision_inputs_are_float32():
    half = tf.constant([[1.0], [0.0]], tf.bfloat16)
    values = [
        losses.feature_distillation([half], [half], [1.0]),
        losses.pixel_distillation(half, half),
        losses.generator_adversarial(half),
        losses.discriminator_adversarial(half, half),
    ]
    assert [value.dtype for value in values] == [tf.float32] * 4


def test_losses_agree_inside_and_outside_of_a_graph():
    def all_terms(left, right):
        return tf.stack(
            [
                losses.feature_distillation([left, left], [right, right], [0.5, 0.25]),
                losses.pixel_distillation(left, right),
                losses.generator_adversarial(left),
                losses.discriminator_adversarial(left, right),
            ]
        )

    left, right = tf.random.stateless_normal((2, 8, 1), (1, 2))
    traced = tf.function(all_terms)(left, right)
    assert traced.numpy() == pytest.approx(all_terms(left, right).numpy(), rel=1e-6)


def test_losses_stay_out_of_tensorflow_1_collections():
    with tf.Graph().as_default() as graph:
        losses.generator_adversarial(tf.zeros((2, 1)))
        losses.discriminator_adversarial(tf.zeros((2, 1)), tf.zeros((2, 1)))
        assert graph.get_collection(tf.compat.v1.GraphKeys.LOSSES) == []
