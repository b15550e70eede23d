"""What a plan says beyond its measurements: how good the student may be, what speaks against it, what fits.

Pure functions of numbers, without TensorFlow. Everything that they know of quality are the finished runs in
`CURVES`; a run unlike these is marked as extrapolation.
"""

import itertools
import math
import re
import shlex
from typing import NamedTuple

from ..errors import InputError

MARGIN = 0.9  # of the time that a proposal fills: a prediction is within a fifth
# Over each pair: measured runs made 5 to 13, what tinygan teach proposes up to 128, and 300 were too many.
FEWEST_PASSES, USUAL_PASSES, MOST_PASSES = 4, 12, 130
FEWEST_PAIRS = 100  # of each class; the fewest that worked here are 800
FEWEST_PARAMETERS = 3_850  # of each class; half of what every student of the curves has
_ENOUGH_IN_PIECE = 8


class Point(NamedTuple):
    """What a student was after a number of training samples."""

    samples: int  # steps times batch size
    ratio: float | None  # Frechet distance to real images as a multiple of the teacher's
    l1: float | None  # to the teacher on latents that it wasn't trained on, pixels in [-1, 1]


class Curve(NamedTuple):
    """Runs of one student on one data set; where their figures are from."""

    student: str
    image_size: int
    classes: int
    latents_in_blocks: bool
    points: tuple
    source: str


CURVES = (
    Curve(
        "tinygan_v2_fashion_32",
        32,
        10,
        True,
        (Point(96_000, 0.987, 0.0684), Point(768_000, 0.923, 0.0481)),
        "experiments/fashion_mnist, config.py and full.py",
    ),
    Curve(
        "tinygan_fashion_32",
        32,
        10,
        False,
        (Point(76_800, 4.617, 0.1118), Point(416_000, 1.213, 0.0759)),
        "experiments/fashion_mnist, paper.py and paper_full.py",
    ),
    Curve(
        "the paper's, published",
        128,
        398,
        False,
        (Point(23_731_200, 1.22, None),),
        "Chang & Lu, arXiv:2009.13829, FID 24.2 and 19.8; not run here",
    ),
)

_LONGEST = 8_760 * 3_600  # seconds that a run may be given


def seconds_of_time(text) -> int:
    """Seconds of a time such as 8h, 90m, 1h30m or 45s.

    Raises:
        InputError: it is none, less than a second, or more than a year.
    """
    match = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", str(text).strip()
    )
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not 1 <= total <= _LONGEST:
        raise InputError(
            f"Got the time {str(text)!r}. Expected hours, minutes or seconds with their letter, such as 8h, "
            f"90m or 1h30m, and at most {_LONGEST // 3600:,}h, a year."
        )
    return round(total)


def time_text(seconds: float) -> str:
    """Seconds in the unit that suits them: 42 s, 6.5 min, 3.2 h, 4.1 days."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def size_text(size: float) -> str:
    """Bytes in the unit that suits them: 12 MiB, 3.4 GiB."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{max(1, size / 2**20):.0f} MiB"


