"""All pictures of a generator: which are made from which inputs, and what is said about the others."""

import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.generators.generator import Generator
from tinygan_keras.generators.side_files import teacher_here
from tinygan_keras.images import to_float
from tinygan_keras.latents import latents_of_seeds
from tinygan_keras.pictures import report
from tinygan_keras.pictures.report import SEED, ReportImages, draw_album

NAMES, SIZE, LATENT_DIM = ("Bag", "Coat", "Dress"), 32, 4
ALL = {"class_grid", "interpolation_z", "interpolation_class", "neighbours", "gap"}
ALL |= {"feature_map", "feature_mosaic"}


def painted(latents, class_weights):
    """The colour is z, the brightness of a stripe the class."""
    colours = tf.tanh(latents[:, None, None, :3]) * tf.ones((1, SIZE, SIZE, 1))
    stripe = class_weights @ tf.constant([[-1.0], [0.0], [1.0]])
    stripe = stripe[:, None, None] * tf.ones((1, SIZE, 4, 3))
    return tf.concat([stripe, colours[:, :, 4:]], axis=2)


def generator(**changes):
    fields = {
        "draw": lambda latents, labels: painted(latents, tf.one_hot(labels, 3)),
        "latent_dim": LATENT_DIM,
        "num_classes": 3,
        "class_names": NAMES,
        "truncation": 0.5,
        "image_size": SIZE,
        "source": "runs/tiny",
        "format": "run folder",
        "content_hash": "0" * 64,
        "weights": None,
        "parameters": 0,
        "teacher": None,
        "mix": painted,
        **changes,
    }
    return Generator(**fields)


class Extractor:
    """Features are the mean colour of the left, and of the right part."""

    num_classes, feature_dim, input_size = 3, 6, SIZE

    def protocol(self, image_size=SIZE):
        if image_size != SIZE:
            raise ValueError(f"Got images of {image_size}x{image_size} pixels.")
        return {}

    def __call__(self, images):
        images = to_float(images)
        parts = images[:, :, :4].mean((1, 2)), images[:, :, 4:].mean((1, 2))
        features = np.concatenate(parts, axis=1)
        return features, features[:, :3]


def real_images(count=60, labels=True, names=None, size=SIZE):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, size, size, 3), "uint8")
    images[:, :, :, :] = images[:, :1, :1, :]
    return ArrayImages(images, np.arange(count) % 3 if labels else None, names, "sixty squares")


def album(folder, model=None, only=None, **options):
    """The entries by name; with `only`, of one picture, as each takes a second."""
    pages = {f"{only}.png": report.PAGES[f"{only}.png"]} if only else report.PAGES
    with mock.patch.object(report, "PAGES", pages):
        entries = draw_album(model or generator(), folder, **{"per_class": 8, **options})
    return {entry.name.removesuffix(".png"): entry for entry in entries}


def files(folder):
    return {path.name.removesuffix(".png") for path in folder.iterdir()}


def test_everything_is_made_from_everything(tmp_path):
    reported = []
    entries = album(
        tmp_path / "out",
        teacher=generator(),
        extractor=Extractor(),
        real=real_images(),
        report=reported.append,
    )
    assert set(entries) == files(tmp_path / "out") == ALL
    assert reported == list(entries.values())
    for entry in entries.values():
        assert entry.path.stat().st_size < 1.5e6
        assert np.asarray(Image.open(entry.path)).std() > 10
    assert "teacher" in entries["class_grid"].text
    assert "only a better teacher would help" in entries["gap"].text, "both are the same"


def test_a_generator_alone_gives_grid_and_interpolations_and_the_rest_is_said(tmp_path):
    entries = album(tmp_path)
    assert files(tmp_path) == {"class_grid", "interpolation_z", "interpolation_class"}
    assert "no teacher" in entries["class_grid"].text
    for name in ("neighbours", "feature_map", "feature_mosaic", "gap"):
        assert entries[name].path is None
        assert "feature extractor" in entries[name].text


