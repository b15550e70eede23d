"""What the wheel holds; all else is in pyproject.toml, which can't add embedded folders to found packages."""

from setuptools import find_packages, setup

EMBEDDED = ("saved_models", "experiments/fashion_mnist")
"""Folders of the checkout that the wheel carries inside the package, where `embedded.py` finds them."""

inside = {f"tinygan_keras.{folder.replace('/', '.')}": folder for folder in EMBEDDED}
setup(
    packages=[*find_packages(include=["tinygan_keras*"]), *inside],
    package_dir=inside,
    package_data={
        "tinygan_keras": ["*.pyi", "py.typed", "classes/*.txt", "web/page.*", "web/*.js"],
        **dict.fromkeys(
            inside,
            ["**/*.pb", "**/variables.*", "**/*.keras", "**/*.npz", "**/LICENSE"]
            + ["**/*.json", "**/*.md", "**/class_names.txt"],
        ),
    },
)
