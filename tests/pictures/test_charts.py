"""Charts of class distances and maps of features: what is shown, from which numbers, for how many classes."""

import sys

import numpy as np
import pytest

from tinygan_keras.evaluation.metrics.gap import correlation
from tinygan_keras.pictures import charts
from tinygan_keras.pictures.charts import (
    Projection,
    add_charts,
    class_distance_chart,
    class_scatter_chart,
    feature_map,
    feature_mosaic,
    principal_components,
    project,
    tsne,
)

NAMES = ("Bag", "Coat", "Dress")


@pytest.fixture
def figures(monkeypatch):
    """The figures that were made, to look at what is in them."""
    made = []
    pixels = charts._pixels

    def kept(figure):
        made.append(figure)
        return pixels(figure)

    monkeypatch.setattr(charts, "_pixels", kept)
    return made


def two_sources(count=40, width=6, seed=0):
    """Features by source, of three classes at different places."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = {
        source: random.normal(size=(count, width)) + 4 * np.eye(width)[labels]
        for source in ("real", "student")
    }
    return features, {"real": labels, "student": labels}


def bars(axes):
    return [patch.get_width() for patch in axes.patches]


def in_order(points):
    """Points `[N, 2]` from left to right: the order of points is random."""
    return np.asarray(points)[np.argsort(points[:, 0])]


def names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def on_plane(features, fitted_on):
    mean, directions, _ = principal_components(fitted_on)
    return (features - mean) @ directions.T


def test_bars_stand_worst_first_with_names_and_mean(figures):
    picture = class_distance_chart({0: 1.0, 1: 4.0, 2: 2.5}, NAMES)
    (axes,) = figures[0].axes
    assert bars(axes) == [4.0, 2.5, 1.0]
    assert names(axes) == ["Coat", "Dress", "Bag"]
    # The worst is on top: the axis of the places points downwards.
    low, high = axes.get_ylim()
    assert low > high
    assert (
        "mean of all classes: 2.50 (standard deviation 1.22)" in axes.get_legend_handles_labels()[1]
    )
    assert axes.lines[0].get_xdata()[0] == 2.5
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3


def test_labels_without_names_are_numbers(figures):
    class_distance_chart({7: 1.0, 3: 2.0})
    assert names(figures[0].axes[0]) == ["3", "7"]


def test_a_thousand_classes_are_a_distribution_and_the_worst_thirty(figures):
    picture = class_distance_chart({label: float(label) for label in range(1000)})
    distribution, worst = figures[0].axes
    assert sum(patch.get_height() for patch in distribution.patches) == 1000
    assert bars(worst) == list(range(999, 969, -1))
    assert worst.lines[0].get_xdata()[0] == 499.5, "the mean of all classes, not of those shown"
    assert picture.shape[0] < 1500


def test_fifty_classes_are_all_shown(figures):
    class_distance_chart(dict.fromkeys(range(50), 1.0))
    assert len(bars(figures[0].axes[0])) == 50


def test_long_names_are_cut(figures):
    class_distance_chart({0: 1.0, 1: 2.0}, ["tench, Tinca tinca", "x" * 100])
    assert names(figures[0].axes[0]) == ["x" * 25 + "...", "tench"]


def test_distances_of_zero_can_be_drawn():
    assert class_distance_chart({0: 0.0}).shape[2] == 3


def test_components_find_the_plane_of_flat_data():
    """Worked by hand: variance 8 along the first direction, 2 along the second, none along the third."""
    features = np.array([[4, 0, 1], [-4, 0, 1], [0, 2, 1], [0, -2, 1]], "float64")
    mean, directions, explained = principal_components(features)
    assert mean == pytest.approx([0, 0, 1])
    assert directions == pytest.approx(np.eye(3)[:2], abs=1e-12)
    assert explained == pytest.approx([0.8, 0.2])


def test_components_equal_the_eigenvectors_of_the_covariance():
    features = np.random.default_rng(1).normal(size=(200, 5)) * [1, 2, 3, 4, 5]
    _, directions, explained = principal_components(features)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    assert explained == pytest.approx(values[:-3:-1] / values.sum())
    for direction, expected in zip(directions, vectors.T[:-3:-1], strict=True):
        assert abs(direction @ expected) == pytest.approx(1)
        assert direction[np.abs(direction).argmax()] > 0


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((2, 4)), r"Got features \(2, 4\)"),
        (np.ones((9, 1)), "at least 2 numbers"),
        (np.ones((9, 4)), "all equal"),
        (np.full((9, 4), np.nan), "not finite"),
    ],
)
def test_components_reject_what_has_no_plane(features, message):
    with pytest.raises(ValueError, match=message):
        principal_components(features)


def test_tsne_keeps_groups_apart_and_is_a_function_of_its_seed():
    pytest.importorskip("sklearn")
    random = np.random.default_rng(0)
    features = random.normal(size=(100, 5)) + 50 * (np.arange(100) % 2)[:, None]
    points = tsne(features, seed=3)
    assert np.array_equal(points, tsne(features, seed=3))
    even, odd = points[::2], points[1::2]
    between = np.linalg.norm(even.mean(0) - odd.mean(0))
    assert between > 2 * max(even.std(0).max(), odd.std(0).max())


def test_tsne_without_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ImportError, match=r"tinygan-keras\[evaluation\]"):
        tsne(np.random.default_rng(0).normal(size=(100, 4)))


def test_map_draws_a_panel_per_source_on_the_axes_of_the_real_features(figures):
    features, labels = two_sources()
    feature_map(project(features, "pca"), labels, NAMES)
    real, student = figures[0].axes
    assert [panel.get_title() for panel in (real, student)] == [
        "real (40 images)",
        "student (40 images)",
    ]
    assert real.get_xlim() == student.get_xlim()
    assert real.get_ylim() == student.get_ylim()
    for panel, source in ((real, "real"), (student, "student")):
        shown = panel.collections[-1].get_offsets()
        expected = on_plane(features[source], features["real"])
        assert in_order(shown) == pytest.approx(in_order(expected))
    # The real points lie pale behind the student's.
    pale = student.collections[0].get_offsets()
    assert in_order(pale) == pytest.approx(in_order(on_plane(features["real"], features["real"])))
    assert "real features" in figures[0].get_suptitle()


def test_colours_follow_the_class_and_the_legend_names_them(figures):
    features, labels = two_sources()
    feature_map(project(features, "pca"), labels, dict(enumerate(NAMES)))
    panel = figures[0].axes[0]
    points = on_plane(features["real"], features["real"])
    shown = panel.collections[-1]
    legend = {
        text.get_text(): handle.get_color()
        for text, handle in zip(
            figures[0].legends[0].get_texts(), figures[0].legends[0].legend_handles, strict=True
        )
    }
    assert list(legend) == [*NAMES, "real, all classes"]
    for place, colour in zip(shown.get_offsets(), shown.get_facecolors(), strict=True):
        row = np.abs(points - place).sum(1).argmin()
        assert colour[:3] == pytest.approx(legend[NAMES[labels["real"][row]]])


def test_map_without_real_features_takes_the_axes_of_all(figures):
    features, labels = two_sources()
    features, labels = (
        {"teacher": parts["real"], "student": parts["student"]} for parts in (features, labels)
    )
    feature_map(project(features, "pca"), labels, NAMES)
    assert "all features" in figures[0].get_suptitle()
    expected = on_plane(features["student"], np.concatenate(list(features.values())))
    shown = figures[0].axes[1].collections[-1].get_offsets()
    assert in_order(shown) == pytest.approx(in_order(expected))


def test_map_is_the_same_picture_every_time():
    features, labels = two_sources()
    first, second = (feature_map(project(features, "pca"), labels, NAMES) for _ in range(2))
    assert np.array_equal(first, second)


def test_source_without_labels_is_grey(figures):
    features, labels = two_sources()
    feature_map(project(features, "pca"), {**labels, "real": None}, NAMES)
    (colour,) = np.unique(figures[0].axes[0].collections[-1].get_facecolors()[:, :3], axis=0)
    assert colour[0] == colour[1] == colour[2]


def test_tsne_map_says_what_must_not_be_read_from_it(figures):
    pytest.importorskip("sklearn")
    features, labels = two_sources(60)
    feature_map(project(features, "tsne", 2**40 + 5), labels, NAMES)
    assert "t-SNE" in figures[0].get_suptitle()
    assert "seed 1099511627781" in figures[0].get_suptitle()
    assert "mean nothing" in figures[0].get_supxlabel()


# Teacher against student, class by class


def test_scatter_has_a_point_per_class_the_diagonal_and_the_correlation(figures):
    class_scatter_chart({0: 1.0, 1: 2.0, 2: 4.0}, {0: 1.0, 1: 3.0, 2: 4.0, 7: 9.0}, NAMES)
    (panel,) = figures[0].axes
    (points,) = panel.collections
    assert points.get_offsets().tolist() == [[1, 1], [2, 3], [4, 4]], "what both have"
    assert {text.get_text() for text in panel.texts} == set(NAMES)
    (diagonal,) = panel.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert panel.get_xlim() == panel.get_ylim()
    # By hand: deviations (-4, -1, 5) / 3 and (-5, 1, 4) / 3, so 39 / sqrt(42 * 42).
    assert "3 classes, correlation 0.929" in panel.get_legend_handles_labels()[1]


def test_of_many_classes_the_farthest_from_the_diagonal_are_named(figures):
    teacher = {label: 1.0 + label for label in range(100)}
    student = teacher | {label: teacher[label] + 5 for label in range(40, 60)}
    class_scatter_chart(teacher, student)
    named = {int(text.get_text()) for text in figures[0].axes[0].texts}
    assert named == set(range(40, 60))


def test_correlation_is_pearsons_where_there_is_one():
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [6, 4, 2]) == pytest.approx(-1)
    assert correlation([1, 2], [1, 2]) is None
    assert correlation([1, 2, 3], [5, 5, 5]) is None


def evaluation(folder, teacher):
    (folder / "evaluation.md").write_text("# Evaluation\n")
    rows = [{"label": k, "name": NAMES[k], "frechet_distance": 1.0 + k} for k in range(3)]
    result = {"classes": rows, "teacher": {"classes": rows} if teacher else None}
    add_charts(result, folder)
    return (folder / "evaluation.md").read_text()


def test_the_page_of_an_evaluation_shows_its_charts(tmp_path):
    assert evaluation(tmp_path, teacher=False).count(".png") == 1
    assert not (tmp_path / "classes_and_teacher.png").exists()
    text = evaluation(tmp_path, teacher=True)
    assert "(classes.png)" in text and "(classes_and_teacher.png)" in text
    assert (tmp_path / "classes_and_teacher.png").stat().st_size > 1000


# Mosaics


def mosaic_of(places, **options):
    """A panel of blue images, redder from one to the next, at places `[N, 2]` on a map."""
    images = np.stack(
        [np.full((32, 32, 3), [10 * k + 10, 0, 200], "uint8") for k in range(len(places))]
    )
    projection = Projection({"real": np.asarray(places, "float64")}, ("", ""), "a map", "")
    labels = options.pop("labels", np.arange(len(places)) % 3)
    return feature_mosaic({"real": images}, projection, {"real": labels}, dict(enumerate(NAMES)))


def spots(picture, red):
    """Top and left of the image with this red, and its pixels."""
    found = np.argwhere((picture == [red, 0, 200]).all(-1))
    return (*found.min(0).tolist(), len(found)) if len(found) else None


def test_images_lie_where_their_features_do_and_none_covers_another():
    picture = mosaic_of([[0, 0], [1, 1], [0.99, 0.01], [1, 0]])
    first, second, third = (spots(picture, red) for red in (10, 20, 30))
    assert first[2] == second[2] == third[2] == 32 * 32, "whole images"
    assert first[0] == third[0] > second[0], "up is up"
    assert second[1] == third[1] > first[1]
    assert first[0] - second[0] == 23 * 36, "the corners of 24 cells"
    assert spots(picture, 40) is None, "nearer to the centre of the same cell is the third"


def test_frames_have_the_colours_of_the_classes():
    from matplotlib import colormaps

    picture = mosaic_of([[0, 0], [1, 1], [1, 0]])
    for label, red in enumerate((10, 20, 30)):
        top, left, _ = spots(picture, red)
        frame = picture[top - 2 : top + 34, left - 2 : left + 34]
        expected = np.round(255 * np.array(colormaps["tab10"].colors[label]))
        assert (frame[0] == expected).all() and (frame[:, -1] == expected).all()
        assert (picture[top - 3, left - 2 : left + 34] != expected).any()


def test_images_without_labels_have_grey_frames():
    picture = mosaic_of([[0, 0], [1, 1]], labels=None)
    top, left, _ = spots(picture, 10)
    assert picture[top - 1, left].tolist() == [0x6A] * 3


def test_a_mosaic_makes_its_own_map_and_takes_points_that_are_all_equal():
    features, labels = two_sources()
    images = {source: np.zeros((40, 16, 16, 3), "uint8") for source in features}
    picture = feature_mosaic(images, project(features, "pca"), labels, NAMES)
    assert picture.shape[1] > 2 * 25 * 36
    assert mosaic_of([[2, 2], [2, 2]]).dtype == np.uint8


# Where a distance comes from


def test_parts_of_a_distance_are_bars_and_lines(figures):
    gap = {"distance": 1.6, "floor": 0.1, "teacher_share": 1.2, "student_share": 0.3}
    gap |= {"teacher_share_error": 0.1, "student_share_error": 0.05}
    gap["sentence"] = "A sentence."
    gap["spectra"] = {"real": [1.0, 1.0], "teacher": [1.0, 0.1], "student": [1.0, 0.01]}
    picture = charts.gap_chart(gap)
    assert picture.dtype == np.uint8 and picture.std() > 10
    shares, spectra = figures[0].axes
    assert [patch.get_height() for patch in shares.patches] == [0.1, 1.2, 0.3]
    lines = {line.get_label(): line.get_ydata().tolist() for line in spectra.lines}
    assert lines["student"] == pytest.approx([0, -20]) and lines["real"] == [0, 0]


def test_without_real_spectrum_or_floor_a_part_is_left_out(figures):
    gap = {"distance": 1.5, "floor": None, "teacher_share": 1.2, "student_share": 0.3}
    gap["spectra"] = {"teacher": [1.0, 0.1], "student": [1.0, 0.01]}
    charts.gap_chart(gap)
    shares, spectra = figures[0].axes
    assert len(shares.patches) == 2 and spectra.get_ylabel() == "power against teacher, dB"
