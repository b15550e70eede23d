"""Charts that show where a generator is good and where it isn't: numbers in, uint8 pictures `[H, W, 3]` out.

Two maps of features, because neither is enough. Principal components are linear: the same axes fit any
further set, and far apart on the map is far apart in truth, but classes overlap. t-SNE (van der Maaten &
Hinton, JMLR 9, 2008) separates groups, but sizes of groups and distances between them mean nothing.
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError, MissingPackageError
from ..evaluation.metrics.gap import correlation
from ..files import read_text, user_path, write_text
from .image_rows import image_rows, resized, save_png, three_digits

MAX_COLOURS = 20
PERPLEXITY = 30
MIN_TSNE_POINTS = 3 * PERPLEXITY + 1  # scikit-learn's search wants three neighbours a unit of it
_MANY_CLASSES, _WORST = 50, 30  # more classes are shown as a distribution and the worst of them
_MOST_NAMES = 20  # beside points; of more classes the farthest from the diagonal
_CELLS, _THUMBNAIL, _FRAME = 24, 32, 2  # of a mosaic: cells of a side; pixels
_LONGEST_NAME = 28  # characters
_BLUE, _RED, _GREY, _PALE = "#3b6ea8", "#c0392b", "#6a6a6a", "#dddddd"


def class_distance_chart(distances: Mapping, class_names=None) -> np.ndarray:
    """A bar per class, the worst first; of many classes also a histogram, and the bars of the worst."""
    ordered = sorted(distances.items(), key=lambda item: (-item[1], item[0]))
    many = len(ordered) > _MANY_CLASSES
    shown = ordered[:_WORST] if many else ordered
    heights = [2.8] * many + [1.6 + 0.26 * len(shown)]
    figure = _figure(8, sum(heights), "Intra-class Frechet distance", 14)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    values = np.array([value for _, value in ordered])
    mean, deviation = map(three_digits, (values.mean(), values.std()))
    line = f"mean of all classes: {mean} (standard deviation {deviation})"
    for panel in panels:
        panel.axvline(values.mean(), color=_RED, linestyle="--", linewidth=1.5, label=line)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    if many:
        panels[0].hist(values, bins=40, color=_BLUE)
        panels[0].set_title(f"All {len(values):,} classes", loc="left", fontsize=11)
        panels[0].set(xlabel="Frechet distance", ylabel="classes", xlim=(0, None))
        panels[1].set_title(f"The worst {len(shown)} classes", loc="left", fontsize=11)
    places = np.arange(len(shown))
    bars = panels[-1].barh(places, values[: len(shown)], color=_BLUE)
    panels[-1].bar_label(bars, [three_digits(value) for _, value in shown], padding=4, fontsize=9)
    panels[-1].set_yticks(places, [_name(label, class_names) for label, _ in shown])
    axis = "Frechet distance between real and generated images of the class (lower is better)"
    right = 1.15 * values.max() or 1  # with room for the longest bar's number
    panels[-1].set(xlim=(0, right), ylim=(len(shown) - 0.4, -0.6), xlabel=axis)
    return _pixels(figure)


def class_scatter_chart(teacher: Mapping, student: Mapping, class_names=None) -> np.ndarray:
    """A point per class, the teacher's distance across and the student's up, with their correlation.

    A student is as good as its teacher where points lie on the diagonal. A correlation near 1 says that it
    finds the same classes hard, as the student of Chang & Lu (arXiv:2009.13829) does.
    """
    labels = sorted(teacher.keys() & student.keys())
    across, up = (np.array([side[label] for label in labels]) for side in (teacher, student))
    figure = _figure(
        7.5, 7.5, "Intra-class Frechet distance: the student's against its teacher's", 14
    )
    panel = figure.subplots()
    ends = [0, 1.08 * max(across.max(), up.max()) or 1]
    panel.plot(ends, ends, color=_GREY, linestyle="--", linewidth=1, label="as good as the teacher")
    found = correlation(across, up)
    points = f"{len(labels):,} classes"
    points += "" if found is None else f", correlation {found:.3f}"
    panel.scatter(across, up, s=26, color=_BLUE, label=points)
    farthest = np.argsort(-np.abs(up - across), kind="stable")
    for place in farthest[:_MOST_NAMES]:
        worse = up[place] > across[place]  # names stay off the diagonal
        spot = {"xytext": (-5 if worse else 5, -3), "ha": "right" if worse else "left"}
        spot |= {"textcoords": "offset points", "fontsize": 8}
        panel.annotate(_name(labels[place], class_names), (across[place], up[place]), **spot)
    panel.set(xlim=ends, ylim=ends, aspect="equal")
    panel.set(xlabel="teacher to real images", ylabel="student to real images (lower is better)")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="upper left", frameon=False)
    return _pixels(figure)


def gap_chart(gap: dict) -> np.ndarray:
    """Where a student's distance comes from, its parts and spectra: `gap` of an evaluation."""
    figure = _figure(9.5, 4.6, "Where the distance to the real images comes from", 14)
    panels = figure.subplots(1, 2)
    names = ("floor", "teacher_share", "student_share")
    known = [name for name in names if gap.get(name) is not None]
    values = [gap[name] for name in known]
    errors = [2 * gap.get(f"{name}_error", 0.0) for name in known]
    colours = dict(zip(names, (_GREY, _BLUE, _RED), strict=True))
    titles = {
        "floor": "floor: real\nimages",
        "teacher_share": "teacher",
        "student_share": "student",
    }
    panels[0].bar(
        [titles[n] for n in known],
        values,
        yerr=errors,
        capsize=5,
        color=[colours[n] for n in known],
    )
    panels[0].axhline(0, color="black", linewidth=0.8)
    panels[0].set_title(f"Frechet distance {three_digits(gap['distance'])} = sum of", fontsize=11)
    panels[0].set_xlabel("bars: two standard errors")
    base_name = "real" if "real" in gap["spectra"] else "teacher"
    base = np.asarray(gap["spectra"][base_name])
    for name, colour in (("real", _GREY), ("teacher", _BLUE), ("student", _RED)):
        if name in gap["spectra"]:
            power = np.asarray(gap["spectra"][name])
            decibels = 10 * np.log10(np.maximum(power, 1e-30) / np.maximum(base, 1e-30))
            panels[1].plot(np.arange(1, len(power) + 1), decibels, color=colour, label=name)
    panels[1].set_title("Spectrum (below 0 at the right: blur)", fontsize=11)
    panels[1].set(xlabel="waves per image", ylabel=f"power against {base_name}, dB")
    panels[1].legend(frameon=False)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(textwrap.fill(gap.get("sentence", ""), 95), x=0.01, ha="left", fontsize=10)
    return _pixels(figure)


