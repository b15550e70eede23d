"""Makes the notebooks of their sources and executes them, outputs included.

    python experiments/notebooks/execute.py                    # all of them
    python experiments/notebooks/execute.py 01_quickstart

What a library says of the machine (stderr) is left out, of a progress bar the last state is kept, and
pictures get a palette, which makes them half as large.
"""

import base64
import io
import re
import sys
from pathlib import Path

import jupytext
import nbclient
import nbformat
from PIL import Image

FOLDER = Path(__file__).resolve().parent
CONTROLS = re.compile(r"\x1b\[[0-9;]*m")
# In notebooks TensorFlow writes its log to stdout.
REMARKS = re.compile(
    r"^(INFO|WARNING):tensorflow:.*\n(Instructions for updating:\n.*\n)?", re.MULTILINE
)


def main(names):
    """Executes the notebooks with these names, or all."""
    for name in names or sorted(path.stem for path in FOLDER.glob("[0-9]*.py")):
        notebook = jupytext.read(FOLDER / f"{name}.py")
        resources = {"metadata": {"path": str(FOLDER)}}
        options = {"timeout": 3600, "resources": resources, "record_timing": False}
        nbclient.NotebookClient(notebook, **options).execute()
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number}"  # the same each time
            if cell.cell_type == "code":
                cell.outputs = tidied(cell.outputs)
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, FOLDER / f"{name}.ipynb")
        print(f"{name}.ipynb")


def tidied(outputs) -> list:
    """Outputs without remarks about the machine and colours, with the last state of each progress bar."""
    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            text = REMARKS.sub("", CONTROLS.sub("", output.text).replace("\r\n", "\n"))
            lines = text.split("\n")
            lines = [re.split(r"[\r\x08]+", line.rstrip("\r\x08"))[-1].rstrip() for line in lines]
            output.text = "\n".join(lines)
        elif "image/png" in output.get("data", {}):
            output.data["image/png"] = smaller(output.data["image/png"])
    return [output for output in kept if output.get("text") != ""]


def smaller(encoded) -> str:
    """A picture, PNG in base64, with a palette of 256 colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(256).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main(sys.argv[1:])
