"""A sent mail with what was clicked drawn over it: each link bears its number and its share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from selectolax.lexbor import LexborHTMLParser, LexborNode
from werkzeug import Response

from admin.campaigns.looks import FRAME_HEADERS
from webapp.campaigns.marks import CLICK, OURS, PIXEL, Mark
from webapp.campaigns.services.compiling import constants, fill

PLACE = "#click-"
NUMBER = re.compile(r"#click-([0-9]{1,5})")
# Of the mail's frame, in pixels: what stands around the words, a picture, and where it scrolls.
AROUND, PICTURE, TALLEST = 120, 220, 960
# Inline, as a mail's own sheet could take hold of any class. The share is also in the depth of
# the colour; the words stay readable on both ends of it.
BADGE = (
    "display:inline-block;margin:0 5px 0 0;padding:0 7px;border-radius:10px;border:1px solid"
    " {edge};background:{fill};color:{ink};font:600 11px/18px Arial,sans-serif;letter-spacing:0;"
    "text-transform:none;text-decoration:none;white-space:nowrap;vertical-align:middle"
)


@dataclass(frozen=True, slots=True)
class Clicked:
    """People's clicks on one link, and which part of all the mail's clicks they are."""

    number: int
    clicks: int
    share: float


def draw(html: str, clicked: Mapping[int, Clicked]) -> str:
    """Return a frozen mail as a document with a badge in each link that is in ``clicked``."""
    tree = LexborHTMLParser(fill(html, _shown))
    for link in tree.css("a[href]"):
        found = NUMBER.fullmatch(link.attributes.get("href") or "")
        one = clicked.get(int(found[1])) if found else None
        if one is not None:
            _pin(link, one)
    document = tree.html or ""
    return document if document[:9].lower() == "<!doctype" else f"<!DOCTYPE html>{document}"


def height_of(html: str, text: str) -> int:
    """Return about how tall a mail is, in pixels: from outside nobody can measure it."""
    lines = [line for line in text.splitlines() if line.strip()]
    words = sum(24 * -(-len(line) // 60) + 14 for line in lines)
    return min(AROUND + words + PICTURE * html.count("<img"), TALLEST)


def answer(html: str) -> Response:
    """Return a mail's document, which may look like anything and do nothing."""
    response = Response(html, mimetype="text/html")
    response.headers.extend(FRAME_HEADERS)
    return response


def _shown(mark: Mark) -> str:
    if mark.name == CLICK:
        return f"{PLACE}{mark.number}"
    if mark.name in OURS:
        return "" if mark.name == PIXEL else "#"
    known = constants().get(mark.name)
    return escape(known or mark.fallback or f"[{mark.name}]", quote=True)


def _pin(link: LexborNode, one: Clicked) -> None:
    words = f"{one.number} · {one.share:.0%}"
    clicks = "click" if one.clicks == 1 else "clicks"
    title = f"Link {one.number}: {one.clicks:,} {clicks}, {one.share:.1%} of all"
    badge = LexborHTMLParser(
        f'<span style="{_style(one.share)}" title="{escape(title)}">{words}</span>'
    ).css_first("span")
    first = link.child
    if badge is None:
        return
    if first is None:
        link.insert_child(badge)
    else:
        first.insert_before(badge)


def _style(share: float) -> str:
    if share >= 0.2:
        return BADGE.format(edge="#8f1d17", fill="#b3261e", ink="#fff")
    if share > 0:
        return BADGE.format(edge="#b3261e", fill="#fbe3e0", ink="#7d1812")
    return BADGE.format(edge="#8b857a", fill="#f2efe9", ink="#4d4942")
