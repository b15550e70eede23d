"""What `gpu.py` times, each in a process of its own: our step, the twin's, and ways to draw.

Scope: what runs in those processes. TensorFlow and PyTorch are imported where they are used, since no process
may have both. With `debug` all of it runs on the CPU, with tiny networks.
"""

import contextlib
import os
import statistics
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from experiments.benchmarks import step_sides
from experiments.benchmarks.step_sides import CLASSES, INTERVAL, LATENT_DIM, Measured, in_memory

POLICIES = {"float32": "float32", "TF32": "float32", "bfloat16": "mixed_bfloat16", "auto": "auto"}
"""Keras' policy of every precision; TF32 is a switch of both libraries. "auto" is what runs choose."""
TINY = {"student": (4, 4, 4, 4), "discriminator": (4, 4, 4, 4, 4)}
"""Channels with `debug`, at 32 px. Five stages of the discriminator: the twin weights five feature maps."""
PRESETS = {False: "tinygan_128", True: "tinygan_32"}  # by debug
BATCHES = 2  # in memory, in turns: one of 256 and both kinds of images is 100 MB


class Impossible(Exception):
    """Something that can't be timed here; the message is the word that its cell gets."""


class Ours(Measured):
    """`TinyGAN` as a run makes it, computing what the twin does.

    Args:
        batch_size: Images of each kind per step, over all devices.
        precision: One of `POLICIES`.
        xla: `jit_compile` of a config: "on", "off" or "auto".
        source: Where the teacher's images come from: "memory", "cache", or "teacher", drawn in the step.
        devices: Number of them; on a CPU logical ones.
        synchronized: Batch statistics over all devices.
        folder: With "cache" and "teacher" in it; see `prepare`.
        debug: Tiny networks on the CPU.
    """

    def __init__(
        self,
        batch_size,
        precision="float32",
        xla="auto",
        source="memory",
        devices=1,
        synchronized=False,
        folder=None,
        debug=False,
    ):
        import tensorflow as tf

        from tinygan_keras.runs.components import build_model
        from tinygan_keras.runs.devices import make_strategy

        self.gpus = start_tensorflow(devices, precision, debug)
        if batch_size % devices:
            raise Impossible("uneven")
        strategy = make_strategy("mirrored" if devices > 1 else "one")
        if strategy.num_replicas_in_sync != devices:
            raise Impossible(f"{strategy.num_replicas_in_sync} devices")
        teacher = open_teacher(folder) if source == "teacher" else None
        with strategy.scope():
            model = build_model(settings(precision, xla, debug), synchronized, teacher)
            model.make_train_function()
        if source == "memory":
            dataset = in_memory(batch_size, BATCHES, model.student.image_size)
        else:
            dataset = from_teacher(batch_size, model.student.image_size, folder, teacher)
        if devices > 1:
            dataset = strategy.experimental_distribute_dataset(dataset)
        self.model, self.batches, self.tf = model, iter(dataset), tf

    def take_steps(self, count):
        for _ in range(count):
            logs = self.model.train_function(self.batches)
        return {name: float(value) for name, value in logs.items()}  # which waits for the devices

    def peak_memory(self):
        """Of one GPU, in GB; on a CPU of the process."""
        if not self.gpus:
            return super().peak_memory()
        return self.tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9


class Twin(step_sides.Twin):
    """The twin on a GPU."""

    def __init__(self, batch_size, precision, layout="NCHW", compiled=False, debug=False):
        try:
            import torch
        except ImportError as error:
            raise Impossible("no torch") from error
        if not debug and not torch.cuda.is_available():
            raise Impossible("no CUDA")
        torch.backends.cudnn.benchmark = True  # TensorFlow tries algorithms out by default
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
        device, channels = ("cpu", TINY) if debug else ("cuda", None)
        super().__init__(batch_size, precision, layout, compiled, device, channels, BATCHES)
        if not debug:  # so that copies run beside the computation
            pinned = [{name: x.pin_memory() for name, x in one.items()} for one in self.batches]
            self.batches = pinned

    def peak_memory(self):
        """Of the GPU, in GB; on a CPU of the process."""
        if self.device.type == "cpu":
            return super().peak_memory()
        return self.torch.cuda.max_memory_allocated() / 1e9


class Drawing:
    """Ways to draw from an exported student; see `prepare`."""

    def __init__(self, batch_size, way, folder, debug=False):
        from experiments.benchmarks import serving_sides

        start_tensorflow(1, "auto", debug)
        random = np.random.default_rng(0)
        self.z = np.clip(random.standard_normal((batch_size, LATENT_DIM), "float32"), -2, 2)
        self.label = random.integers(0, CLASSES, batch_size)
        if way == "Keras graph":
            self.draw = serving_sides.plain(Path(folder, "students"))
        else:
            self.draw = serving_sides.exported(Path(folder, "students", way))

    def take_steps(self, count):
        for _ in range(count):
            images = self.draw(self.z, self.label)
        return {"an image": float(images.mean())}

    def peak_memory(self):
        return float("nan")  # of no interest here


KINDS = {"ours": Ours, "twin": Twin, "drawing": Drawing}


