"""A whole evaluation: its figures are those of the metrics, it repeats, resumes, and says what it can't."""

import dataclasses
import functools
import json
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from run_fixtures import NUM_CLASSES, TINY_STUDENT, write_classifier, write_teacher

import tinygan_keras.evaluation.evaluate as module
from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.evaluation.evaluate import evaluate
from tinygan_keras.evaluation.extractors.extractor import load_extractor
from tinygan_keras.evaluation.feature_store import FeatureStore
from tinygan_keras.evaluation.metrics import classification, frechet
from tinygan_keras.evaluation.metrics.frechet import feature_statistics, frechet_distance
from tinygan_keras.evaluation.protocol import ProtocolError
from tinygan_keras.evaluation.results import as_table, compare, read_evaluation, write_evaluation
from tinygan_keras.generators.generator import GeneratedImages
from tinygan_keras.generators.opening import load_generator
from tinygan_keras.latents import LAW, latents_of_seeds
from tinygan_keras.networks.student import StudentGenerator
from tinygan_keras.teachers.hub import HubTeacher

COUNT = 520  # two blocks of 250 and a rest
OF_FRECHET = {"frechet_distance", "frechet_distance_error", "frechet_bias", "frechet_floor"}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A teacher, a classifier and a student on disk."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("evaluate")
    write_teacher(folder / "teacher")
    write_classifier(folder / "classifier")
    (folder / "run").mkdir()
    student = StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT)
    student.save(folder / "run" / "student.keras")
    names = [f"class {label}" for label in range(NUM_CLASSES)]
    (folder / "run" / "class_names.txt").write_text("\n".join(names))
    (folder / "run" / "config.json").write_text(json.dumps({"truncation": 0.8, "ema_decay": 0.9}))
    return folder


@pytest.fixture(scope="module")
def extractor(folder):
    return load_extractor(folder / "classifier")


@pytest.fixture(scope="module")
def real():
    random = np.random.default_rng(0)
    shades = random.integers(60, 196, (300, 1, 32, 3))
    noise = random.integers(-60, 60, (300, 32, 32, 3))
    labels = np.arange(300) % NUM_CLASSES
    return ArrayImages((shades + noise).astype("uint8"), labels, None, "shades")


@pytest.fixture(scope="module")
def result(folder, extractor, real):
    return evaluated(folder, extractor, real)


@pytest.fixture(scope="module")
def of_the_teacher(folder, extractor, real):
    return evaluated(folder, extractor, real, subject=opened(folder / "teacher", 0.8))


@pytest.fixture(scope="module")
def of_another_seed(folder, extractor, real):
    return evaluated(folder, extractor, real, seed=5)


def evaluated(made, extractor, real, **options):
    options = {"num_images": COUNT, "progress": False, "reference": real} | options
    subject = options.pop("subject", None) or opened(made / "run", 0.8)
    return evaluate(subject, extractor, teacher=opened(made / "teacher", 0.8), **options)


@functools.cache
def opened(path, truncation):
    return load_generator(path, truncation)


def test_figures_are_those_of_the_metrics(folder, extractor, real, result):
    protocol, figures = result["protocol"], result["figures"]
    order = np.random.default_rng(protocol["seed"]).permutation(300)
    labels = np.resize(real.labels[order], COUNT)
    students = GeneratedImages(opened(folder / "run", 0.8), labels, protocol["seed"], 0.8)
    teachers = GeneratedImages(opened(folder / "teacher", 0.8), labels, protocol["seed"], 0.8)
    student_images, teacher_images = students.read(0, COUNT), teachers.read(0, COUNT)
    features, logits = extractor(student_images)
    teacher_features, _ = extractor(teacher_images)
    statistics = feature_statistics(features)
    expected = {
        "frechet_distance": frechet_distance(
            *statistics, *feature_statistics(extractor(real.read(0, 300))[0])
        ),
        "frechet_to_teacher": frechet_distance(*statistics, *feature_statistics(teacher_features)),
        "label_accuracy": np.mean(logits.argmax(axis=1) == labels),
        "teacher_l1": np.abs(student_images.astype(float) - teacher_images).mean() / 127.5,
        "teacher_feature_distance": np.linalg.norm(features - teacher_features, axis=1).mean(),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-5), name


