"""Ready pairs as a cache: three layouts, one result; what is left out, what is refused, how it trains."""

import shutil
import sys

import numpy as np
import pytest
from cache_fixtures import files, samples
from pair_fixtures import pairs, same_batches, write_class_folders, write_npz, write_numbered
from PIL import Image

from tinygan_keras.data import image_sources
from tinygan_keras.data.batches import distillation_batches
from tinygan_keras.data.image_sets import ArrayImages
from tinygan_keras.data.teacher_cache import TeacherCache, verify_cache
from tinygan_keras.data.teacher_pairs import import_pairs
from tinygan_keras.errors import InputError, MissingPackageError, UnusableFileError
from tinygan_keras.images import to_float

COUNT = 21
SMALL = {"shard_size": 8, "progress": False}


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("pairs") / "pairs.npz", *pairs())


@pytest.fixture(scope="module")
def cache(npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "cache"
    import_pairs(npz, folder, **SMALL)
    return folder


def test_pairs_stay_together_and_as_they_are(cache):
    latents, labels, images = pairs()
    found = samples(cache)
    order = [latents.tolist().index(latent) for latent in found["latent"].tolist()]
    assert sorted(order) == list(range(COUNT)) != order
    np.testing.assert_array_equal(found["label"], labels[order])
    np.testing.assert_array_equal(found["teacher_image"], to_float(images[order]))


def test_a_cache_says_that_its_latents_were_given(cache):
    opened = TeacherCache(cache)
    assert opened.given_latents and opened.settings["latents"] == "given"
    assert (opened.count, opened.latent_dim, opened.image_size) == (COUNT, 4, 8)
    assert (opened.num_classes, opened.classes, opened.teacher) == (3, (0, 1, 2), "pairs.npz")
    assert verify_cache(cache, progress=False) == []
    numbers = [20, 0, 9]
    taken, everything = opened.samples(numbers), samples(cache)
    np.testing.assert_array_equal(taken.latents, everything["latent"][numbers])
    np.testing.assert_array_equal(taken.labels, everything["label"][numbers])
    np.testing.assert_array_equal(to_float(taken.images), everything["teacher_image"][numbers])


def test_the_authors_folder_gives_the_same_batches(cache, tmp_path):
    folder = write_numbered(tmp_path / "authors", *pairs())
    report = import_pairs(folder, tmp_path / "cache", **SMALL)
    assert "21 in 3 of 3 classes" in report and "Left out" not in report
    same_batches(tmp_path / "cache", cache)


@pytest.mark.torch
def test_class_folders_give_the_same_batches(cache, tmp_path):
    folder = write_class_folders(tmp_path / "folders", *pairs())
    import_pairs(folder, tmp_path / "cache", **SMALL)
    same_batches(tmp_path / "cache", cache)


def test_other_names_and_floats_give_the_same_batches(cache, tmp_path):
    latents, labels, images = pairs()
    arrays = {"z": latents.astype("float64"), "y": labels[:, None], "x": to_float(images)}
    np.savez_compressed(tmp_path / "pairs.npz", **arrays, class_names=["a", "b", "c", "d"])
    import_pairs(tmp_path / "pairs.npz", tmp_path / "cache", **SMALL)
    same_batches(tmp_path / "cache", cache)
    opened = TeacherCache(tmp_path / "cache")
    assert (opened.num_classes, opened.class_names) == (4, list("abcd"))


def test_latents_are_described(tmp_path):
    _, labels, images = pairs(300)
    random = np.random.default_rng(0)

    def report(latents, **settings):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        path = write_npz(tmp_path / "pairs.npz", latents.astype("float32"), labels, images)
        return import_pairs(path, out, progress=False, **settings), TeacherCache(out).truncation

    text, truncation = report(0.5 * np.clip(random.normal(size=(300, 7)), -2, 2))
    assert 0.5 <= truncation <= 0.57 and "7 numbers, mean " in text and "Warning" not in text
    assert f"truncation: {truncation:g}\n" in text
    assert report(random.normal(size=(300, 512)))[1] == 1.0
    text, truncation = report(random.uniform(0, 1, (300, 512)), truncation=0.3)
    assert truncation == 0.3 and "mean 0.5, standard deviation 0.289" in text
    assert "Warning: Latents of pictures are around 0" in text
    assert "Warning: Latents" in report(random.uniform(-1, 1, (300, 512)))[0]
    assert report(1e-3 * random.normal(size=(300, 7)))[1] == 0.01  # as little as a run can have


def test_pairs_that_lack_a_half_are_left_out_and_named(tmp_path):
    latents, labels, images = pairs()
    latents[-2:] = 0.0  # as the authors' program leaves them
    folder = write_numbered(tmp_path / "authors", latents, labels, images)
    (folder / "out_img" / "3.png").unlink()
    shutil.copy(folder / "out_img" / "0.png", folder / "out_img" / "77.png")
    report = import_pairs(folder, tmp_path / "cache", **SMALL)
    lone = "out_img/19.png, out_img/20.png, out_img/77.png"
    assert f"Left out 3 images without a latent: {lone}." in report
    assert "Left out 1 latents without an image: row 3 of all_noises.npy." in report
    assert samples(tmp_path / "cache")["latent"].shape == (18, 4)


@pytest.mark.torch
def test_class_folders_without_a_half_are_named(tmp_path):
    folder = write_class_folders(tmp_path / "folders", *pairs())
    (folder / "class_0" / "image_1.png").unlink()
    (folder / "class_2" / "noise_6.pt").unlink()
    report = import_pairs(folder, tmp_path / "cache", **SMALL)
    assert "Left out 1 images without a latent: class_2/image_6.png." in report
    assert "Left out 1 latents without an image: class_0/noise_1.pt." in report
    assert TeacherCache(tmp_path / "cache").count == COUNT - 2
    for path in folder.rglob("*.pt"):
        path.unlink()
    with pytest.raises(
        InputError, match="without a single pair. Left out 20 images without a latent: class_0/"
    ):
        import_pairs(folder, tmp_path / "none", **SMALL)


@pytest.mark.torch
def test_tensors_that_cannot_be_latents_are_refused(tmp_path, monkeypatch):
    import torch

    folder = write_class_folders(tmp_path / "folders", *pairs())
    noise = folder / "class_1" / "noise_2.pt"
    torch.save(torch.zeros(5), noise)
    with pytest.raises(InputError, match="noise_2.pt with 5 numbers, and 4 in class_0/noise_0.pt"):
        import_pairs(folder, tmp_path / "cache", **SMALL)
    torch.save({"z": print}, noise)
    with pytest.raises(InputError, match="noise_2.pt, whose pickle asks for"):
        import_pairs(folder, tmp_path / "cache", **SMALL)
    torch.save([1.0], noise)
    with pytest.raises(InputError, match="noise_2.pt with a list. Expected a tensor"):
        import_pairs(folder, tmp_path / "cache", **SMALL)
    noise.write_bytes(noise.read_bytes()[:100])
    with pytest.raises(InputError, match="noise_2.pt, which can't be read"):
        import_pairs(folder, tmp_path / "cache", **SMALL)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match=r"tinygan-keras\[torch\]"):
        import_pairs(folder, tmp_path / "cache", **SMALL)
    assert not (tmp_path / "cache").exists()


