"""Imported generators draw what the PyTorch programs draw with the same weights."""

import copy
import importlib
import itertools
import json
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest
from run_fixtures import write_classifier

from tinygan_keras import TinyGAN
from tinygan_keras.classes.imagenet import imagenet_names
from tinygan_keras.cli import main
from tinygan_keras.errors import (
    ExistingFileError,
    InputError,
    MissingFileError,
    MissingPackageError,
    UnusableFileError,
)
from tinygan_keras.generators.opening import open_generator
from tinygan_keras.teachers import import_weights as module
from tinygan_keras.teachers.hub import HubTeacher
from tinygan_keras.teachers.import_weights import import_generator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

theirs = importlib.import_module("torch_generators")
LABELS = np.array([3, 6, 0], "int32")


def latents_of(length):
    return np.random.default_rng(5).normal(size=(3, length)).clip(-2, 2).astype("float32")


def images_of(module, latents, *arguments):
    with torch.no_grad():
        images = module(torch.tensor(latents), *arguments)
    return images.permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def authors():
    torch.manual_seed(0)
    student = theirs.settle(theirs.AuthorsStudent())
    return student, theirs.settle(theirs.AuthorsDiscriminator(), steps=100)


def save_authors(authors, path, **settings):
    """Writes what the authors' program writes: both networks, and the moments of their optimisers."""
    optimizer = {
        "state": {140: {"step": 3, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}},
        "param_groups": [{"lr": 2e-4, "betas": [0.0, 0.9], "params": [140]}],
    }
    checkpoint = dict(zip("GD", (network.state_dict() for network in authors), strict=True))
    torch.save(checkpoint | {"g_optimizer": optimizer, "d_optimizer": optimizer}, path, **settings)
    return path