def test_image_i_has_the_seed_of_the_evaluation_plus_i(folder, extractor):
    latents = []
    generator = dataclasses.replace(opened(folder / "run", 0.8), mix=None)

    def draw(z, labels, draw=generator.draw):
        latents.append(np.array(z))
        return draw(z, labels)

    generator = dataclasses.replace(generator, draw=draw)
    found = evaluate(generator, extractor, num_images=300, seed=7, progress=False)
    expected = latents_of_seeds(7 + np.arange(300), generator.latent_dim, 0.8)
    np.testing.assert_array_equal(np.concatenate(latents), expected)
    assert found["protocol"]["latents"] == LAW


@pytest.mark.parametrize(
    ("metrics", "figures", "columns"),
    [
        (["frechet_distance"], OF_FRECHET, ["features"]),
        (
            ["label_accuracy", "precision"],
            {"label_accuracy", "precision", "recall", "density", "coverage"},
            ["features", "logits"],
        ),
    ],
)
def test_chosen_metrics_are_all_that_is_computed(
    folder, extractor, real, result, monkeypatch, metrics, figures, columns
):
    stored = []
    append = FeatureStore.append
    monkeypatch.setattr(
        FeatureStore,
        "append",
        lambda store, rows: stored.append(sorted(rows)) or append(store, rows),
    )
    options = {"num_images": COUNT, "progress": False, "reference": real, "metrics": metrics}
    found = evaluate(opened(folder / "run", 0.8), extractor, **options)
    assert set(found["figures"]) == figures
    for name in figures:
        assert found["figures"][name] == result["figures"][name]
    assert all(names == columns for names in stored)
    assert found["protocol"] == {**result["protocol"], "teacher": None}


def test_a_teacher_is_measured_by_the_chosen_metrics_too(folder, extractor, real, result):
    found = evaluated(folder, extractor, real, metrics=["frechet_distance", "frechet_to_teacher"])
    to_teacher = {"frechet_to_teacher", "frechet_to_teacher_error"}
    assert set(found["figures"]) == OF_FRECHET | to_teacher
    theirs = found["teacher"]["figures"]
    assert theirs == {name: result["teacher"]["figures"][name] for name in theirs}
    assert set(theirs) == OF_FRECHET


def test_a_student_s_distance_comes_in_parts(result):
    gap, figures = result["gap"], result["figures"]
    theirs = result["teacher"]["figures"]
    assert gap["distance"] == pytest.approx(figures["frechet_distance"], rel=1e-9)
    assert gap["floor"] == figures["frechet_bias"]
    share = theirs["frechet_distance"] - gap["floor"]
    assert figures["teacher_share"] == pytest.approx(share, rel=1e-9)
    assert gap["student_share"] == pytest.approx(gap["distance"] - share - gap["floor"], rel=1e-9)
    assert {name: len(power) for name, power in gap["spectra"].items()} == {
        "student": 16,
        "teacher": 16,
        "real": 16,
    }
    assert -1 <= result["teacher"]["class_correlation"] <= 1


def test_the_distance_of_a_column_to_the_real_images_is_computed_once(
    folder, extractor, real, result, monkeypatch
):
    """Frechet distance, gap and the teacher's own figures ask for the same two."""
    decomposed, decompose = [], frechet._singular_vectors
    monkeypatch.setattr(
        frechet, "_singular_vectors", lambda *a, **k: decomposed.append(a) or decompose(*a, **k)
    )
    biases = mock.Mock(side_effect=frechet.frechet_bias)
    monkeypatch.setattr(frechet, "frechet_bias", biases)
    found = evaluated(folder, extractor, real, metrics=["frechet_distance", "gap"])
    assert len(decomposed) == 2 and biases.call_count == 1
    assert found["gap"] == result["gap"]
    assert (
        found["teacher"]["figures"]["frechet_distance"]
        == (result["teacher"]["figures"]["frechet_distance"])
    )


