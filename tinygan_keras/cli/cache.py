r"""tinygan cache: generates samples of a teacher once and keeps them, for many runs of training.

    tinygan cache --teacher=https://tfhub.dev/deepmind/biggan-deep-128/1 --classes=animals --count=800000 \
        --out=cache/
    tinygan cache ... --worker=3 --workers=8
    tinygan cache ... --runner=DirectRunner --beam_options="--direct_num_workers=2"
    tinygan cache --out=cache/ --verify

Stopped at any moment, the same command goes on where it was. Workers on several hosts may share --out, or
have one each that are copied into one folder later: every shard is the same whoever makes it. --verify
compares all files with their checksums; with --teacher also the teacher. Without --truncation, a teacher on
disk has that of its config.json, and any other 0.5.

tinygan distill reads it: --config.teacher_cache=cache/.
"""

import importlib
import shlex

from ..data.records.record_format import check_folder, check_numbers
from ..errors import InputError
from ..files import check_writable, is_url, user_path
from .flags import check_required

SHARES = ("shard_size", "worker", "workers")
_SETTINGS = ("count", "seed", "classes", "batch_size", "encoding", *SHARES)
FLAGS = (*_SETTINGS, "teacher", "out", "truncation", "runner", "beam_options", "verify")
REQUIRED = ("out",)


def run(flags):
    if flags.verify:
        from ..data.teacher_cache import verify_cache
        from ..teachers.download import locate, module_hash

        teacher = module_hash(locate(flags.teacher)) if flags.teacher else None
        report_problems(flags.out, verify_cache(flags.out, teacher))
        return
    check_required("cache", ("teacher", "count"), flags)
    runner = pipeline_options(flags)
    check_out(flags.out)

    from ..data.teacher_cache import write_cache
    from ..generators.side_files import read_class_names, read_config
    from ..latents import resolve_truncation
    from ..teachers.hub import HubTeacher

    truncation = flags.truncation
    if truncation is None and not is_url(flags.teacher):
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
    if not is_url(out):
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
