"""Where browsers report what their visitors did, and where advertisements lead through."""

from flask import abort, redirect, request
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug import Response

from webapp.campaigns.forms.visits import read_events
from webapp.campaigns.mail_cookie import read_mail_code
from webapp.campaigns.queries import find_ad
from webapp.campaigns.services.ads import CODE, address_of
from webapp.campaigns.services.events import Happening, hold, write
from webapp.campaigns.views.blueprint import blueprint
from webapp.core import clock
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.security import limiter
from webapp.core.shop import get_shop

MAX_BYTES = 16 * 1024


@blueprint.get("/events/token")
@open_to(EVERYONE)
def events_token() -> tuple[dict[str, str] | str, int, dict[str, str]]:
    """Hand out the token that events come with; 204 where none are wanted."""
    headers = {"Cache-Control": "private, no-store"}
    if not _may_record():
        return "", 204, headers
    return {"token": generate_csrf()}, 200, headers


@blueprint.post("/events")
@open_to(EVERYONE)
@limiter.limit("60 per minute", override_defaults=False)
def events() -> tuple[str, int]:
    """Take what a browser reports; 204 and forgotten where it mustn't be kept."""
    if not _may_record():
        return "", 204
    user_id = current_user.id if current_user.is_authenticated else None
    happenings = _with_mail(read_events(_body(), user_id, clock.now()))
    if not hold(happenings):
        write(happenings)
        db.session.commit()
    return "", 202


@blueprint.get("/a/<code>")
@open_to(EVERYONE)
def ad(code: str) -> Response:
    """Lead from an advertisement to its page. The code goes along in the address, no cookie."""
    found = find_ad(code) if CODE.fullmatch(code.lower()) else None
    response = redirect("/" if found is None else address_of(found), 302)
    response.headers["Cache-Control"] = "no-store"
    return response


def _with_mail(happenings: list[Happening]) -> list[Happening]:
    """Add the mail that led this browser here, which its scripts can't see."""
    code = read_mail_code()
    if code is None:
        return happenings
    return [each.model_copy(update={"email_code": each.email_code or code}) for each in happenings]


def _may_record() -> bool:
    """Neither against the visitor's wish nor against the shop's.

    DNT (W3C Tracking Preference Expression) and Sec-GPC (Global Privacy Control) say no with 1.
    """
    wishes = request.headers
    if wishes.get("DNT") == "1" or wishes.get("Sec-GPC") == "1":
        return False
    return get_shop().record_client_events


def _body() -> bytes:
    if request.mimetype != "application/json":
        abort(415)
    if (request.content_length or 0) > MAX_BYTES:
        abort(413)
    body = request.stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        abort(413)
    return body
