"""What every export asks of a generator and of the names of its classes, whatever form it writes."""

from ..errors import InputError


def check_generator(generator):
    """Makes sure that a generator tells what an export has to know.

    Raises:
        TypeError: it lacks an attribute.
    """
    needed = ("latent_dim", "num_classes", "image_size")
    missing = [name for name in needed if not hasattr(generator, name)]
    if missing:
        raise TypeError(
            f"Got a generator of type {type(generator).__name__} without {', '.join(missing)}. Expected one "
            "such as StudentGenerator; of a TinyGAN, pass model.ema_student."
        )


def names_as_text(class_names, num_classes: int) -> str:
    """Returns the content of `class_names.txt`: a name per line.

    Raises:
        ValueError: there is not one name per class, or a name isn't one line.
    """
    names = [str(name) for name in class_names]
    text = "".join(f"{name}\n" for name in names)
    if len(names) != num_classes or text.splitlines() != names:
        raise InputError(
            f"Got the class names {names}. Expected {num_classes}, a name of one line per class. Give those "
            "of the data that the generator was trained on."
        )
    return text
