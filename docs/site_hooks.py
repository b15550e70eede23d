"""What the documentation site does beyond MkDocs: nothing is written twice, and nothing public stays untold.

- Pages of the repository (the READMEs of experiments, model cards, CONTRIBUTING.md) are pages of the site.
- Links lead where they lead on a disk: `../experiments/recipes/README.md` becomes a page of the site, a
  source file becomes a link to the repository. What doesn't exist is a warning, and `make docs` fails.
- Every public name of `tinygan_keras/__init__.pyi` has a docstring and a place in an API page, and what its
  Args describe are arguments, or it fails too.
- Fences named `math` become MathML, which browsers draw without JavaScript and without a network.
"""

import ast
import posixpath
import re
import textwrap
import tomllib
from pathlib import Path

import griffe
from latex2mathml import converter
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tinygan_keras"
PAGES = (
    *("CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md", "experiments/*/README.md"),
    *("experiments/*/data/README.md", "experiments/*/demo/*.md"),
    *("saved_models/README.md", "saved_models/*/*.md", "saved_models/*/evaluation/*.md"),
)
PICTURES = ("experiments/*/*.png", "experiments/*/demo/*.*", "saved_models/**/*.png")
# Keras and Python document them.
OVERRIDES = (
    *("call", "get_config", "from_config", "get_compile_config", "compile_from_config", "metrics"),
    *("test_step", "train_on_batch", "test_on_batch", "make_train_function"),
)
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_EXAMPLE = re.compile(r"^Example:\n((?:(?: {4}.*)?\n?)+)", re.MULTILINE)
_OWN_SECTION = re.compile(r"^(Call arguments|Batches are dicts):\n((?: {4}.*\n?)+)", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

log = get_plugin_logger("tinygan")


def on_config(config):
    """Takes the address from pyproject.toml, and adds the fence of formulas."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.repo_url, config.repo_name = project["urls"]["Repository"], "Repository"
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "math", "class": "formula", "format": formula}]
    return config


def formula(source, *_, **__) -> str:
    """The LaTeX of a fence as MathML."""
    return f'<div class="formula">{converter.convert(source.strip(), display="block")}</div>'


def on_files(files, config):
    """Adds the pages and pictures of the repository, and looks for public names that no page has."""
    found = {path for pattern in (*PAGES, *PICTURES) for path in ROOT.glob(pattern)}
    for path in sorted(found):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for problem in undocumented(ROOT):
        log.warning(problem)
    return files


def undocumented(root) -> list[str]:
    """What is public and has no docstring or no place in an API page, one sentence each."""
    pages = "\n".join(path.read_text() for path in sorted(root.glob("docs/api/*.md")))
    shown = set(re.findall(rf"^::: {PACKAGE}\.(\S+)", pages, re.MULTILINE))
    public = public_names(root)
    problems = [
        f"{PACKAGE}.{name} is public and in no API page. Add `::: {PACKAGE}.{name}` to one in docs/api."
        for name in sorted(public - shown)
    ]
    settings = {"try_relative_path": False, "resolve_aliases": True}
    package = griffe.load(PACKAGE, search_paths=[str(root)], **settings)
    for name in sorted(public):
        thing = package[name]
        thing = thing.final_target if thing.is_alias else thing
        parts = {name: thing}
        if thing.is_class or thing.is_module:
            own = thing.members.items()
            parts |= {f"{name}.{part}": child for part, child in own if is_shown(part, child)}
        for place, part in parts.items():
            if not part.has_docstring:
                problems.append(f"{PACKAGE}.{place} has no docstring. Say what it is for.")
            elif part.is_function or part.is_class:
                unknown = described_arguments(part) - {each.name for each in part.parameters}
                problems += [
                    f"{PACKAGE}.{place} has no argument {one}: see its Args." for one in unknown
                ]
    return problems


def described_arguments(part) -> set[str]:
    """The names below `Args:` in a docstring, two of which may share a line."""
    quiet = {"warn_missing_types": False, "warn_unknown_params": False, "warnings": False}
    sections = part.docstring.parse("google", **quiet)
    described = [
        each.name for one in sections if one.kind.value == "parameters" for each in one.value
    ]
    return {name.strip(" *") for names in described for name in names.split(",")}


def public_names(root) -> set[str]:
    """The names of `import tinygan_keras` that are no sub-package."""
    stub = ast.parse((root / PACKAGE / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    return {name for name in names if not (root / PACKAGE / name).is_dir()}


def is_shown(name, part) -> bool:
    """Whether an API page shows a member: public functions, properties and classes that are ours."""
    ours = not name.startswith(("_", "on_")) and name not in OVERRIDES
    return ours and not part.is_alias and (part.is_function or "property" in part.labels)


class DocstringFences(griffe.Extension):
    """Shows the code below `Example:` as code, and the lines of sections of our own as a list."""

    def on_object(self, *, obj, **_):
        """Called by griffe for everything that it has read."""
        if obj.docstring:
            text = _EXAMPLE.sub(_as_fence, obj.docstring.value)
            obj.docstring.value = _OWN_SECTION.sub(_as_list, text)


def _as_fence(match) -> str:
    code = textwrap.dedent(match[1]).strip("\n")
    language = "pycon" if code.startswith(">>>") else "python"
    return f"**Example**\n\n```{language}\n{code}\n```\n"


def _as_list(match) -> str:
    lines = textwrap.dedent(match[2]).strip("\n").splitlines()
    items = [line.strip() if line.startswith(" ") else f"\n- {line}" for line in lines]
    return f"**{match[1]}**\n{' '.join(items)}\n"


def on_page_markdown(markdown, page, config, files):
    """Makes links that are right in the repository right in the site."""
    source = page.file.src_uri
    of_docs = (Path(config.docs_dir) / source).is_file()
    folder = posixpath.dirname(f"docs/{source}" if of_docs else source)

    def moved(match):
        start, target, end = match.groups()
        if ":" in target or target.startswith(("/", "<")):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        place = path.removeprefix("docs/")
        for candidate in (place, f"{place}/README.md"):
            if files.get_file_from_path(candidate):
                return start + posixpath.relpath(candidate, posixpath.dirname(source) or ".") + end
        if (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"{start}{config.repo_url}/{kind}/main/{path}{end}"
        return match[0]  # MkDocs warns

    # Snippets are put in later, by their own extension: their links are written in full.
    pieces, last = [], 0
    for fence in _FENCE.finditer(markdown):
        pieces += [_LINK.sub(moved, markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*pieces, _LINK.sub(moved, markdown[last:])])
