"""Checks of links and pictures, as far as they can be judged without fetching anything."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from webapp.campaigns.services.checking.finding import Finding, Sheet, error, hint, warning
from webapp.campaigns.services.compiling import Anchor, Compiled, Picture
from webapp.core.config import Env
from webapp.core.state import current_config

MANY_LINKS = 50
SHORTENERS = frozenset(
    {"bit.ly", "t.co", "tinyurl.com", "goo.gl", "ow.ly", "is.gd", "buff.ly", "rebrand.ly"}
    | {"cutt.ly", "t.ly", "rb.gy", "shorturl.at", "tiny.cc", "lnkd.in", "bl.ink", "v.gd"}
)
AT_HOME = re.compile(r"localhost|127\.[\d.]+|0\.0\.0\.0|::1|.*\.(?:local|localhost|test|internal)")
SITE = re.compile(r"(?:www\.|[a-z0-9-]+\.(?:com|org|net|shop|io|co|de|uk|fr|eu)\b)", re.IGNORECASE)
URL = re.compile(r"https?://(?:www\.)?([^/\s?#:]+)", re.IGNORECASE)
NO_WORDS = frozenset({"click here", "here", "click", "link", "this link", "read more"})


def check_links(sheet: Sheet) -> Iterator[Finding]:
    if sheet.compiled is None:
        return
    for anchor in sheet.compiled.anchors:
        yield from _check_anchor(anchor)
    for picture in sheet.compiled.pictures:
        yield from _check_picture(picture)
    if len(sheet.compiled.links) > MANY_LINKS:
        yield hint("links_many", f"{len(sheet.compiled.links)} links are more than people follow.")


def addresses(compiled: Compiled) -> tuple[list[str], list[str]]:
    """Return what can be fetched: the addresses of links, and of pictures."""
    pages = [anchor.url for anchor in compiled.anchors if anchor.url is not None]
    pictures = [each.src for each in compiled.pictures if each.src.startswith("http")]
    return list(dict.fromkeys(pages)), list(dict.fromkeys(pictures))


def _check_anchor(anchor: Anchor) -> Iterator[Finding]:
    shown = f"“{anchor.words[:40]}”" if anchor.words else "A link without words"
    if anchor.fault == "empty":
        yield error("link_empty", f"{shown} leads nowhere: give the link an address.")
    elif anchor.fault == "variable":
        yield error(
            "link_variable",
            f"{shown} has a variable in its address, and addresses are registered before anybody "
            "gets the mail: write it out.",
        )
    elif anchor.fault or SITE.match(anchor.raw):
        yield error(
            "link_syntax",
            f"{shown} leads to “{anchor.raw[:80]}”, which is no address: write https://… or a page "
            "of the shop like /products.",
        )
    if anchor.url is None:
        return
    yield from _check_host("link", shown, anchor.url)
    yield from _check_words(anchor, anchor.url)


def _check_words(anchor: Anchor, url: str) -> Iterator[Finding]:
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    if not anchor.words:
        yield warning("link_words", f"The link to {url[:80]} has no words: nobody can choose it.")
    elif anchor.words.lower() in NO_WORDS:
        yield hint("link_words", f"“{anchor.words}” says nothing alone: name what is behind it.")
    shown = URL.match(anchor.words)
    # An international name is registered in its other spelling.
    if shown and shown.group(1).isascii() and shown.group(1).lower() != host:
        yield warning(
            "link_pretends",
            f"A link shows {shown.group(1)} and leads to {host}: filters take that for fraud.",
        )
    if host in SHORTENERS:
        yield warning(
            "link_short", f"Link to where it leads, not to {host}: filters distrust shorteners."
        )


def _check_picture(picture: Picture) -> Iterator[Finding]:
    name = picture.src.rpartition("/")[2][:60] or "without an address"
    if picture.alt is None:
        yield warning(
            "picture_alt",
            f"Say in “alt” what the picture {name} shows: many see mails without pictures.",
        )
    if not picture.src or "{{" in picture.src:
        yield error("picture_address", f"Give the picture {name} an address of its own.")
    elif picture.src.startswith("data:"):
        yield warning(
            "picture_inside", "A picture is written into the body: Gmail doesn't show it. Link it."
        )
    elif not picture.src.startswith(("http", "cid:")):
        yield error("picture_address", f"The picture {name} has no address that can be fetched.")
    else:
        yield from _check_host("picture", f"The picture {name}", picture.src)


def _check_host(code: str, shown: str, url: str) -> Iterator[Finding]:
    """In development everything is at home, so only production minds."""
    parts = urlsplit(url)
    if current_config().app_env is not Env.PRODUCTION:
        return
    if AT_HOME.fullmatch(parts.hostname or ""):
        yield error(
            f"{code}_at_home", f"{shown} leads to {parts.hostname}, which nobody else can reach."
        )
    elif parts.scheme == "http":
        yield warning(f"{code}_unsafe", f"{shown} leads to http: write https if the site has it.")
