"""What the student and its discriminator have in common: two inputs, a config, presets."""

import math

import keras
from keras import ops

from .presets import preset


def count_parameters(variables) -> int:
    """The number of values in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


class ConditionalNetwork(keras.Model):
    """A functional model of (something, labels), configured by flat arguments and named presets.

    Subclasses list their constructor arguments in `ARGUMENTS` and their presets in `PRESETS`, and keep
    every argument under its own name.
    """

    ARGUMENTS = ()
    PRESETS = {}

    def __call__(self, inputs, *args, **kwargs):
        # Keras' functional models refuse a pair of a tensor and a NumPy array; users do pass that.
        if not any(isinstance(part, keras.KerasTensor) for part in inputs):
            inputs = tuple(ops.convert_to_tensor(part) for part in inputs)
        return super().__call__(inputs, *args, **kwargs)

    def get_config(self):
        return {"name": self.name, **{name: getattr(self, name) for name in self.ARGUMENTS}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)

    @classmethod
    def from_preset(cls, name: str, **overrides):
        """Builds the network named `name` (see `presets()`), with single arguments overridden."""
        return cls(**preset(cls.PRESETS, name, overrides))

    @classmethod
    def presets(cls) -> dict:
        """Returns the constructor arguments of every preset by name."""
        return {name: dict(arguments) for name, arguments in cls.PRESETS.items()}