@pytest.mark.parametrize("legacy", [True, False], ids=["PyTorch 1.2 on a GPU", "zip"])
def test_the_authors_student_draws_the_same_images(authors, tmp_path, legacy):
    settings = {"_use_new_zipfile_serialization": not legacy}
    path = save_authors(authors, tmp_path / "model_30.tar", **settings)
    if legacy:  # as every tensor of theirs says
        path.write_bytes(path.read_bytes().replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0", 1))
    keras.config.set_dtype_policy("mixed_bfloat16")  # of no consequence for what was trained
    try:
        generator = open_generator(import_generator(path, tmp_path / "student"))
    finally:
        keras.config.set_dtype_policy("float32")
    latents = latents_of(5)
    expected = images_of(authors[0], latents, torch.tensor(LABELS))
    assert expected.std() > 0.05
    np.testing.assert_allclose(generator.draw(latents, LABELS), expected, atol=1e-5)
    assert (generator.truncation, generator.class_names) == (0.5, None)


def test_the_authors_discriminator_goes_on_training(authors, tmp_path):
    path = save_authors(authors, tmp_path / "model_30.tar")
    folder = import_generator(path, tmp_path / "student", discriminator=True)
    student, critic = (
        keras.saving.load_model(folder / f"{name}.keras") for name in ("student", "discriminator")
    )
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype("float32")
    latents = latents_of(5)
    with torch.no_grad():
        original = copy.deepcopy(authors[1]).train()  # a step of power iteration, as of ours
        expected = original(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(LABELS))
    logits = critic.copy()((images, LABELS), training=True)["logits"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)

    model = TinyGAN(student, critic)
    model.compile()
    batch = {"latent": latents, "label": LABELS, "teacher_image": images}
    logs = model.train_on_batch(batch, return_dict=True)
    assert np.isfinite(list(logs.values())).all()


@pytest.mark.parametrize("program", ["BrockGenerator", "StudioGenerator"])
@pytest.mark.parametrize("attended", [1, None], ids=["attention", "plain"])
def test_biggans_draw_the_same_images(program, attended, tmp_path):
    torch.manual_seed(1)
    module = theirs.settle(getattr(theirs, program)(attended=attended))
    state = module.state_dict()
    if program == "StudioGenerator":
        # As `DataParallel` names it, and with a weight that PyTorch leaves and nobody reads.
        state = {f"module.{name}": value for name, value in state.items()}
        state["module.conv2d5.weight"] = state["module.conv2d5.weight_orig"] * 0
        state = {"state_dict": state, "step": 7}
    else:
        state = {"G": theirs.BrockGenerator(attended=attended).state_dict(), "G_ema": state}
    torch.save(state, tmp_path / "G_ema.pth")
    out = import_generator(tmp_path / "G_ema.pth", tmp_path / "teacher")
    latents = latents_of(12)
    for truncation in (0.4, 0.5, 1.0):
        teacher = HubTeacher(out, truncation=truncation)
        ours = np.asarray(teacher(latents * np.float32(truncation), LABELS))
        expected = images_of(module, latents * np.float32(truncation), torch.tensor(LABELS))
        assert expected.std() > 0.05
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def biggan_deep(size, width, latent_dim, num_classes):
    """The genuine network, with statistics that its own images have, and other ones for each truncation."""
    package = pytest.importorskip("pytorch_pretrained_biggan")
    widths = {256: (16, 16, 8, 8, 4, 2, 1), 512: (16, 16, 8, 8, 4, 2, 1, 1)}
    widths = widths.get(size, (16, 16, 8, 4, 2, 1))
    layers = []
    for wide, following in itertools.pairwise(widths):
        layers += [(False, wide, wide), (True, wide, following)]
    torch.manual_seed(2)
    config = package.BigGANConfig(
        output_dim=size,
        z_dim=latent_dim,
        class_embed_dim=latent_dim,
        channel_width=width,
        num_classes=num_classes,
        layers=layers,
    )
    module = package.BigGAN(config)
    theirs.settle(module)
    for name, parameter in module.named_parameters():
        if name.endswith("gamma"):
            parameter.data.fill_(0.7)
        elif name.startswith("generator.bn."):
            parameter.data.uniform_(0.5, 1.0)

    def measure(norm, inputs):
        features, rows = inputs[0], torch.linspace(0.8, 1.2, 51)[:, None]
        norm.running_means.copy_(rows * features.mean((0, 2, 3)))
        norm.running_vars.copy_(rows * (0.3 + features.var((0, 2, 3))))

    norms = [part for part in module.modules() if hasattr(part, "running_means")]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    with torch.no_grad():
        module(torch.randn(3, latent_dim), torch.eye(num_classes)[:3], 0.5)
    for hook in hooks:
        hook.remove()
    return module


@pytest.mark.parametrize(
    ("size", "width", "latent_dim", "num_classes"),
    [
        (128, 8, 12, 9),
        pytest.param(256, 8, 12, 9, marks=pytest.mark.slow),
        pytest.param(512, 8, 12, 9, marks=pytest.mark.slow),
        pytest.param(128, 128, 128, 1000, marks=pytest.mark.slow),
    ],
)
def test_biggan_deep_draws_the_same_images(size, width, latent_dim, num_classes, tmp_path):
    module = biggan_deep(size, width, latent_dim, num_classes)
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    out = import_generator(tmp_path, tmp_path / "teacher")  # a folder with the file in it
    one_hot = torch.eye(num_classes)[LABELS.tolist()]
    for truncation in (0.4, 0.5, 1.0):
        latents = latents_of(latent_dim) * np.float32(truncation)
        teacher = HubTeacher(out, truncation=truncation)
        expected = images_of(module, latents, one_hot, truncation)
        assert 0.05 < expected.std() < 0.8
        np.testing.assert_allclose(teacher(latents, LABELS), expected, atol=1e-5)
    assert teacher.is_pure and teacher.image_size == size
    np.testing.assert_array_equal(teacher.class_embedding, module.embeddings.weight.detach().T)


def test_commands_take_an_imported_student_of_imagenet(tmp_path, capsys):
    torch.manual_seed(0)
    student = theirs.settle(theirs.AuthorsStudent((4, 4, 4, 4), num_classes=1000))
    discriminator = theirs.AuthorsDiscriminator((4,), num_classes=1000)
    path = save_authors((student, discriminator), tmp_path / "model_30.tar")
    folder = tmp_path / "runs" / "authors"

    assert main(["import", f"--model={path}", f"--out={folder}", "--discriminator"]) == 0
    said = capsys.readouterr().out
    assert "the authors' TinyGAN: model_30.tar, truncation 0.5" in said
    for text in (said, (folder / "model_card.md").read_text()):
        assert "only the ids 0 to 397, the animals, were trained" in text
    assert open_generator(folder).class_names == imagenet_names()

    model = f"--model={folder}"
    sample = [model, "--classes=tench,7", "--seeds=0-1", f"--out={tmp_path / 'samples.npz'}"]
    assert main(["sample", *sample]) == 0
    with np.load(tmp_path / "samples.npz") as samples:
        assert sorted(samples["labels"]) == [0, 0, 7, 7]
    classifier = write_classifier(tmp_path / "classifier")
    figures = [model, f"--extractor={classifier}", "--num_images=40"]
    assert main(["evaluate", *figures]) == 0
    labels = json.loads((folder / "evaluation" / "evaluation.json").read_text())["protocol"]
    assert labels["truncation"] == 0.5
    assert main(["pictures", model, "--classes=0,1"]) == 0
    assert main(["export", model, f"--out={tmp_path / 'serving' / '1'}"]) == 0
    card = (tmp_path / "serving" / "1" / "model_card.md").read_text()
    assert "| classes of the training | animals |" in card


class Malicious:
    def __reduce__(self):
        return print, ("this must never run",)


def damage(kind, authors, path):
    """Writes at `path` what is no checkpoint of a generator."""
    if kind.startswith("cut off"):
        save_authors(authors, path, _use_new_zipfile_serialization="zip" in kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "a page":
        path.write_bytes(b"<!DOCTYPE html><title>404</title>")
    elif kind == "a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("cat.png", b"")
    elif kind == "code":
        torch.save({"G": Malicious()}, path)
    elif kind == "a StyleGAN":
        torch.save({"G_ema": {"synthesis.b4.const": torch.zeros(2)}}, path)
    elif kind == "a discriminator":
        names = ("blocks.0.0.conv_sc.bias", "linear.weight", "embed.weight")
        torch.save(dict.fromkeys(names, torch.zeros(2)), path)
    elif kind == "StudioGAN's discriminator":
        names = ("blocks.0.0.conv2d0.bias", "linear1.weight", "embedding.weight")
        torch.save({"state_dict": dict.fromkeys(names, torch.zeros(2))}, path)
    elif kind == "another protocol":
        torch.save({"G": torch.zeros(2)}, path, pickle_protocol=4)
    elif kind == "a number":
        torch.save(3, path)
    else:
        state = theirs.BrockGenerator().state_dict()
        name = "blocks.1.0.conv2.weight"
        if kind == "a tensor is missing":
            del state[name]
        elif kind == "no shared embedding":
            del state["shared.weight"]
        elif kind == "no pieces of latents":
            state["linear.weight"] = torch.cat([state["linear.weight"]] * 4, dim=1)
        elif kind == "a layer that isn't known":
            state["info_mix_linear.weight"] = torch.zeros(2)
        elif kind == "a tensor of another width":
            state[name] = state[name][:, :5]
        elif kind == "two attentions":
            state["blocks.0.1.gamma"] = state["blocks.1.1.gamma"]
        torch.save(state, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut off", r"can't be read as tensors alone: \S.* fetch it again"),
        ("cut off zip", r"can't be read as tensors alone: \S.* fetch it again"),
        ("another protocol", "Unsupported operand .* save it anew"),
        ("empty", "an empty file"),
        ("a page", "begins with b'<!DOCTYPE"),
        ("a zip", "can't be read as tensors alone: .* archive .* another kind of file"),
        ("code", "pickle asks for (builtins.)?print and not for tensors alone"),
        ("a StyleGAN", "1 tensors look like those of a StyleGAN"),
        ("a discriminator", "look like those of a discriminator"),
        ("StudioGAN's discriminator", "look like those of a discriminator"),
        ("no shared embedding", "share no class embedding"),
        ("no pieces of latents", "don't get a piece of the latents each"),
        ("a layer that isn't known", "1 more tensors, such as 'info_mix_linear.weight'"),
        ("a number", "holds a int and no tensors"),
        ("a tensor is missing", "BigGAN-PyTorch .* lacks 'blocks.1.0.conv2.weight'"),
        ("a tensor of another width", "looks like BigGAN-PyTorch .*, but .*shape"),
        ("two attentions", "attention at 2 sizes"),
    ],
)
def test_what_is_no_generator_is_named_and_nothing_is_written(
    kind, message, authors, tmp_path, capsys
):
    damage(kind, authors, tmp_path / "model.tar")
    with pytest.raises(InputError, match=message) as caught:
        import_generator(tmp_path / "model.tar", tmp_path / "out")
    assert "Expected a checkpoint that torch.save wrote" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.tar"]
    assert "never run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "generator.layers.3.conv_1.bias",
            lambda b: b[:5],
            r"GBlock_3/conv1/b .* \(5,\), not \(16,\)",
        ),
        ("generator.layers.3.bn_1.running_means", lambda m: m[:50], r"\(50, 16\), not \(51, 16\)"),
        ("generator.layers.12.gamma", None, "12 layers, not one of"),
        ("generator.layers.8.gamma", None, "lacks 'generator.layers.8.gamma'"),
    ],
)
def test_another_biggan_deep_is_refused(name, change, message, tmp_path):
    state = biggan_deep(128, 4, 6, 5).state_dict()
    if name not in state:
        state[name] = torch.zeros(1)
    elif change is None:
        del state[name]
    else:
        state[name] = change(state[name])
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=message):
        import_generator(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_places_are_checked_before_anything_is_written(authors, tmp_path, monkeypatch):
    path, out = save_authors(authors, tmp_path / "m.tar"), tmp_path / "out"
    with pytest.raises(MissingFileError, match="no.tar, which doesn't exist"):
        import_generator(tmp_path / "no.tar", out)
    with pytest.raises(InputError, match="a folder of 0 checkpoints"):
        import_generator(tmp_path.parent, out)
    with monkeypatch.context() as patch, pytest.raises(UnusableFileError, match="of free space"):
        patch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 9, 9))
        import_generator(path, out)
    with monkeypatch.context() as patch, pytest.raises(MissingPackageError, match=r"\[torch\]"):
        patch.setitem(sys.modules, "torch", None)
        import_generator(path, out)
    with pytest.raises(InputError, match="an address.*hf://OWNER/NAME"):
        import_generator("https://example.com/pytorch_model.bin", out)
    assert not out.exists()


