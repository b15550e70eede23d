"""Training curves of one run that goes well, and of five that are sick, each from one wrong setting.

    python experiments/training_curves/curves.py                # all six, 600 steps each
    python experiments/training_curves/curves.py --only=chart   # draws what curves.json has

Hardware: 2 CPU cores. Wall time: 11 minutes, beside other work. It writes curves.json (means of every
epoch, the L1 distance to the teacher on held-out pairs among them), curves.png, and a picture of each run
beside itself, which docs/training_curves.md shows. The recipe is that of `make demo` without its decay of
the rates, shortened to 600 steps, from the same weights and batches each time.
"""

import json
from pathlib import Path

import keras
import matplotlib
import numpy as np
from absl import app, flags
from PIL import Image

import tinygan_keras as tg

FOLDER = Path(__file__).parent
STEPS_PER_EPOCH, EPOCHS, PAIRS, HELD_OUT = 50, 12, 8_000, 512
TERMS = {
    "pixel_distillation": "L1 to the teacher, training pairs",
    "val_pixel_distillation": "L1 to the teacher, held-out pairs",
    "feature_distillation": "feature distillation",
    "adversarial_distillation": "adversarial distillation",
    "d_loss": "discriminator's loss",
}
RECIPE = {
    "g_learning_rate": 2e-3,
    "d_learning_rate": 5e-4,
    "pairs": PAIRS,
    "pixel_weight": 0.5,
    "adversarial_distillation_weight": 0.02,
    "adversarial_gan_weight": 0.03,
}
RUNS = {
    "healthy": {},
    "student's rate 100 times too high": {"g_learning_rate": 0.2},
    "discriminator's rate 100 times too high": {"d_learning_rate": 0.05},
    "64 pairs": {"pairs": 64},
    "no pixel term": {"pixel_weight": 0.0},
    "adversarial weights 100 times too high": {
        "adversarial_distillation_weight": 2.0,
        "adversarial_gan_weight": 3.0,
    },
}

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "only", "", "Part of the name of the runs to make; the others stay as they are."
)


def main(_):
    """Makes the runs, keeps their histories, and draws them."""
    path = FOLDER / "curves.json"
    curves = json.loads(path.read_text()) if path.exists() else {}
    chosen = [name for name in RUNS if FLAGS.only in name]
    if chosen:
        teacher = tg.HubTeacher("biggan_fashion_32", truncation=1.0)
        real = tg.load_fashion_mnist_subset()
        samples = tg.sample_teacher(teacher, PAIRS)
        held_out = held_out_pairs(teacher)
    for name in chosen:
        print(name)
        curves[name], picture = train(name, samples, real, held_out, real.class_names)
        Image.fromarray(picture).quantize(64).save(FOLDER / f"{slug(name)}.png", optimize=True)
        path.write_text(json.dumps(curves, indent=1) + "\n")
    draw(curves)


def held_out_pairs(teacher) -> dict:
    """Pairs that no run learns from, with the seeds after those of the training."""
    pairs = tg.sample_teacher(teacher, HELD_OUT, seed=PAIRS)
    images = pairs.images.astype("float32") / 127.5 - 1.0
    return {"latent": pairs.latents, "label": pairs.labels, "teacher_image": images}


def train(name, samples, real, held_out, class_names):
    """The history of one run, and the teacher above its student on the first held-out pairs."""
    settings = RECIPE | RUNS[name]
    keras.utils.set_random_seed(0)
    few = type(samples)(*(part[: settings["pairs"]] for part in samples))
    student = tg.StudentGenerator.from_preset("tinygan_v2_fashion_32", load_weights=False)
    discriminator = tg.Discriminator.from_preset("tinygan_v2_fashion_32")
    model = tg.TinyGAN(student, discriminator, ema_decay=0.995)
    model.compile(
        keras.optimizers.Adam(settings["g_learning_rate"], beta_1=0.0, beta_2=0.9),
        keras.optimizers.Adam(settings["d_learning_rate"], beta_1=0.0, beta_2=0.9),
        pixel_weight=settings["pixel_weight"],
        pixel_weight_decay=0.0,
        adversarial_distillation_weight=settings["adversarial_distillation_weight"],
        adversarial_gan_weight=settings["adversarial_gan_weight"],
        discriminator_gan_weight=0.7,
        adversarial_interval=1,
        fresh_latents=False,
        divergence_limit=1e9,  # sick runs shall go on
    )
    batches = tg.distillation_batches(few, real, batch_size=32)
    history = model.fit(
        batches,
        epochs=EPOCHS,
        steps_per_epoch=STEPS_PER_EPOCH,
        validation_data=held_out,
        validation_batch_size=64,
        verbose=2,
        shuffle=False,
    ).history
    shown = slice(0, 20)  # two images of each class
    images = model.ema_student((held_out["latent"][shown], held_out["label"][shown]))
    picture = tg.class_grid(
        held_out["teacher_image"][shown], images, held_out["label"][shown], class_names, blocks=5
    )
    return {term: [float(f"{v:.4g}") for v in history[term]] for term in TERMS}, picture


def draw(curves):
    """A row per run, a column per term; the healthy run is grey behind every other."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [name for name in RUNS if name in curves]
    size = (2.6 * len(TERMS), 1.75 * len(names))
    figure, axes = plt.subplots(len(names), len(TERMS), figsize=size, layout="constrained")
    steps = STEPS_PER_EPOCH * np.arange(1, EPOCHS + 1)
    for row, name in zip(axes, names, strict=True):
        for axis, (term, title) in zip(row, TERMS.items(), strict=True):
            axis.plot(steps, curves["healthy"][term], color="#b0b0b0", linewidth=2)
            colour = "#3b6ea8" if name == "healthy" else "#c0392b"
            axis.plot(steps, curves[name][term], color=colour, linewidth=1.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=7)
            if term.endswith("pixel_distillation"):
                axis.set_ylim(bottom=0)
            if name == names[0]:
                axis.set_title(title, fontsize=9)
            if name == names[-1]:
                axis.set_xlabel("step", fontsize=8)
        row[0].set_ylabel(name.replace(" 100 times", "\n100 times"), fontsize=9)
    figure.savefig(FOLDER / "curves.png", dpi=100)
    Image.open(FOLDER / "curves.png").convert("RGB").quantize(64).save(
        FOLDER / "curves.png", optimize=True
    )


def slug(name) -> str:
    """The file name of a run's picture."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.replace("'s", "")).split())


if __name__ == "__main__":
    app.run(main)