def changed(**arrays):
    return {**dict(zip(("latents", "labels", "images"), pairs(), strict=True)), **arrays}


LATENTS, LABELS, IMAGES = pairs()


@pytest.mark.parametrize(
    ("arrays", "settings", "message"),
    [
        ({"labels": LABELS[1:]}, {}, r"with latents \(21, 4\), labels \(20,\), images \(21, 8"),
        ({"latents": LATENTS[1:]}, {}, r"with latents \(20, 4\), labels \(21,\)"),
        ({"latents": LATENTS.astype("int64")}, {}, "latents int64"),
        ({"latents": LATENTS[:, :, None]}, {}, r"latents float32 \(21, 4, 1\)"),
        (
            {"latents": np.where(LATENTS[5, 1] == LATENTS, np.nan, LATENTS)},
            {},
            "latents that aren't finite",
        ),
        ({"labels": LABELS / 2}, {}, "labels float64"),
        ({"labels": np.eye(3, dtype="int64")[LABELS]}, {}, "np.argmax"),
        ({"labels": LABELS - 1}, {}, "labels from -1 to 1"),
        ({}, {"num_classes": 2}, "labels from 0 to 2 .* Expected numbers from 0 to 1"),
        ({}, {"class_names": ["a", "b"]}, "Expected numbers from 0 to 1"),
        ({}, {"class_names": ["a", "b"], "num_classes": 3}, "2 class names and num_classes=3"),
        ({"labels": np.int64(3)}, {}, r"labels \(\)"),
        ({"images": IMAGES.astype("int32")}, {}, "images int32"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, {}, r"images uint8 \(21, 3, 8, 8\)"),
        ({"images": IMAGES[:, :4]}, {}, r"images uint8 \(21, 4, 8, 3\)"),
        ({"images": IMAGES - np.float32(1)}, {}, "images from -1 to .* in \\[-1, 1\\]"),
        ({"images": to_float(IMAGES) * np.nan}, {}, "images from nan"),
        ({"images": IMAGES / np.float32(255)}, {}, r"floats from 0 to .*2 \* images - 1"),
        ({"images": IMAGES[:0], "labels": LABELS[:0], "latents": LATENTS[:0]}, {}, "a single pair"),
        ({}, {"truncation": 1.5}, "truncation=1.5"),
        ({}, {"shard_size": 0}, "shard_size=0"),
        ({}, {"encoding": "jpeg"}, "encoding='jpeg'"),
    ],
)
def test_bad_arrays_are_refused_before_anything_is_written(arrays, settings, message, tmp_path):
    path = write_npz(tmp_path / "pairs.npz", **changed(**arrays))
    with pytest.raises(InputError, match=message):
        import_pairs(path, tmp_path / "cache", **{**SMALL, **settings})
    assert not (tmp_path / "cache").exists()


