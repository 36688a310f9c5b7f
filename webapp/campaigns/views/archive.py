"""Mails as pages: a public archive with a feed, and each recipient's own copy.

A mail's document has styles within it, which no page of ours may have. It stands by itself, under
a policy that lets it look like anything and do nothing, in a frame of the archive's page.
"""

import re
from datetime import UTC, datetime
from hashlib import sha256

from flask import Response, abort, make_response, render_template, request

from webapp.campaigns.services import archiving
from webapp.campaigns.views.blueprint import blueprint
from webapp.core.access import EVERYONE, open_to
from webapp.core.state import current_config

NUMBER = re.compile(r"[1-9][0-9]{0,5}")
HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# Links lead out of the frame.
BASE = '<base target="_top">'
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src * data:; font-src *; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; "
    "sandbox allow-top-navigation-by-user-activation allow-top-navigation allow-popups "
    "allow-popups-to-escape-sandbox"
)


@blueprint.get("/archive")
@open_to(EVERYONE)
def archive() -> str:
    """List the public mails, newest first."""
    text = request.args.get("page", "1")
    if not NUMBER.fullmatch(text):
        abort(404)
    return render_template("campaigns/archive.html", page=archiving.list_archived(int(text)))


@blueprint.get("/archive/<slug>")
@open_to(EVERYONE)
def archived(slug: str) -> str:
    return render_template("campaigns/archived.html", mail=archiving.find_archived(slug))


@blueprint.get("/archive/<slug>/mail")
@open_to(EVERYONE)
def archived_mail(slug: str) -> Response:
    """Answer with the document that the page of an archived mail frames."""
    answer = _document(archiving.archived_html(archiving.find_archived(slug)))
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@blueprint.get("/m/<leaving>")
@open_to(EVERYONE)
def mail_in_browser(leaving: str) -> Response:
    """Answer with one recipient's own copy, for mail programs that show it badly."""
    answer = _document(archiving.browser_html(leaving))
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@blueprint.get("/feed.xml")
@open_to(EVERYONE)
def feed() -> Response:
    """Atom (RFC 4287) of the newest public mails; readers ask often and mostly hear 304."""
    mails = archiving.list_newest()
    updated_at = max((mail.sent_at for mail in mails), default=NEVER)
    base = current_config().base_url.rstrip("/")
    xml = render_template("campaigns/feed.xml", base=base, mails=mails, updated_at=updated_at)
    answer = make_response(xml)
    answer.mimetype = "application/atom+xml"
    answer.set_etag(sha256(xml.encode()).hexdigest()[:32])
    if mails:
        answer.last_modified = updated_at
    answer.headers["Cache-Control"] = "public, max-age=300"
    return make_response(answer.make_conditional(request))


def _document(html: str) -> Response:
    answer = make_response(_with_base(html))
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def _with_base(html: str) -> str:
    found = HEAD.search(html)
    if found is None:
        return BASE + html
    return html[: found.end()] + BASE + html[found.end() :]
