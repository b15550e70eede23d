"""What two logical devices cost: a step of MirroredStrategy on two of them against one device.

    python experiments/benchmarks/devices.py                        # 5 minutes, 6 GB
    python experiments/benchmarks/devices.py --preset=tinygan_fashion_32

Both train on the same global batch and on the same cores, so nothing can be won: what shows is the price of
mirroring. Every variant lives in a process of its own, because the number of logical devices is fixed when
TensorFlow starts; the processes take turns, a few steps each, so that what else the machine does hits all.
A turn's first step is not counted, and the quickest turn of each variant counts. Beside the time stands the
processor's: what other programs take away doesn't show in it, nor do cores that wait.

The batches lie in memory: this measures devices, not the input pipeline.
"""

import multiprocessing
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("preset", "tinygan_128", "Networks, the same name for both.")
flags.DEFINE_integer("batch_size", 16, "Images of each kind per step, over all devices.")
flags.DEFINE_integer("turns", 5, "Turns of each variant.", lower_bound=1)
flags.DEFINE_integer(
    "steps", 5, "Steps that count in a turn; a multiple of the interval.", lower_bound=1
)
flags.DEFINE_integer("adversarial_interval", 5, "As the setting of runs.", lower_bound=1)
flags.DEFINE_multi_enum(
    "reduction",
    ["default"],
    ["default", "one_device", "hierarchical"],
    "How gradients are summed: what runs use, or one of TensorFlow's.",
)

LARGEST_COST = 1.15


def serve(pipe, devices, reduction, synchronized, settings):
    """Builds one variant; then answers a number of steps with the seconds of one: of wall, and of CPU."""
    import keras
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, logical)
    with strategy(devices, reduction).scope():
        model = build_model(settings, synchronized=synchronized)
    batches = tf.data.Dataset.from_tensors(example(settings, model)).repeat()
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: times.append(
            (time.perf_counter(), time.process_time())
        )
    )
    while steps := pipe.recv():
        times = []
        model.fit(batches, steps_per_epoch=steps + 1, callbacks=[clock], verbose=0, shuffle=False)
        pipe.send([(last - first) / steps for first, last in zip(times[0], times[-1], strict=True)])


def strategy(devices, reduction):
    """The strategy of a run, or the same with another way to sum gradients."""
    import tensorflow as tf

    from tinygan_keras.runs.devices import make_strategy

    if devices == 1:
        return make_strategy("one")
    if reduction == "default":
        return make_strategy("mirrored")
    names = [f"CPU:{number}" for number in range(devices)]
    ways = {
        "one_device": tf.distribute.ReductionToOneDevice,
        "hierarchical": tf.distribute.HierarchicalCopyAllReduce,
    }
    return tf.distribute.MirroredStrategy(names, cross_device_ops=ways[reduction]())


def build_model(settings, synchronized):
    from tinygan_keras.runs import components
    from tinygan_keras.runs.config import default_config

    config = default_config()
    config.student = config.discriminator = settings["preset"]
    config.adversarial_interval = settings["adversarial_interval"]
    return components.build_model(config, synchronized=synchronized)


def example(settings, model):
    """One batch with everything in it, of noise."""
    import numpy as np

    random = np.random.default_rng(0)
    student, count = model.student, settings["batch_size"]
    size = (count, student.image_size, student.image_size, 3)
    return {
        "latent": random.standard_normal((count, student.latent_dim), "float32"),
        "fresh_latent": random.standard_normal((count, student.latent_dim), "float32"),
        "label": random.integers(0, student.num_classes, count, "int32"),
        "image_label": random.integers(0, student.num_classes, count, "int32"),
        "teacher_image": np.tanh(random.standard_normal(size, "float32")),
        "image": np.tanh(random.standard_normal(size, "float32")),
    }


def measure(variants, settings, turns, steps):
    """Returns the seconds per step of every turn of every variant: of wall, and of CPU."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name, variant in variants.items():
        pipes[name], theirs = spawn.Pipe()
        arguments = (theirs, *variant, settings)
        processes.append(spawn.Process(target=serve, args=arguments, daemon=True))
        processes[-1].start()
        theirs.close()  # so that waiting for a process that died ends
        pipes[name].send(2)  # traces, compiles and allocates; one after another
        pipes[name].recv()
    seconds = {name: [] for name in variants}
    for _ in range(turns):
        for name, pipe in pipes.items():
            pipe.send(steps)
            seconds[name].append(pipe.recv())
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(0)
        process.join()
    return seconds


def main(argv):
    del argv
    names = ("preset", "batch_size", "adversarial_interval")
    settings = {name: FLAGS[name].value for name in names}
    variants = {"one device": (1, "default", False)}
    for reduction in FLAGS.reduction:
        how = "" if reduction == "default" else f", {reduction}"
        variants[f"two devices{how}"] = (2, reduction, False)
        variants[f"two devices{how}, synchronised batch norm"] = (2, reduction, True)
    report(measure(variants, settings, FLAGS.turns, FLAGS.steps))


def report(seconds):
    """Prints the table, and whether the target is met."""
    print(f"{FLAGS.preset}, {FLAGS.batch_size} images per step\n")
    print("| variant | ms per image | cost | CPU ms per image | cost |\n|---|---:|---:|---:|---:|")
    quickest = {
        name: [min(column) for column in zip(*turns, strict=True)]
        for name, turns in seconds.items()
    }
    base = quickest["one device"]
    for name, both in quickest.items():
        cells = [
            (1000 * value / FLAGS.batch_size, value / reference)
            for value, reference in zip(both, base, strict=True)
        ]
        print(f"| {name} | " + " | ".join(f"{a:.1f} | {b:.2f}" for a, b in cells) + " |")
    print("\n| two devices over one | measured | wanted | |\n|---|---|---|---|")
    for name, both in quickest.items():
        if name != "one device":
            cost = both[0] / base[0]
            met = "met" if cost <= LARGEST_COST else "MISSED"
            print(f"| {name} | {cost:.2f} | <= {LARGEST_COST:g} | {met} |")


if __name__ == "__main__":
    app.run(main)
