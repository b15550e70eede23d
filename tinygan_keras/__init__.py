"""TinyGAN in Keras 3: distil a BigGAN teacher into a student a sixteenth of its size.

    import tinygan_keras as tg

    teacher = tg.HubTeacher("https://tfhub.dev/deepmind/biggan-deep-128/1", truncation=0.5)
    student = tg.StudentGenerator.from_preset("tinygan_128")
    discriminator = tg.Discriminator.from_preset("tinygan_128")
    model = tg.TinyGAN(student, discriminator, teacher=teacher)
    model.compile()
    model.fit(dataset, epochs=30)

Names are imported at first use, so that `import tinygan_keras` is quick and a student can be used where
TensorFlow Hub, TF-GAN and plotting aren't installed.
"""

import contextlib
import sys

import lazy_loader

from .errors import UserError

__version__ = "0.2.0"

# The names are those of `__init__.pyi`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if "keras" in sys.modules:  # keras.models.load_model finds the classes of what is imported
    with contextlib.suppress(UserError):  # said at the first use of a network
        for _name in ("TinyGAN", "StudentGenerator", "Discriminator", "BigGANGenerator"):
            __getattr__(_name)
