"""What may be compared: equal, different, unknown and ignored keys."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tinygan_keras.evaluation import protocol as module
from tinygan_keras.evaluation.protocol import ProtocolError, check_comparable

PROTOCOL = {
    "extractor": "fashion_classifier",
    "feature_dim": 128,
    "truncation": 1.0,
    "seed": 0,
    "weights": None,
    "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
}


def differences(first, second, names=("first", "second"), ignore=()):
    return module.differences(dict(zip(names, (first, second), strict=True)), ignore)[0]


def changed(**values):
    return {**PROTOCOL, **values}


def test_equal_protocols_have_nothing_to_say():
    assert differences(PROTOCOL, dict(PROTOCOL)) == []
    assert check_comparable({"a": PROTOCOL, "b": PROTOCOL, "c": PROTOCOL}) == []


def test_a_line_for_each_differing_key():
    other = changed(truncation=0.5, extractor="inception")
    assert differences(PROTOCOL, other, ("runs/a", "runs/b")) == [
        'extractor: "fashion_classifier" (runs/a), "inception" (runs/b)',
        "truncation: 1.0 (runs/a), 0.5 (runs/b)",
    ]


def test_nested_keys_are_dotted():
    other = changed(versions={"tensorflow": "2.21.0", "keras": "3.16.0"})
    assert differences(PROTOCOL, other) == ['versions.keras: "3.15.1" (first), "3.16.0" (second)']


@pytest.mark.parametrize(
    "other", [changed(seed=None), {k: PROTOCOL[k] for k in PROTOCOL if k != "seed"}]
)
def test_a_key_that_one_side_does_not_know_is_reported_and_not_refused(other):
    assert differences(PROTOCOL, other) == []
    assert check_comparable({"a": PROTOCOL, "b": other}) == ["seed: 0 (a), unknown (b)"]
    assert check_comparable({"a": other, "b": PROTOCOL}) == ["seed: 0 (b), unknown (a)"]


@pytest.mark.parametrize("versions", [None, {}, {"keras": None}])
def test_all_keys_of_an_unknown_dict_are_unknown(versions):
    assert check_comparable({"a": PROTOCOL, "b": changed(versions=versions)}) == [
        'versions.tensorflow: "2.21.0" (a), unknown (b)',
        'versions.keras: "3.15.1" (a), unknown (b)',
    ]


def test_a_key_unknown_to_all_is_not_mentioned():
    assert check_comparable({"a": {"weights": None}, "b": {}}) == []


@pytest.mark.parametrize("falsy", [0, 0.0, False, "", []])
def test_falsy_values_are_known(falsy):
    assert len(differences({"key": falsy}, {"key": "x"})) == 1
    assert differences({"key": falsy}, {"key": falsy}) == []


def test_a_value_against_a_dict_differs():
    first, second = {"resize": "none"}, {"resize": {"kernel": "area"}}
    assert differences(first, second) == ['resize: "none" (first), {"kernel": "area"} (second)']


def test_protocol_from_a_file_equals_the_one_in_memory():
    memory = {
        "n": np.int64(5),
        "sizes": (1, 2),
        "path": Path("a/b"),
        "real": np.float32(0.5),
        "f": 1,
    }
    file = json.loads('{"n": 5, "sizes": [1, 2], "path": "a/b", "real": 0.5, "f": 1.0}')
    assert check_comparable({"memory": memory, "file": file}) == []


def test_several_protocols_are_compared_at_once():
    protocols = {"a": PROTOCOL, "b": changed(truncation=0.5), "c": changed(), "d": changed(seed=3)}
    with pytest.raises(ProtocolError) as caught:
        check_comparable(protocols)
    lines = "  truncation: 1.0 (a, c, d), 0.5 (b)\n  seed: 0 (a, b, c), 3 (d)\n"
    assert f"ways:\n{lines}Expected" in str(caught.value)
    assert re.search("(?s)Got .*Expected .*Evaluate again", str(caught.value))
    assert isinstance(caught.value, ValueError)


def test_a_difference_shows_who_does_not_know():
    protocols = {"a": {"seed": 0}, "b": {}, "c": {"seed": 1}}
    with pytest.raises(ProtocolError, match=r"seed: 0 \(a\), 1 \(c\), unknown \(b\)"):
        check_comparable(protocols)


def test_one_protocol_is_comparable_with_itself():
    assert check_comparable({"a": PROTOCOL}) == []


@pytest.mark.parametrize("ignore", [("seed", "versions"), ["seed", "versions.keras"]])
def test_ignored_names_do_not_matter(ignore):
    other = changed(seed=1, versions={"tensorflow": "2.21.0", "keras": "4"})
    assert check_comparable({"a": PROTOCOL, "b": other}, ignore) == []


def test_ignoring_works_for_unknown_keys_and_takes_one_name_as_a_string():
    assert check_comparable({"a": PROTOCOL, "b": changed(seed=None)}, ignore="seed") == []
    assert differences(PROTOCOL, changed(seed=1), ignore="seed") == []


def test_ignoring_a_name_spares_no_longer_name():
    first, second = {"seed": 1, "seeds": 1}, {"seed": 2, "seeds": 2}
    assert differences(first, second, ignore="seed") == ["seeds: 1 (first), 2 (second)"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("trucation", "truncation"), ("versions.kers", "versions.keras"), ("x", None)],
)
def test_unknown_name_to_ignore_is_rejected(name, meant):
    hint = rf"Did you mean '{re.escape(meant)}'\?$" if meant else r"weights\.$"
    with pytest.raises(ValueError, match=f"Got ignore='{name}', which no protocol has.*{hint}"):
        check_comparable({"a": PROTOCOL, "b": changed(truncation=0.5)}, ignore=[name])