def add_charts(result: dict, folder):
    """Writes what an evaluation has charts for, and shows them in its page, `evaluation.md`.

    `gap.png` says where the distance comes from; `classes.png` has a bar per class, and
    `classes_and_teacher.png` a point per class, if there is a teacher.
    """
    if "gap" in result:
        picture = gap_chart(result["gap"])
        _add_chart(picture, folder, "gap.png", "Where the distance comes from, in pictures")
    teacher = (result.get("teacher") or {}).get("classes", ())
    ours, theirs = (
        {row["label"]: row["frechet_distance"] for row in rows if "frechet_distance" in row}
        for rows in (result["classes"], teacher)
    )
    if not ours:
        return
    names = {row["label"]: row["name"] for row in result["classes"]}
    _add_chart(class_distance_chart(ours, names), folder, "classes.png", "Every class")
    if ours.keys() & theirs.keys():
        picture = class_scatter_chart(theirs, ours, names)
        _add_chart(picture, folder, "classes_and_teacher.png", "Every class, beside the teacher's")


def _add_chart(picture, folder, name, title):
    folder = Path(user_path(folder))
    save_png(picture, folder / name)
    page = folder / "evaluation.md"
    write_text(page, f"{read_text(page)}\n## {title}\n\n![{title}]({name})\n")


