r"""tinygan cache: draws samples of a teacher once and keeps them, for many runs of training.

    tinygan cache --teacher=https://tfhub.dev/deepmind/biggan-deep-128/1 --classes=animals --count=800000 \
        --out=cache/
    tinygan cache ... --worker=3 --workers=8
    tinygan cache ... --runner=DirectRunner --beam_options="--direct_num_workers=2"
    tinygan cache --out=cache/ --verify

Stopped at any moment, the same command goes on where it was. Workers on several hosts may share --out, or
have one each that are copied into one folder later: every shard is the same whoever makes it. --verify
compares all files with their checksums; with --teacher also the teacher. Without --truncation, a teacher on
disk draws at that of its config.json, and any other at 0.5.

tinygan distill reads it: --config.teacher_cache=cache/.
"""

import importlib.util
import os
import shlex
from pathlib import Path

from absl import flags

from ..data.records.manifest import ENCODINGS, MANIFEST_FILE, check_is_cache, check_numbers
from ..errors import InputError, MissingFileError
from .checks import check_out_folder, check_seed, check_truncation


def define_flags(flag_values, arguments):
    def define(kind, name, default, *rest):
        kind(name, default, *rest, flag_values=flag_values)

    define(flags.DEFINE_string, "teacher", None, "Folder or TensorFlow Hub handle of the teacher.")
    define(flags.DEFINE_string, "out", None, "Folder of the cache (required).")
    define(flags.DEFINE_integer, "count", None, "Samples in all workers' shards together.")
    define(
        flags.DEFINE_string,
        "classes",
        "",
        "Which classes take turns: numbers such as 0-9,17, names, or animals; none: all.",
    )
    define(
        flags.DEFINE_float, "truncation", None, "In (0, 1]; default: that of the teacher, or 0.5."
    )
    define(flags.DEFINE_integer, "seed", 0, "The same seed gives the same latents.")
    define(flags.DEFINE_integer, "shard_size", 1024, "Samples per file.")
    define(flags.DEFINE_integer, "batch_size", 32, "Images per call of the teacher.")
    define(flags.DEFINE_enum, "encoding", "png", ENCODINGS, "How images are kept, both lossless.")
    define(flags.DEFINE_integer, "worker", 0, "Number of this worker, from 0.")
    define(flags.DEFINE_integer, "workers", 1, "How many workers make the cache.")
    define(flags.DEFINE_bool, "verify", False, "Check the cache in --out; make nothing.")
    define(
        flags.DEFINE_string, "runner", None, "Make it with this Apache Beam runner (extra beam)."
    )
    define(flags.DEFINE_string, "beam_options", "", "Options of the Beam pipeline, in one string.")


def run(flag_values):
    _check(flag_values)
    if flag_values.verify:
        _verify(flag_values)
    else:
        _make(flag_values)


def _make(flag_values):
    from ..data.records.writing import write_cache
    from ..teachers.hub import HubTeacher

    teacher = HubTeacher(flag_values.teacher, truncation=_truncation(flag_values))
    settings = {name: flag_values[name].value for name in ("count", "seed", "shard_size")}
    settings |= {name: flag_values[name].value for name in ("batch_size", "encoding")}
    settings["classes"] = _classes(flag_values.classes, teacher)
    if flag_values.runner:
        from ..data.records.beam import make_cache_with_beam

        options = [f"--runner={flag_values.runner}", *shlex.split(flag_values.beam_options)]
        manifest = make_cache_with_beam(teacher, flag_values.out, options=options, **settings)
    else:
        workers = {"worker": flag_values.worker, "workers": flag_values.workers}
        manifest = write_cache(teacher, flag_values.out, **settings, **workers)
    _report(flag_values.out, manifest)


def _truncation(flag_values):
    """That of the flag, of `config.json` or the default, as `load_generator` draws with a teacher."""
    from ..generators.side_files import read_config
    from ..latents import DEFAULT_TRUNCATION

    truncation, teacher = flag_values.truncation, flag_values.teacher
    if truncation is None and "://" not in teacher:
        truncation = read_config(Path(teacher).expanduser()).get("truncation")
    return DEFAULT_TRUNCATION if truncation is None else truncation


def _classes(text, teacher):
    if not text:
        return None
    from ..classes.selection import class_numbers
    from ..generators.side_files import read_class_names

    names = read_class_names(Path(teacher.folder))
    return class_numbers(text, teacher.num_classes, names, distinct=True)


def _report(folder, manifest):
    from ..data.records.shards import finished_shards

    there = len(finished_shards(folder, manifest))
    print(
        f"{there:,} of {manifest.shards:,} shards with {manifest.count:,} samples of truncation "
        f"{manifest.truncation:g}: {folder}"
    )
    if there < manifest.shards:
        print("The others are those of other workers, and may come from other folders.")


def _verify(flag_values):
    from ..data.records.verifying import verify_cache

    content_hash = None
    if flag_values.teacher:
        from ..teachers import download

        content_hash = download.module_hash(download.locate(flag_values.teacher))
    problems = verify_cache(flag_values.out, content_hash)
    if problems:
        raise InputError(
            "\n  ".join(
                [f"Got {len(problems):,} problems in the cache {flag_values.out}:", *problems]
            )
            + "\nExpected every file as it was written. Take these files away and give the command that "
            "made the cache: it makes what is missing."
        )
    print(f"{flag_values.out}: every shard is as it was written.")


def _check(flag_values):
    out, local = flag_values.out, "://" not in (flag_values.out or "")
    if not out:
        raise InputError("Got no --out. Expected the folder of the cache, such as --out=cache/.")
    if flag_values.verify:
        if local and not (Path(out) / MANIFEST_FILE).is_file():
            raise MissingFileError(
                f"Got --out={out}, which holds no {MANIFEST_FILE}. Expected a folder that tinygan cache "
                "wrote. Check the name."
            )
        return
    if not flag_values.teacher or flag_values.count is None:
        raise InputError(
            f"Got --teacher={flag_values.teacher} and --count={flag_values.count}. Expected both, such as "
            "--teacher=saved_models/biggan_fashion_32 --count=20000."
        )
    check_seed(flag_values.seed)
    check_truncation(flag_values.truncation)
    names = ("count", "seed", "shard_size", "batch_size", "encoding", "worker", "workers")
    check_numbers(**{name: flag_values[name].value for name in names})
    if flag_values.runner and flag_values.workers > 1:
        raise InputError(
            f"Got --runner={flag_values.runner} and --workers={flag_values.workers}. Expected one of "
            "them: Beam shares the work out itself. Leave out --worker and --workers."
        )
    if flag_values.runner and importlib.util.find_spec("apache_beam") is None:
        raise InputError(
            f"Got --runner={flag_values.runner} without Apache Beam. Expected the package, which is an "
            'optional part: pip install "tinygan-keras[beam]". Or share the work out with --workers.'
        )
    if flag_values.beam_options and not flag_values.runner:
        raise InputError(
            "Got --beam_options without --runner. Expected a runner, such as --runner=DirectRunner."
        )
    if local:
        check_out_folder(out)
        if Path(out).is_dir():
            check_is_cache(os.listdir(out), out)