def test_without_mix_there_is_no_way_between_classes(tmp_path):
    model = generator(mix=None, format="saved model")
    entry = album(tmp_path, model, "interpolation_class")["interpolation_class"]
    assert entry.path is None
    assert entry.text == "a saved model takes one class per image and can't mix classes."


def test_extractor_alone_has_nothing_to_compare_with(tmp_path):
    entries = album(tmp_path, extractor=Extractor())
    assert "real images" in entries["neighbours"].text
    assert "real images or a teacher" in entries["feature_map"].text


def test_extractor_and_teacher_give_a_map(tmp_path):
    options = {"extractor": Extractor(), "teacher": generator()}
    assert album(tmp_path, only="feature_map", **options)["feature_map"].path
    assert not album(tmp_path, only="neighbours", **options)["neighbours"].path


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    options = {"extractor": Extractor(), "real": real_images(), "per_class": 4}
    for name in ("interpolation_class", "feature_map"):
        first, again, other = (
            album(tmp_path / str(place), only=name, seed=seed, **options)[name].path.read_bytes()
            for place, seed in enumerate((1, 1, 2))
        )
        assert first == again != other


def test_truncation_is_the_generators_own_by_default(tmp_path):
    largest = []

    def draw(latents, classes):
        largest.append(float(tf.reduce_max(tf.abs(latents))))
        return painted(latents, tf.one_hot(classes, 3))

    for given in (None, 0.5, 0.1):
        album(tmp_path / str(given), generator(draw=draw), "class_grid", truncation=given)
        assert 0.5 < largest[-1] / (given or 0.5) <= 2 * np.sqrt(2)
    files = [(tmp_path / name / "class_grid.png").read_bytes() for name in ("None", "0.5", "0.1")]
    assert files[0] == files[1] != files[2]


def test_chosen_classes_only_are_shown_once_each(tmp_path):
    labels = []

    def draw(latents, classes):
        labels.extend(np.asarray(classes).tolist())
        return painted(latents, tf.one_hot(classes, 3))

    entries = album(tmp_path, generator(draw=draw), classes=["dress", "0", "2"])
    assert set(labels) == {0, 2}
    assert entries["interpolation_class"].path
    assert (
        album(tmp_path, only="interpolation_class", classes=["Coat"])["interpolation_class"].text
        == "only one class was chosen."
    )


def test_many_classes_are_ten_spread_over_them(tmp_path):
    labels = []

    def draw(latents, classes):
        labels.extend(np.asarray(classes).tolist())
        return tf.zeros((len(classes), SIZE, SIZE, 3))

    model = generator(draw=draw, mix=None, num_classes=1000, class_names=None)
    album(tmp_path, model, "class_grid")
    assert sorted(set(labels)) == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]


@pytest.mark.parametrize(("classes", "count"), [(None, 3), ("", 3), (" ", 3), (1, 1), ([], 3)])
def test_no_classes_are_all_and_one_needs_no_list(tmp_path, classes, count):
    entry = album(tmp_path, only="class_grid", classes=classes)["class_grid"]
    assert Image.open(entry.path).height == 80 + count * 64 + (count - 1) * 6 + 8 - 13


def test_pictures_are_those_of_class_and_seed(tmp_path):
    """Rows of the grid have the seeds 3, 4, ...; each interpolation starts from another of them."""
    seen = []

    def mix(latents, weights):
        seen.append((np.asarray(latents), np.asarray(weights)))
        return painted(latents, weights)

    album(tmp_path, generator(mix=mix), "interpolation_class", seed=3)
    images = ReportImages(generator(), None, None, None, np.arange(3), range(3, 11), 0.5)
    expected = generator().generate([0] * 8 + [1] * 8 + [2] * 8, [*range(3, 11)] * 3)
    np.testing.assert_array_equal(images.student_images, expected)
    assert len(seen) == 3
    for place, (latents, weights) in enumerate(seen):
        expected = latents_of_seeds([3 + place], LATENT_DIM, 0.5)
        np.testing.assert_array_equal(latents, expected.repeat(11, 0))
        assert weights[0].tolist() == np.eye(3)[place].tolist()
        assert weights[-1].tolist() == np.eye(3)[(place + 1) % 3].tolist()


