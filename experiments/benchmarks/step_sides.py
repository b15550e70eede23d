"""The sides of the benchmark of a step: how each is built, and what it can be asked.

Scope: what `step.py` does in processes of their own. TensorFlow and PyTorch are imported where they are used,
since no process may have both.
"""

import os
import resource
import sys
import time

import numpy as np

INTERVAL = 5  # steps of a cycle
SIZE, LATENT_DIM, CLASSES = 128, 128, 1000
MATRIX = 4096


def make(name, batch_size):
    """Returns the side of that name; see `step.py` for the names."""
    if name.startswith("ours"):
        return Ours(batch_size, name.partition(", ")[2])
    return Twin(batch_size, "channels last" in name, compiled="compile" in name)


class Measured:
    """What every side can be asked."""

    def cycle(self) -> float:
        """Seconds per step over one cycle."""
        start = time.perf_counter()
        self.take_steps(INTERVAL)
        return (time.perf_counter() - start) / INTERVAL

    def peak_memory(self) -> float:
        """Largest resident memory of this process so far, in GB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e9

    def matrix_product(self) -> float:
        """Multiply-adds a second of a large float32 matrix product, the quickest of several."""
        return MATRIX**3 / quickest(self.multiply, repeats=8)


class Ours(Measured):
    """`TinyGAN` as `fit` runs it, computing what the twin does, with some settings on."""

    def __init__(self, batch_size, settings=""):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        from tinygan_keras.runs.components import build_model
        from tinygan_keras.runs.config import default_config

        self.batch_size = batch_size
        config = default_config()
        config.reuse_teacher_features = False  # which saves a pass that the twin takes
        config.update(dict.fromkeys(filter(None, settings.split("+")), True))
        self.model = build_model(config)
        self.model.make_train_function()
        batches = make_batches(batch_size)
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        dataset = tf.data.Dataset.from_tensor_slices(stacked).cache().repeat().prefetch(2)
        self.batches = iter(dataset)
        self.matrices = tf.random.normal((2, MATRIX, MATRIX), seed=0)

    def take_steps(self, count):
        for _ in range(count):
            logs = self.model.train_function(self.batches)
        return {name: float(value) for name, value in logs.items()}

    def multiply(self):
        import tensorflow as tf

        return tf.matmul(self.matrices[0], self.matrices[1])

    def multiply_adds(self):
        """Multiply-adds of a step, averaged over a cycle."""
        from experiments.benchmarks import step_parts

        return step_parts.multiply_adds(self.model, self.batch_size, INTERVAL)

    def parts(self):
        """Seconds per step of the parts of a step, each timed alone."""
        from experiments.benchmarks import step_parts

        return step_parts.seconds(self.model, next(self.batches), INTERVAL)


class Twin(Measured):
    """The step in PyTorch."""

    def __init__(self, batch_size, channels_last, compiled):
        import torch

        from experiments.pytorch_twin import networks, step, weights

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        student = networks.Student().to(memory_format=layout)
        discriminator = networks.Discriminator().to(memory_format=layout)
        self.trainer = step.Trainer(student, discriminator)
        if compiled:
            student.compile()
            discriminator.compile()
        self.batches = [
            {name: weights.batch_to_torch(value, layout=layout) for name, value in batch.items()}
            for batch in make_batches(batch_size)
        ]
        self.matrices = torch.randn(2, MATRIX, MATRIX)

    def take_steps(self, count):
        for _ in range(count):
            terms = self.trainer.train_step(self.batches[self.trainer.step % len(self.batches)])
        return {name: float(value) for name, value in terms.items()}

    def multiply(self):
        return self.matrices[0] @ self.matrices[1]


def make_batches(batch_size, count=INTERVAL, size=SIZE):
    """Batches as `TinyGAN` takes them, of random images: what a step costs doesn't depend on them."""
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(count):
        batch = {}
        for latent, image, label in (
            ("latent", "teacher_image", "label"),
            ("fresh_latent", "image", "image_label"),
        ):
            batch[latent] = 0.5 * rng.normal(size=(batch_size, LATENT_DIM)).astype("float32")
            batch[label] = rng.integers(0, CLASSES, batch_size).astype("int32")
            shape = (batch_size, size, size, 3)
            batch[image] = rng.uniform(-1, 1, shape).astype("float32")
        batches.append(batch)
    return batches


def quickest(function, repeats) -> float:
    """Seconds of the quickest call, after one that warms up."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
