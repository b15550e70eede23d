r"""tinygan prepare: converts real images once, to train on and to measure with.

    tinygan prepare --data=imagenet/ --image_size=128 --classes=animals --out=imagenet_128/
    tinygan prepare --data=tfds:imagenet2012 --image_size=128 --out=imagenet_128/ --worker=3 --workers=8
    tinygan prepare --data=photos/ --image_size=64 --out=photos_64/ --skip_unreadable
    tinygan prepare --out=imagenet_128/ --verify

--data is a folder with a sub-folder per class (wnids, numbers or names), tfds:NAME[:SPLIT],
keras:NAME[:SPLIT], an .npz file, or a set that was prepared with other classes or size. Images are cropped to
the centre square and resized. All are decoded first: those that can't be are named, and nothing is written,
unless --skip_unreadable leaves them out. Stopped at any moment, the same command goes on where it was.

Training and evaluation read it: --config.data=imagenet_128/, tinygan evaluate --real=imagenet_128/.
"""

from .cache import SHARES, check_out, pipeline_options, report_problems
from .flags import check_required

_SETTINGS = ("data", "image_size", "classes", "out", "skip_unreadable", *SHARES)
FLAGS = (*_SETTINGS, "runner", "beam_options", "verify")
REQUIRED = ("out",)


def run(flags):
    if flags.verify:
        from ..data.records.record_set import verify_records

        report_problems(flags.out, verify_records(flags.out))
        return
    check_required("prepare", ("data", "image_size"), flags)
    runner = pipeline_options(flags)
    check_out(flags.out)
    from ..data.prepare_images import prepare_images

    settings = {name: getattr(flags, name) for name in _SETTINGS}
    print(prepare_images(**settings, runner=runner))