def neighbour_scale(monkeypatch, folder, real, **options):
    """The scale and the blocks that the neighbour picture is made from."""
    calls = []
    draw = report.neighbour_picture
    monkeypatch.setattr(report, "neighbour_picture", lambda *a: (calls.append(a), draw(*a))[1])
    album(folder, only="neighbours", extractor=Extractor(), real=real, **options)
    ((blocks, scale, searched),) = calls
    return blocks, scale, searched


def test_copied_images_are_found_with_their_originals(tmp_path, monkeypatch):
    """The real images are what the generator makes, some noise, and nothing else."""
    student = ReportImages(generator(), None, None, None, np.arange(3), range(SEED, SEED + 8), 0.5)
    noise = np.random.default_rng(0).integers(0, 256, (100, SIZE, SIZE, 3), "uint8")
    noise[:] = noise[:, :1, :1]
    images = np.concatenate([student.student_images, noise])
    (random, closest), scale, searched = neighbour_scale(monkeypatch, tmp_path, ArrayImages(images))
    assert scale.suspicious
    assert scale.close == scale.generated == 24
    for block in (random, closest):
        assert block.distances[:, 0] == pytest.approx(0, abs=1e-3)
        assert np.array_equal([near[0] for near in block.neighbours], block.images)
    assert searched == "124 of 124 real images, array"


def test_closest_of_each_class_are_its_closest(tmp_path, monkeypatch):
    (random, closest), *_ = neighbour_scale(monkeypatch, tmp_path, real_images())
    assert closest.names == ["Bag"] * 3 + ["Coat"] * 3 + ["Dress"] * 3 == random.names
    for first in range(0, 9, 3):
        mine, theirs = (
            closest.distances[first : first + 3, 0],
            random.distances[first : first + 3, 0],
        )
        assert (np.diff(mine) >= 0).all()
        assert mine[0] <= theirs.min()


def test_few_images_of_a_class_are_shown_once(tmp_path, monkeypatch):
    options = {"classes": "Bag", "per_class": 3}
    blocks, *_ = neighbour_scale(monkeypatch, tmp_path, real_images(), **options)
    for block in blocks:
        assert len(np.unique(block.images, axis=0)) == len(block.images) == 3
    interpolation = album(tmp_path, only="interpolation_z", **options)["interpolation_z"]
    assert Image.open(interpolation.path).height < 300, "one pair of three images"


def test_neighbours_are_as_many_as_there_are_real_images(tmp_path):
    options = {"only": "neighbours", "extractor": Extractor()}
    assert album(tmp_path, real=real_images(3), **options)["neighbours"].path
    entry = album(tmp_path, real=real_images(1), **options)["neighbours"]
    assert "at least two real images" in entry.text


def test_large_sets_are_searched_in_part_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygan_keras.pictures.report.MOST_REAL", 20)
    *_, searched = neighbour_scale(monkeypatch, tmp_path, real_images())
    assert searched == "20 of 60 real images, sixty squares"


def feature_map_arguments(monkeypatch, folder, **options):
    calls = []
    draw = report.feature_map
    monkeypatch.setattr(report, "feature_map", lambda *a: (calls.append(a), draw(*a))[1])
    options = {"only": "feature_map", "extractor": Extractor(), **options}
    entry = album(folder, **options)["feature_map"]
    return entry, calls[0]


def test_real_classes_are_matched_by_name(tmp_path, monkeypatch):
    real = real_images(names=("Dress", "Hat", "Bag"))
    entry, (_, labels, *_) = feature_map_arguments(monkeypatch, tmp_path, real=real)
    assert np.bincount(labels["real"]).tolist() == [20, 0, 20]
    assert "There are no real images of Coat." in entry.text


