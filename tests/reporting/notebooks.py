"""Small notebooks that the tests of the report run."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """
n = 3  # how many
ratio = 0.5
word = "a"  # "a" | "b": which
loud = False
output_dir = "out"
"""


def write(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS, **metadata) -> Path:
    """A notebook of one tagged cell and code cells; a cell that starts with '#' and a blank is markdown."""
    made = [new_code_cell(parameters.strip(), metadata={"tags": ["parameters"]})] if parameters else []
    for cell in cells:
        made.append(new_markdown_cell(cell) if cell.startswith("# ") else new_code_cell(cell))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": kernel, **metadata}), path)
    return path
