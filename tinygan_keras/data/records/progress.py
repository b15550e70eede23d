"""How far the writing is: images, rate, time left.

Keras' `Progbar` counts what an earlier start made into its rate, and shows no rate per second.
"""

import sys
import time

_EVERY = {True: 0.5, False: 60.0}  # seconds between two lines, on a terminal or in a log


class Progress:
    """Prints one line that is rewritten on a terminal, and a line a minute elsewhere.

    Args:
        total: Images to make, those that are there included.
        done: Images that are there.
        visible: False to print nothing.
        stream: Where to; None for the standard error output.
        clock: Function that tells the seconds; for tests.
    """

    def __init__(self, total, done=0, visible=True, stream=None, clock=time.monotonic):
        self.total, self.done, self.there_before = total, done, done
        self.visible, self.stream, self.clock = visible, stream or sys.stderr, clock
        self.rewrites = self.stream.isatty()
        self.start = self.shown = clock()

    def advance(self, images):
        """Counts some more images."""
        self.done += images
        now = self.clock()
        if self.done >= self.total or now - self.shown >= _EVERY[self.rewrites]:
            self.shown = now
            self._show(now)

    def _show(self, now):
        if not self.visible:
            return
        rate = (self.done - self.there_before) / max(now - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else 0
        line = f"{self.done:,}/{self.total:,} images ({self.done / self.total:.1%}), "
        speed = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        line += f"{speed} images/s, {duration(left)} left"
        finished = self.done >= self.total
        start, end = ("\r", "\n" if finished else "") if self.rewrites else ("", "\n")
        print(f"{start}{line:<78}", end=end, file=self.stream, flush=True)


def duration(seconds) -> str:
    """Returns a time in words.

    Example:
        duration(5025)  # "1 h 23 min"
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
