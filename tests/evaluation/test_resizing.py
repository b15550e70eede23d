"""The kernels, by weights worked out by hand on one row of pixels."""

import numpy as np
import pytest
from judge_fixtures import import_judge
from PIL import Image

from tinygan_keras.evaluation.extractors.resizing import KERNELS, described, resized
from tinygan_keras.evaluation.metrics.frechet import frechet_distance_of_features


def first_weights(kernel, old_size, new_size):
    """The weights with which the first pixel of the new row sees the old row."""
    images = np.zeros((old_size, old_size, old_size, 3), "float32")
    for column in range(old_size):
        images[column, :, column] = 1.0  # image number `column` is white there and grey elsewhere
    return np.asarray(resized(images, new_size, kernel))[:, 0, 0, 0]


@pytest.mark.parametrize(
    ("kernel", "weights"),
    [
        # The new pixel's centre lies at 1.0, between the centres 0.5 and 1.5 of two old pixels.
        ("bilinear", [1 / 2, 1 / 2, 0, 0]),
        ("area", [1 / 2, 1 / 2, 0, 0]),
        # The triangle, stretched to radius 2: 1 - 0.5/2 twice, then 1 - 1.5/2, out of 7/4.
        ("bilinear+antialias", [3 / 7, 3 / 7, 1 / 7, 0]),
        # Keys' cubic with a = -1/2 at distances 1/2, 1/2, 3/2: 9/16, 9/16, -1/16, out of 17/16.
        ("bicubic", [9 / 17, 9 / 17, -1 / 17, 0]),
        # The same cubic at distances 1/4, 1/4, 3/4, 5/4, as 111, 111, 29, -9 parts of 128.
        ("bicubic+antialias", [111 / 242, 111 / 242, 29 / 242, -9 / 242]),
    ],
)
def test_halving_weighs_pixels_as_the_kernel_says(kernel, weights):
    assert first_weights(kernel, 4, 2) == pytest.approx(np.array(weights), abs=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_enlarged_edge_stays_in_range(kernel):
    images = np.full((1, 4, 4, 3), -1.0, "float32")
    images[:, :, 2:] = 1.0
    enlarged = np.asarray(resized(images, 16, kernel))
    assert enlarged.shape == (1, 16, 16, 3)
    assert (enlarged.min(), enlarged.max()) == (-1.0, 1.0)


def test_doubling_is_linear_between_pixel_centres():
    images = np.broadcast_to(np.float32([-1, 1])[None, None, :, None], (1, 2, 2, 3))
    row = np.asarray(resized(images, 4, "bilinear"))[0, 0, :, 0]
    assert row == pytest.approx([-1, -0.5, 0.5, 1], abs=1e-6)


def test_antialias_makes_no_difference_when_enlarging():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 5, 5, 3)).astype("float32")
    plain, smoothed = (resized(images, 13, f"bilinear{end}") for end in ("", "+antialias"))
    assert np.asarray(plain) == pytest.approx(np.asarray(smoothed), abs=1e-6)


def pictures(size, seed=0):
    """Images with edges and noise, uint8 `[2, S, S, 3]`."""
    images = np.random.default_rng(seed).integers(0, 256, (2, size, size, 3))
    images[:, size // 3 :, : size // 2] = (255, 0, 128)
    return images.astype("uint8")


def as_levels(images, size, kernel):
    """What `resized` makes of uint8 images, in levels from 0 to 255."""
    return (np.asarray(resized(images.astype("float32") / 127.5 - 1, size, kernel)) + 1) * 127.5


SIZES = [(32, 299), (28, 64), (400, 299), (299, 32), (37, 36), (5, 64)]


@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "lanczos"])
def test_kernels_of_pillow_are_pillow_s(old, new, kernel):
    images = pictures(old)
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
    expected = np.empty((2, new, new, 3))
    for place in np.ndindex(2, 3):
        channel = Image.fromarray(images[place[0], ..., place[1]].astype("float32"))
        expected[place[0], ..., place[1]] = channel.resize((new, new), filters[kernel])
    found = as_levels(images, new, f"pillow:{kernel}")
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=1e-3)


@pytest.mark.torch
@pytest.mark.parametrize("size", [32, 128, 299, 400])
@pytest.mark.parametrize("mode", ["clean", "legacy_pytorch"])
def test_modes_are_those_of_clean_fid(size, mode):
    """Within 1/255 of the range, on the same images."""
    resize = import_judge("cleanfid.resize").build_resizer(mode)
    images = pictures(size)
    expected = np.stack([resize(image) for image in images])
    np.testing.assert_allclose(as_levels(images, 299, mode), expected, atol=0.01)


@pytest.mark.torch
@pytest.mark.parametrize("size", [32, 128, 400])
def test_the_mode_of_tensorflow_1_is_that_of_torch_fidelity(size):
    torch = pytest.importorskip("torch")
    theirs = import_judge("torch_fidelity.interpolate_compat_tensorflow")
    images = pictures(size)
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).astype("float32"))
    expected = theirs.interpolate_bilinear_2d_like_tensorflow1x(
        tensor, size=(299, 299), align_corners=False
    ).numpy()
    found = as_levels(images, 299, "legacy_tensorflow")
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), atol=0.01)


@pytest.mark.torch
@pytest.mark.parametrize("program", ["cleanfid.fid", "pytorch_fid.fid_score"])
def test_distances_of_resized_images_are_those_of_other_programs(program):
    """Same images, their resizing and their distance against ours, by the same features of both."""
    module = import_judge(program)
    resize = import_judge("cleanfid.resize").build_resizer("clean")
    distance = getattr(module, "frechet_distance", None) or module.calculate_frechet_distance
    random = np.random.default_rng(1)
    look = random.normal(size=(299 * 299 * 3, 4)).astype("float32") / 299

    def features(images):
        return np.tanh(images.reshape(len(images), -1) / 127.5 - 1) @ look

    sets = [
        np.clip(random.normal(mean, 60, (40, 32, 32, 3)), 0, 255).astype("uint8")
        for mean in (120, 130)
    ]
    theirs = [features(np.stack([resize(image) for image in images])) for images in sets]
    ours = [features(as_levels(images, 299, "clean").astype("float32")) for images in sets]
    expected = distance(
        *(part for rows in theirs for part in (rows.mean(axis=0), np.cov(rows, rowvar=False)))
    )
    assert frechet_distance_of_features(*ours) == pytest.approx(float(expected), rel=1e-6)
    assert frechet_distance_of_features(*theirs) == pytest.approx(float(expected), rel=1e-6)


def test_what_is_computed_alike_reads_alike_in_protocols():
    assert described("clean", 299) == described("pillow:bicubic", 299) == "pillow:bicubic, to 299"
    assert described("legacy_pytorch", 299) == "bilinear, antialias False, to 299"
    assert described("legacy_tensorflow", 299) == "tensorflow1:bilinear, to 299"
