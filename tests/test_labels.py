import pytest

from tinygan_keras.evaluation.metrics.labels import label_accuracy


def test_label_accuracy_counts_the_largest_logit():
    logits = [[0.1, 0.9], [5.0, -1.0], [0.0, 1.0], [2.0, 1.0]]
    assert label_accuracy(logits, [1, 0, 0, 0]) == 0.75


@pytest.mark.parametrize("labels", [[0], [], [[1, 0], [0, 1]]])
def test_label_accuracy_rejects_labels_that_do_not_fit(labels):
    with pytest.raises(ValueError, match="integer labels"):
        label_accuracy([[0.0, 1.0], [1.0, 0.0]], labels)
