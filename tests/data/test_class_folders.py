"""Folders of images: what is data, of which class, and what is left out, said or refused."""

import os

import numpy as np
import pytest
from image_tree_fixtures import pixels, write_classes, write_image, write_tree

from tinygan_keras.data.image_sets import ArrayImages, open_images, open_training_images
from tinygan_keras.generators.data_sets import write_data_set

JUNK = (
    *("lost+found", "__MACOSX", ".ipynb_checkpoints", "@eaDir", "$RECYCLE.BIN", ".Trash-1000"),
    *(
        "System Volume Information",
        "#recycle",
        "__pycache__",
        "thumbnails",
        "LOST.DIR",
        "found.000",
    ),
)


def labels_by_file(images):
    return dict(zip(images.contents(), images.labels.tolist(), strict=True))


def refusal(path, error=ValueError, **arguments):
    with pytest.raises(error) as caught:
        open_images(path, **arguments)
    return str(caught.value)


@pytest.mark.parametrize("classes", [("a", "m", "z"), ("0", "2", "11"), ("n01440764", "n01443537")])
@pytest.mark.parametrize("filled", [False, True])
def test_what_is_no_data_decides_nothing(tmp_path, classes, filled):
    write_classes(tmp_path, **dict.fromkeys(classes, 2))
    before = open_images(tmp_path)
    for place in (tmp_path, tmp_path / classes[0]):
        for name in JUNK:
            (place / name).mkdir()
            if filled:
                write_image(place / name / "0.png", np.zeros((9, 5, 3), "uint8"))
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
            (place / name).write_bytes(b"what another system leaves")
    (tmp_path / "empty").mkdir()
    after = open_images(tmp_path)
    assert (after.fingerprint, after.class_names) == (before.fingerprint, before.class_names)
    assert after.num_classes == before.num_classes
    assert "Left out empty folders, which are no classes: empty." in after.warnings
    assert "#recycle/" in after.found["ignored"]


def test_files_name_the_images_in_their_order(tmp_path):
    write_classes(tmp_path, **{str(number): 2 for number in range(12)})
    images = open_images(tmp_path, classes=[2, 11])
    assert images.files == ["11/0.png", "11/1.png", "2/0.png", "2/1.png"]
    assert images.labels.tolist() == [11, 11, 2, 2]
    images = open_images(tmp_path / "5")
    assert images.files == ["0.png", "1.png"] and images.draw(1).files is None


def test_a_class_may_be_called_as_a_system_folder_if_it_is_known(tmp_path):
    write_classes(tmp_path, cache=1, coin=1)
    assert open_images(tmp_path).class_names == ("coin",)
    assert open_images(tmp_path, class_names=("coin", "cache")).labels.tolist() == [1, 0]


def test_images_come_in_the_order_of_the_names(tmp_path):
    for seed, name in enumerate(("c.png", "a.bmp", "b.PNG")):
        write_image(tmp_path / name, pixels(seed, 6, 6))
    images = open_images(tmp_path)
    assert list(images.contents()) == ["a.bmp", "b.PNG", "c.png"]
    assert (images.count, images.image_size) == (3, 6)
    assert (images.labels, images.class_names, images.warnings) == (None, None, [])
    assert images.name == f"folder {tmp_path.name}"
    expected = [pixels(seed, 6, 6) for seed in (1, 2, 0)]
    np.testing.assert_array_equal(images.read(0, 3), expected)
    assert images.read(2, 99).shape == (1, 6, 6, 3) and len(images.read(3, 99)) == 0


def test_samples_of_this_program_come_back_with_their_labels(tmp_path):
    images = np.stack([pixels(seed, 6, 6) for seed in range(4)])
    names, labels = ("cat", "dog", "T-shirt/top"), [2, 2, 0, 0]
    write_data_set(ArrayImages(images, labels), tmp_path / "out", "images", names)
    read = open_images(tmp_path / "out", class_names=names)
    np.testing.assert_array_equal(read.read(0, 4), images)
    assert read.labels.tolist() == labels and read.labels.dtype == np.int32
    assert read.class_names == names and read.warnings == ["No image of 1 of 3 classes: 1 (dog)."]
    assert open_images(tmp_path / "out").class_names == ("cat", "1", "T_shirt_top")
    trained = open_training_images(tmp_path / "out", 4, 3, class_names=names)
    assert trained.labels.tolist() == labels and trained.image_size == 4


def test_labels_in_the_names_of_files_have_to_agree(tmp_path):
    write_image(tmp_path / "00000_001_Dress.png")
    names = ("cat", "dog")
    message = refusal(tmp_path, class_names=names)
    assert "Got label 1 with the class 'Dress'" in message and "Expected the class 'dog'" in message
    assert "Expected no such label" in refusal(tmp_path, class_names=("cat",))
    write_image(tmp_path / "00001_001_Coat.png")
    assert "label 1 is 'Dress' in the name of another file" in refusal(tmp_path)
    write_image(tmp_path / "photo.png")
    assert "Got 2 of 3 files with a label" in refusal(tmp_path)


