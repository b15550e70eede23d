"""From the classes of a data set to class numbers."""

import unicodedata

import numpy as np
import pytest
from image_tree_fixtures import IDS, WNIDS

from tinygan_keras.classes.imagenet import imagenet_classes, imagenet_names
from tinygan_keras.classes.mapping import map_classes, match_classes
from tinygan_keras.data.keras_sets import CIFAR10_NAMES, CIFAR100_NAMES


def test_wnids_in_any_order_and_of_any_part_map_to_their_ids():
    wnids = [known.wnid for known in imagenet_classes()]
    order = np.random.default_rng(0).permutation(1000)
    found = match_classes([wnids[label] for label in order], 1000, own_order=True)
    np.testing.assert_array_equal(found.labels, order)
    assert found.class_names == imagenet_names()
    np.testing.assert_array_equal(map_classes(WNIDS, 1000), [IDS[wnid] for wnid in WNIDS])
    # A teacher of a few classes with names: the lemmas of the wnid count.
    np.testing.assert_array_equal(map_classes(WNIDS[:2], 2, ("Abacus", "tench")), [1, 0])
    np.testing.assert_array_equal(match_classes(imagenet_names(), 1000).labels, np.arange(1000))


def test_names_are_compared_in_one_form_of_unicode():
    decomposed = unicodedata.normalize("NFD", "Käfer")
    np.testing.assert_array_equal(map_classes([decomposed], 2, ("cat", "Käfer")), [1])


@pytest.mark.parametrize(
    ("names", "num_classes", "class_names", "message"),
    [
        (("cat", "dog"), 2, None, "have no names: call those of the data set by their numbers"),
        (("n01440764", "n09999999"), 1000, None, "1 of 2 classes.*none of the 1000.*'n09999999'"),
        (("tench", "crane"), 1000, None, r"'crane'.*classes \[134, 517\].*its wnid"),
        (("tench", "n01440764"), 1000, None, "all class 0 .*Merge them"),
        (("1", "12"), 10, None, "'12'.*from 0 to 9"),
        (("dres",), 2, ("Dress", "Bag"), "Did you mean 0"),
        (CIFAR10_NAMES, 1000, None, "of 10 classes in the data set that are none of the 1000"),
        (CIFAR10_NAMES, 100, None, "10 of 10 classes.*teacher of 10 classes"),
    ],
)
def test_classes_that_are_not_known_are_refused(names, num_classes, class_names, message):
    with pytest.raises(ValueError, match=message):
        match_classes(names, num_classes, class_names, own_order=len(names) == 10)


def test_the_own_order_counts_where_classes_have_no_names_only():
    for class_names in (None, tuple(map(str, range(10)))):  # names that only repeat the numbers
        found = match_classes(CIFAR10_NAMES, 10, class_names, own_order=True)
        np.testing.assert_array_equal(found.labels, np.arange(10))
        assert found.class_names == CIFAR10_NAMES
    backwards = match_classes(CIFAR10_NAMES, 10, CIFAR10_NAMES[::-1], own_order=True)
    np.testing.assert_array_equal(backwards.labels, np.arange(10)[::-1])


def test_numbers_are_class_numbers_even_where_the_order_might_count():
    as_text = sorted(map(str, range(12)))  # "0", "1", "10", "11", "2", ...
    found = match_classes(as_text, 12, own_order=True)
    np.testing.assert_array_equal(found.labels, [int(name) for name in as_text])
    assert found.class_names == tuple(map(str, range(12))), "names go with their labels"


def test_classes_without_images_need_not_be_known():
    found = match_classes(("cat", "dog"), 3, ("bird", "dog", "fox"), used=np.array([False, True]))
    assert found.labels.tolist() == [-1, 1] and found.num_classes == 3


def test_cifar_names_are_sorted_and_as_many_as_they_should_be():
    assert len(set(CIFAR100_NAMES)) == 100 and list(CIFAR100_NAMES) == sorted(CIFAR100_NAMES)
    assert len(set(CIFAR10_NAMES)) == 10