def test_what_is_no_file_of_pairs_is_refused(tmp_path, npz):
    np.savez(tmp_path / "images.npz", images=IMAGES, labels=LABELS)
    with pytest.raises(InputError, match=r"holds \['images', 'labels'\] and no latents"):
        import_pairs(tmp_path / "images.npz", tmp_path / "cache")
    (tmp_path / "cut.npz").write_bytes(npz.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut off"):
        import_pairs(tmp_path / "cut.npz", tmp_path / "cache")
    with pytest.raises(InputError, match=r"the folder .* with cut.npz, images.npz"):
        import_pairs(tmp_path, tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="nowhere, which are not there. Expected an .npz"):
        import_pairs(tmp_path / "nowhere", tmp_path / "cache")


def test_damaged_folders_are_refused_before_anything_is_written(tmp_path):
    folder, cache = write_numbered(tmp_path / "authors", *pairs()), tmp_path / "cache"
    image = folder / "out_img" / "7.png"
    Image.fromarray(np.zeros((9, 9, 3), "uint8")).save(image)
    with pytest.raises(InputError, match="20 of 8x8 .*1 of 9x9 .such as out_img/7.png"):
        import_pairs(folder, cache, **SMALL)
    image.write_bytes(image.read_bytes()[:40])
    with pytest.raises(InputError, match="out_img/7.png .*what lacks its half is left out"):
        import_pairs(folder, cache, **SMALL)
    image.unlink()
    np.save(folder / "all_labels.npy", LABELS[:5])
    with pytest.raises(InputError, match=r"with latents \(21, 4\), labels \(5,\)"):
        import_pairs(folder, cache, **SMALL)
    (folder / "all_labels.npy").unlink()
    with pytest.raises(InputError, match="all_labels.npy, which can't be read"):
        import_pairs(folder, cache, **SMALL)
    assert not cache.exists()


def test_a_disk_that_is_too_small_is_refused_before(npz, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    with monkeypatch.context() as patch:
        patch.setattr(image_sources, "_IN_MEMORY", 0)  # arrays are unpacked to a disk then
        with pytest.raises(UnusableFileError, match="Got 0 MiB of free space .* for the images"):
            import_pairs(write_npz(tmp_path / "large.npz", *pairs(size=40)), tmp_path / "cache")
    with pytest.raises(UnusableFileError, match="0 MiB of free space .* for the cache"):
        import_pairs(npz, tmp_path / "new" / "cache", **SMALL)
    assert not (tmp_path / "new").exists()


def test_what_is_missing_is_made_again_and_other_pairs_are_not_mixed_in(cache, npz, tmp_path):
    copied = shutil.copytree(cache, tmp_path / "cache")
    next(copied.glob("*-00001-of-00003.tfrecord")).unlink()
    assert "1 shard" not in (report := import_pairs(npz, copied, **SMALL)) and "3 of 3" in report
    assert files(copied) == files(cache)
    for worker in (1, 0):
        import_pairs(npz, tmp_path / "shared", worker=worker, workers=2, **SMALL)
    assert files(tmp_path / "shared") == files(cache)
    latents, labels, images = pairs()
    other = write_npz(tmp_path / "other.npz", latents + 0.1, labels, images)
    with pytest.raises(InputError, match="content_hash: .*, in the folder"):
        import_pairs(other, copied, **SMALL)


def test_fresh_latents_are_given_ones_of_other_labels(cache):
    real = ArrayImages(IMAGES, LABELS)
    for batch in distillation_batches(TeacherCache(cache), real, 5).take(3):
        np.testing.assert_array_equal(batch["fresh_latent"], np.roll(batch["latent"], 1, axis=0))
    assert "fresh_latent" not in next(iter(distillation_batches(TeacherCache(cache), None, 5)))
