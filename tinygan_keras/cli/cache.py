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
from types import SimpleNamespace

from ..data.records.record_format import SETTINGS_FILE, check_folder, check_numbers, no_set
from ..errors import InputError
from ..files import check_writable, is_url, user_path

FLAGS = (
    *("teacher", "out", "count", "classes", "truncation", "seed", "shard_size", "batch_size"),
    *("encoding", "worker", "workers", "runner", "beam_options", "verify"),
)
REQUIRED = ("out",)


def run(flags):
    if flags.verify:
        _verify(flags)
        return
    if not flags.teacher or flags.count is None:
        raise InputError(
            f"Got --teacher={flags.teacher} and --count={flags.count}. Expected both, such as "
            "--teacher=saved_models/biggan_fashion_32 --count=20000."
        )
    runner = pipeline_options(flags)
    check_out(flags)
    _make(flags, runner)


def pipeline_options(flags) -> list | None:
    """The options of the Beam pipeline that --runner asks for, checked; None without it."""
    check_numbers(flags.worker, flags.workers)
    if not flags.runner:
        if flags.beam_options:
            raise InputError(
                "Got --beam_options without --runner. Expected a runner, such as --runner=DirectRunner."
            )
        return None
    if flags.workers > 1:
        raise InputError(
            f"Got --runner={flags.runner} and --workers={flags.workers}. Expected one of them: Beam shares "
            "the work out itself. Leave out --worker and --workers."
        )
    importlib.import_module("tinygan_keras.data.records.beam_pipeline")  # may be refused
    return [f"--runner={flags.runner}", *shlex.split(flags.beam_options)]


def check_out(flags):
    """Refuses --out if no set of records can be written there."""
    if not is_url(flags.out):
        check_writable(flags.out, "--out")
        folder = user_path(flags.out)
        if folder.is_dir():
            check_folder([path.name for path in folder.iterdir()], folder)


def check_set(folder):
    """Refuses a folder on a disk that holds no set of records."""
    if not is_url(folder) and not (user_path(folder) / SETTINGS_FILE).is_file():
        raise no_set(folder)


def _make(flags, runner):
    from ..data.teacher_cache import write_cache
    from ..generators.side_files import read_class_names, read_config
    from ..latents import resolve_truncation
    from ..teachers.hub import HubTeacher

    config = {} if is_url(flags.teacher) else read_config(flags.teacher)
    saved = SimpleNamespace(truncation=config.get("truncation"))
    truncation = resolve_truncation(flags.truncation, saved)
    teacher = HubTeacher(flags.teacher, truncation=truncation)
    names = ("seed", "classes", "shard_size", "batch_size", "encoding", "worker", "workers")
    left = write_cache(
        teacher,
        flags.out,
        flags.count,
        runner=runner,
        class_names=read_class_names(teacher.folder),
        **{name: getattr(flags, name) for name in names},
    )
    shards = -(-flags.count // flags.shard_size)
    print(
        f"{shards - len(left):,} of {shards:,} shards with {flags.count:,} samples of truncation "
        f"{truncation:g}: {flags.out}"
    )
    if left:
        print("The others are those of other workers, and may come from other folders.")


def _verify(flags):
    check_set(flags.out)
    from ..data.teacher_cache import verify_cache

    content_hash = None
    if flags.teacher:
        from ..teachers import download

        content_hash = download.module_hash(download.locate(flags.teacher))
    report_problems(flags.out, verify_cache(flags.out, content_hash))


def report_problems(folder, problems):
    """Refuses a set of records with problems, or says that it has none."""
    if problems:
        raise InputError(
            "\n  ".join([f"Got {len(problems):,} problems in {folder}:", *problems])
            + "\nExpected every file as it was written. Delete these files and give the command that made "
            "the set: it makes what is missing."
        )
    print(f"{folder}: every shard is as it was written.")
