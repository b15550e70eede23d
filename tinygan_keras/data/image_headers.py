"""What the headers of image files say, before any pixel is read: that they fit together."""

from pathlib import Path

from PIL import Image

from ..classes.folder_labels import listed
from ..errors import InputError

_NAMED = 5
_DEEP_MODES = ("F", "I")  # PIL would cut 16 bits off at 255 instead of scaling them
_MODES = {
    "1": "black and white",
    "L": "grayscale",
    "LA": "grayscale with an alpha channel, which is dropped",
    "P": "palette images",
    "RGBA": "RGB with an alpha channel, which is dropped",
}


def scan_headers(path, files) -> tuple[int, list]:
    """Opens every file without decoding it.

    Args:
        path: The folder.
        files: Names of images relative to it, at least one.

    Returns:
        Height and width of all images in pixels; warnings, as a list of str.

    Raises:
        ValueError: files that can't be read, several sizes, images that are not square, or more than
            8 bits per channel.
    """
    sizes, modes, formats, unreadable = {}, {}, {}, []
    for file in files:
        try:
            with Image.open(Path(path, file)) as image:
                found = image.size, image.mode, image.format
        except Exception as error:  # decoders raise whatever they stumble over
            unreadable.append(f"{file} ({type(error).__name__})")
            continue
        for groups, value in zip((sizes, modes, formats), found, strict=True):
            groups.setdefault(value, []).append(file)
    if unreadable:
        raise InputError(
            f"Got {len(unreadable)} of {len(files)} files in {path} whose header can't be read: "
            f"{listed(unreadable, _NAMED)}. Expected images. Replace or remove these files."
        )
    size = _one_size(path, sizes)
    return size, _warn_of_modes(path, modes, len(files)) + _warn_of_losses(formats, len(files))


def _one_size(path, sizes):
    if len(sizes) > 1:
        groups = sorted(sizes.items(), key=lambda group: -len(group[1]))
        counts = [f"{len(found)} of {w}x{h} (such as {found[0]})" for (w, h), found in groups]
        raise InputError(
            f"Got images of {len(sizes)} sizes in {path}: {listed(counts, _NAMED)}. Expected one size, "
            "and square. Resize all in the same way, or move the others away."
        )
    (((width, height), files),) = sizes.items()
    if width != height:
        raise InputError(
            f"Got images of {width}x{height} pixels in {path} (such as {files[0]}). Expected square ones. "
            "Crop all in the same way; of a sheet with many images, save each on its own."
        )
    return width


def _warn_of_modes(path, modes, count):
    for mode, files in modes.items():
        if mode.split(";")[0] in _DEEP_MODES:
            raise InputError(
                f"Got {len(files)} of {count} files in {path} with more than 8 bits per channel (mode "
                f"{mode}, such as {files[0]}). Expected 8. Convert them with a scale that you choose."
            )
    return [
        f"Converted {len(files)} of {count} files to RGB, which are {_MODES.get(mode, mode)} (such as "
        f"{files[0]})."
        for mode, files in sorted(modes.items())
        if mode != "RGB"
    ]


def _warn_of_losses(formats, count):
    lossy = [file for name in ("JPEG", "WEBP") for file in formats.get(name, [])]
    if not lossy:
        return []
    return [
        f"{len(lossy)} of {count} files are JPEG or WebP (such as {lossy[0]}). What the compression "
        "changes counts as a difference between images."
    ]
