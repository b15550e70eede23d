"""One client of the load test `serving_load.py`, in a process of its own.

Reads its orders as JSON from standard input, says "ready", waits for a line, asks the server until its time
is up, and writes what happened as JSON. Over REST it imports no TensorFlow, and starts in no time.
"""

import collections
import io
import json
import sys
import time

import numpy as np
from PIL import Image
from serving_malformed import MALFORMED, ROWS, WRONG_ROW, send

from tinygan_keras import ServingClient

MOST_ROWS = 8
TIMEOUT = 30.0


class Client:
    """Asks for images and compares them with a table; now and then it asks for what can't be.

    Args:
        orders: Dict with `address`, `table` (an .npz file), `seconds`, `malformed` (a share) and `number`.
    """

    def __init__(self, orders):
        self.address, self.seconds = orders["address"], orders["seconds"]
        self.share, self.number = orders["malformed"], orders["number"]
        with np.load(orders["table"]) as table:
            self.images, self.names = table["images"], table["names"]
            self.truncation = float(table["truncation"])
        self.client = ServingClient(self.address, timeout=TIMEOUT)
        self.rng = np.random.default_rng(self.number)
        self.counts, self.problems = collections.Counter(), []

    def run(self):
        """Returns the counts by kind of request, the seconds of each right one, and what went wrong."""
        seconds, turn = [], self.number
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if self.rng.random() < self.share:
                self.ask_wrongly(MALFORMED[turn % len(MALFORMED)])
                turn += 1
                continue
            start = time.monotonic()
            self.ask()
            seconds.append(time.monotonic() - start)
        return {"counts": self.counts, "seconds": seconds, "problems": self.problems}

    def ask(self):
        """One request for 1 to 8 images, by number or by name; every pixel is looked at."""
        count = self.rng.integers(1, MOST_ROWS + 1)
        labels = self.rng.integers(0, len(self.images), count)
        seeds = self.rng.integers(0, self.images.shape[1], count)
        by_name = self.rng.random() < 0.25
        classes = [str(self.names[label]) for label in labels] if by_name else labels
        self.counts["right requests"] += 1
        try:
            pngs = self.client.pngs(classes, seeds, self.truncation)
        except (OSError, ValueError) as error:
            self.problems.append(f"right request: {error}")
            return
        for label, seed, png in zip(labels, seeds, pngs, strict=True):
            self.compare(png, label, seed)

    def ask_wrongly(self, case):
        """One request that can't be answered, or only but for a row."""
        self.counts[case.name] += 1
        problem, outputs = send(case, self.address, TIMEOUT)
        if problem:
            self.problems.append(problem)
        elif outputs:
            for place, png in enumerate(outputs["image_bytes"]):
                if place != WRONG_ROW:
                    self.compare(png, ROWS["label"][place], ROWS["seed"][place])

    def compare(self, png, label, seed):
        self.counts["images"] += 1
        image = np.asarray(Image.open(io.BytesIO(png)), "int16")
        difference = np.abs(image - self.images[label, seed]).max()
        if difference > 1:  # batches of other sizes round differently
            self.problems.append(
                f"wrong image: class {label}, seed {seed}, {difference} levels off"
            )


if __name__ == "__main__":
    client = Client(json.loads(sys.stdin.readline()))
    client.ask()  # imports and connects
    client.counts.clear()
    print("ready", flush=True)
    if sys.stdin.readline():  # nobody waits any more otherwise
        print(json.dumps(client.run()), flush=True)
