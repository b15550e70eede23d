"""tinygan request: generates images with a student on a model server.

    tinygan request --server=http://127.0.0.1:8501 --classes=Sneaker,8 --seeds=0-5 --out=picture.png
    tinygan request --server=grpc://127.0.0.1:8500 --model=tinygan --version=3 --classes=Sneaker \\
        --seeds=7-106 --truncation=0.5 --out=pictures/

The server is TensorFlow Serving with a student of tinygan export: REST by http://, gRPC by grpc://, which
needs the extra serving. Every class is generated with every seed, and looks as from tinygan sample. An --out
that ends in .png gives one picture, a row per class; any other a folder with one for each class.
"""

import re
from pathlib import Path

from ..files import check_writable
from .flags import file_to_write

FLAGS = (
    *("server", "model", "version", "version_label", "classes", "seeds", "truncation"),
    *("timeout", "retries", "batch_size", "out"),
)
REQUIRED = ("server", "classes")


def run(flags):
    out = Path(flags.out)
    if out.suffix == ".png":
        file_to_write(out)
    check_writable(out.parent, f"--out={out}")
    from ..client import ServingClient

    classes = _classes(flags.classes)
    rows = [class_ for class_ in classes for _ in flags.seeds]
    seeds = flags.seeds * len(classes)
    names = ("version", "timeout", "retries", "batch_size")
    settings = {name: getattr(flags, name) for name in names} | {"label": flags.version_label}
    with ServingClient(flags.server, flags.model, **settings) as client:
        if out.suffix == ".png":
            from ..pictures.image_rows import image_rows

            images = client.images(rows, seeds, flags.truncation)
            images = images.reshape(len(classes), -1, *images.shape[1:])
            image_rows(images, [str(class_) for class_ in classes], out)
        else:
            client.save(out, rows, seeds, flags.truncation)
    print(f"{len(rows)} images: {flags.out}")


def _classes(text) -> list:
    """Names, and the numbers of numbers and ranges; only the server knows which classes there are."""
    classes = []
    for word in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        numbers = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        classes += numbers or [word]  # 5-3 is no range, and the server has no class of that name
    return classes
