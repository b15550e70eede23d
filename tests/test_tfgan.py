import importlib.util
import sys

import pytest

from tinygan_keras import tfgan


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
