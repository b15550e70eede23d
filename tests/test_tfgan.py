import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from tinygan_keras import tfgan

PACKAGE = Path(tfgan.__file__).resolve().parents[1]


def test_losses_are_tf_gans_own():
    module = tfgan.losses()
    assert module.__name__.startswith("tensorflow_gan.")
    assert callable(module.wasserstein_hinge_generator_loss)
    assert callable(module.wasserstein_hinge_discriminator_loss)


def test_evaluation_is_tf_gans_own():
    module = tfgan.evaluation()
    assert module.__name__.startswith("tensorflow_gan.")
    for name in ("frechet_classifier_distance_from_activations", "classifier_score_from_logits"):
        assert callable(getattr(module, name))


def test_a_part_is_imported_once():
    assert tfgan.losses() is tfgan.losses()


def test_missing_tf_gan_names_the_package_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow_gan"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tfgan._part.cache_clear()
    with pytest.raises(ImportError, match="pip install tensorflow-gan"):
        tfgan.losses()
    tfgan._part.cache_clear()


def test_only_the_adapter_imports_tf_gan():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "tensorflow_gan" for name in _module_names(path))
    }
    assert users == {"evaluation/tfgan.py"}


def test_a_lazy_or_dynamic_import_of_tf_gan_would_be_noticed(tmp_path):
    source = tmp_path / "source.py"
    for line in (
        "import tensorflow_gan as tfgan",
        "def f():\n    from tensorflow_gan.python.losses import wargs",
        "importlib.import_module('tensorflow_gan.python.eval')",
    ):
        source.write_text(line)
        assert any(name.startswith("tensorflow_gan") for name in _module_names(source)), line


def _module_names(path) -> set[str]:
    """Names of imported modules, and all string literals: `import_module` takes those."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names
