"""The progress of long work: Keras' bar where a line can be rewritten, plain lines anywhere else."""

import sys
import time

_EVERY = 60.0  # seconds between two lines


def progress_bar(total: int, unit_name: str = "image", visible: bool = True):
    """What shows how much of some work is done; it has `update(done)` and `add(number)`.

    That is Keras' bar in a terminal or notebook. A log file or pipe gets a line a minute and one at the end:
    Keras takes these for terminals too, and fills them with control characters.
    """
    visible = visible and total > 0
    if visible and not rewrites_lines():
        return _Lines(total, unit_name)
    import keras

    return keras.utils.Progbar(total, unit_name=unit_name, verbose=int(visible))


def rewrites_lines() -> bool:
    """Whether what is printed goes to a terminal or notebook."""
    # A process that only runs notebooks, in kernels of their own, has imported ipykernel too.
    return sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel")


class _Lines:
    """Prints how many of how many are done, as rarely as a reader of logs wants it."""

    def __init__(self, total, unit_name):
        self._total, self._unit_name, self._done = total, unit_name, 0
        self._start = self._printed = time.monotonic()

    def add(self, number):
        self.update(self._done + number)

    def update(self, done, finalize=None):
        self._done, now = done, time.monotonic()
        if finalize is None:
            finalize = done >= self._total
        if not finalize and now - self._printed < _EVERY:
            return
        self._printed = now
        seconds = now - self._start
        print(f"{self._unit_name} {done:,} of {self._total:,}, {seconds:.0f} s", flush=True)
