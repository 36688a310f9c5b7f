"""What authors write, Markdown, HTML or MJML, as HTML without anything that acts by itself."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser, LexborNode

from webapp.campaigns.errors import UnreadableBody
from webapp.campaigns.models import EmailFormat
from webapp.campaigns.services.compiling.mjml import render_mjml

MAX_DEPTH = 150
# Sloppy authors forget some, and comments for Outlook hold halves of tables.
MAX_OPEN = 1000
# What HTML takes for a comment, or else for a tag with its attributes (WHATWG, 13.2.5). Each part
# keeps what it took: there is no other way to read it, and none is tried.
MARKUP = re.compile(
    r"<!--(?>-?>|.*?--!?>|.*)|<[!?][^>]*+|</[^a-z>][^>]*+"
    r"|<(/?)([a-z][^ \t\n\r\f/>]*+)"
    r"(?>[ \t\n\r\f/]++"
    r"|(?>=[^ \t\n\r\f/>=]*+|[^ \t\n\r\f/>=]++)"
    r"(?>[ \t\n\r\f]*+=[ \t\n\r\f]*+(?>\"[^\"]*+\"?|'[^']*+'?|[^ \t\n\r\f>]++)?+)?+)*+",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
EMPTY = frozenset(
    {"br", "hr", "img", "meta", "link", "input", "area", "base", "col", "embed", "source", "wbr"}
)
# HTML closes these by itself as soon as the next of their kind begins.
CLOSED_BY_NEXT = frozenset(
    {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "colgroup"}
)
BARE_URL = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]*_]")
# Not shown by mail programs, and dangerous where the mail is shown as a page of the shop.
DROPPED = (
    "script, iframe, frame, frameset, object, embed, applet, noembed, noframes, noscript, "
    "template, svg, math, link, base, input, button, textarea, select, audio, video, "
    "meta[http-equiv=refresh]"
)
ADDRESSES = frozenset({"href", "src", "action", "background", "formaction", "xlink:href", "srcset"})
ACTING = re.compile(r"(?:javascript|vbscript|data(?!:image/(?:png|jpeg|gif|webp)[;,]))\s*:", re.I)
BLANK = re.compile(r"[\x00-\x20\x7f-\xa0]")


@dataclass(frozen=True, slots=True)
class Source:
    """``styles`` are the style elements of the author's own head; ``document`` is all of it."""

    content: str
    styles: str
    document: str


def read_source(format: EmailFormat, body: str) -> Source:
    """Return the body as HTML. Raises UnreadableBody."""
    if format is EmailFormat.MARKDOWN:
        content = render_markdown(body)
        return Source(content, "", content)
    document = body
    if format is EmailFormat.MJML:
        # It is read like XML: nothing is closed by itself.
        refuse_nesting(body, EMPTY)
        document = render_mjml(body)
    tree = parse(document)
    styles = "".join(style.html or "" for style in tree.css("style"))
    for style in tree.css("style"):
        style.decompose()
    inside = tree.body.inner_html if tree.body is not None else ""
    return Source(inside or "", styles, document)


def parse(document: str) -> LexborHTMLParser:
    """Return the cleaned tree. Raises UnreadableBody if it is nested too deeply."""
    refuse_nesting(document, EMPTY | CLOSED_BY_NEXT)
    tree = LexborHTMLParser(document)
    root = tree.root
    if root is not None and _depth_of(root) > MAX_DEPTH:
        raise _too_deep()
    if root is None or tree.body is None:
        tree = LexborHTMLParser("<p></p>")
        root = tree.root
        assert root is not None  # noqa: S101 - of a constant
    for node in tree.css(DROPPED):
        node.decompose()
    tree.unwrap_tags(["form"])
    for node in root.traverse():
        _clean(node)
    return tree


