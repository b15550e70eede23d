import numpy as np
import pytest
from scipy.signal import convolve2d

from tinygan_keras.evaluation.metrics.fidelity import check_size, fidelity_rows


def image_fidelity(teacher, student):
    rows = fidelity_rows(teacher, student, np.zeros((len(teacher), 1)), np.zeros((len(teacher), 1)))
    return {name.removeprefix("teacher_"): values for name, values in rows.items()}


def feature_distances(teacher, student):
    pixels = images(len(teacher), size=11)
    return fidelity_rows(pixels, pixels, teacher, student)["teacher_feature_distance"]


def images(count=3, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), "uint8")


def blended(first, second):
    """Images between two, so that they are alike but not equal."""
    return (0.8 * first + 0.2 * second).round().astype("uint8")


def ssim_twin(first, second):
    """Wang et al., 2004, channel by channel, without padding."""
    distances = np.arange(11) - 5
    window = np.exp(-(distances**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    channels = []
    for channel in range(3):
        x, y = first[..., channel].astype(float), second[..., channel].astype(float)

        def blur(values):
            return convolve2d(values, window, mode="valid")

        mean_x, mean_y = blur(x), blur(y)
        variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
        covariance = blur(x * y) - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
        channels.append(np.mean(luminance * structure))
    return np.mean(channels)


def test_l1_and_psnr_of_worked_images():
    # Every value differs by 51, a fifth of the range: L1 is a fifth of 2, PSNR 20 log10(5).
    teacher = np.full((1, 12, 12, 3), 100, "uint8")
    fidelity = image_fidelity(teacher, teacher + 51)
    assert fidelity["l1"] == pytest.approx([0.4])
    assert fidelity["psnr"] == pytest.approx([20 * np.log10(5)], rel=1e-5)


def test_differences_do_not_wrap_around():
    black, white = np.zeros((1, 11, 11, 3), "uint8"), np.full((1, 11, 11, 3), 255, "uint8")
    for fidelity in (image_fidelity(black, white), image_fidelity(white, black)):
        assert fidelity["l1"] == pytest.approx([2.0])
        assert fidelity["psnr"] == pytest.approx([0.0], abs=1e-5)


def test_ssim_of_constant_images_is_the_luminance_term():
    first, second = np.full((1, 11, 11, 3), 50, "uint8"), np.full((1, 11, 11, 3), 100, "uint8")
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)
    assert image_fidelity(first, second)["ssim"] == pytest.approx([expected], rel=1e-4)


def test_fidelity_equals_its_numpy_twin_image_by_image():
    teacher = images(70, size=13)  # more than one block
    student = blended(teacher, images(70, size=13, seed=1))
    fidelity = image_fidelity(teacher, student)
    differences = teacher.astype(float) - student.astype(float)
    squares = np.mean(differences**2, axis=(1, 2, 3))
    assert fidelity["l1"] == pytest.approx(np.abs(differences).mean((1, 2, 3)) / 127.5)
    assert fidelity["psnr"] == pytest.approx(10 * np.log10(255**2 / squares), rel=1e-5)
    for i in (0, 1, 63, 64, 69):
        assert fidelity["ssim"][i] == pytest.approx(ssim_twin(teacher[i], student[i]), abs=1e-5)


def test_equal_images_are_perfect():
    fidelity = image_fidelity(images(), images())
    assert fidelity["l1"].tolist() == [0.0] * 3
    assert np.isposinf(fidelity["psnr"]).all()
    assert fidelity["ssim"] == pytest.approx([1.0] * 3)


def test_images_below_the_window_of_ssim_are_rejected():
    with pytest.raises(ValueError, match="Got images of 10 pixels. Expected at least 11"):
        check_size(10)


def test_feature_distances_of_worked_vectors():
    distances = feature_distances([[0.0, 0.0], [1.0, 1.0]], np.array([[3.0, 4.0], [1.0, 1.0]]))
    assert distances.tolist() == [5.0, 0.0]


def test_feature_distances_equal_their_numpy_twin():
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 200, 5)).astype("float32")
    expected = [np.sqrt(sum((a - b) ** 2)) for a, b in zip(teacher, student, strict=True)]
    assert feature_distances(teacher, student) == pytest.approx(expected, rel=1e-6)