class Projection(NamedTuple):
    """Where features lie on a map."""

    points: dict  # float `[N, 2]` by source
    axes: tuple  # names of the two; empty where their units mean nothing
    title: str  # what the map is
    advice: str  # how to read it


def feature_map(projection: Projection, labels: dict, class_names, seed=0) -> np.ndarray:
    """A panel of points per source, a colour per class; labels of a source may be None (grey)."""
    from matplotlib.lines import Line2D

    points, axes, title, advice = projection
    colours = _class_colours(labels)
    figure = _figure(5.2 * len(points) + 1.8, 6.0, f"Features of images on {title}", 15)
    panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
    for panel, (source, rows) in zip(panels, points.items(), strict=True):
        if source != "real" and "real" in points:  # what a generator leaves out, and what it adds
            panel.scatter(*points["real"].T, s=9, c=_PALE, linewidths=0)
        order = np.random.default_rng(seed).permutation(len(rows))  # no class lies on top of all
        own = labels[source]
        tint = _GREY if own is None else [colours[label] for label in np.asarray(own)[order]]
        panel.scatter(*rows[order].T, s=13, c=tint, alpha=0.8, linewidths=0)
        panel.set_title(f"{source} ({len(rows):,} images)", fontsize=12)
        panel.set_xlabel(axes[0])
        panel.tick_params(labelsize=8)
        if not any(axes):
            panel.set(xticks=[], yticks=[])
    panels[0].set_ylabel(axes[1])
    dots = {_name(label, class_names): colour for label, colour in colours.items()}
    if "real" in points and len(points) > 1:
        dots["real, all classes"] = _PALE
    handles = [Line2D([], [], ls="", marker="o", color=dots[name], label=name) for name in dots]
    if handles:
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=10)
    figure.supxlabel(advice, x=0.01, ha="left", fontsize=10, color=_GREY)
    return _pixels(figure)


def feature_mosaic(images: dict, projection: Projection, labels: dict, class_names) -> np.ndarray:
    """The map as a mosaic: a panel per source of images uint8 `[N, S, S, 3]`, each where its features lie.

    A cell shows the image nearest to its centre, in a frame of the colour of its class (grey: unknown);
    panels share the map. What features separate can be seen, and what one source shows where.
    """
    from matplotlib.colors import to_hex

    points = projection.points
    colours = _class_colours(labels)
    everywhere = np.concatenate(list(points.values()))
    low, span = everywhere.min(0), np.maximum(np.ptp(everywhere, axis=0), 1e-12)
    panels, columns = [], []
    for source, rows in points.items():
        own = labels[source]
        tints = [_GREY if own is None else colours[own[number]] for number in range(len(rows))]
        panel, shown = _mosaic_panel(images[source], (rows - low) / span, tints)
        panels.append(panel)
        columns.append(f"{source}: {shown:,} of {len(rows):,} images")
    return image_rows(
        [np.stack(panels)],
        columns=columns,
        legend={_name(label, class_names): to_hex(colour) for label, colour in colours.items()},
        title=f"Images on {projection.title}",
        lines=[
            "Each image lies where its features do, in a frame of the colour of its class; a cell shows the "
            "image nearest to its centre. Good: the same things at the same places in every panel."
        ],
    )


def _mosaic_panel(images, places, tints) -> tuple[np.ndarray, int]:
    """One panel uint8 of images at places `[N, 2]` in [0, 1], and how many of them it shows."""
    from matplotlib.colors import to_rgb

    cell = _THUMBNAIL + 2 * _FRAME
    side = (_CELLS + 1) * cell  # with white around
    panel = np.full((side, side, 3), 255, "uint8")
    scaled = places * _CELLS
    cells = np.minimum(scaled.astype(int), _CELLS - 1)
    nearest = np.argsort(np.linalg.norm(scaled - cells - 0.5, axis=1), kind="stable")
    numbers = cells[nearest] @ [1, _CELLS]
    shown = nearest[np.unique(numbers, return_index=True)[1]]  # the first of every cell
    for number, image in zip(shown, resized(images[shown], _THUMBNAIL), strict=True):
        across, up = cells[number]
        top, left = (_CELLS - 1 - up) * cell + cell // 2, across * cell + cell // 2
        framed = np.empty((cell, cell, 3), "uint8")
        framed[:] = np.round(255 * np.array(to_rgb(tints[number])))
        framed[_FRAME:-_FRAME, _FRAME:-_FRAME] = image
        panel[top : top + cell, left : left + cell] = framed
    return panel, len(shown)


