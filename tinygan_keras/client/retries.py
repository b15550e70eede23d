"""Asks again when a server has no time, at growing intervals.

Scope: when and how often. Only what may pass is repeated (`ServingError.is_passing`); a request that the
server understood and refused would be refused again. Repeating is safe: a request is a function of its
seeds.

The pauses are random in part, so that clients that were turned away together don't come back together.
"""

import random
from itertools import count
from time import monotonic, sleep

from .errors import ServingError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds
_LAST_DOUBLING = 10
_LEAST_TIMEOUT = 0.001  # zero would mean "don't wait" to a socket

# Of its own: a seed that a user sets shouldn't bring all clients into step.
_RANDOM = random.Random()


def ask(call, retries: int, timeout: float):
    """Calls a function until it gives an answer.

    Args:
        call: Function of the seconds that are left, which raises `ServingError`.
        retries: How often to ask again.
        timeout: Seconds for all of it.

    Returns:
        What the function returned.

    Raises:
        ServingError: the last one, with the number of tries; of one that was cut short by the timeout, the
            reason of the one before too.
    """
    end, before = monotonic() + timeout, ""
    for tries in count(1):
        try:
            return call(max(end - monotonic(), _LEAST_TIMEOUT))
        except ServingError as error:
            pause = FIRST_PAUSE * 2 ** min(tries - 1, _LAST_DOUBLING)
            pause = min(pause, LONGEST_PAUSE) * _RANDOM.uniform(0.5, 1.0)
            if not error.is_passing or tries > retries or monotonic() + pause >= end:
                reason = error.reason + (before if error.code == "DEADLINE_EXCEEDED" else "")
                cause = error.__cause__
                raise ServingError(error.code, reason, error.target, tries) from cause
            before = f"; before that, {error.code}: {error.reason}"
            sleep(pause)
