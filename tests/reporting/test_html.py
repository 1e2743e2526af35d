import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ptofa_gpu._files import asset_dir
from ptofa_gpu.reporting.html import environment, mathml, notebook_body, notebook_title, policy


def test_formulas():
    assert "<mfrac>" in mathml(r"\frac{a}{b}")
    assert 'display="block"' in mathml("x", block=True)
    assert "<b>" not in mathml(r"x < b > <b>")


def test_a_formula_that_cannot_be_read_is_shown_as_text():
    assert mathml(r"\left( <b> x") == r"<code>\left( &lt;b&gt; x</code>"


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


def shown(data):
    return notebook_body(new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", data)])]))


def test_active_outputs_are_left_out_and_named():
    for kind in ("application/javascript", "application/vnd.jupyter.widget-view+json"):
        data = {kind: {"a": 1} if "json" in kind else "alert('</script>')", "text/plain": "Javascript object"}
        body = shown(data)
        assert "<script" not in body
        assert "alert" not in body
        assert f"because a report runs nothing: {kind}." in body
        # with a picture beside it, the picture is shown
        data["text/html"] = "<table><tr><td>seen</td></tr></table><script>1</script>"
        body = shown(data)
        assert "seen" in body
        assert "<script" not in body
        assert 'role="region"' in body


def test_pictures_and_frames_of_outputs_are_contained():
    book = new_notebook(
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"<b>": 1}}}},
        cells=[
            new_markdown_cell("| a | b |\n|---|---|\n| 1 | 2 |\n\n[x](javascript:alert(1))"),
            new_code_cell(
                "x",
                outputs=[
                    new_output(
                        "display_data", {"text/html": "<b id=x>1</b>"}, metadata={"text/html": {"isolated": True}}
                    ),
                    new_output("display_data", {"text/markdown": "<b>raw</b>"}),
                    new_output("display_data", {"text/html": "</div></div></main><b id=x>2</b>"}),
                ],
            ),
        ],
    )
    body = notebook_body(book)
    assert body.count("<div") == body.count("</div>")
    assert not any(word in body for word in ("<iframe", "<script", "javascript:", "</main>", "<b>raw"))
    assert body.count('role="region"') == 1, "a table written in markdown scrolls too"
    assert '<b id="x">' in body
    assert '<b id="x-2">' in body


def test_the_policy_lets_a_page_load_and_send_nothing():
    rules = [rule.split() for rule in policy("a {}").split("; ")]
    parts = {rule[0]: rule[1:] for rule in rules}
    assert len(parts) == len(rules)
    assert parts.pop("img-src") == ["data:"]
    assert parts.pop("style-src") == ["'sha256-mkSHzL7faOU7/U/v8Umg+058R69+vN2A2xmE3Fz1q98='"]
    assert parts.pop("style-src-attr") == ["'unsafe-inline'"]
    assert set(map(tuple, parts.values())) == {("'none'",)}
    assert {"default-src", "script-src", "frame-src", "object-src", "base-uri", "form-action"} <= set(parts)


def test_every_page_has_the_policy_before_anything_else_that_counts():
    for name in environment().list_templates(filter_func=lambda name: name.count("/") == 0 and name.endswith(".j2")):
        text = (asset_dir("templates") / name).read_text()
        head = text[: text.index("{{ policy }}")]
        assert "<style" not in head
        assert text.count("<style>{{ css }}</style>") == text.count("<style") == 1
        assert "<script" not in text
        assert "style=" not in text