def test_distances_within_classes_are_those_of_the_classes(folder, extractor, real, result):
    label, row = 3, result["classes"][3]
    order = np.random.default_rng(result["protocol"]["seed"]).permutation(300)
    labels = np.resize(real.labels[order], COUNT)
    seed = result["protocol"]["seed"]
    images = GeneratedImages(opened(folder / "run", 0.8), labels, seed, 0.8)
    ours = extractor(images.read(0, COUNT)[labels == label])[0]
    theirs = extractor(real.read(0, 300)[real.labels == label])[0]
    expected = frechet_distance(*feature_statistics(ours), *feature_statistics(theirs))
    assert row["frechet_distance"] == pytest.approx(expected, rel=1e-4)
    assert (row["name"], row["images"], row["real_images"]) == ("class 3", sum(labels == label), 30)
    distances = [row["frechet_distance"] for row in result["classes"]]
    assert result["figures"]["intra_class_frechet"] == pytest.approx(np.mean(distances))
    assert result["figures"]["intra_class_frechet_deviation"] == pytest.approx(np.std(distances))


def test_an_interrupted_evaluation_goes_on_and_ends_equal(
    folder, extractor, real, result, tmp_path, monkeypatch
):
    read, seen = GeneratedImages.read, []

    def interrupted(images, start, stop):
        seen.append(start)
        if start == 500:
            raise KeyboardInterrupt
        return read(images, start, stop)

    monkeypatch.setattr(GeneratedImages, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluated(folder, extractor, real, folder=tmp_path)
    monkeypatch.setattr(GeneratedImages, "read", lambda *call: seen.append(call[1]) or read(*call))
    seen.clear()
    resumed = evaluated(folder, extractor, real, folder=tmp_path)
    assert set(seen) == {500}
    assert resumed["figures"] == result["figures"]
    assert read_evaluation(tmp_path)["figures"] == result["figures"]
    assert not (tmp_path / "unfinished").exists()


def test_what_was_kept_of_another_evaluation_is_not_used(
    folder, extractor, real, result, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_measure", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluated(folder, extractor, real, folder=tmp_path, seed=7)
    other = evaluated(folder, extractor, real, folder=tmp_path)
    assert other["figures"] == result["figures"]
    assert other["classes"] == result["classes"]


def test_everything_a_figure_depends_on_is_in_the_protocol(extractor, real, result):
    protocol = result["protocol"]
    assert protocol["extractor_hash"] == extractor.hash
    assert protocol["generated_images"] == COUNT
    assert protocol["real_images"] == 300
    assert protocol["labels"] == "those of the real images, shuffled"
    assert protocol["truncation"] == 0.8
    assert protocol["weights"] == "exponential moving average"
    assert protocol["range"] == "[-1, 1], rounded to uint8"
    assert "none" in protocol["resize"]
    assert protocol["versions"]["tensorflow"] == tf.__version__
    assert None not in [value for name, value in protocol.items() if name != "reference"]


def test_files_hold_the_evaluation(extractor, result, tmp_path):
    write_evaluation(result, tmp_path / "run" / "evaluation")
    loaded = read_evaluation(tmp_path / "run")
    assert loaded["figures"] == result["figures"]
    assert loaded["protocol"] == result["protocol"]
    text = (tmp_path / "run" / "evaluation" / "evaluation.md").read_text()
    assert f"{result['figures']['frechet_distance']:#.4g}" in text
    assert "class 3" in text and extractor.hash in text


def test_evaluations_made_alike_stand_side_by_side(result, of_the_teacher, of_another_seed):
    distances = (found["figures"]["frechet_distance"] for found in (result, of_another_seed))
    assert len(set(distances)) == 2
    with pytest.raises(ProtocolError, match="seed"):
        compare({"a": result, "b": of_another_seed})
    text = compare({"student": result, "teacher": of_the_teacher})
    assert "student" in text and "teacher" in text and "*" in text
    assert "weights" in text  # nobody knows whether the teacher's are averaged


def test_a_teacher_equals_itself(of_the_teacher):
    figures, notes = of_the_teacher["figures"], of_the_teacher["notes"]
    assert figures["teacher_l1"] == 0.0
    assert figures["teacher_ssim"] == pytest.approx(1.0)
    assert figures["frechet_to_teacher"] == pytest.approx(0.0, abs=1e-9)
    assert "teacher_psnr" not in figures
    assert any("520 of 520 images equal the teacher's" in note for note in notes)


def test_the_teacher_is_measured_in_the_same_pass(result, of_the_teacher):
    alone = of_the_teacher
    assert result["teacher"]["figures"]["label_accuracy"] == 1.0  # a stripe per class
    for name, value in result["teacher"]["figures"].items():
        assert alone["figures"][name] == value, name
    distances = [row["frechet_distance"] for row in alone["classes"]]
    assert [row["frechet_distance"] for row in result["teacher"]["classes"]] == distances


def test_a_keras_model_is_evaluated_as_its_file(folder, extractor, real, result):
    student = keras.saving.load_model(folder / "run" / "student.keras")
    figures = evaluated(folder, extractor, real, subject=student, truncation=0.8)["figures"]
    assert figures == result["figures"]


def test_a_folder_of_images_is_evaluated_without_latents(folder, extractor, real, tmp_path):
    for label in range(2):
        (tmp_path / f"class_{label}").mkdir()
    for index in range(24):
        path = tmp_path / f"class_{index % 2}" / f"{index:03d}.png"
        Image.fromarray(real.read(index, index + 1)[0]).save(path)
    found = evaluate(tmp_path, extractor, reference=real, progress=False)
    assert found["protocol"]["generated_images"] == 24
    assert found["protocol"]["truncation"] is None
    assert any("Fewer than two generated images of 8 classes" in note for note in found["notes"])
    with pytest.raises(ValueError, match="num_images=10 and a set of images"):
        evaluate(tmp_path, extractor, reference=real, num_images=10, progress=False)
    with pytest.raises(ValueError, match="latents behind them"):
        evaluate(tmp_path, extractor, teacher=folder / "teacher", progress=False)


def test_labels_of_given_images_are_matched_by_name_too(folder, extractor, real):
    names = tuple(f"class {label}" for label in range(NUM_CLASSES))
    images, labels = real.read(0, 300), real.labels
    reference = ArrayImages(images, labels, names, "real")
    backwards = ArrayImages(images, NUM_CLASSES - 1 - labels, names[::-1], "the same, renumbered")
    found = evaluate(backwards, extractor, reference=reference, progress=False)
    assert found["figures"]["intra_class_frechet"] == pytest.approx(0.0, abs=1e-6)
    assert found["classes"][0]["name"] == "class 9"


def test_other_programs_statistics_serve_for_the_distance_alone(folder, extractor, real, tmp_path):
    mean, covariance = feature_statistics(extractor(real.read(0, 300))[0])
    np.savez(tmp_path / "other.npz", mu=mean, sigma=covariance)
    found = evaluated(
        folder,
        extractor,
        tmp_path / "other.npz",
        labels="balanced",
        reference=tmp_path / "other.npz",
    )
    assert found["figures"]["frechet_distance"] > 0
    assert "precision" not in found["figures"]
    assert any("mu and sigma only" in note for note in found["notes"])


def test_few_images_come_with_a_statement_of_the_bias(folder, extractor, real):
    found = evaluated(folder, extractor, real, num_images=4)
    (note,) = [note for note in found["notes"] if "too large" in note and "singular" in note]
    assert "4 images for 4 features" in note
    bias = found["figures"]["frechet_bias"]
    assert f"As many real images are {bias:.4g} apart" in note
    assert "Fewer than 10 images: no standard error." in found["notes"]
    assert not [name for name in found["figures"] if name.startswith("frechet") and "error" in name]


def test_the_bias_is_that_of_as_many_real_images(folder, extractor, real, result):
    """Of 300 real images, halves of 150; scaled by 1/N to 520 generated and 300 real ones."""
    figures = result["figures"]
    scaled = figures["frechet_floor"] * 150 / 2 * (1 / COUNT + 1 / 300)
    assert figures["frechet_bias"] == pytest.approx(scaled, rel=1e-12)
    few = evaluated(folder, extractor, real, num_images=60, metrics="frechet_distance")["figures"]
    features = extractor(real.read(0, 300))[0]
    rows = np.random.default_rng(0).permutation(300)
    halves = (feature_statistics(features[part]) for part in (rows[:60], rows[60:120]))
    (mean_1, covariance_1), (mean_2, covariance_2) = halves
    distance = frechet_distance(mean_1, covariance_1, mean_2, covariance_2)
    assert few["frechet_bias"] == pytest.approx(distance * (1 + 60 / 300) / 2, rel=1e-9)


def test_the_extrapolated_distance_is_measured_where_it_is_asked_for(folder, extractor, real):
    found = evaluated(folder, extractor, real, metrics=["frechet_at_infinity", "frechet_distance"])
    figures = found["figures"]
    assert figures["frechet_at_infinity"] < figures["frechet_distance"]
    assert figures["frechet_at_infinity_error"] == figures["frechet_distance_error"]
    assert found["protocol"]["frechet_at_infinity"] == {"parts": [1, 2, 3]}
    few = evaluated(folder, extractor, real, metrics="frechet_at_infinity", num_images=12)
    assert few["figures"] == {}
    assert any("isn't extrapolated. That takes more than 12." in note for note in few["notes"])


def test_notes_are_warnings_too(folder, extractor, real):
    with pytest.warns(UserWarning, match="singular"):
        evaluated(folder, extractor, real, num_images=4)


def test_nothing_is_silent_about_missing_inputs(folder, extractor):
    found = evaluate(opened(folder / "run", 0.8), extractor, num_images=20, progress=False)
    assert "frechet_distance" not in found["figures"]
    assert any("No real images" in note for note in found["notes"])
    assert found["figures"]["inception_score"] >= 1.0


def test_a_class_that_is_missing_among_the_real_images_is_named(folder, extractor, real):
    kept = real.labels != 4
    fewer = ArrayImages(real.read(0, 300)[kept], real.labels[kept], None, "shades")
    found = evaluated(folder, extractor, fewer, reference=fewer, labels="balanced")
    note = "Fewer than two real images of 1 classes (class 4)"
    assert any(note in line for line in found["notes"])
    assert "frechet_distance" not in found["classes"][4]
    assert "label_accuracy" in found["classes"][4]


def test_real_labels_follow_the_names_of_their_classes(folder, extractor, real, result):
    order = np.random.default_rng(1).permutation(NUM_CLASSES)
    names = [f"class {label}" for label in order]  # label k of the real images is class order[k]
    images = real.read(0, 300)
    shuffled = ArrayImages(images, np.argsort(order)[real.labels], tuple(names), "shades")
    found = evaluated(folder, extractor, real, reference=shuffled, metrics="intra_class_frechet")
    for name, value in found["figures"].items():
        assert value == pytest.approx(result["figures"][name])
    with pytest.raises(ValueError, match="of the class 'cat 0'"):
        cats = tuple(f"cat {label}" for label in range(NUM_CLASSES))
        evaluated(folder, extractor, real, reference=ArrayImages(images, real.labels, cats))


def test_nameless_real_images_are_matched_by_number_and_said_so(result):
    (note,) = [note for note in result["notes"] if "no class names" in note]
    assert "0 is class 0" in note


def test_classes_that_are_never_drawn_are_named(folder, extractor, real):
    kept = real.labels != 4
    fewer = ArrayImages(real.read(0, 300)[kept], real.labels[kept], None, "shades")
    found = evaluated(folder, extractor, fewer, metrics="frechet_distance")
    assert any("No image is generated of 1 of 10 classes (class 4)" in n for n in found["notes"])


def test_warnings_about_real_images_are_notes(folder, extractor, real):
    warned = ArrayImages(real.read(0, 300), real.labels, None, "shades", ("They are gray.",))
    found = evaluated(folder, extractor, real, reference=warned, num_images=20)
    assert "They are gray." in found["notes"]


def test_a_teacher_in_memory_keeps_its_truncation(folder, extractor, real):
    teacher = HubTeacher(folder / "teacher", truncation=0.3)
    with pytest.raises(ValueError, match=r"truncation 0.3, and truncation 0.8"):
        evaluate(
            opened(folder / "run", 0.8), extractor, teacher=teacher, num_images=20, progress=False
        )
    with pytest.raises(ValueError, match=r"truncation=3"):
        evaluate(
            opened(folder / "run", 0.8), extractor, truncation=3.0, num_images=20, progress=False
        )


def test_an_assumed_truncation_is_said(folder, extractor):
    student = keras.saving.load_model(folder / "run" / "student.keras")
    found = evaluate(student, extractor, num_images=20, progress=False)
    assert found["protocol"]["truncation"] == 0.5
    assert any("0.5 is assumed" in note for note in found["notes"])


def test_no_label_accuracy_from_a_classifier_of_other_classes(folder, extractor):
    student = StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT, num_classes=7)
    found = evaluate(student, extractor, num_images=20, truncation=1.0, progress=False)
    assert "label_accuracy" not in found["figures"]
    assert any("7 classes, the extractor's logits 10" in note for note in found["notes"])


def test_a_generator_of_images_from_0_to_1_is_noticed(folder, extractor, real):
    halved = opened(folder / "run", 0.8)
    halved = dataclasses.replace(
        halved, draw=lambda *inputs, draw=halved.draw: (draw(*inputs) + 1) / 2
    )
    options = {"num_images": 20, "progress": False, "metrics": "inception_score"}
    with pytest.warns(UserWarning, match="first 20 images of .* no pixel darker than middle grey"):
        evaluate(halved, extractor, **options)


def test_a_classifier_learns_from_the_generated_images(
    folder, extractor, real, tmp_path, monkeypatch
):
    seen = {}

    def score(images, labels, test_images, test_labels, num_classes, **options):
        seen.update(images=images, labels=labels, test=test_labels, classes=num_classes)
        return 0.25, 1

    monkeypatch.setattr(classification, "classification_accuracy_score", score)
    labels = (0, 1, 2, 4, 5, 6, 7, 8)
    options = {"num_images": 30, "labels": labels, "classification_test": real}
    found = evaluated(folder, extractor, real, **options)
    assert found["figures"]["classification_accuracy"] == 0.25
    protocol = found["protocol"]["classification"]
    assert (protocol["test"], protocol["train_images"]) == (real.fingerprint, 30)
    assert (seen["images"].shape, seen["classes"]) == ((30, 32, 32, 3), NUM_CLASSES)
    assert seen["test"].tolist() == real.labels.tolist()
    assert any("from no image of 2 classes: 3, 9" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classification_test": "no/such/images"}, "no/such/images"),
        ({"teacher": "no/such/teacher"}, "no/such/teacher"),
        ({"extractor": "no/such/extractor"}, "no/such/extractor"),
        ({"labels": "some"}, "Expected 'balanced'"),
        ({"resize": "bilinear"}, "give it to load_extractor"),
        ({"seed": -1}, r"seeds=\[-1\]"),
        ({"num_images": 1}, "num_images=1. Expected 2 or more"),
        ({"metrics": ["frechet"]}, "Did you mean 'frechet_distance'"),
        ({"metrics": []}, "Got metrics=nothing"),
        ({"metrics": "kernel_distance"}, "No real images are given, which it needs"),
    ],
)
def test_mistakes_are_reported_before_anything_is_generated(
    folder, extractor, options, message, monkeypatch
):
    monkeypatch.setattr(GeneratedImages, "read", None)
    options = {"extractor": extractor, "progress": False} | options
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        evaluate(opened(folder / "run", 0.8), **options)


