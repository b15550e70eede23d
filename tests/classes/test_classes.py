"""Which classes a text means: numbers, names, animals; and the table of ImageNet."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest

from tinygan_keras.classes.imagenet import (
    ANIMALS,
    imagenet_classes,
    imagenet_ids,
    imagenet_names,
)
from tinygan_keras.classes.selection import class_numbers, is_imagenet

FASHION = ("T-shirt/top", "Dress", "Ankle boot")


def chosen(*arguments):
    return tuple(class_numbers(*arguments, distinct=True).tolist())


def test_the_table_is_in_the_order_of_the_wnids():
    wnids = [known.wnid for known in imagenet_classes()]
    assert len(set(wnids)) == 1000 and wnids == sorted(wnids)
    assert all(known.lemmas and all(known.lemmas) for known in imagenet_classes())
    assert imagenet_ids()["n15075141"] == 999


@pytest.mark.parametrize(
    ("label", "lemma"),
    [
        (0, "tench"),
        (1, "goldfish"),
        (207, "golden retriever"),
        (285, "Egyptian cat"),
        (397, "puffer"),
        (398, "abacus"),
        (817, "sports car"),
        (980, "volcano"),
        (999, "toilet tissue"),
    ],
)
def test_known_classes_have_their_known_ids(label, lemma):
    assert imagenet_classes()[label].lemmas[0] == lemma
    assert chosen(lemma.upper(), 1000) == (label,)


def test_every_class_has_one_name_of_its_own():
    assert len({name.lower() for name in imagenet_names()}) == 1000
    assert imagenet_names()[134] == "crane (n02012849)"
    for label, name in enumerate(imagenet_names()):
        if name.startswith(("crane", "Cardigan", "cardigan", "maillot", "tench")):
            assert chosen(name, 1000) == (label,)


def test_animals_are_the_first_398_and_only_of_imagenet():
    assert chosen("animals", 1000) == tuple(ANIMALS) == tuple(range(398))
    assert chosen("Animals, 500", 1000, imagenet_names()) == (*range(398), 500)
    with pytest.raises(ValueError, match="and 10 classes. Expected the 1000 classes of ImageNet"):
        class_numbers("animals", 10)
    with pytest.raises(ValueError, match="1000 classes: thing 0, thing 1"):
        class_numbers("animals", 1000, [f"thing {label}" for label in range(1000)])


def test_lists_of_names_as_others_publish_them_are_recognised():
    published = [", ".join(known.lemmas) for known in imagenet_classes()]
    published[12] = "house finch, linnet, a name that differs"
    assert is_imagenet(1000, published)
    assert is_imagenet(1000, [str(label) for label in range(1000)])
    assert is_imagenet(1000, [known.wnid for known in imagenet_classes()])
    assert not is_imagenet(1000, published[::-1])
    assert not is_imagenet(999)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 1, 2)),
        (" 2 ", (2,)),
        ("1-2,0", (0, 1, 2)),
        ("2, 0 - 1, 2", (0, 1, 2)),
        ("dress", (1,)),
        ("t-shirt/TOP, 2", (0, 2)),
    ],
)
def test_numbers_ranges_and_names(text, expected):
    assert chosen(text, 3, FASHION) == expected


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (None, [0, 1, 2]),
        ([], [0, 1, 2]),
        (2, [2]),
        (np.int64(1), [1]),
        ("Dress,1,0", [1, 1, 0]),
        (["Ankle boot", 0, "0-1"], [2, 0, 0, 1]),
        (np.array([2, 2], "int64"), [2, 2]),
    ],
)
def test_pictures_are_asked_for_in_an_order_and_as_often_as_named(classes, expected):
    labels = class_numbers(classes, 3, FASHION)
    assert labels.tolist() == expected and labels.dtype == np.int32
    assert chosen(classes, 3, FASHION) == tuple(sorted(set(expected)))


def test_names_are_compared_in_one_form_of_unicode():
    decomposed = unicodedata.normalize("NFD", "Käfer")
    assert class_numbers(decomposed, 2, ("cat", "Käfer")).tolist() == [1]
    assert class_numbers("käfer,cat", 2, ("cat", decomposed)).tolist() == [1, 0]


def test_a_name_may_hold_a_comma():
    assert class_numbers("Boots, black", 2, ["Boots, brown", "Boots, black"]).tolist() == [1]


@pytest.mark.parametrize("classes", [3, -1, [0, 3], [1.5], 1.5, [True], [[0, 1]], {0, 1}])
def test_numbers_that_are_no_classes_are_refused(classes):
    with pytest.raises(ValueError, match="Expected numbers from 0 to 2, or names"):
        class_numbers(classes, 3, FASHION)


def test_of_an_unknown_number_of_classes_only_numbers_are_known():
    assert class_numbers("0-1,70", None).tolist() == [0, 1, 70]
    with pytest.raises(ValueError, match="doesn't say how many it has"):
        class_numbers(None, None)
    with pytest.raises(ValueError, match="Nothing says the names of these classes"):
        class_numbers("Dress", None)


def test_synonyms_and_wnids_name_a_class():
    assert chosen("Carassius auratus, n01440764", 1000) == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "crane",
            r"134 \(crane, n02012849, crane.*; 517 \(crane, n03126707, crane.*Give its number",
        ),
        ("cat", r"Did you mean .*281 \(tabby, tabby cat"),
        ("golfish", r"Did you mean 1 \(goldfish"),
        ("animal", "Expected one that exists"),
        ("qqqqq", "Give a number from 0 to 999"),
        ("9-3", "smaller end of a range first"),
        ("990-1000", "from 0 to 999"),
        ("1,,2", "nothing between two commas"),
        ("-1", "Expected one that exists"),
    ],
)
def test_what_is_no_class_is_refused_with_the_nearest(text, message):
    with pytest.raises(ValueError, match=message):
        class_numbers(text, 1000)


def test_a_dog_is_not_mistaken_for_dough():
    with pytest.raises(ValueError) as error:
        class_numbers("dog", 1000)
    assert "dough" not in str(error.value) and "Maltese dog" in str(error.value)


def test_classes_without_names_want_numbers():
    with pytest.raises(ValueError, match="10 classes have no names; give numbers from 0 to 9"):
        class_numbers("dress", 10)


def test_classes_are_found_without_tensorflow(repository):
    program = (
        "import sys; from tinygan_keras.classes.selection import class_numbers;"
        "class_numbers('animals', 1000);"
        "print([m for m in ('tensorflow', 'keras', 'PIL') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