def expected_quality(image_size, classes, samples, latents_in_blocks, teacher="") -> dict:
    """What the nearest curve lets one expect, and in what the run differs from it.

    Args:
        image_size: Side in pixels.
        classes: Number of classes that the student learns.
        samples: Training samples in all, steps times batch size.
        latents_in_blocks: Whether latents enter every block of the student.
        teacher: Its name or folder.

    Returns:
        A dict: `ratio` and `l1` as in `Point`, `curve`, `source`, `samples` (of the curve that the run was
        compared with, in proportion to the classes), `bound` ("worse" or "better" than the figures, where
        the curve has no run as short or as long; else None), and `extrapolated`, a list of differences:
        empty for a run like those of the curve.
    """

    def distance(curve):
        size = abs(math.log2(image_size / curve.image_size))
        number = abs(math.log10(classes / curve.classes))
        return size + number + (curve.latents_in_blocks != latents_in_blocks)

    curve = min(CURVES, key=distance)
    # A class is learnt from its own samples.
    comparable = samples * curve.classes / classes
    first, last = curve.points[0].samples, curve.points[-1].samples
    differences = []
    if image_size != curve.image_size:
        differences.append(f"{image_size} px, not {curve.image_size}")
    if classes != curve.classes:
        differences.append(f"{classes:,} classes, not {curve.classes}")
    if latents_in_blocks != curve.latents_in_blocks:
        differences.append("latents enter the student elsewhere")
    if curve.image_size == 32 and "biggan_fashion_32" not in str(teacher):
        differences.append("another teacher than biggan_fashion_32")
    bound, of_class = None, f"{samples / classes:,.0f} samples a class"
    if comparable < 0.9 * first:
        bound = "worse"
        differences.append(f"{of_class}, fewer than {first / curve.classes:,.0f}")
    elif comparable > 1.1 * last:
        bound = "better"
        differences.append(f"{of_class}, more than {last / curve.classes:,.0f}")
    return {
        "ratio": _at(comparable, curve.points, "ratio"),
        "l1": _at(comparable, curve.points, "l1"),
        "curve": curve.student,
        "source": curve.source,
        "samples": round(comparable),
        "bound": bound,
        "extrapolated": differences,
    }


def _at(samples, points, name):
    """A figure at a number of samples: straight between points in logarithms, the last one beyond them."""
    known = [(point.samples, getattr(point, name)) for point in points]
    known = [(math.log(count), math.log(value)) for count, value in known if value]
    if not known:
        return None
    place = min(max(math.log(samples), known[0][0]), known[-1][0])
    value = known[-1][1]
    for (left, before), (right, after) in itertools.pairwise(known):
        if left <= place <= right:
            value = before + (after - before) * (place - left) / (right - left)
            break
    return round(math.exp(value), 3)


def warnings_of(facts: dict) -> list:
    """What experience says against a run, a sentence each with its reason and what to do.

    Args:
        facts: A dict: `classes`, `parameters` (of the student), `pairs` (None with a live teacher), `passes`
            (over each pair), `teacher_share` (of a step, 0 without a live teacher), `seconds` (of all),
            `evaluation_seconds`, `memory` and `memory_there` (bytes; None: unknown), `piece` (images that
            batch normalisation sees), `disk` (None, or what is wrong with the disk).
    """
    found = []
    each = facts["parameters"] / facts["classes"]
    if each < FEWEST_PARAMETERS:
        found.append(
            f"The student has {each:,.0f} parameters a class. Those that worked have 7,600 or 7,700 (10 "
            "classes here, 398 in the paper); the paper's student of 3.1 M parameters on all 1,000 classes, "
            "3,100 each, made poor images. Choose fewer classes (--config.classes) or a wider student."
        )
    pairs, passes = facts["pairs"], facts["passes"]
    if pairs and pairs / facts["classes"] < FEWEST_PAIRS:
        found.append(
            f"{pairs:,} pairs are {pairs / facts['classes']:,.0f} a class. The fewest that worked here are "
            "800, and 64 pairs in all were learnt by heart (docs/training_curves.md). Make more."
        )
    if pairs and passes > MOST_PASSES:
        found.append(
            f"Each pair is seen {passes:,.0f} times. Our runs see one 5 to 13 times; those seen 300 times "
            "were learnt by heart (docs/training_curves.md). Make more pairs, or fewer steps."
        )
    if facts["teacher_share"] > 0.5:
        found.append(
            f"The live teacher takes {facts['teacher_share']:.0%} of a step. Its images can be made once and "
            f"seen {USUAL_PASSES} times: set teacher_samples, or make a cache (tinygan cache)."
        )
    if facts["evaluation_seconds"] > 0.5 * facts["seconds"]:
        found.append(
            f"Evaluations take {facts['evaluation_seconds'] / facts['seconds']:.0%} of the time. Set a "
            "larger evaluate_every, or fewer images (training_evaluation_images, evaluation_images)."
        )
    if facts["memory_there"] and facts["memory"] > 0.9 * facts["memory_there"]:
        found.append(
            f"The run needs about {size_text(facts['memory'])} of memory; this machine has "
            f"{size_text(facts['memory_there'])}. Take fewer teacher_samples or a cache on the disk, or "
            "lower batch_size."
        )
    if facts["piece"] < _ENOUGH_IN_PIECE:
        found.append(
            f"Batch normalisation sees {facts['piece']} images at once. Below {_ENOUGH_IN_PIECE} or so "
            "students get worse (docs/long_runs.md). Set a larger batch_size, or fewer accumulate_steps."
        )
    if facts["disk"]:
        found.append(facts["disk"])
    return found


