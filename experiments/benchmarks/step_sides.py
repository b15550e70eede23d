"""The sides of the benchmark of a step: how each is built, and what it can be asked.

Scope: what `step.py` does in processes of their own. TensorFlow and PyTorch are imported where they are used,
since no process may have both.
"""

import functools
import os
import resource
import sys
import time

import numpy as np

INTERVAL = 5  # steps of a cycle
SIZE, LATENT_DIM, CLASSES = 128, 128, 1000
MATRIX = 4096
COPIED = 2**27  # float32 numbers, half a GB: far more than any cache holds


def make(name, batch_size):
    """Returns the side of that name; see `step.py` for the names."""
    side, *others = name.split(", ")
    precision = "bfloat16" if "bfloat16" in others else "float32"
    if side == "ours":
        settings = [other for other in others if other not in ("bfloat16", "float32")]
        return Ours(batch_size, precision, *settings)
    layout = "channels last" if "channels last" in others else "NCHW"
    return Twin(batch_size, precision, layout, compiled="compile" in side)


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
        """Multiply-adds a second of a large matrix product, the quickest of several."""
        return MATRIX**3 / quickest(self.multiply, repeats=8)


class Ours(Measured):
    """`TinyGAN` as `fit` runs it, computing what the twin does, with some settings on."""

    def __init__(self, batch_size, precision="float32", settings=""):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        from tinygan_keras.runs.components import build_model
        from tinygan_keras.runs.config import default_config

        self.batch_size = batch_size
        config = default_config()
        config.reuse_teacher_features = False  # which saves a pass that the twin takes
        config.dtype_policy = {"bfloat16": "mixed_bfloat16"}.get(precision, precision)
        config.update(dict.fromkeys(filter(None, settings.split("+")), True))
        self.model = build_model(config)
        self.model.make_train_function()
        self.batches = iter(in_memory(batch_size))
        self.matrices = tf.cast(tf.random.normal((2, MATRIX, MATRIX), seed=0), precision)

    def take_steps(self, count):
        for _ in range(count):
            logs = self.model.train_function(self.batches)
        return {name: float(value) for name, value in logs.items()}

    def multiply(self):
        import tensorflow as tf

        return tf.matmul(self.matrices[0], self.matrices[1])

    def memory_rate(self) -> float:
        """Bytes a second that are read and written where every number is needed once."""
        import tensorflow as tf

        numbers = tf.zeros([COPIED])
        return 2 * 4 * COPIED / quickest(lambda: numbers + 1.0, repeats=8)

    def shares_of_operations(self) -> dict:
        """What each kind of operation takes of a cycle."""
        from experiments.benchmarks import step_parts

        return step_parts.shares_of_operations(self.take_steps, INTERVAL)

    def traffic(self) -> float:
        """Bytes that the operations of a step read and write, averaged over a cycle."""
        from experiments.benchmarks import step_parts

        return step_parts.traffic(self.model, next(self.batches), INTERVAL)

    def multiply_adds(self):
        """Multiply-adds of a step, averaged over a cycle."""
        from experiments.benchmarks import step_parts

        return step_parts.multiply_adds(self.model, self.batch_size, INTERVAL)

    def parts(self):
        """Seconds per step of the parts of a step, each timed alone."""
        from experiments.benchmarks import step_parts

        return step_parts.seconds(self.model, next(self.batches), INTERVAL)


class Twin(Measured):
    """The step in PyTorch, batches brought to the device in every step, as in training.

    Args:
        batch_size: Images of each kind per step.
        precision: "bfloat16" is autocast's, with weights in float32, as with Keras' policy; all others are of
            the device.
        layout: "NCHW" or "channels last".
        compiled: Whether by torch.compile.
        device: "cpu" or "cuda".
        channels: Of "student" and "discriminator", if others than those of `tinygan_128`.
        count: Of batches in memory.
    """

    def __init__(
        self,
        batch_size,
        precision,
        layout="NCHW",
        compiled=False,
        device="cpu",
        channels=None,
        count=INTERVAL,
    ):
        import torch

        from experiments.pytorch_twin import networks, step, weights

        self.torch, self.device, self.precision = torch, torch.device(device), precision
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        memory = torch.channels_last if layout == "channels last" else torch.contiguous_format
        channels = {name: {"channels": widths} for name, widths in (channels or {}).items()}
        student = networks.Student(**channels.get("student", {}))
        discriminator = networks.Discriminator(**channels.get("discriminator", {}))
        both = [x.to(self.device, memory_format=memory) for x in (student, discriminator)]
        self.trainer = step.Trainer(*both)
        if compiled:
            for network in both:
                network.compile()
        size = 4 * 2 ** (len(student.channels) - 1)
        self.batches = [
            {name: weights.batch_to_torch(value, layout=memory) for name, value in batch.items()}
            for batch in make_batches(batch_size, count, size)
        ]

    def take_steps(self, count):
        half = self.precision == "bfloat16"
        for _ in range(count):
            batch = self.batches[self.trainer.step % len(self.batches)]
            batch = {name: x.to(self.device, non_blocking=True) for name, x in batch.items()}
            with self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=half):
                terms = self.trainer.train_step(batch)
        return {name: float(value) for name, value in terms.items()}  # which waits for the device

    @functools.cached_property
    def matrices(self):
        dtype = getattr(self.torch, self.precision)
        return self.torch.randn(2, MATRIX, MATRIX, device=self.device).to(dtype)

    def multiply(self):
        return self.matrices[0] @ self.matrices[1]


def in_memory(batch_size, count=INTERVAL, size=SIZE):
    """A `tf.data.Dataset` of batches that carry the teacher's images, again and again."""
    import tensorflow as tf

    batches = make_batches(batch_size, count, size)
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    with tf.device("CPU:0"):  # else they would lie in the GPU's memory, and count there
        return tf.data.Dataset.from_tensor_slices(stacked).cache().repeat().prefetch(2)


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