def test_nan_is_an_error(folder, extractor, real):
    student = keras.saving.load_model(folder / "run" / "student.keras")
    student.get_layer("to_rgb").bias.assign([np.nan] * 3)
    with pytest.raises(ValueError, match="NaN or infinity in 250 of 250 images"):
        evaluated(folder, extractor, real, subject=student, truncation=0.8)


def test_a_teacher_of_other_size_is_refused(folder, extractor, real):
    other = StudentGenerator.from_preset(
        "tinygan_fashion_32", **TINY_STUDENT | {"channels": (4, 4, 4)}
    )
    with pytest.raises(ValueError, match="image_size=16"):
        evaluated(folder, extractor, real, subject=other, truncation=0.8)


def test_the_table_shows_value_and_spread(result):
    text = as_table({"mine": result})
    figures = result["figures"]
    score = f"{figures['inception_score']:#.4g} ({figures['inception_score_deviation']:.2g})"
    assert score in text
    assert "*" not in text


def generator(num_classes=5):
    return SimpleNamespace(source="painter", num_classes=num_classes)


def test_balanced_labels_take_turns():
    rule, labels = module._labels("auto", 7, generator(), None, seed=0)
    assert (rule, labels.tolist()) == ("each class in turn", [0, 1, 2, 3, 4, 0, 1])


