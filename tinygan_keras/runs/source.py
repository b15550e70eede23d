"""Where the teacher's images of a run come from: drawn before training, from a cache, or at every step."""

from ..data.teacher_cache import TeacherCache
from ..data.teacher_samples import sample_teacher
from ..errors import InputError


def open_cache(config, parts) -> TeacherCache | None:
    """Opens the cache of a config, if it names one, and checks that it is of this teacher.

    Raises:
        FileNotFoundError: there is no cache.
        ValueError: it is unfinished, or has another teacher, truncation, size or other classes.
    """
    if not config.teacher_cache:
        return None
    cache = TeacherCache(config.teacher_cache)
    teacher = parts.teacher
    classes = parts.classes or tuple(range(teacher.num_classes))
    pairs = {
        "teacher's content hash": (cache.content_hash, teacher.content_hash),
        "truncation": (float(cache.truncation), float(config.truncation)),
        "latent length": (cache.latent_dim, teacher.latent_dim),
        "image size": (cache.image_size, teacher.image_size),
        "number of classes": (cache.num_classes, teacher.num_classes),
        "list of classes": (tuple(sorted(cache.classes)), tuple(classes)),
    }
    for meaning, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise InputError(
                f"Got teacher_cache={config.teacher_cache!r} with the {meaning} {_short(ours)}, made with "
                f"the teacher {cache.teacher}. Expected {_short(theirs)}, as in this config with the teacher "
                f"{config.teacher}. Make a cache with `tinygan cache`, or change the config."
            )
    if cache.count < config.batch_size:
        raise InputError(
            f"Got teacher_cache={config.teacher_cache!r} with {cache.count} samples. Expected at least one "
            f"batch ({config.batch_size}). Make a larger cache, or lower batch_size."
        )
    return cache


def open_source(config, parts, cache, watch):
    """What `distillation_batches` takes: the cache, samples drawn now, or the teacher itself."""
    if cache is not None:
        return cache
    if not config.teacher_samples:
        return parts.teacher
    with watch.phase("teacher_samples"):
        return sample_teacher(
            parts.teacher,
            config.teacher_samples,
            config.seed,
            classes=parts.classes,
        )


def _short(value):
    if isinstance(value, tuple) and len(value) > 8:
        return f"{len(value)} classes {', '.join(map(str, value[:6]))}, ..."
    return str(value)
