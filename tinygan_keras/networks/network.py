"""What student and discriminator have in common: two inputs, a config, presets, and weights of classes."""

import inspect
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ..embedded import EMBEDDED
from ..errors import InputError


def count_parameters(source) -> int:
    """The number of values in variables, or of those of a Keras model that training changes by gradient."""
    if isinstance(source, keras.Model):  # when it is frozen, names alone say which these were
        statistics = ("moving_mean", "moving_variance")
        frozen = [weight for weight in source.weights if weight.name not in statistics]
        source = source.trainable_variables or frozen
    return sum(math.prod(variable.shape) for variable in source)


def float32_weights(dtype):
    """Returns the Keras dtype policy, if it is one that keeps weights and statistics in float32."""
    policy = keras.dtype_policies.get(dtype)
    if policy.variable_dtype != "float32":
        raise InputError(
            f"Got dtype {policy.name!r}. Expected one that keeps the weights in float32. Use float32, "
            "mixed_bfloat16 or mixed_float16."
        )
    return policy


class ConditionalNetwork(keras.Model):
    """A functional model of (something, labels), configured by flat arguments and named presets."""

    ARGUMENTS = ()  # of the constructor; kept as attributes of the same names
    PRESETS = {}
    WEIGHTS = None  # file in the embedded folder that has the name of a preset

    def __init__(self, inputs, outputs, dtype=None, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        # Keras' functional models ignore the argument.
        self.dtype_policy = dtype

    def __call__(self, inputs, *args, **kwargs):
        # Keras' functional models refuse a pair of a tensor and a NumPy array; users do pass that.
        if not any(isinstance(part, keras.KerasTensor) for part in inputs):
            inputs = tuple(ops.convert_to_tensor(part) for part in inputs)
        return super().__call__(inputs, *args, **kwargs)

    def copy(self, **changes):
        """Copies the network, weights included.

        Args:
            **changes: Constructor arguments that differ, such as `dtype="float32"`.

        Returns:
            A network of the same class with weights of its own.

        Example:
            >>> import tinygan_keras as tg
            >>> student = tg.StudentGenerator.from_preset("tinygan_fashion_32", dtype="mixed_bfloat16")
            >>> student.copy(dtype="float32").compute_dtype
            'float32'
        """
        twin = type(self).from_config({**self.get_config(), **changes})
        twin.set_weights(self.get_weights())
        return twin

    def get_config(self):
        arguments = {name: getattr(self, name) for name in self.ARGUMENTS}
        return {"name": self.name, **arguments, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)

    @classmethod
    def from_preset(cls, name: str, load_weights: bool | None = None, **overrides):
        """Builds the network named `name`, trained where weights come with the package.

        Args:
            name: One of `presets()`.
            load_weights: None: trained if there are weights and no override makes another network of it,
                and else random. True insists on trained weights; False starts from random ones, as a
                training does.
            **overrides: Constructor arguments that differ from those of the preset.

        Raises:
            InputError: no such preset, or `load_weights=True` where there are none that fit.

        Example:
            >>> import tinygan_keras as tg
            >>> untrained = tg.StudentGenerator.from_preset("tinygan_fashion_32", load_weights=False)
            >>> tg.StudentGenerator.presets()["tinygan_128"]["weights"]
            False
        """
        if name not in cls.PRESETS:
            raise InputError(
                f"Got preset {name!r}. Expected one of {', '.join(sorted(cls.PRESETS))}. Choose one, or "
                "call the constructor with your own channels."
            )
        preset = cls.PRESETS[name]
        network = cls(**{**preset, **overrides})
        shape = set(overrides) & set(cls.ARGUMENTS) - {"synchronized", "start_at_identity"}
        defaults = {key: one.default for key, one in inspect.signature(cls).parameters.items()}
        usual = {**defaults, **preset}
        changed = sorted(key for key in shape if getattr(network, key) != usual[key])
        trained = [name for name, preset in cls.presets().items() if preset["weights"]]
        fits = name in trained and not changed
        if load_weights and not fits:
            other = f" with another {' and '.join(changed)}" if changed else ""
            raise InputError(
                f"Got load_weights=True for the {cls.__name__} {name!r}{other}, for which no weights come "
                f"with the package. Expected one of those that have them: {', '.join(trained) or 'none'}. "
                "Train it (tinygan distill), read weights that others trained (tinygan import), open a "
                "student of the Hugging Face Hub (hf://OWNER/NAME), or set load_weights=False."
            )
        if fits and load_weights is not False:
            network.load_weights(EMBEDDED[name] / cls.WEIGHTS)
        return network

    @classmethod
    def presets(cls) -> dict:
        """Returns `arguments` of the constructor and whether `weights` come along, by name of preset."""
        return {
            name: {
                "arguments": dict(arguments),
                "weights": bool(cls.WEIGHTS)
                and name in EMBEDDED
                and (EMBEDDED[name] / cls.WEIGHTS).is_file(),
            }
            for name, arguments in cls.PRESETS.items()
        }


def check_class_weights(class_weights, latents, num_classes: int) -> tf.Tensor:
    """Returns class weights as float32 `[B, num_classes]`, a row per latent; eager values are checked."""
    weights = tf.convert_to_tensor(class_weights)
    numeric = weights.dtype.is_floating or weights.dtype.is_integer
    if not numeric or not weights.shape.is_compatible_with([latents.shape[0], num_classes]):
        raise InputError(
            f"Got class weights {weights.dtype.name} {weights.shape}. Expected float [{latents.shape[0]}, "
            f"{num_classes}], a row per latent with a weight per class. Class numbers become weights with "
            f"tf.one_hot(labels, {num_classes})."
        )
    values = tf.get_static_value(weights)  # None for weights that only a running graph knows
    wrong = [] if values is None else np.argwhere(~np.isfinite(np.asarray(values, "float64")))
    if len(wrong):
        row, label = wrong[0]
        raise InputError(
            f"Got the class weight {values[row, label]} in row {row} for class {label}. Expected finite "
            "numbers. Check what they are computed from."
        )
    return tf.cast(weights, tf.float32)