def test_chosen_labels_take_turns():
    rule, labels = module._labels((0, 1, 2, 4), 6, generator(), None, seed=0)
    assert (rule, labels.tolist()) == ("4 classes in turn: 0-2,4", [0, 1, 2, 4, 0, 1])


def test_real_labels_are_shuffled_and_used_equally_often():
    real = SimpleNamespace(labels=np.repeat([0, 1, 4], [4, 2, 6]))
    rule, labels = module._labels("auto", 24, generator(), real, seed=0)
    assert rule == "those of the real images, shuffled"
    assert np.bincount(labels).tolist() == [8, 4, 0, 0, 12]
    assert labels[:12].tolist() != real.labels.tolist()


@pytest.mark.parametrize(
    ("rule", "real", "classes", "message"),
    [
        ("reference", None, 5, "with real images that have labels"),
        ("uniform", None, 5, "Expected 'balanced'"),
        ("balanced", None, None, "how many classes"),
        ((1, 5), None, 5, "labels from 1 to 5 of painter. Expected numbers from 0 to 4"),
        ((), None, 5, r"Got labels"),
        ((0.5,), None, 5, "labels float64"),
    ],
)
def test_a_rule_of_labels_needs_what_it_takes_them_from(rule, real, classes, message):
    real = real and SimpleNamespace(labels=np.array(real))
    with pytest.raises(ValueError, match=message):
        module._labels(rule, 4, generator(classes), real, seed=0)


