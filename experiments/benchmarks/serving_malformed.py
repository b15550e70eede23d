"""Ten ways in which a request can be wrong, and what a server has to answer to each.

Scope: what is sent below the client's own checks, as another program or another version of this one might.
Used by the load test, and by the test of the contract between client and server.
"""

import re
from typing import NamedTuple

import numpy as np

from tinygan_keras.client import ServingClient, ServingError

ROWS = {
    "label": np.array([1, 0, 1]),
    "seed": np.array([5, 6, 7]),
    "truncation": np.array([0.5, 0.5, 0.5], "float32"),
}
WRONG_ROW = 1  # of the one request that is right but for a row


class Malformed(NamedTuple):
    """A request; and its answer, a code and a pattern in the reason. Without a code: images but for one row.

    Over REST 400 stands for several codes, which all are "INVALID_ARGUMENT" to the client; and an additional
    input, in columns as our client sends them, is passed over.
    """

    name: str
    code: str | None
    reason: str = ""
    signature: str = "sample"
    target: tuple = ()
    inputs: tuple = ()
    is_right_over_rest: bool = False


def _wrong_input(name, reason, is_right_over_rest=False, **inputs):
    inputs = tuple(inputs.items())
    return Malformed(
        name, "INVALID_ARGUMENT", reason, inputs=inputs, is_right_over_rest=is_right_over_rest
    )


MALFORMED = (
    Malformed("unknown model", "NOT_FOUND", "not found", target=(("model", "nobody"),)),
    Malformed("unknown version", "NOT_FOUND", "not found", target=(("version", 987654),)),
    Malformed("unknown label", "INVALID_ARGUMENT", "label: nobody", target=(("label", "nobody"),)),
    Malformed("unknown signature", "FAILED_PRECONDITION", "simple.* not found", "simple"),
    _wrong_input("missing input", "seed", seed=None),
    _wrong_input("additional input", "weight", True, weight=ROWS["truncation"]),
    _wrong_input("wrong type", "int64", label=np.array(list("abc"))),
    _wrong_input("wrong shape", "shape|rank", label=ROWS["label"][:, None]),
    _wrong_input(
        "unequal lengths", "different numbers of rows|0th-dimension", seed=ROWS["seed"][:2]
    ),
    Malformed("class out of range", None, inputs=(("label", np.array([1, 987654, 1])),)),
)


def send(case: Malformed, address: str, timeout: float):
    """Sends one to the model "tinygan".

    Args:
        case: Which.
        address: Of the server.
        timeout: Seconds.

    Returns:
        What is wrong with the answer, as a string, or None; and the outputs, None if it was refused.
    """
    inputs = {**ROWS, **dict(case.inputs)}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    with ServingClient(address, timeout=timeout, retries=0, **dict(case.target)) as client:
        try:
            outputs = client.predict(case.signature, inputs)
        except ServingError as error:
            return _problem(case, error), None
    is_right = case.is_right_over_rest and address.startswith("http")
    expected = [is_right or place != WRONG_ROW for place in range(len(ROWS["label"]))]
    if (case.code and not is_right) or outputs["valid"] != expected:
        return f"{case.name}: answered with valid={outputs.get('valid')}", outputs
    return None, outputs


def _problem(case, error):
    ambiguous = error.target.address.startswith("http") and case.code == "FAILED_PRECONDITION"
    code = "INVALID_ARGUMENT" if ambiguous else case.code
    if error.code == code and error.reason and re.search(case.reason, error.reason, re.IGNORECASE):
        return None
    return f"{case.name}: {error.code} ({error.reason})"
