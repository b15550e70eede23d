"""tinygan pictures: shows what a generator can and can't do, for people to look at.

    tinygan pictures --model=runs/mine
    tinygan pictures --model=biggan_fashion_32 --extractor=fashion_classifier --real=fashion_mnist_10k \\
        --map=tsne --out=pictures
    tinygan pictures --model=runs/mine --seconds=10

For a run, teacher, extractor and real images are those of its config, and the pictures go into its folder.
Class grid (the teacher above the student), interpolations in z and between classes; with a feature
extractor and real images also the nearest real neighbours of generated images, and a map of features, as
points and as a mosaic of the images. --seconds adds training.gif, the same latents in the course of the run.
"""

from pathlib import Path

from ..files import check_writable

FLAGS = (
    *("model", "teacher", "extractor", "resize", "real", "out", "classes", "per_class", "map"),
    *("seed", "truncation", "seconds"),
)
REQUIRED = ("model",)


def run(flags):
    from ..evaluation.extractors.extractor import load_extractor
    from ..generators.opening import open_generator
    from ..pictures.report import draw_album
    from ..runs.measuring import evaluation_settings, measured_images
    from ..runs.progress_pictures import animate_run

    run = evaluation_settings(flags.model, flags.extractor)
    extractor, resize = (getattr(flags, n) or run.get(n) for n in ("extractor", "resize"))
    out = flags.out or run.get("pictures", "pictures")
    check_writable(out, f"--out={out}")
    generator = open_generator(flags.model, flags.truncation)
    if flags.seconds is not None:
        movie = animate_run(flags.model, Path(out) / "training.gif", flags.seconds)
        print(
            f"{movie}: {flags.seconds:g} seconds of the same latents in the course of the training."
        )
    entries = draw_album(
        generator,
        out,
        teacher=None if flags.teacher == "none" else flags.teacher,
        extractor=load_extractor(extractor, resize=resize) if extractor else None,
        real=flags.real or measured_images(flags.model, generator),
        classes=flags.classes,
        per_class=flags.per_class,
        map_method=flags.map,
        truncation=flags.truncation,
        seed=flags.seed,
        report=_say,
        progress=True,
    )
    made = sum(entry.path is not None for entry in entries)
    print(f"{made} of {len(entries)} pictures: {out}")


def _say(entry):
    if entry.path is None:
        print(f"not made: {entry.name}: {entry.text}")
    else:
        print(f"{entry.path}: {entry.text}")
