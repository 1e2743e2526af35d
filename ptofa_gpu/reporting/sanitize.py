"""The last step to a page: what is not allowed by name goes, read as a browser reads it."""

from __future__ import annotations

import re

from ptofa_gpu._lazy import require
from ptofa_gpu.reporting.addresses import SCHEME
from ptofa_gpu.reporting.sheets import names, safe_style

_MATH = names(
    """math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace msqrt mstyle
    msub msubsup msup mtable mtd mtext mtr munder munderover none"""
)
_TEXT = names(
    """a abbr b bdi bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure
    h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp section small span strong sub summary sup
    table tbody td tfoot th thead time tr u ul var wbr"""
)
_OF_MATH = names(
    """accent accentunder columnalign columnlines columnspacing columnspan depth display displaystyle fence form height
    largeop linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits notation
    rowalign rowlines rowspacing rowspan rspace scriptlevel separator stretchy symmetric voffset width"""
)
_ATTRIBUTES = {
    "*": set(
        names(
            """aria-describedby aria-hidden aria-label aria-labelledby class dir id lang role style tabindex
            title"""
        )
    ),
    "a": {"href"},
    "col": {"span"},
    "colgroup": {"span"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "li": {"value"},
    "ol": {"reversed", "start", "type"},
    "td": {"colspan", "headers", "rowspan"},
    "th": {"abbr", "colspan", "headers", "rowspan", "scope"},
    "time": {"datetime"},
} | {tag: set(_OF_MATH) for tag in _MATH}
#: elements that go with what they hold; of others that are not allowed the words stay
_WITH_CONTENT = names(
    """applet audio base canvas embed frame frameset head iframe link meta noembed noframes noscript object plaintext
    script select style svg template textarea title video xmp"""
)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)


def safe(markup: str) -> str:
    """Return the HTML of a page's body with text, tables, pictures inside it and formulas only; links can be clicked.

    Examples
    --------
    >>> safe("<svg><style>x</style></svg><script>1</script><b onclick='f()'>x</b>")
    '<b>x</b>'
    """
    nh3 = require("nh3", "the report")
    return str(
        nh3.clean(
            markup,
            tags=set(_TEXT | _MATH),
            attributes=_ATTRIBUTES,
            clean_content_tags=set(_WITH_CONTENT),
            attribute_filter=_attribute,
            url_schemes={"http", "https", "mailto", "data"},
            link_rel="noopener noreferrer",
        )
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return safe_style(value) or None
    if name == "src":
        return value if _PICTURE.match(value) else None
    if name == "href" and (scheme := SCHEME.match(re.sub(r"[\x00-\x20]", "", value))):
        return None if scheme[1].lower() == "data" else value
    return value
