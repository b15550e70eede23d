"""The shape of the house: who may import whom, and what importing costs."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygan_keras

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tinygan_keras"

# Imports point one way:
# cli -> runs, web -> evaluation, pictures, saved_model, runtimes -> generators -> data, teachers, networks,
# distillation -> classes, latents, images, files.
# A room may import itself and what its entry lists: a room, or one module of it.
FOUNDATION = {
    "classes",
    "latents",
    "images",
    "files",
    "errors",
    "embedded",
    "hugging_face",
    "tfgan",
    "keras_settings",
    "progress",
}
MODELS = FOUNDATION | {"distillation", "networks", "teachers", "data"}
GENERATORS = MODELS | {"generators"}
USES = {"evaluation", "pictures", "saved_model", "runtimes", "client", "web"}
MAY_IMPORT = {
    "errors": set(),
    "latents": {"errors"},
    "images": {"errors"},
    "files": {"errors"},
    "hugging_face": {"errors"},
    "embedded": {"errors", "files", "hugging_face"},
    "tfgan": {"errors"},
    "keras_settings": {"errors"},
    "progress": set(),
    "classes": FOUNDATION,
    "networks": FOUNDATION,
    # The model knows no files, hubs, data sets or plots.
    "distillation": {"errors", "latents", "tfgan", "keras_settings"},
    "teachers": FOUNDATION | {"networks", "distillation"},
    "data": FOUNDATION | {"teachers", "networks", "distillation"},
    # Besides what lies below: open_generator opens what runtimes wrote.
    "generators": MODELS | {"runtimes"},
    "runtimes": GENERATORS | {"saved_model"},
    "saved_model": GENERATORS,
    "client": FOUNDATION,
    "evaluation": GENERATORS,
    "pictures": GENERATORS | {"evaluation"},
    "web": GENERATORS | {"evaluation"},
    "runs": GENERATORS | USES,
    "cli": GENERATORS | USES | {"runs"},
    # The facade, and `python -m tinygan_keras`.
    "__init__": GENERATORS | USES | {"runs"},
    "__main__": {"cli"},
}

MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))


def name_of(path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_names(path):
    """Yields every absolute dotted name a file imports, wherever in the file the import stands."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(folder[: len(folder) - node.level + 1]) if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(path, room):
    """The imports of one file that point against the way."""
    for name in imported_names(path):
        package, _, inner = name.partition(".")
        if package != PACKAGE or not inner:
            continue
        target = inner.split(".")[0]
        allowed = MAY_IMPORT[room] | {room}
        if target not in allowed and not any(
            inner == entry or inner.startswith(f"{entry}.") for entry in allowed
        ):
            yield name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    room = Path(path.relative_to(ROOT / PACKAGE).parts[0]).stem
    assert room in MAY_IMPORT, f"Say in MAY_IMPORT what the new room {room!r} may import."
    assert not list(violations(path, room))


def test_only_the_adapter_names_tf_gan():
    naming = {
        name_of(path)
        for path in MODULES + EXPERIMENTS
        if re.search(r"\btensorflow_gan\b", path.read_text(encoding="utf-8"))
    }
    assert naming == {"tinygan_keras/tfgan.py"}


def test_only_the_command_line_parses_flags():
    parsing = {
        name_of(path)
        for path in MODULES
        if any(name.startswith(("absl.flags", "absl.app")) for name in imported_names(path))
    }
    assert all(name.startswith("tinygan_keras/cli/") for name in parsing), parsing


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        (
            "import tinygan_keras",
            (
                "tensorflow",
                "keras",
                "tensorflow_gan",
                "tensorflow_hub",
                "matplotlib",
                "PIL",
                "torch",
            ),
        ),
        # Keras loads PIL and matplotlib by itself where they are installed.
        ("import tinygan_keras.distillation.tinygan", ("tensorflow_gan", "tensorflow_hub")),
    ],
    ids=["package", "model"],
)
def test_importing_stays_light(statement, unwanted):
    program = f"import sys; {statement}; print([m for m in {unwanted} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_experiments_use_public_names_only(path):
    for name in imported_names(path):
        if name.startswith(f"{PACKAGE}."):
            assert not any(part.startswith("_") for part in name.split(".")), name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") != "self":
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            assert not private, f"{name_of(path)}:{node.lineno} uses {node.attr}"


def test_public_names_are_imported_at_first_use():
    public = {name: getattr(tinygan_keras, name) for name in tinygan_keras.__all__}
    assert "evaluate" in public
    assert not [n for n, thing in public.items() if not (inspect.ismodule(thing) or thing.__doc__)]


def test_keras_loads_a_student_where_the_package_is_imported():
    load = "keras.models.load_model('saved_models/tinygan_fashion_32/student.keras')"
    command = [sys.executable, "-c", f"import keras, tinygan_keras; print({load}.name)"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "student_generator\n", result.stderr


def project_files():
    """What git tracks or would track; in a copy without git, all but what tools leave behind."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
        paths = [ROOT / name for name in names.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        hidden = {".venv", ".git", "runs", "build", "__pycache__", ".pytest_cache", ".ruff_cache"}
        paths = [path for path in ROOT.rglob("*") if not hidden & set(path.parts)]
    return sorted(path for path in paths if path.is_file())


def test_no_file_holds_a_path_of_somebodys_machine():
    machine_path = re.compile(rb"(?<![\w.-])(/(home|root|work|tmp|Users)/\w|[A-Z]:\\\\?Users)")
    found = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" in content:  # not text
            continue
        for number, line in enumerate(content.splitlines(), start=1):
            if machine_path.search(line):
                found.append(f"{name_of(path)}:{number}: {line[:120].decode(errors='replace')}")
    assert not found, "\n".join(found)
