"""The pixel and the links of a mail: answered while Postgres and Redis are away, noted for later.

There is no address in a request, only the number of a registered link. Who asks not to be followed
(DNT, Sec-GPC) is led on, and nothing is noted or kept. Not limited by address: mail providers
fetch for millions of readers from a few of them.
"""

import random
import uuid
from base64 import b64decode
from functools import lru_cache

from flask import Response, request

from webapp.campaigns.codes import Code, read_code
from webapp.campaigns.errors import LinksUnavailable
from webapp.campaigns.mail_cookie import keep_mail_code
from webapp.campaigns.models import TrackingKind
from webapp.campaigns.services.tracking.event import AGENT, Event
from webapp.campaigns.services.tracking.holding import hold
from webapp.campaigns.services.tracking.links import find_link
from webapp.campaigns.views.blueprint import blueprint
from webapp.core import clock
from webapp.core.access import EVERYONE, open_to
from webapp.core.audit import network_of
from webapp.core.lean import light

PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
AWAY = {**HEADERS, "Retry-After": "5"}
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{0}</title>'
    '<h1>{0}</h1><p>{1}</p><p><a href="/">To the shop</a></p></html>'
)
INCOMPLETE = PAGE.format(
    "This link is not complete",
    "Perhaps the mail program cut it off. Open it from the mail again, or look around in the shop.",
)
UNAVAILABLE = PAGE.format(
    "One moment, please", "We can't look up where this link leads just now. Try it again."
)

_network_of = lru_cache(maxsize=4096)(network_of)


@blueprint.get("/o/<code>.gif")
@open_to(EVERYONE)
@light
def opened(code: str) -> Response:
    """Answer the pixel of a mail."""
    read = read_code(code)
    if read is None:
        return Response(INCOMPLETE, 404, HEADERS)
    if not _asks_to_be_left_alone():
        hold(_event(read, TrackingKind.OPEN, None))
    return Response(PIXEL, 200, HEADERS, "image/gif")


@blueprint.get("/c/<code>/<int:number>")
@open_to(EVERYONE)
@light
def click(code: str, number: int) -> Response:
    """Lead to a registered link. One that isn't registered (any more) leads to the front page."""
    read = read_code(code)
    if read is None:
        return Response(INCOMPLETE, 404, HEADERS)
    try:
        link = find_link(read.email_id, number)
    except LinksUnavailable:
        return Response(UNAVAILABLE, 503, AWAY)
    if link is None:
        return Response(status=302, headers={"Location": "/", **HEADERS})
    response = Response(status=302, headers={"Location": link.url, **HEADERS})
    if _asks_to_be_left_alone():
        return response
    hold(_event(read, TrackingKind.TRAP if link.trap else TrackingKind.CLICK, number))
    if link.ours and not link.trap and request.method == "GET":
        keep_mail_code(response, code)
    return response


def _asks_to_be_left_alone() -> bool:
    wishes = request.environ
    return wishes.get("HTTP_DNT") == "1" or wishes.get("HTTP_SEC_GPC") == "1"


def _event(code: Code, kind: TrackingKind, number: int | None) -> Event:
    return Event(
        # No secret, only different: asking the system for it would cost a turn.
        event_id=uuid.UUID(int=random.getrandbits(128), version=4),
        email_id=code.email_id,
        recipient_id=code.recipient_id,
        secret=code.secret,
        kind=kind,
        link=number,
        method=request.method,
        agent=request.environ.get("HTTP_USER_AGENT", "")[:AGENT],
        network=_network_of(request.remote_addr),
        at=clock.now(),
    )
