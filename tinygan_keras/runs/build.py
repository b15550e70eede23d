"""Builds the model of a run from its config."""

import keras
from keras import ops

from ..distillation.tinygan import PACKAGE, TinyGAN
from ..errors import InputError
from ..networks.discriminator import Discriminator
from ..networks.student import StudentGenerator
from .config import LOSS_SETTINGS

_XLA = {"auto": "auto", "on": True, "off": False}


def build_model(config, synchronized=False, teacher=None) -> TinyGAN:
    """Returns the compiled, untrained `TinyGAN` of a config.

    Args:
        config: A complete config (see `config.validate`).
        synchronized: Synchronise batch normalisation over the replicas of a strategy.
        teacher: The live teacher; None where batches bring its images. What XLA compiles depends on it.

    Raises:
        ValueError: an override isn't an argument of the network, or the two networks disagree.
    """
    keras.utils.set_random_seed(config.seed)
    student = _network(config, "student", StudentGenerator, synchronized=synchronized)
    discriminator = _network(config, "discriminator", Discriminator)
    model = TinyGAN(
        student,
        discriminator,
        teacher,
        ema_decay=config.ema_decay,
        truncation=config.truncation,
        seed=config.seed,
        name=config.name,
    )
    model.compile(
        g_optimizer=_adam(config, config.g_learning_rate),
        d_optimizer=_adam(config, config.d_learning_rate),
        divergence_limit=config.divergence_limit,
        jit_compile=_XLA[config.jit_compile],
        steps_per_execution=config.steps_per_execution,
        **{name: config[name] for name in LOSS_SETTINGS},
    )
    return model


@keras.saving.register_keras_serializable(PACKAGE)
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is constant up to `start` and then falls linearly to 0 at `steps`.

    Args:
        learning_rate: The constant rate.
        start: Step at which the decay starts.
        steps: Step at which the rate is 0.
    """

    def __init__(self, learning_rate: float, start: int, steps: int):
        self.learning_rate = learning_rate
        self.start = start
        self.steps = steps

    def __call__(self, step):
        left = (self.steps - ops.cast(step, "float32")) / max(1, self.steps - self.start)
        return self.learning_rate * ops.clip(left, 0.0, 1.0)

    def get_config(self):
        names = ("learning_rate", "start", "steps")
        return {name: getattr(self, name) for name in names}


def _network(config, part, network, **arguments):
    overrides = config[f"{part}_overrides"].to_dict()
    unknown = sorted(set(overrides) - set(network.ARGUMENTS))
    if unknown:  # Keras' models swallow keywords that they don't know
        raise InputError(
            f"Got {part}_overrides with {', '.join(unknown)}. Expected arguments of "
            f"{network.__name__}: {', '.join(network.ARGUMENTS)}. Correct or remove the others."
        )
    arguments["dtype"] = config.dtype_policy
    return network.from_preset(config[part], **{**arguments, **overrides})


def _adam(config, learning_rate):
    start = round(config.learning_rate_decay_start * config.steps)
    schedule = LinearDecay(learning_rate, start, config.steps)
    return keras.optimizers.Adam(
        schedule,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        global_clipnorm=config.gradient_clip_norm or None,
    )