def test_a_classifier_needs_labelled_test_images(folder, extractor, real, monkeypatch):
    monkeypatch.setattr(GeneratedImages, "read", None)
    unlabelled = ArrayImages(real.read(0, 20), None, None, "shades")
    with pytest.raises(ValueError, match="Got shades without labels"):
        evaluated(folder, extractor, real, classification_test=unlabelled)


def test_optional_metrics_are_measured_beside_the_teacher_s(folder, extractor, real):
    names = ["vendi_score", "authenticity", "path_length", "sliced_wasserstein"]
    found = evaluated(folder, extractor, real, metrics=names, num_images=60)
    figures, theirs = found["figures"], found["teacher"]["figures"]
    lengths = {"path_length", "class_path_length"}
    expected = {*names, *lengths, *(f"{name}_error" for name in lengths)}
    assert set(figures) == expected and set(theirs) <= expected
    assert all(np.isfinite(list(figures.values())))
    assert figures["path_length"] != theirs["path_length"], "each by its own generator"
    assert found["protocol"]["path_length"] == {"paths": 30, "epsilon": 1e-3}
    again = evaluated(folder, extractor, real, metrics=names, num_images=60)
    assert again["figures"] == figures


def test_optional_metrics_that_lack_something_are_refused(folder, extractor, real, tmp_path):
    images = ArrayImages(real.read(0, 60), real.labels[:60], None, "made")
    with pytest.raises(ValueError, match="path_length. The images aren't those of a generator"):
        evaluate(images, extractor, real, metrics="path_length", progress=False)
    np.savez(tmp_path / "a.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(ValueError, match="real images are given by their statistics"):
        evaluated(
            folder, extractor, None, reference=tmp_path / "a.npz", metrics="sliced_wasserstein"
        )
