"""Finds in a SavedModel, whatever wrote it, the function from images to features and logits."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from ...embedded import find
from ...errors import InputError, MissingFileError
from ...hugging_face import shown_name
from ...teachers import download
from ...teachers.module_graph import outside

ROLE = "feature extractor"
_SIGNATURES = ("serving_default", "default")  # as TensorFlow 2 and as TF1 Hub modules call it
_FEATURES = ("features", "pool_3")  # the second is TF-GAN's name
_LOGITS = "logits"
_EXPECTED = (
    "Expected one float32 input (None, S, S, 3) in [-1, 1], and the outputs 'features' (or 'pool_3') [B, F] "
    "and 'logits' [B, C]. Export it with images of a fixed size; if it takes every size, choose input_size."
)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A frozen classifier, loaded."""

    classify: Callable  # float32 images `[B, S, S, 3]` in [-1, 1] to features `[B, F]` and logits `[B, C]`
    input_size: int  # S
    feature_dim: int  # F
    num_classes: int  # C; 0 of a backbone without logits
    hash: str  # of what determines the outputs
    name: str  # how reports call it; never a path of one machine
    path: Path | None = None
    owner: object = None  # of the variables, which have to live as long as `classify`
    kind: str | None = None  # what some metrics ask for: "clip", "dinov2" or "siglip"


def load_folder(path, input_size: int | None = None) -> Classifier:
    """Loads the SavedModel or TF1 Hub module in a folder of this machine."""
    folder = Path(find(path))
    if not any((folder / f"saved_model.{ending}").is_file() for ending in ("pb", "pbtxt")):
        raise MissingFileError(
            f"Got feature extractor {str(path)!r}, which holds no saved_model.pb. Expected a SavedModel "
            "folder, or the embedded fashion_classifier, which "
            "experiments/train_classifier.py writes."
        )
    return load_saved_model(str(folder), shown_name(folder), input_size)


def load_saved_model(folder: str, name: str, input_size: int | None = None) -> Classifier:
    """Loads a SavedModel: the first that fits of its signatures and of a call with the images alone."""
    module = outside(download.load, folder, name, ROLE)
    problems = []
    for title, call, shapes in _candidates(module):
        try:
            size = _size(shapes, input_size)
            classify = _features_and_logits(call)
            widths = [output.shape[1] for output in classify(tf.zeros([2, size, size, 3]))]
        except (TypeError, ValueError, tf.errors.OpError) as error:
            problems.append(f"{title} {error}")
            continue
        digest = download.module_hash(folder)
        return Classifier(classify, size, *widths, digest, name, Path(folder), module)
    signatures = sorted(getattr(module, "signatures", {}))
    found = "; ".join(problems) or f"it has the signatures {signatures} and can't be called itself"
    raise InputError(f"Got the {ROLE} {name}, but {found}. {_EXPECTED}")


def _candidates(module):
    """Yields a title, a function of images, and the shapes that it takes by input, for each way to call."""
    for name in _SIGNATURES:
        if name in getattr(module, "signatures", {}):
            signature = module.signatures[name]
            specs = signature.structured_input_signature[1]
            yield f"the signature {name!r}", _by_keyword(signature, specs), [specs]
    if callable(module):
        functions = getattr(module.__call__, "concrete_functions", [])
        shapes = [_image_argument(*function.structured_input_signature) for function in functions]
        yield "calling it", module, shapes


def _by_keyword(signature, specs):
    return lambda images: signature(**dict.fromkeys(specs, images))


def _image_argument(positional, keywords):
    """The first argument of a function; the others, such as `training`, have defaults."""
    arguments = {**dict(enumerate(positional)), **keywords}
    return dict(list(arguments.items())[:1])


def _size(variants, input_size):
    """The size of image that one of the variants of a function takes."""
    for inputs in variants:
        spec = next(iter(inputs.values()), None)
        if len(inputs) != 1 or not isinstance(spec, tf.TensorSpec) or spec.dtype != tf.float32:
            continue
        shape = tf.TensorShape([None] * 4) if spec.shape.rank is None else spec.shape
        size = input_size or (shape.rank == 4 and (shape[1] or shape[2]))
        if size and shape.is_compatible_with([None, size, size, 3]) and shape[0] is None:
            return size
    wanted = f", and input_size is {input_size}" if input_size else ""
    raise InputError(f"takes {' or '.join(map(_described, variants)) or 'unknown inputs'}{wanted}")


def _described(specs):
    tensors = {n: f"{s.dtype.name} {s.shape}" for n, s in specs.items() if hasattr(s, "shape")}
    return str(specs | tensors)


def _features_and_logits(call):
    def classify(images):
        outputs = call(images)
        if not isinstance(outputs, Mapping):
            raise InputError(f"returns {type(outputs).__name__}")
        names = next((name for name in _FEATURES if name in outputs), None), _LOGITS
        if not set(names) <= set(outputs):
            shapes = {name: tuple(output.shape) for name, output in sorted(outputs.items())}
            raise InputError(f"returns {shapes}")
        return tuple(_as_rows(outputs[name], name, images.shape[0]) for name in names)

    return classify


def _as_rows(output, name, count):
    """Float32 `[B, F]`. TF-GAN's older modules pool to `[B, 1, 1, F]`; in a graph B may be unknown."""
    shape = output.shape
    same = None in (count, shape[0]) or shape[0] == count
    if len(shape) < 2 or not same or any(n != 1 for n in shape[1:-1]):
        raise InputError(f"returns {name} {shape} for {count} images")
    return tf.cast(tf.reshape(output, [-1, shape[-1]]), tf.float32)