def test_real_images_without_labels_are_shown_and_it_is_said(tmp_path, monkeypatch):
    real = real_images(labels=False)
    entry, (_, labels, *_) = feature_map_arguments(monkeypatch, tmp_path, real=real)
    assert labels["real"] is None
    assert "no labels" in entry.text


def test_classes_of_another_number_name_nothing(tmp_path, monkeypatch):
    """A folder of two classes says nothing about the numbers of a generator without names."""
    real = ArrayImages(real_images().read(0, 60), np.arange(60) % 2, ("Hat", "Boot"))
    model = generator(class_names=None)
    entry, (_, labels, names, *_) = feature_map_arguments(
        monkeypatch, tmp_path, model=model, real=real
    )
    assert labels["real"] is None
    assert names == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert "other classes" in entry.text


def test_a_generator_without_names_takes_those_of_as_many_real_classes(tmp_path, monkeypatch):
    real = real_images(names=("Dress", "Hat", "Bag"))
    model = generator(class_names=None)
    _, (_, labels, names, *_) = feature_map_arguments(monkeypatch, tmp_path, model=model, real=real)
    assert np.bincount(labels["real"]).tolist() == [20, 20, 20]
    assert names == {0: "Dress", 1: "Hat", 2: "Bag"}


def test_real_images_of_other_classes_give_no_map(tmp_path):
    real = real_images(names=("Hat", "Boot", "Sandal"))
    entries = album(tmp_path, only="feature_map", extractor=Extractor(), real=real)
    assert "three real images of these classes" in entries["feature_map"].text


def test_tsne_wants_enough_images_and_scikit_learn(tmp_path, monkeypatch):
    options = {"extractor": Extractor(), "real": real_images(), "map_method": "tsne"}
    options["only"] = "feature_map"
    entry = album(tmp_path, **options)["feature_map"]
    assert entry.text.startswith("t-SNE needs at least 91 images, these are 84.")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    entry = album(tmp_path, per_class=30, **options)["feature_map"]
    assert entry.path is None
    assert "tinygan-keras[evaluation]" in entry.text


def test_the_teacher_of_a_run_is_found_where_the_run_was_started(tmp_path, monkeypatch):
    (tmp_path / "models" / "teacher").mkdir(parents=True)
    run = generator(source=str(tmp_path / "runs" / "mine"), teacher="models/teacher")
    assert teacher_here(run) == str(tmp_path / "models" / "teacher")
    monkeypatch.chdir(tmp_path)
    assert teacher_here(generator(source="elsewhere", teacher="models/teacher"))
    assert teacher_here(generator(source="elsewhere", teacher="https://host/teacher")) is None
    assert teacher_here(generator()) is None


def test_a_file_in_the_way_of_the_teacher_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "teacher").write_text("notes")
    (tmp_path / "teacher").mkdir()
    run = generator(source=str(tmp_path / "runs" / "mine"), teacher="teacher")
    assert teacher_here(run) == str(tmp_path / "teacher")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["Hat"]}, "Got the class 'Hat'. Expected one that exists"),
        ({"classes": ["3"]}, "from 0 to 2"),
        ({"map_method": "umap"}, "Got the map 'umap'. Expected one of pca, tsne"),
        ({"per_class": 1}, "Got per_class=1"),
        ({"model": generator(num_classes=None, class_names=None)}, "doesn't say how many it has"),
        ({"teacher": generator(latent_dim=5)}, "latent_dim"),
        ({"extractor": Extractor(), "real": real_images(size=28)}, "28x28 pixels"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        album(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_generator_of_nan_is_named(tmp_path):
    def broken(latents, labels):
        return tf.fill((len(labels), SIZE, SIZE, 3), np.nan)

    with pytest.raises(ValueError, match="Got NaN"):
        album(tmp_path, generator(draw=broken))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="a file. Expected a folder"):
        album(tmp_path / "out")