def _clean(node: LexborNode) -> None:
    for name, value in node.attributes.items():
        acts = name in ADDRESSES and ACTING.match(BLANK.sub("", value or ""))
        if name.startswith("on") or name == "srcdoc" or acts:
            del node.attrs[name]


def refuse_nesting(source: str, uncounted: frozenset[str]) -> None:
    """Raise UnreadableBody for so many open elements that parsers take minutes, or fall over.

    It is asked before anything else reads them, and rather counts too many: a tag closes the last
    one that was opened, or nothing, and ``<div/>`` is open, as HTML has it.
    """
    still_open: list[str] = []
    for markup in MARKUP.finditer(source):
        said = markup.group(2) or ""
        # The Kelvin sign is no K to HTML.
        name = said.lower() if said.isascii() else said
        if not name or name in uncounted:
            continue
        if not markup.group(1):
            still_open.append(name)
        elif still_open and still_open[-1] == name:
            still_open.pop()
        if len(still_open) > MAX_OPEN:
            raise _too_deep()


def _too_deep() -> UnreadableBody:
    return UnreadableBody(
        f"The body holds elements nested more than {MAX_DEPTH} deep: something is probably never "
        "closed."
    )


def _depth_of(root: LexborNode) -> int:
    node, depth, deepest = root, 0, 0
    while True:
        if node.first_child is not None:
            node, depth = node.first_child, depth + 1
            deepest = max(deepest, depth)
            continue
        while node.next is None:
            if depth <= 1 or node.parent is None:
                return deepest
            node, depth = node.parent, depth - 1
        node = node.next


def render_markdown(body: str) -> str:
    """Return the HTML of CommonMark with tables, struck-out words and bare addresses as links.

    Tags in it are words. A link in bold that stands alone in its paragraph is a button.
    """
    return _dress(_markdown.render(body))


def _dress(html: str) -> str:
    tree = LexborHTMLParser(f"<body>{html}</body>")
    for table in tree.css("table"):
        table.attrs["class"] = "table"
    for paragraph in tree.css("p"):
        only = _only_child(paragraph)
        inner = _only_child(only) if only is not None else None
        if only is None:
            continue
        if only.tag == "strong" and inner is not None and inner.tag == "a":
            _make_button(paragraph, inner)
        elif "img" in (only.tag, inner.tag if inner is not None else ""):
            paragraph.attrs["class"] = "picture"
            for picture in paragraph.css("img"):
                # Outlook knows no other way to keep it within the sheet.
                picture.attrs["width"] = "536"
    return (tree.body.inner_html if tree.body is not None else "") or ""


def _make_button(paragraph: LexborNode, link: LexborNode) -> None:
    """Outlook gives a link no padding, so the button is a cell."""
    link.attrs["class"] = "button"
    cell = f'<table role="presentation" class="action"><tr><td>{link.html}</td></tr></table>'
    button = LexborHTMLParser(cell).css_first("table")
    if button is not None:
        paragraph.insert_before(button)
        paragraph.decompose()


def _only_child(node: LexborNode) -> LexborNode | None:
    child = node.first_child
    return child if child is not None and child.next is None and child.is_element_node else None


def _link_addresses(state: StateCore) -> None:
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = list(_linked(block.children))


def _linked(tokens: list[Token]) -> list[Token]:
    made: list[Token] = []
    inside = 0
    for token in tokens:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        made += [token] if inside or token.type != "text" else _split(token.content)
    return made


def _split(words: str) -> list[Token]:
    made: list[Token] = []
    at = 0
    for found in BARE_URL.finditer(words):
        made.append(Token("text", "", 0, content=words[at : found.start()]))
        href = _markdown.normalizeLink(found.group())
        made.append(Token("link_open", "a", 1, attrs={"href": href}))
        made.append(Token("text", "", 0, content=found.group()))
        made.append(Token("link_close", "a", -1))
        at = found.end()
    made.append(Token("text", "", 0, content=words[at:]))
    return made


_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_markdown.core.ruler.push("addresses", _link_addresses)
