"""The mistakes that a user can fix, reported as "Got ... Expected ... How to fix it".

Every class is also the built-in error that Python programs expect there, so `except ValueError` works. The
command line shows the message alone; anything else that is raised is a fault of the program, and shows its
traceback.
"""

import difflib


class UserError(Exception):
    """A mistake that the user can fix; the message says got, expected and how to fix it."""

    # AutoGraph raises an error again as its own class only if it is made like this.
    __init__ = Exception.__init__


class InputError(UserError, ValueError):
    """A value that can't be used."""


class MissingFileError(UserError, FileNotFoundError):
    """A file, folder, model or data set that isn't there."""


class ExistingFileError(UserError, FileExistsError):
    """A file or folder that would have to be replaced."""


class UnusableFileError(UserError, OSError):
    """A place where nothing can be read or written."""


class MissingPackageError(UserError, ImportError):
    """An optional package that isn't installed; the message names the extra."""


def nearest_name(name, known) -> str:
    """A question for the end of a message, after a space, whether another name was meant; or nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
