"""tinygan import: makes a student or a teacher of what a PyTorch program trained.

    tinygan import --model=pytorch_model.bin --out=teachers/biggan_deep_128
    tinygan import --model=model_30.tar --out=runs/authors_tinygan --discriminator

| program | file | becomes |
|---|---|---|
| the authors' TinyGAN | model_30.tar | a student, for every --model |
| pytorch-pretrained-biggan: BigGAN-deep at 128, 256, 512 px | pytorch_model.bin | a teacher |
| BigGAN-PyTorch, not deep | G_ema.pth | a teacher |
| PyTorch-StudioGAN, big_resnet | model=G_ema-...pth | a teacher |

A file is recognised by its content, and a folder with one such file will do. Nothing in a file is run: one
that asks for anything but tensors is refused. It needs PyTorch: pip install "tinygan-keras[torch]".
"""

FLAGS = ("model", "out", "discriminator", "overwrite")
REQUIRED = ("model", "out")


def run(flags):
    from ..generators.side_files import read_config
    from ..teachers.import_weights import ANIMALS_ONLY, import_generator

    folder = import_generator(flags.model, flags.out, flags.discriminator, flags.overwrite)
    config = read_config(folder)
    print(f"Imported to {folder}: {config['imported_from']}, truncation {config['truncation']:g}")
    if config.get("classes"):
        print(f"Note: {ANIMALS_ONLY}")
