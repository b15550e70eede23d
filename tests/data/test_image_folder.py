"""Folders of images: labels from names, pixels as they are stored, and every trap said aloud."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tinygan_keras.data.image_folder import ImageFolder
from tinygan_keras.data.image_source import ArrayImages
from tinygan_keras.generators.data_sets import write_data_set

SIZE = 6


def pixels(seed=0, size=SIZE, channels=3):
    shape = (size, size, channels) if channels > 1 else (size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def write(path, image=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels(len(path.name)) if image is None else image
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path)
    return path


def write_classes(folder, **counts):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            write(folder / name / f"{number}.png", pixels(number))
    return folder


def truncate(path, part=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])


# What is read


def test_pixels_come_in_the_order_of_the_names_and_only_those_asked_for(tmp_path):
    images = {name: pixels(seed) for seed, name in enumerate(("c.png", "a.bmp", "b.PNG"))}
    for name, image in images.items():
        write(tmp_path / name, image)
    folder = ImageFolder(tmp_path)
    assert folder.files == ["a.bmp", "b.PNG", "c.png"]
    assert (folder.count, folder.image_size) == (3, SIZE)
    assert (folder.labels, folder.class_names, folder.warnings) == (None, None, [])
    assert folder.name == f"folder {tmp_path.name}"
    np.testing.assert_array_equal(folder.read(0, 3), [images[name] for name in folder.files])
    np.testing.assert_array_equal(folder.read(1, 2)[0], images["b.PNG"])
    assert folder.read(2, 99).shape == (1, SIZE, SIZE, 3)
    assert folder.read(3, 99).shape == (0, SIZE, SIZE, 3)


def test_opening_decodes_nothing_and_reading_only_what_is_asked_for(tmp_path, monkeypatch):
    for number in range(4):
        write(tmp_path / f"{number}.png")
    decoded = []
    from PIL import PngImagePlugin

    load = PngImagePlugin.PngImageFile.load_prepare
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile,
        "load_prepare",
        lambda image: decoded.append(os.path.basename(image.filename)) or load(image),
    )
    folder = ImageFolder(tmp_path)
    assert decoded == []
    folder.read(1, 3)
    assert decoded == ["1.png", "2.png"]


def test_samples_of_this_program_come_back_with_their_labels(tmp_path):
    images = np.stack([pixels(seed) for seed in range(4)])
    names = ("cat", "dog", "T-shirt/top")
    labels = np.array([2, 2, 0, 0])
    write_data_set(ArrayImages(images, labels), tmp_path / "out", "images", names)
    folder = ImageFolder(tmp_path / "out", names)
    np.testing.assert_array_equal(folder.read(0, 4), images)
    np.testing.assert_array_equal(folder.labels, labels)
    assert folder.labels.dtype == np.int32
    assert folder.class_names == names
    assert folder.warnings == ["No image of 1 of 3 classes: 1 (dog)."]
    assert ImageFolder(tmp_path / "out").class_names == ("cat", "1", "T_shirt_top")


def test_samples_without_class_names_fit_any(tmp_path):
    images = np.stack([pixels()] * 2)
    write_data_set(ArrayImages(images, np.array([0, 1])), tmp_path / "out", "images")
    assert ImageFolder(tmp_path / "out").class_names == ("0", "1")
    assert ImageFolder(tmp_path / "out", ("cat", "dog")).class_names == ("cat", "dog")


def test_sub_folders_are_classes_in_the_order_of_their_names(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "data", dog=2, cat=1))
    assert folder.class_names == ("cat", "dog")
    assert folder.labels.tolist() == [0, 1, 1]
    assert folder.files == ["cat/0.png", "dog/0.png", "dog/1.png"]


def labels_by_file(folder):
    return dict(zip(folder.files, folder.labels.tolist(), strict=True))


def test_numbered_sub_folders_are_their_labels(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "data", **{"10": 1, "3": 1, "007": 2, "0": 1}))
    assert labels_by_file(folder) == {
        "0/0.png": 0,
        "007/0.png": 7,
        "007/1.png": 7,
        "10/0.png": 10,
        "3/0.png": 3,
    }
    assert folder.labels.dtype == np.int32
    assert folder.class_names is None
    assert folder.warnings == ["No image of 7 of 11 classes: 1, 2, 4, 5, 6, 8, 9."]


def test_numbered_sub_folder_without_images_is_a_class_without_images(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "data", **{"0": 1, "1": 1, "2": 0}))
    assert folder.labels.tolist() == [0, 1]
    assert folder.warnings == ["No image of 1 of 3 classes: 2."]


def test_numbered_sub_folders_take_the_given_names_by_label(tmp_path):
    names = ("cat", "dog", "fox")
    folder = ImageFolder(write_classes(tmp_path / "data", **{"02": 1, "0": 1}), names)
    assert labels_by_file(folder) == {"0/0.png": 0, "02/0.png": 2}
    assert folder.class_names == names
    assert folder.warnings == ["No image of 1 of 3 classes: 1 (dog)."]
    message = refusal(tmp_path / "data", class_names=names[:2])
    assert "Got the sub-folder '02'. Expected numbers from 0 to 1" in message
    assert "labels of the 2 class names" in message


def test_numbers_are_names_where_classes_are_called_so(tmp_path):
    data = write_classes(tmp_path / "data", **{"206": 1, "207": 1})
    assert ImageFolder(data, ("Clio", "207", "206")).labels.tolist() == [2, 1]
    message = refusal(data, class_names=("206", "208"))
    assert "'207', which is the name of no class" in message


def test_numbers_beside_a_name_are_names(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "data", **{"10": 1, "9": 1, "cat": 1}))
    assert folder.class_names == ("10", "9", "cat")
    assert folder.labels.tolist() == [0, 1, 2]


def test_sub_folders_of_one_number_are_refused(tmp_path):
    data = write_classes(tmp_path / "data", **{"7": 1, "07": 1, "0": 1})
    message = refusal(data)
    assert "Got the sub-folders ['07', '7'] for the label 7. Expected one per class" in message
    assert "for the class 'h'" in refusal(data, class_names=tuple("abcdefgh"))


def test_long_numbers_are_labels_as_long_as_they_fit(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "days", **{"20240131": 1}))
    assert folder.labels.tolist() == [20240131]
    (warning,) = folder.warnings
    assert warning.startswith("No image of 20240131 of 20240132 classes: 0, 1,")
    assert warning.endswith(", 9, and 20,240,121 more.")
    message = refusal(write_classes(tmp_path / "data", **{str(2**31): 1}))
    assert "Got the sub-folder '2147483648'. Expected numbers from 0 to 2147483647" in message


def test_class_names_give_sub_folders_their_labels(tmp_path):
    names = ("T-shirt/top", "dog", "cat")
    folder = ImageFolder(write_classes(tmp_path / "data", cat=1, t_shirt_top=1, dog=2), names)
    assert folder.class_names == names
    labels = dict(zip(folder.files, folder.labels.tolist(), strict=True))
    assert labels == {"cat/0.png": 2, "dog/0.png": 1, "dog/1.png": 1, "t_shirt_top/0.png": 0}


def test_hidden_files_don_t_count(tmp_path):
    write(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"what another system leaves")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    shutil.copy(tmp_path / "a.png", tmp_path / ".ipynb_checkpoints")
    assert ImageFolder(tmp_path).files == ["a.png"]


# What is said in warnings


def test_class_without_an_image_keeps_its_label_and_is_named(tmp_path):
    folder = ImageFolder(write_classes(tmp_path / "data", a=1, b=0, c=1))
    assert folder.labels.tolist() == [0, 2]
    assert folder.warnings == ["No image of 1 of 3 classes: 1 (b)."]
    given = ImageFolder(tmp_path / "data", ("a", "b", "c", "d"))
    assert given.warnings == ["No image of 2 of 4 classes: 1 (b), 3 (d)."]


@pytest.mark.parametrize(
    ("mode", "meaning"),
    [
        ("L", "grayscale"),
        ("P", "palette images"),
        ("RGBA", "RGB with an alpha"),
        ("1", "black and"),
    ],
)
def test_other_modes_are_converted_and_counted(tmp_path, mode, meaning):
    write(tmp_path / "a.png")
    image = Image.fromarray(pixels(1)).convert(mode)
    write(tmp_path / "b.png", image)
    write(tmp_path / "c.png", image)
    folder = ImageFolder(tmp_path)
    (warning,) = folder.warnings
    assert warning.startswith(f"Converted 2 of 3 files to RGB, which are {meaning}")
    assert warning.endswith("(such as b.png).")
    np.testing.assert_array_equal(folder.read(1, 2)[0], np.asarray(image.convert("RGB")))


def test_grayscale_folder_is_three_equal_channels_and_says_so(tmp_path):
    gray = pixels(channels=1)
    write(tmp_path / "a.png", gray)
    folder = ImageFolder(tmp_path)
    assert folder.warnings == [
        "Converted 1 of 1 files to RGB, which are grayscale (such as a.png)."
    ]
    np.testing.assert_array_equal(folder.read(0, 1)[0], np.stack([gray] * 3, axis=-1))


def test_lossy_files_and_ignored_files_are_counted(tmp_path):
    write(tmp_path / "a.jpg")
    write(tmp_path / "b.webp")
    write(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("not an image")
    ignored, lossy = ImageFolder(tmp_path).warnings
    assert ignored.startswith("Ignored 1 files") and "notes.txt" in ignored
    assert lossy.startswith("2 of 3 files are JPEG or WebP (such as a.jpg)")


# What is refused


def refusal(path, error=ValueError, **arguments):
    with pytest.raises(error) as caught:
        ImageFolder(path, **arguments)
    return str(caught.value)


def test_mixed_sizes_are_counted_with_an_example_of_each(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    write(tmp_path / "big.png", pixels(size=9))
    message = refusal(tmp_path)
    assert "2 of 6x6 (such as a.png), 1 of 9x9 (such as big.png)" in message
    assert "Expected one size, and square. Resize all in the same way" in message


def test_image_that_is_not_square_is_refused(tmp_path):
    write(tmp_path / "wide.png", np.zeros((4, 7, 3), "uint8"))
    message = refusal(tmp_path)
    assert "Got images of 7x4 pixels" in message and "(such as wide.png)" in message
    assert "Expected square ones. Crop all" in message


def test_sixteen_bits_are_refused(tmp_path):
    write(tmp_path / "deep.png", Image.fromarray(np.full((4, 4), 40_000, "uint16")))
    message = refusal(tmp_path)
    assert "Got 1 of 1 files" in message and "more than 8 bits per channel (mode I;16" in message


def test_unreadable_headers_are_counted_and_five_are_named(tmp_path):
    write(tmp_path / "fine.png")
    for number in range(7):
        (tmp_path / f"bad_{number}.png").write_bytes(b"" if number else b"nothing like an image")
    message = refusal(tmp_path)
    assert "Got 7 of 8 files" in message and "and 2 more" in message
    assert all(f"bad_{number}.png" in message for number in range(5))
    assert "bad_5.png" not in message


def test_all_corrupt_files_are_named_by_the_first_read_that_meets_one(tmp_path):
    for number in range(6):
        write(tmp_path / f"{number}.png", pixels(number, size=32))
    for number in (1, 4, 5):
        truncate(tmp_path / f"{number}.png")
    folder = ImageFolder(tmp_path)
    assert folder.read(2, 4).shape == (2, 32, 32, 3)
    for attempt in (lambda: folder.read(0, 2), folder.check):
        with pytest.raises(ValueError) as caught:
            attempt()
        message = str(caught.value)
        assert "Got 3 corrupt of 6 image files" in message
        assert [n for n in range(6) if f"{n}.png (" in message] == [1, 4, 5]


def test_sound_folder_passes_the_check(tmp_path):
    write(tmp_path / "a.png")
    ImageFolder(tmp_path).check()


def test_file_that_changes_or_goes_after_opening_is_named(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    folder = ImageFolder(tmp_path)
    write(tmp_path / "a.png", pixels(size=9))
    (tmp_path / "b.png").unlink()
    with pytest.raises(ValueError, match=r"2 corrupt.*a\.png \(9x9 pixels, changed.*b\.png \(File"):
        folder.read(0, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
def test_damage_anywhere_is_an_error_that_names_the_file_or_no_error(tmp_path, suffix):
    path = write(tmp_path / f"image.{suffix}", pixels(size=24))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for attempt in range(60):
        damaged = bytearray(content)
        if attempt % 2:
            damaged = damaged[: rng.integers(0, len(content))]
        else:
            damaged[rng.integers(0, len(content))] ^= 1 << rng.integers(0, 8)
        path.write_bytes(damaged)
        try:
            ImageFolder(tmp_path).read(0, 1)
        except ValueError as error:
            refused += 1
            assert f"image.{suffix}" in str(error)
    assert refused > 20


def test_missing_folder_file_and_empty_folder_are_refused(tmp_path):
    assert "which is not there" in refusal(tmp_path / "nothing", FileNotFoundError)
    assert "which is a file" in refusal(write(tmp_path / "a" / "a.png"))
    (tmp_path / "empty").mkdir()
    message = refusal(tmp_path / "empty")
    assert "holds no images. Expected files that end in .bmp" in message


def test_images_too_deep_are_refused_with_the_way_out(tmp_path):
    write_classes(tmp_path / "train", cat=1)
    (tmp_path / "annotations" / "empty").mkdir(parents=True)
    message = refusal(tmp_path)
    assert f"more than one folder down (such as {tmp_path / 'train' / 'cat' / '0.png'})" in message
    assert message.endswith(f"such as {tmp_path / 'train'}.")


def test_images_still_deeper_are_refused_with_the_way_out(tmp_path):
    write_classes(tmp_path / "data" / "v1" / "train", cat=1)
    assert refusal(tmp_path).endswith(f"such as {tmp_path / 'data' / 'v1' / 'train'}.")


def test_images_too_deep_beside_others_are_refused(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "more" / "cat" / "b.png")
    assert "more than one folder down" in refusal(tmp_path)


def test_images_beside_class_folders_are_refused(tmp_path):
    write_classes(tmp_path / "data", cat=2)
    write(tmp_path / "data" / "samples.png")
    message = refusal(tmp_path / "data")
    assert "1 images (such as samples.png) and 2 in sub-folders (such as cat/0.png)" in message


def test_sub_folder_of_an_unknown_class_is_refused(tmp_path):
    write_classes(tmp_path / "data", cat=1, wolf=1)
    message = refusal(tmp_path / "data", class_names=("cat", "dog"))
    assert "Got the sub-folder 'wolf', which is the name of no class" in message
    assert "'cat', 'dog'" in message


def test_sub_folders_that_can_t_be_told_apart_are_refused(tmp_path):
    write_classes(tmp_path / "data", crane=1)
    assert "is the name of 2 classes" in refusal(tmp_path / "data", class_names=("crane", "crane"))
    write_classes(tmp_path / "twice", **{"a b": 1, "a_b": 1})
    message = refusal(tmp_path / "twice", class_names=("a-b",))
    assert "Got the sub-folders ['a b', 'a_b'] for the class 'a-b'" in message


def test_labels_in_some_names_only_are_refused(tmp_path):
    write(tmp_path / "00000_003_Dress.png")
    write(tmp_path / "photo.png")
    assert "Got 1 of 2 files with a label" in refusal(tmp_path)


def test_labels_that_contradict_the_names_are_refused(tmp_path):
    write(tmp_path / "00000_001_Dress.png")
    names = ("cat", "dog")
    message = refusal(tmp_path, class_names=names)
    assert "Got label 1 with the class 'Dress'" in message and "Expected the class 'dog'" in message
    assert "Expected no such label" in refusal(tmp_path, class_names=("cat",))
    write(tmp_path / "00001_001_Coat.png")
    assert "label 1 is 'Dress' in the name of another file" in refusal(tmp_path)


# Identity


def test_fingerprint_is_of_names_labels_and_contents_and_not_of_the_place(tmp_path):
    data = write_classes(tmp_path / "data", cat=1, dog=1)
    expected = ImageFolder(data).fingerprint
    assert len(expected) == 64 and int(expected, 16)
    copy = shutil.copytree(data, tmp_path / "elsewhere" / "copy")
    assert ImageFolder(copy).fingerprint == expected
    assert ImageFolder(data, ("dog", "cat")).fingerprint != expected
    (copy / "dog" / "0.png").rename(copy / "dog" / "1.png")
    assert ImageFolder(copy).fingerprint != expected
    write(copy / "dog" / "0.png", pixels(5))
    (copy / "dog" / "1.png").unlink()
    assert ImageFolder(copy).fingerprint != expected


def test_fingerprint_is_computed_when_first_looked_at(tmp_path):
    path = write(tmp_path / "a.png")
    folder = ImageFolder(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        _ = folder.fingerprint