def sensible_passes(passes: float) -> float:
    """The number of passes over each pair that a proposal keeps: the config's, if runs were seen like it."""
    return passes if FEWEST_PASSES <= passes <= MOST_PASSES else USUAL_PASSES


def propose(time, fixed, per_step, epochs, config, passes=None, most=None) -> dict | None:
    """Settings that fill the time; None if it isn't enough for a step in each epoch.

    The number of epochs stays, and with it every schedule that counts them (pixel weight, evaluations), and
    so does the number of passes over each pair: steps, their number in an epoch, and teacher samples grow.

    Args:
        time: Seconds.
        fixed: Seconds of everything that doesn't depend on the steps.
        per_step: Seconds of a step, and of the teacher samples that come with it.
        epochs: Number of epochs.
        config: A dict or `ConfigDict` with `batch_size` and `steps_per_execution`.
        passes: How often each of the teacher samples is seen; None without such samples.
        most: Of these, as many as the memory holds; None: unknown.
    """
    multiple = config["steps_per_execution"]
    per_epoch = max(0, int((MARGIN * time - fixed) / per_step / epochs))
    per_epoch -= per_epoch % 10 ** max(0, len(str(per_epoch)) - 3)  # three digits that count
    per_epoch -= per_epoch % multiple
    if per_epoch < 1:
        return None
    proposal = {"steps": per_epoch * epochs, "steps_per_epoch": per_epoch}
    if passes:
        samples = min(proposal["steps"] * config["batch_size"] / passes, most or math.inf)
        digits = 10 ** max(0, int(math.log10(samples)) - 1)  # two that count
        proposal["teacher_samples"] = max(config["batch_size"], int(samples / digits) * digits)
    return proposal