def test_sub_folders_are_classes_in_the_order_of_their_names(tmp_path):
    images = open_images(write_classes(tmp_path, dog=2, cat=1))
    assert images.class_names == ("cat", "dog")
    assert labels_by_file(images) == {"cat/0.png": 0, "dog/0.png": 1, "dog/1.png": 1}


def test_class_names_give_sub_folders_their_labels(tmp_path):
    names = ("T-shirt/top", "dog", "cat", "fox")
    images = open_images(
        write_classes(tmp_path, cat=1, t_shirt_top=1, dog=2, fox=0), class_names=names
    )
    assert labels_by_file(images) == {
        **{"cat/0.png": 2, "dog/0.png": 1, "dog/1.png": 1, "t_shirt_top/0.png": 0}
    }
    assert images.class_names == names
    assert images.warnings == [
        "No image of 1 of 4 classes: 3 (fox)."
    ]  # a class, though it is empty


def test_numbered_sub_folders_are_their_labels(tmp_path):
    images = open_images(write_classes(tmp_path, **{"10": 1, "3": 1, "007": 2, "0": 1, "12": 0}))
    assert labels_by_file(images) == {
        **{"0/0.png": 0, "007/0.png": 7, "007/1.png": 7, "10/0.png": 10, "3/0.png": 3}
    }
    assert images.class_names is None and images.num_classes == 13
    assert images.warnings == ["No image of 9 of 13 classes: 1, 2, 4, 5, 6, 8, 9, 11, 12."]
    names = tuple("abcdefghijklm")
    assert open_images(tmp_path, class_names=names).labels.tolist() == images.labels.tolist()
    assert "are none of the 2 known" in refusal(tmp_path, class_names=names[:2])


def test_numbers_are_names_where_classes_are_called_so(tmp_path):
    data = write_classes(tmp_path, **{"206": 1, "207": 1})
    assert open_images(data, class_names=("Clio", "207", "206")).labels.tolist() == [2, 1]
    assert "'207'" in refusal(data, class_names=("206", "208"))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("10", "9", "cat"),
            "classes 10, 9 and cat .*only numbers, which are the labels, or only names",
        ),
        (("7", "07", "0"), r"classes \['07', '7'\].*all class 7.*Merge them"),
        ((str(2**31),), "class 2147483648.*numbers from 0 to 2147483647"),
    ],
)
def test_numbers_that_cannot_be_labels_are_refused(tmp_path, folders, message):
    write_classes(tmp_path, **dict.fromkeys(folders, 1))
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path)


def test_long_numbers_are_labels_as_long_as_they_fit(tmp_path):
    images = open_images(write_classes(tmp_path, **{"20240131": 1}))
    assert images.labels.tolist() == [20240131]
    (warning,) = images.warnings
    assert warning.endswith(", 9, and 20,240,121 more.")


@pytest.mark.parametrize(
    ("folders", "names", "message"),
    [
        (
            ("cat", "wolf"),
            ("cat", "dog"),
            "'wolf'.*Expected classes of the teacher, or of the class names",
        ),
        (("crane",), ("crane", "crane"), r"'crane'.*the classes \[0, 1\]"),
        (("a b", "a_b"), ("a-b",), "are all class 0.*Merge"),
    ],
)
def test_sub_folders_that_are_no_class_are_refused(tmp_path, folders, names, message):
    write_classes(tmp_path, **dict.fromkeys(folders, 1))
    with pytest.raises(ValueError, match=message):
        open_images(tmp_path, class_names=names)


def test_names_of_other_encodings_are_classes_and_can_be_printed(tmp_path):
    for name in (
        b"K\xe4fer",
        "Mädchen".encode(),
        "Ba\u0308r".encode(),
    ):  # Latin-1, UTF-8, decomposed
        path = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(path)
        write_image(tmp_path / "x.png").rename(os.fsdecode(path + b"/\xfc.png"))
    images = open_images(tmp_path, class_names=("Bär", "Käfer", "Mädchen"))
    assert sorted(images.labels) == [0, 1, 2]
    for text in (*images.contents(), images.report(), *images.warnings):
        text.encode()
    assert any("Käfer/ü.png" in name for name in images.contents())


def test_folders_of_other_layouts_are_refused_with_the_way_out(tmp_path):
    write_classes(tmp_path / "v1" / "train", cat=1)
    (tmp_path / "annotations" / "empty").mkdir(parents=True)
    message = refusal(tmp_path)
    assert (
        f"more than one folder down (such as {tmp_path / 'v1' / 'train' / 'cat' / '0.png'})"
        in message
    )
    assert message.endswith(f"such as {tmp_path / 'v1' / 'train'}.")
    write_classes(tmp_path / "flat", cat=2)
    write_image(tmp_path / "flat" / "samples.png")
    assert "1 images (such as samples.png) and 2 in sub-folders" in refusal(tmp_path / "flat")
    assert "which are not there" in refusal(tmp_path / "nothing", FileNotFoundError)
    (tmp_path / "empty").mkdir()
    assert "holds no images. Expected files that end in .bmp" in refusal(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"Got the file .*samples\.png.*give its folder"):
        open_images(tmp_path / "flat" / "samples.png")


