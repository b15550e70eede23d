"""The documentation: it builds, every public name has a place in it, and its commands and code exist."""

import ast
import importlib
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinygan_keras as tg
from tinygan_keras.cli import COMMANDS
from tinygan_keras.evaluation.metrics import registry
from tinygan_keras.runs.config import default_config
from tinygan_keras.runs.teacher_config import default_teacher_config

INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def hooks(repository):
    spec = importlib.util.spec_from_file_location(
        "site_hooks", repository / "docs" / "site_hooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(repository):
    """The texts for users, by name."""
    folders = ("docs", "experiments", "saved_models")
    paths = [repository / "README.md", repository / "CONTRIBUTING.md"]
    paths += [path for folder in folders for path in sorted((repository / folder).rglob("*.md"))]
    return {path.relative_to(repository).as_posix(): path.read_text() for path in paths}


# The site


def build(repository, folder, *options):
    """Builds the site as `make docs` does."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        f"--site-dir={folder}",
        *options,
    ]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.mark.full
def test_a_broken_link_and_a_forgotten_name_fail(repository, tmp_path):
    assert "mkdocs build --strict\n" in (repository / "Makefile").read_text(), "quiet isn't strict"
    for name in (
        "docs",
        "tinygan_keras",
        "mkdocs.yml",
        "pyproject.toml",
        "README.md",
        "CONTRIBUTING.md",
    ):
        (tmp_path / name).symlink_to(repository / name)
    (tmp_path / "docs").unlink()
    ignored = shutil.ignore_patterns("__pycache__", "page.html")
    shutil.copytree(repository / "docs", tmp_path / "docs", ignore=ignored)
    for name in ("experiments", "saved_models", "tests", "CHANGELOG.md"):
        (tmp_path / name).symlink_to(repository / name)
    page = tmp_path / "docs" / "serve.md"
    page.write_text(page.read_text() + "\n[gone](../experiments/gone.md)\n")
    api = tmp_path / "docs" / "api" / "runs.md"
    api.write_text(api.read_text().replace("::: tinygan_keras.distill\n", ""))
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "'../experiments/gone.md'" in said
    assert "tinygan_keras.distill is public and in no API page" in said


@pytest.mark.full
def test_the_site_builds_strictly(repository, tmp_path):
    done = build(repository, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    how = (tmp_path / "site" / "how_it_works" / "index.html").read_text()
    assert how.count("<math") == 9, "every formula is MathML"
    results = (tmp_path / "site" / "results" / "index.html").read_text()
    assert "biggan_fashion_32" in results, "the README's table"
    assert 'href="../experiments/recipes/"' in results, "a README is a page of the site"
    api = (tmp_path / "site" / "api" / "distillation" / "index.html").read_text()
    assert "pixel_weight_decay" in api and "&gt;&gt;&gt; " in api
    for path in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)[^>]+(?:src|href)=\"(https?:[^\"]*)", path.read_text()
        )
        assert not loaded, "a page loads nothing from elsewhere"


def test_nothing_public_is_undocumented(hooks, repository):
    assert hooks.undocumented(repository) == []


@pytest.fixture
def package(tmp_path):
    """A package with one public function, and its API page."""
    (tmp_path / "docs" / "api").mkdir(parents=True)
    (tmp_path / "docs" / "api" / "all.md").write_text("::: tinygan_keras.draw\n")
    room = tmp_path / "tinygan_keras"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "__init__.pyi").write_text("from .drawing import draw\n")
    (room / "drawing.py").write_text(
        'def draw(z, y):\n    """Draws.\n\n    Args:\n        z, y: Numbers.\n    """\n'
        "def other():\n    pass\n"
    )
    return tmp_path


def test_a_documented_function_is_no_problem(hooks, package):
    assert hooks.undocumented(package) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("tinygan_keras/__init__.pyi", "import draw", "import draw, other", "other is public"),
        ("docs/api/all.md", "draw", "nothing", "draw is public and in no API page"),
        ("tinygan_keras/drawing.py", '    """Draws.', '    x = """Draws.', "no docstring"),
        ("tinygan_keras/drawing.py", "draw(z, y)", "draw(z)", "draw has no argument y"),
        ("tinygan_keras/drawing.py", "z, y: Num", "z, label: Num", "draw has no argument label"),
    ],
)
def test_what_is_undocumented_is_named(hooks, package, path, old, new, problem):
    file = package / path
    file.write_text(file.read_text().replace(old, new))
    assert any(problem in one for one in hooks.undocumented(package)), hooks.undocumented(package)


def test_an_undocumented_method_is_named(hooks, package):
    text = (
        'class Tool:\n    """A tool."""\n    def use(self):\n        pass\n'
        "    def _own(self):\n        pass\n"
    )
    (package / "tinygan_keras" / "drawing.py").write_text(text)
    (package / "tinygan_keras" / "__init__.pyi").write_text("from .drawing import Tool\n")
    (package / "docs" / "api" / "all.md").write_text("::: tinygan_keras.Tool\n")
    (problem,) = hooks.undocumented(package)
    assert problem.startswith("tinygan_keras.Tool.use has no docstring")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("how_it_works.md", "results.md#speed-and-memory", "results.md#speed-and-memory"),
        ("results.md", "../experiments/recipes/README.md", "experiments/recipes/README.md"),
        ("api/data.md", "../../experiments/recipes", "../experiments/recipes/README.md"),
        ("experiments/recipes/README.md", "../../docs/results.md", "../../results.md"),
        ("experiments/recipes/README.md", "grid.py", "REPO/blob/main/experiments/recipes/grid.py"),
        ("results.md", "../tests", "REPO/tree/main/tests"),
        ("results.md", "https://arxiv.org/abs/2009.13829", "https://arxiv.org/abs/2009.13829"),
        ("results.md", "../missing.md", "../missing.md"),
    ],
)
def test_links_lead_to_pages_and_else_to_the_repository(
    hooks, repository, source, target, expected
):
    known = {"results.md", "experiments/recipes/README.md"}
    files = SimpleNamespace(get_file_from_path=lambda name: name in known)
    config = SimpleNamespace(docs_dir=str(repository / "docs"), repo_url="REPO")
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source))
    text = f"[it]({target})\n\n```\n[it]({target})\n```\n"
    moved = hooks.on_page_markdown(text, page, config, files)
    assert moved == f"[it]({expected})\n\n```\n[it]({target})\n```\n", "code stays as it is"


def test_examples_and_own_sections_of_docstrings_are_shown_as_such(hooks):
    text = "Draws.\n\nCall arguments:\n    a: One\n        line.\n    b: Two.\n\n"
    text += "Example:\n    >>> draw(1)\n    2\n"
    thing = SimpleNamespace(docstring=SimpleNamespace(value=text))
    hooks.DocstringFences().on_object(obj=thing)
    assert "**Call arguments**\n\n- a: One line. \n- b: Two.\n" in thing.docstring.value
    assert "**Example**\n\n```pycon\n>>> draw(1)\n2\n```\n" in thing.docstring.value


# What the pages say


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(repository, page):
    targets = re.findall(r"\]\(([^)\s#]+)", (repository / page).read_text())
    local = [target for target in targets if ":" not in target]
    assert not [target for target in local if not (repository / target).exists()]
    assert local or page == "CHANGELOG.md"


def commands(text):
    """The words of every `tinygan` command in the code of a page."""
    code = "".join(INDENTED.findall(FENCED.sub("", text)))
    code += "".join(block for language, block in FENCED.findall(text) if language != "python")
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|", line):
            if part.split("#")[0].split()[:1] == ["tinygan"]:
                yield shlex.split(part, comments=True)[1:]


def test_commands_and_their_flags_exist(repository):
    settings = {*default_config(), *default_teacher_config()}
    wrong, seen = [], 0
    for page, text in pages(repository).items():
        for name, *words in commands(text):
            seen += 1
            module = (
                importlib.import_module(f"tinygan_keras.cli.{name}") if name in COMMANDS else None
            )
            known = {*getattr(module, "FLAGS", ()), "debug", "help"}
            for word in words:
                flag = word.partition("=")[0].removeprefix("--")
                setting = flag.removeprefix("config.")
                exists = setting in settings if setting != flag else flag in known
                if word.startswith("--") and not exists:
                    wrong.append(f"{page}: tinygan {name} {word}")
            if module is None:
                wrong.append(f"{page}: tinygan {name}")
    assert not wrong
    assert seen > 50, "the pages are full of commands"


def test_code_of_the_pages_compiles_and_its_names_exist(repository):
    wrong, seen = [], 0
    for page, text in pages(repository).items():
        for language, block in FENCED.findall(text):
            if language != "python" or "--8<--" in block:
                continue
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tg":
                    seen += 1
                    if node.attr not in tg.__all__:
                        wrong.append(f"{page}: tg.{node.attr}")
    assert not wrong
    assert seen > 10


def test_the_metric_of_the_architecture_page_measures(repository, monkeypatch):
    monkeypatch.setattr(registry, "METRICS", {})
    page = (repository / "docs" / "architecture.md").read_text()
    (code,) = (block for language, block in FENCED.findall(page) if language == "python")
    exec(code, names := vars(registry) | {"np": np})
    chunks = [np.array([[3.0, 4.0]]), np.array([[0.0, 1.0]])]
    images = SimpleNamespace(columns={"features": SimpleNamespace(chunks=lambda: chunks)})
    assert names["measure_feature_norm"](images).figures == {"feature_norm": 3.0}
    assert list(registry.METRICS) == ["feature_norm"]
