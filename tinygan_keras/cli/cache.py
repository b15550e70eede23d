r"""tinygan cache: generates samples of a teacher once and keeps them, for many runs of training.

    tinygan cache --teacher=https://tfhub.dev/deepmind/biggan-deep-128/1 --classes=animals --count=800000 \
        --out=cache/
    tinygan cache ... --worker=3 --workers=8
    tinygan cache ... --runner=DirectRunner --beam_options="--direct_num_workers=2"
    tinygan cache --out=cache/ --verify
    tinygan cache --import=pairs.npz --out=cache/

--import takes pairs that another program generated, whatever it is, in place of a teacher:
- an .npz file with latents (or z) float [N, Z], labels (or y) int [N], images (or x) [N, S, S, 3], uint8 or
  float in [-1, 1], and perhaps class_names;
- a folder of the TinyGAN authors' program: all_noises.npy, all_labels.npy, and 0.png, 1.png, ... in it or
  in a sub-folder;
- a folder of DiStyleGAN: class_3/image_0.png and class_3/noise_0.pt (extra torch), and so on.
Latents are kept as they are. A pair without one half is left out and named. Class names are those of the
file, or of class_names.txt in the folder.

Stopped at any moment, the same command goes on where it was. Workers on several hosts may share --out, or
have one each that are copied into one folder later: every shard is the same whoever makes it. --verify
compares all files with their checksums; with --teacher also the teacher. Without --truncation, a teacher on
disk has that of its config.json, and any other 0.5.

tinygan distill reads it: --config.teacher_cache=cache/.
"""

import importlib
import shlex
from pathlib import Path

from ..data.records.record_format import check_folder, check_numbers
from ..embedded import find
from ..errors import InputError
from ..files import check_writable, is_url, user_path
from ..hugging_face import SCHEME
from .flags import check_required

SHARES = ("shard_size", "worker", "workers")
_IMPORT = ("num_classes", "truncation", "encoding", *SHARES)
_SETTINGS = ("count", "seed", "classes", "batch_size", "encoding", *SHARES)
FLAGS = (*_SETTINGS, "teacher", "out", "truncation", "runner", "beam_options", "verify")
FLAGS += ("import", "num_classes")
REQUIRED = ("out",)


def run(flags):
    if flags.verify:
        from ..data.teacher_cache import verify_cache
        from ..teachers.download import locate, module_hash

        teacher = module_hash(locate(flags.teacher)) if flags.teacher else None
        report_problems(flags.out, verify_cache(flags.out, teacher))
        return
    if pairs := getattr(flags, "import"):
        import_given(pairs, flags)
        return
    if flags.num_classes:
        raise InputError(
            "Got --num_classes without --import. Expected it for pairs of another program; a teacher knows "
            "its classes. Leave it out."
        )
    check_required("cache", ("teacher", "count"), flags)
    runner = pipeline_options(flags)
    check_out(flags.out)

    from ..data.teacher_cache import write_cache
    from ..generators.side_files import read_class_names, read_config
    from ..latents import resolve_truncation
    from ..teachers.hub import HubTeacher

    truncation = flags.truncation
    if truncation is None:
        truncation = read_config(flags.teacher).get("truncation")
    teacher = HubTeacher(flags.teacher, truncation=resolve_truncation(truncation))
    settings = {name: getattr(flags, name) for name in _SETTINGS}
    names = read_class_names(teacher.folder)
    left = write_cache(teacher, flags.out, runner=runner, class_names=names, **settings)
    shards = -(-flags.count // flags.shard_size)
    made = f"{shards - len(left):,} of {shards:,} shards with {flags.count:,} samples"
    print(f"{made} of truncation {teacher.truncation:g}: {flags.out}")
    if left:
        print("The others are those of other workers, and may come from other folders.")


def import_given(pairs, flags):
    """Imports the pairs of another program."""
    others = [
        name for name in ("teacher", "count", "seed", "classes", "runner") if getattr(flags, name)
    ]
    if others:
        raise InputError(
            f"Got --import and --{' and --'.join(others)}. Expected one or the other: pairs are imported as "
            "they are, all of them. Leave one out."
        )
    check_numbers(flags.worker, flags.workers)
    check_out(flags.out)

    from ..data.teacher_pairs import import_pairs
    from ..generators.side_files import read_class_names

    settings = {name: getattr(flags, name) for name in _IMPORT}
    names = read_class_names(pairs) if Path(find(pairs)).is_dir() else None
    print(import_pairs(pairs, flags.out, class_names=names, **settings))


def pipeline_options(flags) -> list | None:
    """The options of the Beam pipeline that --runner asks for, checked; None without it."""
    check_numbers(flags.worker, flags.workers)
    if flags.beam_options and not flags.runner:
        raise InputError("Got --beam_options without --runner. Add --runner=DirectRunner.")
    if not flags.runner:
        return None
    if flags.workers > 1:
        raise InputError(
            f"Got --runner={flags.runner} and --workers={flags.workers}. Expected one of them: Beam shares "
            "the work out itself. Leave out --worker and --workers."
        )
    importlib.import_module("tinygan_keras.data.records.beam_pipeline")  # may be refused
    return [f"--runner={flags.runner}", *shlex.split(flags.beam_options)]


def check_out(out):
    """Refuses --out if no set of records can be written there."""
    if not is_url(out) or out.startswith(SCHEME):
        check_writable(out, "--out")
        folder = user_path(out)
        if folder.is_dir():
            check_folder([path.name for path in folder.iterdir()], folder)


def report_problems(folder, problems):
    """Refuses a set of records with problems, or says that it has none."""
    if problems:
        raise InputError(
            "\n  ".join([f"Got {len(problems):,} problems in {folder}:", *problems])
            + "\nExpected every file as it was written. Delete these files and give the command that made "
            "the set: it makes what is missing."
        )
    print(f"{folder}: every shard is as it was written.")
