"""HTML of outputs: nothing acts, nothing loads, tables scroll, names turn nothing."""

import pytest

from ptofa_gpu.reporting.addresses import fetched
from ptofa_gpu.reporting.markup import clean, slug, svg_address, without_turns, words
from ptofa_gpu.reporting.sanitize import safe
from ptofa_gpu.reporting.sheets import rules, safe_style


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<img alt=x src=http://a.example/x.png>",
        '<img alt=">" src="http://a.example/x.png">',
        '<img src="x.png" srcset="x.png 1x, //a.example/y.png 2x">',
        '<img src="h&#116;tps://a.example/x.png">',
        '<img src="ht\ntps://a.example/x.png">',
        "<img src='\\\\a.example\\x.png'>",
        '<img src="/\\a.example/x.png">',
        '<img src="ftp://a.example/x.png">',
        '<img src="file:///etc/x.png">',
        '<video poster="//a.example/x.png"></video>',
        '<video><track src="//a.example/x.vtt"></video>',
        '<input type=image src="//a.example/x.png">',
        '<svg><image href="https://a.example/x.png"/></svg>',
        '<svg><use xlink:href="https://a.example/x.svg#y"/></svg>',
        '<svg><rect fill="url(https://a.example/x.svg#y)"/></svg>',
        '<table background="https://a.example/x.png"></table>',
        '<object data="https://a.example/x"></object>',
        '<link rel="stylesheet" href="//a.example/x.css">',
        '<base href="https://a.example/">',
        '<meta http-equiv="refresh" content="0; url=https://a.example/">',
        "<style>@import 'https://a.example/x.css'</style>",
        "<style>p { background: u\\72l(https://a.example/x.png) }</style>",
        "<style>p { background: image-set('https://a.example/x.png' 1x) }</style>",
        "<p style='background: url(https://a.example/x.png)'>",
        "<p style='background: url(/**/&quot;//a.example/x.png&quot;)'>",
    ],
)
def test_what_a_browser_would_fetch_is_found(text):
    assert len(fetched(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://arxiv.org">x</a>',
        '<img src="data:image/png;base64,//8A">',
        '<img src="a/b.png" alt="url(https://a.example)">',
        "<p>&lt;img src=https://a.example/x.png></p>",
        "<pre>@import 'https://a.example'</pre>",
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#y"/></svg>',
        "<style>p { background: url(data:image/svg+xml,http://www.w3.org) } /* url(//a) */</style>",
    ],
)
def test_links_and_local_files_are_fine(text):
    assert fetched(text) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<b onclick=alert(1)>x</b>", "<b>x</b>"),
        ("<script>alert('<b>')</script>x", "x"),
        ("a<iframe srcdoc='<script>1</script>'><b>in</b></iframe>b", "ab"),
        ("<form action=/x><input name=a><b>in</b></form>b", "b"),
        ('<a href=" java\nscript:alert(1)">x</a>', "<a>x</a>"),
        ('<a href="data:text/html,<script>1</script>">x</a>', "<a>x</a>"),
        ('<a href="https://arxiv.org">x</a>', '<a href="https://arxiv.org">x</a>'),
        ("</div></main><p>x", "<p>x</p>"),
        ("<div><b>x</div>y", "<div><b>x</b></div>y"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a<li>b</ul>"),
        ("<!-- <b> <script>1</script> -->x", "x"),
        ("<style scoped>a > b { color: red }</style>x", "x"),
        ("1 &lt; 2 &amp; 3", "1 &lt; 2 &amp; 3"),
    ],
)
def test_what_acts_or_breaks_out_goes(given, kept):
    found, _, note = clean(given, set()).partition('<p class="note">')
    assert found == kept
    assert bool(note) == any(tag in given for tag in ("<script>alert", "<iframe", "<form"))


def test_what_is_left_out_is_named():
    assert "runs nothing: script, button." in clean("<script>1</script><button>x</button><script>2</script>", set())


def test_a_table_scrolls_in_a_frame_that_has_its_name():
    frame = '<div class="table-wrap" tabindex="0" role="region" aria-label="{}"><table'
    inner = "<tr><th>fund<th>risk</tr><tr><th>x<td>1</table>"
    page = clean(f"<table><caption>What <b>they</b> &quot;earn&quot;</caption>{inner}<table>{inner}", set())
    assert page.count("<div") == page.count("</div>") == 2
    assert frame.format("What they &quot;earn&quot;") in page
    assert frame.format("Table: fund, risk") in page
    assert page.count('<th scope="col">') == 4
    assert page.count('<th scope="row">') == 2
    # a frame of the output's own is not doubled, and a table in a table needs none
    nested = clean("<div class='table-wrap'><table><tr><td><table></table></td></tr></table></div>", set())
    assert nested.count("table-wrap") == 1
    head = clean("<table><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>0</th></tr></tbody></table>", set())
    assert (head.count('scope="col"'), head.count('scope="row"')) == (2, 1)


