"""Where mails' leaving links lead. Opening one changes nothing: mail scanners open every link.

Two ways out: the mail program's own button posts RFC 8058's single field from its provider's
machines; people press a button on our page. Neither needs a cookie of ours.
"""

from flask import Response, flash, make_response, redirect, render_template, request, url_for
from werkzeug import Response as AnyResponse

from webapp.accounts.views.keys import unshared
from webapp.campaigns.errors import NoSuchLeavingLink, NotOneClick
from webapp.campaigns.forms.leaving import LeaveForm
from webapp.campaigns.models import LeaveReason, LeaveWay
from webapp.campaigns.services import unsubscribing
from webapp.campaigns.services.unsubscribing import Reader
from webapp.campaigns.views.blueprint import blueprint
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.limits import counted_address
from webapp.core.security import csrf, limiter
from webapp.messaging.models import MailTopic
from webapp.messaging.services.consent import TOPICS, consents_of

TITLES = {topic.topic: topic.title for topic in TOPICS}
SAVED = "Saved."


def _counted() -> str:
    """Count each good link by itself: few machines of a provider press for all its customers."""
    key: str = (request.view_args or {}).get("leaving", "")
    try:
        # Not the token itself: in capitals it would be another one.
        return "{}/{}".format(*unsubscribing.read_leaving_token(key))
    except NoSuchLeavingLink:
        return counted_address()


@blueprint.get("/u/<leaving>")
@open_to(EVERYONE)
def leaving(leaving: str) -> Response:
    """Show what can be left and chosen."""
    reader = _find_reader(leaving)
    if reader is None:
        return _private(render_template("campaigns/left_nobody.html"))
    return _page(leaving, reader, LeaveForm())


@blueprint.post("/u/<leaving>")
@open_to(EVERYONE)
@csrf.exempt
@limiter.limit("60 per minute", key_func=_counted, override_defaults=True)
def leave_at_once(leaving: str) -> Response:
    """RFC 8058: unsubscribe by the one field that says so, in either encoding, and say 200."""
    numbers = unsubscribing.read_leaving_token(leaving)
    if request.form.getlist("List-Unsubscribe") != ["One-Click"]:
        raise NotOneClick
    unsubscribing.leave(*numbers, LeaveWay.HEADER)
    db.session.commit()
    plain = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    return make_response("You are unsubscribed.\n", 200, plain)


@blueprint.post("/u/<leaving>/leave")
@open_to(EVERYONE)
@csrf.exempt
def leave(leaving: str) -> AnyResponse:
    """Leave the mail's topic, or all of them; or say why, after having left.

    Also for a browser that keeps no cookies, like those within mail programs: the address of this
    page is signed and nobody else has it.
    """
    reader = _find_reader(leaving)
    if reader is None:
        return _back_to(leaving)
    form = LeaveForm()
    if not form.validate():
        return _page(leaving, reader, form, 422)
    topics = tuple(MailTopic) if request.form.get("what") == "all" else (reader.topic,)
    unsubscribing.leave(
        reader.email_id,
        reader.recipient_id,
        LeaveWay.PAGE,
        form.said(),
        form.comment.data or "",
        topics,
    )
    db.session.commit()
    return _back_to(leaving)


@blueprint.post("/u/<leaving>/back")
@open_to(EVERYONE)
def come_back(leaving: str) -> AnyResponse:
    reader = _find_reader(leaving)
    if reader is not None:
        unsubscribing.come_back(reader, [reader.topic])
        db.session.commit()
        flash(f"Good to have you back: {TITLES[reader.topic].lower()} is on again.", "success")
    return _back_to(leaving)


@blueprint.post("/u/<leaving>/topics")
@open_to(EVERYONE)
def choose_topics(leaving: str) -> AnyResponse:
    """Have exactly the ticked topics sent."""
    reader = _find_reader(leaving)
    if reader is not None:
        named = set(request.form.getlist("topics"))
        unsubscribing.choose_topics(reader, [each for each in MailTopic if each.value in named])
        db.session.commit()
        flash(SAVED, "success")
    return _back_to(leaving)


@blueprint.post("/u/<leaving>/tracking")
@open_to(EVERYONE)
def choose_tracking(leaving: str) -> AnyResponse:
    """Record opens and clicks, or stop it."""
    reader = _find_reader(leaving)
    if reader is not None:
        unsubscribing.choose_tracking(reader.address, record="record" in request.form)
        db.session.commit()
        flash(SAVED, "success")
    return _back_to(leaving)


def _find_reader(leaving: str) -> Reader | None:
    return unsubscribing.find_reader(*unsubscribing.read_leaving_token(leaving))


def _back_to(leaving: str) -> AnyResponse:
    return redirect(url_for("campaigns.leaving", leaving=leaving), 303)


def _page(leaving: str, reader: Reader, form: LeaveForm, status: int = 200) -> Response:
    standing = consents_of(reader.address)
    said = standing.get(reader.topic)
    noted = unsubscribing.find_reason(reader)
    page = render_template(
        "campaigns/leaving.html",
        form=form,
        leaving=leaving,
        address=masked(reader.address),
        topic=TITLES[reader.topic],
        has_left=said is not None and not said.wanted,
        said_why=noted is not None and noted.reason is not LeaveReason.UNSAID,
        topics=[(each, standing.get(each.topic)) for each in TOPICS],
        is_tracked=unsubscribing.is_tracked(reader.address),
    )
    return _private(page, status)


def _private(page: str, status: int = 200) -> Response:
    response = unshared(page, status)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def masked(address: str) -> str:
    """Return an address that its owner knows again, and that tells a stranger little."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1] if len(local) > 1 else ''}•••@{domain}"