def test_images_of_known_classes_may_lie_deeper(tmp_path):
    write_tree(tmp_path / "n01440764", ("images",))
    assert open_images(tmp_path, image_size=8).contents().keys() == {
        f"n01440764/images/images_{number}.JPEG" for number in range(3)
    }
    (tmp_path / "n01440764").rename(tmp_path / "Tench")
    assert "more than one folder down" in refusal(tmp_path, image_size=8)
    assert open_images(tmp_path, image_size=8, class_names=("cat", "tench")).count == 3


def test_training_enters_the_folder_train_and_needs_labels(tmp_path):
    write_classes(tmp_path / "train", cat=2)
    write_classes(tmp_path / "val", cat=1)
    write_image(tmp_path / "train" / "preview.png")
    real = open_training_images(tmp_path, 6, 1, class_names=("cat",))
    assert real.count == 2 and real.name == f"folder {tmp_path.name}/train"
    assert real.found["ignored"] == "1: preview.png"
    write_image(tmp_path / "flat" / "photo.png")
    with pytest.raises(ValueError, match="without labels. Expected the class of every real image"):
        open_training_images(tmp_path / "flat", 6, 1)


# What the files are like


def test_conversions_are_counted_with_an_example(tmp_path):
    write_image(tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        write_image(tmp_path / name, pixels(1, 6, 6)[..., 0])
    write_image(tmp_path / "d.jpg", pixels(1, 6, 6))
    (tmp_path / "notes.txt").write_text("not an image")
    ignored, gray, lossy = open_images(tmp_path).warnings
    assert ignored.startswith("Ignored 1 files and folders") and "notes.txt" in ignored
    assert gray == "Converted 2 of 4 files to RGB, which are grayscale (such as b.png)."
    assert lossy.startswith("1 of 4 files are JPEG or WebP (such as d.jpg)")
    *_, enlarged = open_images(tmp_path, image_size=8).warnings
    assert enlarged.startswith("4 of 4 images are smaller than 8 pixels")


def test_mixed_sizes_are_counted_with_an_example_of_each(tmp_path):
    for name, size in (("a", 6), ("b", 6), ("big", 9)):
        write_image(tmp_path / f"{name}.png", pixels(0, size, size))
    message = refusal(tmp_path)
    assert "2 of 6x6 (such as a.png), 1 of 9x9 (such as big.png)" in message
    assert "Expected one size, and square. Crop and resize all in the same way" in message
    assert open_images(tmp_path, image_size=6).count == 3


def test_an_image_that_is_not_square_is_refused(tmp_path):
    write_image(tmp_path / "wide.png", np.zeros((4, 7, 3), "uint8"))
    message = refusal(tmp_path)
    assert "images of these sizes: 1 of 7x4 (such as wide.png). Expected one size" in message


@pytest.mark.parametrize("training", [False, True])
def test_files_that_cannot_be_read_are_all_named_before_anything_starts(tmp_path, training):
    write_classes(tmp_path, cat=4)
    for number in (1, 3):
        path = tmp_path / "cat" / f"{number}.png"
        path.write_bytes(path.read_bytes()[:-30] if number == 1 else b"")
    (tmp_path / "cat" / "page.jpg").write_bytes(b"<html>")
    os.symlink("nowhere", tmp_path / "cat" / "link.png")
    arguments = {"image_size": 4, "num_classes": 1, "class_names": ("cat",)} if training else {}
    message = refusal(tmp_path, **arguments)
    assert "4 of 6 files that can't be decoded" in message and "--skip_unreadable" in message
    for name in ("1.png (", "3.png (empty)", "page.jpg (cannot identify", "link.png ("):
        assert f"cat/{name}" in message


def test_more_than_fits_into_memory_is_refused_with_the_command(tmp_path):
    write_classes(tmp_path, cat=4)
    message = refusal(tmp_path, memory_limit=400)
    assert f"tinygan prepare --data={tmp_path} --image_size=6" in message
    message = refusal(tmp_path, memory_limit=400, image_size=12)
    assert "--image_size=12" in message


def test_what_is_left_out_is_named_by_its_whole_path(tmp_path):
    write_tree(tmp_path / "n01440764", ("images",))
    (tmp_path / "n01440764" / "images" / "notes.txt").write_text("")
    (tmp_path / "n01440764" / "images" / "@eaDir").mkdir()
    found = open_images(tmp_path, image_size=8).found["ignored"]
    assert found == "2: n01440764/images/@eaDir/, n01440764/images/notes.txt"
