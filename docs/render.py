"""Writes `date_translator.md` and its pictures: the notebook as it looks after a run, for who does not want to run it.

    python docs/render.py

The notebook is executed with its own settings, in a folder that is deleted afterwards; that takes a few minutes.
"""

import base64
import pathlib
import re
import shutil
import sys
import tempfile

import nbclient
import nbformat

DOCS = pathlib.Path(__file__).parent
NAME = "date_translator"


def main():
    notebook = nbformat.read(DOCS.parent / "notebooks" / f"{NAME}.ipynb", as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}}).execute()
    pictures = DOCS / NAME
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    page = "\n\n".join(part for cell in notebook.cells for part in rendered(cell, pictures))
    (DOCS / f"{NAME}.md").write_text(page + "\n", encoding="utf-8")


def rendered(cell, pictures):
    """The parts of the page that a cell becomes; its pictures are written."""
    if cell.cell_type == "markdown":
        yield for_a_page(cell.source)
        return
    yield f"```python\n{cell.source}\n```"
    printed = ""
    for number, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if output.get("name") == "stdout":
            printed += output.text
        elif "image/png" in data:
            picture = pictures / f"{cell.id}-{number}.png"
            picture.write_bytes(base64.b64decode(data["image/png"]))
            yield from _fenced(printed)
            yield f"![{cell.id}]({pictures.name}/{picture.name})"
            printed = ""
        elif "text/plain" in data:
            printed += data["text/plain"] + "\n"
    yield from _fenced(printed)


def for_a_page(text):
    """The text of a notebook, without the way into Colab, with what is hidden still read as Markdown."""
    text = re.sub(
        r"\[!\[Open Colab.*?give it this file\.",
        f"This is `notebooks/{NAME}.ipynb` after a run.",
        text,
        flags=re.DOTALL,
    )
    return text.replace("<details>", '<details markdown="1">')


def _fenced(printed):
    if printed.strip():
        yield f"```text\n{printed.rstrip()}\n```"


if __name__ == "__main__":
    sys.exit(main())
