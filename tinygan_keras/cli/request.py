"""tinygan request: draws pictures with a student on a model server.

    tinygan request --server=http://127.0.0.1:8501 --classes=Sneaker,8 --out=picture.png
    tinygan request --server=grpc://127.0.0.1:8500 --model=tinygan --version=3 --classes=Sneaker \\
        --per_class=100 --seed=7 --truncation=0.5 --out=pictures/

The server is TensorFlow Serving with a student of tinygan export: REST by http://, gRPC by grpc://, which
needs the extra serving. Images are counted through all classes, and number k has the seed SEED + k. An --out
that ends in .png gives one picture, a row per class; any other a folder with one for each class.
"""

from absl import flags

from ..errors import InputError
from .checks import check_out_file, check_out_folder, check_seed


def define_flags(flag_values, arguments):
    def define(kind, name, default, meaning):
        kind(name, default, meaning, flag_values=flag_values)

    define(
        flags.DEFINE_string,
        "server",
        None,
        "Address with scheme and port, such as http://127.0.0.1:8501 (required).",
    )
    define(flags.DEFINE_string, "model", "tinygan", "The model's name on the server.")
    define(flags.DEFINE_integer, "version", None, "Its version; none: the latest.")
    define(
        flags.DEFINE_string, "version_label", None, "Label of a version, in place of its number."
    )
    define(flags.DEFINE_list, "classes", [], "Classes by number or name (required).")
    define(flags.DEFINE_integer, "per_class", 8, "Images of each class.")
    define(flags.DEFINE_integer, "seed", 0, "Seed of the first image.")
    define(flags.DEFINE_float, "truncation", 0.5, "In (0, 1].")
    define(flags.DEFINE_float, "timeout", 30.0, "Seconds for one request, repetitions included.")
    define(flags.DEFINE_integer, "retries", 5, "How often to ask again a server without time.")
    define(flags.DEFINE_integer, "batch_size", 32, "Images per request.")
    define(flags.DEFINE_string, "out", "samples.png", "A .png file, or a folder, which is made.")


def run(flag_values):
    _check(flag_values)
    from ..client.client import ServingClient
    from ..pictures.files import save_png
    from ..pictures.grids import progress_strip

    names = [name.strip() for name in flag_values.classes]
    per_class, out = flag_values.per_class, flag_values.out
    classes = [int(n) if n.isdecimal() else n for n in names for _ in range(per_class)]
    seeds = range(flag_values.seed, flag_values.seed + len(classes))
    client = ServingClient(
        flag_values.server,
        flag_values.model,
        version=flag_values.version,
        label=flag_values.version_label,
        timeout=flag_values.timeout,
        retries=flag_values.retries,
        batch_size=flag_values.batch_size,
    )
    with client:
        if out.endswith(".png"):
            images = client.images(classes, seeds, flag_values.truncation)
            rows = images.reshape(len(names), per_class, *images.shape[1:])
            save_png(progress_strip(rows, names), out)
        else:
            client.save(out, classes, seeds, flag_values.truncation)
    print(f"{len(classes)} images: {out}")


def _check(flag_values):
    if not flag_values.server or not flag_values.classes:
        raise InputError(
            "Got no --server or no --classes. Expected both, such as --server=http://127.0.0.1:8501 "
            "--classes=Sneaker,8."
        )
    if flag_values.per_class < 1:
        raise InputError(
            f"Got --per_class={flag_values.per_class}. Expected 1 or more. Leave it out for 8."
        )
    check_seed(flag_values.seed)
    check_out = check_out_file if flag_values.out.endswith(".png") else check_out_folder
    check_out(flag_values.out)
