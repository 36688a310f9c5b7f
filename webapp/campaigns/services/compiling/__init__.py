"""Makes of what an author wrote what is sent: laid out, inlined, its links registered.

What comes out still holds marks. In HTML, whoever fills them escapes each value and each
fallback; in the text part and in subjects they stand as they are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import css_inline
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import delete

from webapp.campaigns import marks
from webapp.campaigns.errors import UnreadableBody
from webapp.campaigns.marks import Mark
from webapp.campaigns.models import Email, EmailFormat, EmailLink, EmailVariant
from webapp.campaigns.places import CONTROL
from webapp.campaigns.services.compiling.held import Held
from webapp.campaigns.services.compiling.links import Anchor, Link, Linker
from webapp.campaigns.services.compiling.plain import plain_text, words_of
from webapp.campaigns.services.compiling.sheet import (
    Heading,
    find_content,
    finish,
    has_layout,
    lay_out,
    lay_out_text,
    utm_of,
)
from webapp.campaigns.services.compiling.sources import BARE_URL, read_source
from webapp.campaigns.services.settings import get_settings
from webapp.core.db import db
from webapp.core.shop import get_shop
from webapp.core.state import current_config

_inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)


@dataclass(frozen=True, slots=True)
class Picture:
    """``src`` is absolute. ``alt`` is None where the author gave none; an empty one is given."""

    src: str
    alt: str | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """What is sent of one variant, and what its checks want to know.

    ``written`` is what can be read of the author's words, without the layout's.
    """

    html: str
    text: str
    links: list[Link]
    anchors: list[Anchor]
    pictures: list[Picture]
    written: str


def compile_variant(email: Email, variant: EmailVariant) -> Compiled:
    """Return the variant as it would be sent now. Raises UnreadableBody.

    Links are numbered over all variants, so the ones before it are compiled too.
    """
    for number, made in compile_all(email):
        if number == variant.number:
            if isinstance(made, UnreadableBody):
                raise made
            return made
    raise ValueError("the variant is not the mail's own")


def compile_all(email: Email) -> Iterator[tuple[int, Compiled | UnreadableBody]]:
    """Yield each variant's number with what would be sent of it, or why nothing can be."""
    first = 1
    for variant in email.variants:
        try:
            made = _compile(email, variant, first)
        except UnreadableBody as refusal:
            yield variant.number, refusal
            continue
        first += len(made.links)
        yield variant.number, made


def freeze(email: Email) -> list[Compiled]:
    """Write what is sent into the variants and register their links; flushes.

    Raises UnreadableBody. From then on the mail no longer depends on its author's words, the
    layout or the shop's settings.
    """
    made: list[Compiled] = []
    rows: list[EmailLink] = []
    for variant in email.variants:
        compiled = _compile(email, variant, len(rows) + 1)
        variant.html, variant.text = compiled.html, compiled.text
        # What is the same for everybody is not among the values of a recipient.
        variant.subject = fill_constants(variant.subject)
        rows += [
            EmailLink(
                email_id=email.id,
                number=link.number,
                variant=variant.number,
                url=link.url,
                trap=link.trap,
            )
            for link in compiled.links
        ]
        made.append(compiled)
    unregister(email)
    db.session.add_all(rows)
    db.session.flush()
    return made


def unfreeze(email: Email) -> None:
    """Forget what ``freeze`` wrote; flushes."""
    for variant in email.variants:
        variant.html = variant.text = ""
    unregister(email)


def unregister(email: Email) -> None:
    db.session.flush()
    db.session.execute(delete(EmailLink).where(EmailLink.email_id == email.id))
    db.session.expire(email, ["links"])


def fill(template: str, values: Callable[[Mark], str]) -> str:
    """Return the words with each mark replaced by ``values(mark)``.

    Fallbacks are for ``values`` to apply, and for HTML it must escape what it returns (quotes
    too, as marks stand in attributes), except for the pixel.
    """
    return "".join(
        part if isinstance(part, str) else values(part) for part in marks.split(template)
    )


def fill_line(template: str, values: Callable[[Mark], str]) -> str:
    """Return a filled header: a value with a line break would begin another one."""
    return " ".join(CONTROL.sub(" ", fill(template, values)).split())


def constants() -> dict[str, str]:
    """Return the variables that are the same for everybody."""
    return {
        "shop_name": get_shop().name,
        "shop_url": current_config().base_url.rstrip("/"),
    }


def fill_constants(words: str) -> str:
    """Return plain words in which only the marks that differ between people are left."""
    fixed = constants()
    return fill(words, lambda mark: fixed.get(mark.name) or marks.write(mark))


def _compile(email: Email, variant: EmailVariant, first: int) -> Compiled:
    held = Held(constants())
    is_markdown = email.format is EmailFormat.MARKDOWN
    body = held.hold(variant.body) if is_markdown else held.hold_markup(variant.body)
    heading = Heading(held.hold(variant.subject), held.hold(variant.preheader))
    tree = lay_out(email, read_source(email.format, body), heading)
    linker = Linker(
        base=current_config().base_url.rstrip("/"),
        utm=_utm(email, variant.number),
        tracked=email.track_clicks,
        first=first,
        held=held,
    )
    pictures = _address(tree, linker)
    content = find_content(tree)
    made = plain_text(content) if content is not None else ""
    text = lay_out_text(email, held.to_text(_own_text(variant, linker, held) or made))
    trap = linker.trap() if email.track_clicks and linker.links else None
    html = finish(email, held.to_html(_inline(tree)), trap)
    written = held.to_text(made)
    return Compiled(html, _tidy(text), linker.links, linker.anchors, pictures, written)


def _utm(email: Email, number: int) -> Mapping[str, str]:
    return utm_of(email, number) if get_settings().utm else {}


def _address(tree: LexborHTMLParser, linker: Linker) -> list[Picture]:
    """Give links and pictures the addresses they have in a mail; returns the pictures."""
    for link in tree.css("a[href], area[href]"):
        href = linker.follow(link.attributes.get("href") or "", words_of(link))
        link.attrs["href"] = href
    pictures = []
    for picture in tree.css("img"):
        attributes = picture.attributes
        src = linker.absolute(attributes.get("src") or "")
        picture.attrs["src"] = src
        alt = attributes.get("alt") or "" if "alt" in attributes else None
        pictures.append(Picture(linker.held.to_text(src), alt))
    for node in tree.css("[background]"):
        node.attrs["background"] = linker.absolute(node.attributes.get("background") or "")
    return pictures


def _own_text(variant: EmailVariant, linker: Linker, held: Held) -> str:
    """Return the text part that the author wrote, with the HTML's links; empty if none."""
    words = held.hold(variant.written_text.strip())
    return BARE_URL.sub(lambda found: linker.same(found.group()), words)


def _inline(tree: LexborHTMLParser) -> str:
    try:
        html = _inliner.inline(tree.html or "")
    except css_inline.InlineError as error:
        raise UnreadableBody(f"The styles can't be read: {str(error)[:200]}.") from None
    document = str(html)
    return document if document[:9].lower() == "<!doctype" else f"<!DOCTYPE html>{document}"


def _tidy(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


__all__ = [
    "Anchor",
    "Compiled",
    "Link",
    "Picture",
    "compile_all",
    "compile_variant",
    "constants",
    "fill",
    "fill_constants",
    "fill_line",
    "freeze",
    "has_layout",
    "unfreeze",
]
