import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ptofa_gpu.reporting.html import mathml, notebook_body, notebook_title, remote_references


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<img alt=x src=http://a.example/x.png>",
        '<link rel="stylesheet" href="//a.example/x.css">',
        "<style>@import 'https://a.example/x.css'</style>",
        "<p style='background: url(https://a.example/x.png)'>",
    ],
)
def test_what_a_browser_would_fetch_is_found(text):
    assert len(remote_references(text)) == 1


@pytest.mark.parametrize(
    "text", ['<a href="https://arxiv.org">', '<img src="data:image/png;base64,//8A">', '<img src="a/b.png">']
)
def test_links_and_local_files_are_fine(text):
    assert remote_references(text) == []


def test_formulas():
    assert "<mfrac>" in mathml(r"\frac{a}{b}")
    assert 'display="block"' in mathml("x", block=True)
    assert mathml(r"\frac{<b>") == r"<code>\frac{&lt;b&gt;</code>" or "<math" in mathml(r"\frac{<b>")


def test_cells():
    nb = new_notebook(
        cells=[
            new_markdown_cell("# Title\n\n<img src=x onerror=alert(1)> and `$5` and $E = mc^2$"),
            new_code_cell("x = 1", outputs=[new_output("stream", name="stdout", text="<b>5 < 6</b>")]),
            new_code_cell("n = 2", metadata={"tags": ["parameters"]}),
        ]
    )
    nbformat.validate(nb)
    body = notebook_body(nb)
    assert "<img" not in body
    assert "<code>$5</code>" in body
    assert "<math" in body
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt;" in body
    assert body.count("<details") == 2
    assert "Parameters: defaults" in body
    assert notebook_title(nb, "x") == "Title"