def _class_colours(labels: dict) -> dict:
    """A colour per class of any source, in the order of classes."""
    from matplotlib import colormaps

    classes = sorted(
        {int(label) for own in labels.values() if own is not None for label in set(own)}
    )
    # Ten strong colours while they last, then pairs of strong and light ones.
    palette = colormaps["tab10" if len(classes) <= 10 else "tab20"].colors
    return dict(zip(classes, palette, strict=False))


def principal_components(features):
    """Mean `[F]` of features `[N, F]`, two orthonormal directions `[2, F]`, shares of variance `[2]`."""
    features = np.asarray(features, "float64")
    spread = features - features.mean(0) if len(features) >= 3 and features.shape[1] >= 2 else None
    if spread is None or not np.isfinite(spread).all() or not spread.any():
        raise InputError(
            f"Got features {features.shape} that are too few, all equal or not finite. Expected at least "
            "3 different ones of at least 2 numbers; check the extractor and the images."
        )
    _, scales, directions = np.linalg.svd(spread, full_matrices=False)
    directions = directions[:2]
    # The sign is arbitrary: the largest entry is positive, and the same features give the same map.
    largest = directions[range(2), np.abs(directions).argmax(1)]
    directions = directions * np.sign(largest)[:, None]
    return features.mean(0), directions, scales[:2] ** 2 / np.sum(scales**2)


def tsne(features, seed=0) -> np.ndarray:
    """Lays features `[N, F]` out on a plane `[N, 2]` so that neighbours stay neighbours."""
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ImportError as error:
        raise MissingPackageError(
            "t-SNE needs scikit-learn. Install it with pip install 'tinygan-keras[evaluation]', or use PCA."
        ) from error
    layout = TSNE(2, perplexity=PERPLEXITY, init="pca", random_state=seed % 2**32, n_jobs=1)
    # Its threads wait for each other at every step: on a busy machine that takes ten times as long.
    with threadpool_limits(1):
        return layout.fit_transform(features)


def project(features: dict, method: str, seed=0) -> Projection:
    """Features `[N, F]` by source on one map, "pca" or "tsne"."""
    # The axes are those of real features, if there are any, so that panels show what differs from them.
    together = np.concatenate(list(features.values()))
    if method == "tsne":
        ends = np.cumsum([len(rows) for rows in features.values()])[:-1]
        points = dict(zip(features, np.split(tsne(together, seed), ends), strict=True))
        title = f"a t-SNE map of all of them (perplexity {PERPLEXITY}, seed {seed})"
        advice = (
            "Each point is an image, near points are alike. Equal groups in every panel are good. Sizes "
            "of groups and distances between them mean nothing."
        )
        return Projection(points, ("", ""), title, advice)
    mean, directions, explained = principal_components(features.get("real", together))
    points = {source: (rows - mean) @ directions.T for source, rows in features.items()}
    names = [f"{rank} component ({explained[k]:.0%})" for k, rank in enumerate(("first", "second"))]
    fitted_on = f"{'the real' if 'real' in features else 'all'} features"
    title = f"the first two principal components of {fitted_on} ({explained.sum():.0%} of their variance)"
    advice = (
        "Each point is an image. The axes are the same in every panel: equal clouds at equal places "
        "are good, pale places without colour are real images that nothing generated resembles."
    )
    return Projection(points, tuple(names), title, advice)


def _name(label, class_names):
    name = str(label) if class_names is None else str(class_names[label]).split(",")[0]
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3].rstrip() + "..."


def _figure(width, height, title, size):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", fontsize=size)
    return figure


def _pixels(figure) -> np.ndarray:
    """What a figure looks like, uint8 `[H, W, 3]`; `pyplot` would keep figures for the whole process."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
