"""The sheet of paper that a mail is written on: the shop's layout, or the author's own document."""

from dataclasses import dataclass
from string import ascii_uppercase

from flask import current_app
from markupsafe import Markup, escape
from selectolax.lexbor import LexborHTMLParser, LexborNode

from webapp.campaigns.marks import BROWSER, LEAVE, Mark, write
from webapp.campaigns.models import Email, EmailFormat
from webapp.campaigns.services.compiling.sources import Source, parse
from webapp.catalog.services.products import slugify
from webapp.core.shop import get_shop
from webapp.messaging.models import MailTopic
from webapp.messaging.services.composing import Face, shop_face

LEAVE_MARK, BROWSER_MARK = write(Mark(LEAVE)), write(Mark(BROWSER))
WHY = {
    MailTopic.NEWSLETTER: "You get this mail because you subscribed to the newsletter of {}.",
    MailTopic.OFFERS: "You get this mail because you asked {} for its offers.",
    MailTopic.REMINDERS: "You get this mail because you let {} remind you.",
}
HIDING = "display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all"


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the words: seen by mail programs, and by people in their inbox."""

    subject: str
    preheader: str


def has_layout(email: Email) -> bool:
    """Say whether the mail goes into the shop's layout: Markdown always does."""
    return email.with_layout or email.format is EmailFormat.MARKDOWN


def lay_out(email: Email, source: Source, heading: Heading) -> LexborHTMLParser:
    """Return the whole document as a cleaned tree."""
    if not has_layout(email):
        return _own_document(source, heading)
    html = current_app.jinja_env.get_template("email/campaign.html").render(
        **_context(email),
        lang=_language(),
        subject=heading.subject,
        preheader=heading.preheader,
        bare=email.format is EmailFormat.MJML,
        styles=Markup(source.styles),  # noqa: S704 - cleaned in the tree below
        content=Markup(source.content),  # noqa: S704 - cleaned in the tree below
    )
    return parse(html)


def lay_out_text(email: Email, content: str) -> str:
    """Return the text part, with the way to leave."""
    if has_layout(email):
        template = current_app.jinja_env.get_template("email/campaign.txt")
        return template.render(**_context(email), content=content)
    if LEAVE_MARK in content:
        return content
    return f"{content}\n\nUnsubscribe: {LEAVE_MARK}\n"


def find_content(tree: LexborHTMLParser) -> LexborNode | None:
    """Return what the author wrote within the tree."""
    node = tree.css_first("[data-content]")
    if node is None:
        return tree.body
    del node.attrs["data-content"]
    return node


def finish(email: Email, html: str, trap: str | None) -> str:
    """Return the document with what belongs at its end: leaving, the trap, the pixel."""
    head, _, tail = html.rpartition("</body>")
    end = ""
    if not has_layout(email) and LEAVE_MARK not in html:
        end += (
            '<p style="margin:24px;font:13px/1.6 sans-serif;text-align:center">'
            f'<a href="{LEAVE_MARK}" style="color:#67625a">Unsubscribe</a></p>'
        )
    if trap is not None:
        end += f'<a href="{trap}" aria-hidden="true" tabindex="-1" style="{HIDING}"></a>'
    if email.track_opens:
        end += "{{@pixel}}"
    return f"{head}{end}</body>{tail}"


def utm_of(email: Email, number: int) -> dict[str, str]:
    """Return the UTM parameters of a variant's links to the shop."""
    values = {
        "utm_source": _slug(get_shop().name, "shop"),
        "utm_medium": "email",
        "utm_campaign": email.utm_campaign.strip() or _slug(email.name, "email"),
    }
    if len(email.variants) > 1:
        values["utm_content"] = ascii_uppercase[number - 1]
    return values


def _slug(name: str, otherwise: str) -> str:
    return slugify(name) if any(letter.isalnum() for letter in name) else otherwise


def _own_document(source: Source, heading: Heading) -> LexborHTMLParser:
    tree = parse(source.document)
    head, body, root = tree.head, tree.body, tree.root
    assert head is not None and body is not None and root is not None  # noqa: S101 - as parsed
    if not root.attributes.get("lang"):
        root.attrs["lang"] = _language()
    if tree.css_first("meta[charset]") is None:
        head.insert_child(_node('<meta charset="utf-8">'))
    if tree.css_first("title") is None:
        head.insert_child(_node(f"<title>{escape(heading.subject)}</title>"))
    if heading.preheader and body.first_child is not None:
        hidden = _node(f'<div style="{HIDING}">{escape(heading.preheader)}</div>')
        body.first_child.insert_before(hidden)
    return tree


def _node(html: str) -> LexborNode:
    tree = LexborHTMLParser(f"<!doctype html>{html}")
    node = (tree.head.first_child if tree.head is not None else None) or (
        tree.body.first_child if tree.body is not None else None
    )
    assert node is not None  # noqa: S101 - as parsed
    return node


def _language() -> str:
    return get_shop().locale.replace("_", "-")


def _context(email: Email) -> dict[str, object]:
    face: Face = shop_face()
    return {
        "shop": face,
        "why": WHY[email.topic].format(face.name),
        "leave": LEAVE_MARK,
        "browser": BROWSER_MARK,
    }
