"""From `hf://OWNER/NAME[@REVISION][/FILE]` to a folder or file of this machine.

Cache, offline mode, tokens and mirrors are huggingface_hub's: HF_HOME, HF_HUB_OFFLINE, HF_TOKEN, HF_ENDPOINT.
"""

import functools
import glob
from pathlib import Path, PurePosixPath

from .errors import InputError, MissingFileError, MissingPackageError, UnusableFileError

SCHEME = "hf://"
# What describes a model, in its folder or around it.
_DESCRIPTIONS = ("config.json", "class_names.txt", "student.keras")
_NAMES = {}  # of what was fetched, by place


@functools.cache  # so that a process sees one state of a repository
def fetch(name: str) -> Path:
    """Returns the place in the Hub's cache of what `name` means, after a download if need be."""
    hub, place = huggingface_hub(), parse(name)
    wanted = None
    if place.path_in_repo:  # a folder, or a file with what describes a model beside it
        file = PurePosixPath(glob.escape(place.path_in_repo))
        wanted = [str(path) for path in (file, file / "*", file.with_suffix(".bin"))]
        wanted += [str(parent / name) for parent in [*file.parents][:2] for name in _DESCRIPTIONS]
    kind = "" if place.type == "model" else f"{place.type}s/"
    address = f"{hub.constants.ENDPOINT}/{kind}{place.id}"
    try:
        folder = hub.snapshot_download(
            place.id, repo_type=place.type, revision=place.revision, allow_patterns=wanted
        )
    except hub.errors.RevisionNotFoundError as error:
        raise MissingFileError(
            f"Got {name!r}, but {address} has no revision {place.revision!r}. Expected a branch, a tag or a "
            "commit, with %2F for a slash. Check the spelling, or leave it out for the latest state."
        ) from error
    except (OSError, hub.errors.HTTPError, hub.errors.XetDownloadError) as error:
        responses = (getattr(e, "response", None) for e in (error, error.__cause__))
        status = next((answer.status_code for answer in responses if answer is not None), None)
        if isinstance(error, hub.errors.RepositoryNotFoundError) or status in (401, 403):
            raise MissingFileError(
                f"Got {name!r}, but {address} is no {place.type} that you may read. Expected one that is "
                "public, or that your token opens. Check the name; for a private or gated one ask for "
                "access, and log in (hf auth login) or set HF_TOKEN."
            ) from error
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise UnusableFileError(
            f"Got no copy of {name!r}: {reason}\nExpected an answer of {address}, and room for the "
            f"files in {hub.constants.HF_HUB_CACHE}. Connect, set HF_ENDPOINT to a mirror, or bring a cache "
            "that has them (HF_HOME; hf download fills one)."
        ) from error
    path = Path(folder, place.path_in_repo)
    _NAMES[path] = name
    if not path.exists():
        raise MissingFileError(
            f"Got {name!r}, but {address} has no {place.path_in_repo!r}. Expected one of its files. See "
            f"{address}/tree/{place.revision or 'main'} for their names."
        )
    return path


def shown_name(path) -> str:
    """How reports name a place: as it was asked for on the Hub, or by its own name."""
    return _NAMES.get(Path(path)) or Path(path).resolve().name


def parse(name: str):
    """The parts of a name, as huggingface_hub takes it apart: type, id, revision, path_in_repo."""
    try:
        place = huggingface_hub().parse_hf_uri(name)
        if place.is_bucket:
            raise ValueError("A bucket is no repository.")
    except ValueError as error:
        raise InputError(
            f"Got {name!r}: {str(error).strip()} Expected hf://OWNER/NAME[@REVISION][/FILE], such as "
            "hf://osanseviero/BigGAN-deep-128. Check the spelling."
        ) from error
    return place


def huggingface_hub():
    """The optional package; MissingPackageError names its extra."""
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingPackageError(
            f"huggingface_hub can't be imported: {error}. Expected the packages of an optional part: pip "
            'install "tinygan-keras[hub]".'
        ) from error
    return huggingface_hub
