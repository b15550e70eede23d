"""SIGINT and SIGTERM: noted while a step is under way, so that its work is saved before the process goes."""

import contextlib
import os
import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; `exit_code` is what shells expect: 130 after SIGINT, 143 after SIGTERM.

    `agreed`: it is raised at a step boundary, in all processes of the run.
    """

    def __init__(self, number: int = signal.SIGINT, agreed=False):
        super().__init__(signal.Signals(number).name)
        self.exit_code, self.agreed = 128 + number, agreed


class Interruptions:
    """What has been asked of this process so far.

    Attributes:
        holds: Function that says whether there is work to save first. If it does, a signal is only noted in
            `number`, for whoever looks there at the next step boundary. If not, and at a second signal,
            `Interrupted` is raised at once.
        number: The first signal that came and was noted; 0 for none.
    """

    def __init__(self):
        self.holds = bool  # nothing yet
        self.number = 0

    @contextlib.contextmanager
    def noticed(self):
        """Listens inside. Outside the main thread, where Python knows no signals, it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        former = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _handle(self, number, frame):
        if self.number or not self.holds():
            raise Interrupted(number)
        self.number = number
        # Not by print, which may be what the signal has interrupted.
        os.write(2, b"\nStopping after this step, when it is saved; once more stops at once.\n")