def test_ids_are_plain_and_no_other_has_them():
    ids = {"a"}
    page = clean("<p id=a>1</p><p id='b \" c'>2</p><p id='صندوق'>3</p><p id=T_1>4</p>", ids)
    assert [part.split('"')[1] for part in page.split("<p")[1:]] == ["a-2", "b-c", "part", "T_1"]
    assert ids == {"a", "a-2", "b-c", "part", "T_1"}
    assert slug("01_data") == "01_data"
    assert slug("my book", {"my-book", "my-book-2"}) == "my-book-3"


def test_a_name_turns_nothing_around_it():
    turned = "a" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))) + "b"
    assert without_turns(turned) == r"a\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069b"
    assert clean("<p title='&#x202E;'>&#8238;x</p>", set()) == r'<p title="\u202e">\u202ex</p>'
    # a name that is written leftward is isolated: the number behind it stays behind it
    assert words("<صندوق الاستثمار> 5 and אב 2 ג") == ("&lt;<bdi>صندوق الاستثمار</bdi>&gt; 5 and <bdi>אב 2 ג</bdi>")


def test_a_drawing_becomes_a_picture():
    """As it is written: case counts in it, and what it holds can do nothing there."""
    drawing = '<svg viewBox="0 0 1 1"><style>a{}</style><linearGradient/><svg/><script>1</script></svg>'
    framed = drawing.replace("<svg viewBox", '<svg xmlns="http://www.w3.org/2000/svg" viewBox')
    assert clean(f"<p>\n<b>{drawing}</b>\r\n{drawing}</p>", set()).count(svg_address(framed)) == 2
    named = drawing.replace("<svg v", "<svg aria-label='A \"map\"' v", 1)
    assert 'alt="A &quot;map&quot;"' in clean(named, set())
    for broken in ("<svg><g></svg>", "<svg><path", "<svg>&nbsp;</svg>"):
        assert "runs nothing: svg" in clean(broken + "x", set())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("color: red; COLOR : #fff", "color: red; color: #fff"),
        ("background: linear-gradient(90deg, #d65f5f 50.0%, transparent 50.0%)",) * 2,
        ("width: 10em; background-color: rgb(1, 2, 3)",) * 2,
        ("position: fixed; z-index: 9; float: left; content: 'x'; behavior: url(x)", ""),
        ("background: url(//a.example/x)", ""),
        ("background: u\\72l(//a.example/x)", ""),
        ("background: image-set('//a.example/x' 1x)", ""),
        ("background: linear-gradient(url(x), red)", ""),
        ("margin: -900px; margin-left: calc(-9em)", ""),
        ("color: var(--x); font-family: 'a</style><img src=x>'", ""),
        ("color: red}</style><img src=x onerror=1>", ""),
        ("color: {red}; color: blue", "color: blue"),
        ("color: expression(1); @import 'x'; color: red", "color: red"),
    ],
)
def test_only_plain_declarations_stay(given, kept):
    assert safe_style(given) == kept


SHEET = """
@import 'x'; tr { color: red }  p, .a b { color: red }
#t .cell { color: green } #t td { color: blue; position: fixed } #t_1, #u { font-weight: bold } #t > td { color: red }
#t:hover { color: red } @media screen { #t td { color: red } }
"""


def test_a_sheet_is_written_into_the_elements_of_its_table():
    """As pandas and great-tables write them; what it says of elements anywhere does not hold."""
    assert len(list(rules(SHEET))) == 4
    table = "<table id=t><tr><td>1<td class='x cell'>2<td id=t_1 style='color: pink'>3</table>"
    page = safe(clean(f"<style>{SHEET}</style>{table}<table><td class=cell>4</table>", {"t"}))
    assert "<style" not in page
    assert '<td style="color: blue">1</td>' in page
    assert '<td class="x cell" style="color: blue; color: green">2</td>' in page
    assert '<td style="font-weight: bold; color: blue; color: pink" id="t_1">3</td>' in page
    assert '<td class="cell">4</td>' in page
    assert 'id="t-2"' in page, "the sheet means the output's own ids, whatever the page calls them"


def test_pictures_lie_in_the_page():
    page = safe(
        clean("<img src='data:image/png;base64,AA' alt=x><img src='a/b.png'><img src='data:text/html,x'>", set())
    )
    assert page.count("src=") == 1
    assert "a page holds its pictures itself: a/b.png." in page