def start_tensorflow(devices, precision, debug) -> list:
    """Shows TensorFlow so many devices, before anything is computed; returns the GPUs among them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if debug:  # so that "auto" decides as on a machine without a GPU
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if devices > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            logical = [tf.config.LogicalDeviceConfiguration()] * devices
            tf.config.set_logical_device_configuration(cpu, logical)
        return []
    if len(gpus) < devices:
        raise Impossible("one GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs")
    tf.config.set_visible_devices(gpus[:devices], "GPU")
    for gpu in gpus[:devices]:  # else the peak says nothing
        tf.config.experimental.set_memory_growth(gpu, True)
    return gpus[:devices]


def settings(precision, xla, debug):
    """The config of our side: the paper's step, without the pass that the twin doesn't save."""
    from tinygan_keras.runs.config import default_config

    config = default_config()
    config.student = config.discriminator = PRESETS[debug]
    if debug:
        config.student_overrides = {"channels": TINY["student"]}
        config.discriminator_overrides = {"channels": TINY["discriminator"]}
    config.reuse_teacher_features = False
    config.dtype_policy, config.jit_compile = POLICIES[precision], xla
    return config


def from_teacher(batch_size, image_size, folder, teacher=None):
    """Batches of the cache in a folder, or of a live teacher's latents, with real images in memory."""
    from tinygan_keras.data.batches import distillation_batches
    from tinygan_keras.data.keras_sets import LabelledImages
    from tinygan_keras.data.teacher_cache import TeacherCache

    random = np.random.default_rng(0)
    count = max(256, batch_size)
    images = random.integers(0, 256, (count, image_size, image_size, 3), dtype="uint8")
    real = LabelledImages(images, random.integers(0, CLASSES, count, "int32"), "noise")
    source = teacher or TeacherCache(Path(folder, "cache"))
    return distillation_batches(source, real, batch_size, truncation=0.5)


def open_teacher(folder):
    from tinygan_keras.teachers.hub import HubTeacher

    return HubTeacher(os.readlink(Path(folder, "teacher")), truncation=0.5)


def prepare(what, folder, teacher="", images=0, debug=False):
    """Makes what several processes need: a "cache" of a teacher, or exported "students".

    Args:
        what: One of the two.
        folder: Gets `cache` and a link `teacher`; or `students`, of one student with random weights.
        teacher: Folder of the stand-in, made if missing.
        images: Samples of the cache.
        debug: Tiny networks on the CPU.
    """
    folder = Path(folder)
    start_tensorflow(1, "auto", debug)
    if what == "students":
        export_students(folder / "students", debug)
        return
    from tinygan_keras.data.teacher_cache import write_cache

    teacher = Path(teacher).resolve()
    if not teacher.exists():
        sys.path.append(str(Path(__file__).resolve().parent.parent / "imagenet_128"))
        from make_stand_in import write_stand_in

        print(f"making {teacher.name}", flush=True)
        write_stand_in(teacher, **({"image_size": 32, "channels": 1} if debug else {}))
    if not (folder / "teacher").exists():
        (folder / "teacher").symlink_to(teacher)
    write_cache(open_teacher(folder), folder / "cache", images, progress=False)


def export_students(folder, debug):
    """Writes a student of random weights as Keras has it, and both of its exports."""
    import keras

    from experiments.benchmarks.serving_sides import EXPORTED, STUDENT
    from tinygan_keras.networks.student import StudentGenerator
    from tinygan_keras.saved_model.exporting import export_saved_model

    keras.utils.set_random_seed(0)
    tiny = {"channels": TINY["student"]} if debug else {}
    student = StudentGenerator.from_preset(PRESETS[debug], load_weights=False, **tiny)
    folder.mkdir(parents=True)
    student.save(folder / STUDENT)
    for way, rewrite in (("at once", False), ("row by row", True)):
        export_saved_model(student, folder / way / EXPORTED, rewrite=rewrite)


def machine(debug=False) -> dict:
    """What the tables are of: versions, and the GPUs that TensorFlow sees."""
    import importlib.metadata

    import tensorflow as tf

    gpus = [] if debug else tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    libraries = {}
    for name in ("tensorflow", "keras", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            libraries[name] = importlib.metadata.version(name)
    names = [each.get("device_name", "a GPU without a name") for each in details]
    return {"gpus": names, "libraries": libraries, "cores": os.cpu_count()}


def measure(kind, arguments, steps, cycles, warm_up) -> dict:
    """Milliseconds of a step, the median of the cycles, and the peak memory in GB."""
    side = KINDS[kind](**arguments)
    for _ in range(warm_up):
        side.take_steps(INTERVAL)
    seconds = []
    for _ in range(cycles):
        start = time.perf_counter()
        values = side.take_steps(steps)
        seconds.append((time.perf_counter() - start) / steps)
        if not np.isfinite(list(values.values())).all():
            raise Impossible("not finite")
    return {"milliseconds": 1000 * statistics.median(seconds), "memory": side.peak_memory()}


def answer(pipe, function, arguments):
    """The life of a process: sends what a function of this file returns, or a word that says why not."""
    try:
        pipe.send((globals()[function](*arguments), ""))
    except Exception as error:
        # Whatever it is, the other cells are to be measured.
        if not isinstance(error, Impossible):
            traceback.print_exc()
        pipe.send((None, reason(error)))


def reason(error) -> str:
    """A failure in a word or two, for a cell of a table."""
    if isinstance(error, Impossible):
        return str(error)
    names = {each.__name__ for each in type(error).__mro__}
    text = str(error).lower()
    if names & {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}:
        return "memory"
    if "out of memory" in text or "out_of_memory" in text:
        return "memory"
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return "compiler"
    if "xla" in text:
        return "XLA"
    return type(error).__name__
