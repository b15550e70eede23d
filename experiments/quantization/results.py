"""Results of this folder: a table on the screen, and if asked for also in the README and as JSON."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def markdown(rows) -> str:
    """Rows of strings, the first of them the titles, as a table whose numbers stand right."""
    titles, *others = rows
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name, table, values):
    """Puts a table between the marks of its name in the README, and the values into `<name>.json`."""
    (FOLDER / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    put_between_marks(FOLDER / "README.md", name, table)


def put_between_marks(readme, name, table):
    """Replaces what stands between the marks of a name in a README."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not end:
        raise ValueError(
            f"Got {readme} without the marks of {name}. Expected them around its table."
        )
    readme.write_text(f"{before}{begin}{table}\n{end}{after}", encoding="utf-8")