def test_a_disk_that_fills_up_half_way_leaves_nothing(tmp_path, monkeypatch):
    torch.save(theirs.BrockGenerator().state_dict(), tmp_path / "G_ema.pth")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_json", full)  # after the network was written
    with pytest.raises(UnusableFileError, match="No space left"):
        import_generator(tmp_path / "G_ema.pth", tmp_path / "new" / "teacher")
    assert not list((tmp_path / "new").iterdir())


def test_only_what_was_imported_is_replaced_and_only_by_a_whole_one(authors, tmp_path):
    path, out = save_authors(authors, tmp_path / "m.tar"), tmp_path / "out"
    out.mkdir()
    (out / "config.json").write_text("{}")  # as of a run
    for overwrite in (False, True):
        with pytest.raises(ExistingFileError, match="exists already"):
            import_generator(path, out, overwrite=overwrite)
    shutil.rmtree(out)
    import_generator(path, out)
    with pytest.raises(ExistingFileError, match="exists already"):
        import_generator(path, out)
    torch.save(theirs.BrockGenerator().state_dict(), tmp_path / "G_ema.pth")
    with pytest.raises(InputError, match="BigGAN-PyTorch .* lacks 'D'"):
        import_generator(tmp_path / "G_ema.pth", out, discriminator=True, overwrite=True)
    assert open_generator(out).format == "run folder"
    shutil.copy(tmp_path / "G_ema.pth", out)
    with pytest.raises(InputError, match="lies in .*, to be replaced"):
        import_generator(out / "G_ema.pth", out, overwrite=True)
    (out / "G_ema.pth").unlink()
    arguments = [f"--model={tmp_path / 'G_ema.pth'}", f"--out={out}", "--overwrite"]
    assert main(["import", *arguments]) == 0
    assert open_generator(out).format == "teacher" and not (out / "student.keras").exists()
