"""The model card says what the model is, how to ask it, how its figures were measured, and no more."""

import json
import re

import pytest
import tensorflow as tf

from tinygan_keras.generators.cost import multiply_adds
from tinygan_keras.networks.network import count_parameters
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.saved_model.model_card import model_card

NAMES = ("cat", "dog's", "T-shirt/top")


@pytest.fixture(scope="module")
def student():
    return StudentGenerator(channels=(8, 4), latent_dim=6, num_classes=3, embedding_dim=4)


def rows(card) -> dict:
    """The cells of its tables of two columns."""
    return dict(re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", card, re.MULTILINE))


def test_costs_are_those_of_the_evaluation(student):
    expected = multiply_adds(student, (tf.TensorSpec((1, 6)), tf.TensorSpec((1,), tf.int32)))
    assert rows(model_card(student, NAMES))["multiply-adds per image"] == f"{expected:,}"
    count = count_parameters(student)
    assert count == sum(int(tf.size(variable)) for variable in student.trainable_variables)
    student.trainable = False
    assert count_parameters(student) == count
    student.trainable = True


def test_facts_that_nobody_gave_are_unknown(student):
    card = model_card(student, NAMES)
    facts = rows(card)
    assert facts["images"] == "8 x 8 pixels, 3 classes"
    assert (facts["teacher"], facts["truncation of the training"]) == ("unknown", "unknown")
    assert "Figures" not in card
    assert "Apache License 2.0" in card


def test_given_facts_come_before_those_of_the_report(student):
    report = {"config": {"teacher": "theirs", "truncation": 0.25}}
    facts = rows(model_card(student, NAMES, report=report))
    assert (facts["teacher"], facts["truncation of the training"]) == ("theirs", "0.25")
    facts = rows(model_card(student, NAMES, truncation=0.5, teacher="mine", report=report))
    assert (facts["teacher"], facts["truncation of the training"]) == ("mine", "0.5")


@pytest.mark.parametrize("file", ["report.json", "evaluation/evaluation.json"])
def test_figures_of_a_run_come_with_their_protocol(student, repository, file):
    report = json.loads((repository / "saved_models/tinygan_fashion_32" / file).read_text())
    facts = rows(model_card(student, NAMES, report={**report, "notes": ["few images"]}))
    figures = report.get("figures") or report["student"]
    for name in ("frechet_distance", "label_accuracy"):
        assert facts[name.replace("_", " ")] == f"{figures[name]:.6g}"
    assert facts["real images"] == "10000"
    assert facts["versions"].startswith("keras 3")
    assert facts["parameters"] == f"{count_parameters(student):,}"  # of this model
    assert "## What the figures can't say\n\n- few images" in model_card(
        student, NAMES, report={**report, "notes": ["few images"]}
    )


def test_example_request_is_one_line_of_shell_and_json(student):
    card = model_card(student, ("dog's", "b", "c"), truncation=0.25)
    body = re.search(r"-d '([^']*)'$", card, re.MULTILINE)[1]
    assert json.loads(body) == {
        "signature_name": "sample_by_name",
        "instances": [{"class_name": "dog's", "seed": 7, "truncation": 0.25}],
    }


def test_cells_do_not_break_their_table(student):
    facts = model_card(student, NAMES, teacher="a|b")
    assert r"| teacher | a\|b |" in facts
