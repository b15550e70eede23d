"""Where drawn images go: a folder for each class, so that many programs read their labels.

Scope: paths. Labels in file names, as `tinygan sample` writes them, need numbers; who asks by name has none.
"""

from pathlib import Path

from ..classes.folder_labels import as_file_name
from ..errors import InputError


class ClassFolders:
    """Gives every image its path, and every class a folder of its own.

    Args:
        root: Where the folders are, or are made.
    """

    def __init__(self, root):
        self.root = Path(root)
        self._classes = {}

    def path(self, place: int, row, class_name: str) -> Path:
        """Returns the path of an image, such as "pictures/Sneaker/00000_seed_7.png"; its folder is made.

        Raises:
            ValueError: another class has that folder, since names differ in signs only, or not at all.
        """
        class_name = class_name or str(row.class_)
        folder = as_file_name(class_name)
        number = row.class_ if isinstance(row.class_, int) else None
        # Some file systems don't tell "Polo" from "polo".
        names, numbers = self._classes.setdefault(folder.casefold(), ({class_name}, {number}))
        names.add(class_name)
        numbers.add(number)
        if len(names) > 1 or len(numbers - {None}) > 1:
            raise InputError(
                f"Got several classes for the folder {folder!r}: the names {sorted(names)}, the numbers "
                f"{sorted(numbers - {None})}. Expected one. Save them into different folders."
            )
        path = self.root / folder / f"{place:05d}_seed_{row.seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