def plan_text(plan: dict, given=()) -> str:
    """A plan as a table, and what follows from it; `given` are the words that asked for it, --config=... ."""
    config, seconds = plan["config"], plan["seconds_by_phase"]
    rows = []
    for name, value, *how in _phases(plan):
        rows.append((name.replace("_", " "), time_text(value), how[0]))
        rows += [("", "", more) for more in how[1:]]
    rows.append(("all", time_text(sum(seconds.values())), "on this machine, as busy as it is now"))
    rows.append(("", "", ""))
    there = plan["memory_there"]
    of = f"of {size_text(there)} here" if there else ""
    gpu = plan["gpu_memory"]
    of += f"; on the GPU {size_text(gpu)}" if gpu else ""
    rows.append(("memory", size_text(plan["memory"]), of))
    rows.append(("disk", size_text(plan["disk"]), "checkpoints and results, at most at once"))
    cache, pairs = plan["cache"], plan["pairs"]
    if cache and pairs:
        kept = f"{pairs:,} pairs, as a cache on the disk (tinygan cache); here they are in memory"
        rows.append(("cache", size_text(pairs * cache["bytes"]), kept))
    elif cache:
        kept = (
            f"10,000 pairs on the disk, {time_text(1e4 * cache['write'])} to make (tinygan cache)"
        )
        rows.append(("cache", size_text(1e4 * cache["bytes"]), kept))
    passes = f", each pair {plan['passes']:,.1f} times" if pairs else ", each new"
    rows.append(("samples", f"{plan['samples']:,}", f"seen in training{passes}"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    lines += ["", *_quality_lines(plan["quality"])]
    if plan["warnings"]:
        lines += ["", *(f"Warning: {text}" for text in plan["warnings"])]
    lines += ["", *_commands(plan, config, list(given))]
    return "\n".join(lines)


def _phases(plan):
    """Yields name, seconds and explanation of every phase."""
    config, seconds = plan["config"], plan["seconds_by_phase"]
    yield "preparation", seconds["preparation"], "teacher, data and networks opened, first pictures"
    if config["teacher_samples"]:
        rate = plan["teacher_images_a_second"]
        how = f"{config['teacher_samples']:,} images, {rate:,.0f} a second"
        yield "teacher_samples", seconds["teacher_samples"], how
    step, each = plan["step_seconds"], plan["training_evaluation_seconds"]
    how = f"{config['steps']:,} steps of {config['batch_size']} images, {1000 * step:,.0f} ms each"
    how += f" ({plan['steps_timed']} timed)"
    tracing, end = time_text(plan["compile_seconds"]), plan["epoch_seconds"]
    more = f"{tracing} to trace the step, {end:.1f} s at the end "
    more += f"of each of {plan['epochs']:,} epochs"
    if plan["evaluations"]:
        more += f", {plan['evaluations']:,} evaluations of {time_text(each)}"
    yield "training", seconds["training"], how, more
    rate = plan["evaluated_a_second"]
    how = "speed and parameters only: the config has no extractor"
    if config["extractor"]:
        beside = "" if config["teacher"] == "none" else " and the teacher"
        how = f"{config['evaluation_images']:,} images of the student{beside}"
        how += f", {rate:,.0f} a second" if rate else ""
    yield "evaluation", seconds["evaluation"], how
    yield "export", seconds["export"], "student, SavedModel, pictures"


def _quality_lines(quality):
    """What quality to expect, and in what that is extrapolated."""
    figures = []
    if quality["ratio"]:
        figures.append(
            f"Frechet distance to real images {quality['ratio']:.2f} times the teacher's"
        )
    if quality["l1"]:
        figures.append(f"L1 to the teacher {quality['l1']:.3f}")
    expect = {"worse": "Expect worse than this", "better": "Expect this, perhaps better"}
    expect = expect.get(quality["bound"], "Expect")
    yield f"{expect}: {', '.join(figures)}, as of {quality['curve']}"
    yield f"  ({quality['source']})."
    if quality["extrapolated"]:
        yield f"  Extrapolated, a guess at best: {'; '.join(quality['extrapolated'])}."


def _commands(plan, config, given):
    """The commands that follow."""
    proposal = plan["proposal"]
    if proposal is None:
        yield f"Next: {_distill(given)}"
        return
    wanted, settings = time_text(proposal["time"]), proposal["settings"]
    if settings is None:
        yield (
            f"{wanted} isn't enough: everything but the steps takes {time_text(proposal['fixed'])}. Give it "
            "more time, or lower evaluation_images or the number of epochs (steps / steps_per_epoch)."
        )
    else:
        kept = f"the config's {plan['epochs']:,} epochs"
        if "teacher_samples" in settings:
            seen = settings["steps"] * config["batch_size"] / settings["teacher_samples"]
            kept += f", {seen:.1f} passes over each pair (the config: {plan['passes']:.1f})"
        yield f"In {wanted}, with a tenth to spare and {kept}: about {time_text(proposal['seconds'])}."
        yield f"Next: {_distill(given, settings)}"
    if cache := proposal["cache"]:
        yield (
            f"Or with a cache of {cache['count']:,} pairs, each seen {USUAL_PASSES} times as in our runs "
            f"({time_text(cache['seconds'])} to make, {size_text(cache['bytes'])}), in the same time:"
        )
        words = [f"--teacher={config['teacher']}", f"--truncation={config['truncation']:g}"]
        words += [f"--classes={config['classes']}"] if config["classes"] else []
        words += [f"--count={cache['count']}", "--out=cache"]
        yield f"      tinygan cache {shlex.join(words)}"
        yield f"      {_distill(given, cache['settings'] | {'teacher_cache': 'cache'})}"


def _distill(given, settings=()):
    """The command that distils with other settings."""
    replaced = tuple(f"--config.{name}=" for name in settings)
    words = [word for word in given if not word.startswith(replaced)] if settings else given
    words = [*words, *(f"--config.{name}={settings[name]}" for name in settings)]
    return f"tinygan distill {shlex.join([*words, '--workdir=runs/mine'])}"
