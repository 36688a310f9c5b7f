"""Where Stripe calls: check, keep, ring, answer. Everything else is a job's."""

import logging

from flask import Blueprint, Response, current_app, request

from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.queue import ring
from webapp.core.security import csrf, limiter
from webapp.core.state import current_config
from webapp.payments.errors import InvalidWebhook
from webapp.payments.gateway import verify_event
from webapp.payments.services import record_event

logger = logging.getLogger(__name__)
blueprint = Blueprint("payments", __name__)

MAX_BYTES = 512 * 1024
REFUSED = "stripe_webhooks_refused"


def _was_refused(response: Response) -> bool:
    return response.status_code == 400


@blueprint.post("/webhooks/stripe")
@open_to(EVERYONE)
@csrf.exempt
@limiter.limit("100 per minute", deduct_when=_was_refused)
def stripe_webhook() -> tuple[dict[str, object], int]:
    """Answer 200 once the event is safe in Postgres; 400 for anything but a signed event.

    Signed events are never limited; an address that sends others is, after 100 a minute.
    """
    config = current_config()
    try:
        event = verify_event(_body(), request.headers.get("Stripe-Signature", ""), _secrets())
    except InvalidWebhook as refused:
        count = current_app.extensions[REFUSED] = current_app.extensions.get(REFUSED, 0) + 1
        logger.warning("webhook refused", extra={"why": refused.sentence, "count": count})
        return {"error": {"code": refused.code, "message": refused.sentence}}, 400
    live = config.stripe_secret_key.startswith(("sk_live_", "rk_live_"))
    waits = record_event(event, ours=event.livemode == live)
    db.session.commit()
    if waits:
        ring("jobs.payments.drain_events")
    return {"received": True}, 200


def _body() -> bytes:
    if request.mimetype != "application/json":
        raise InvalidWebhook("the content is not JSON")
    if request.content_length is None or request.content_length > MAX_BYTES:
        raise InvalidWebhook("the body is too long or of unknown length")
    return request.get_data(cache=False)


def _secrets() -> list[str]:
    secrets = current_config().webhook_secrets
    if not secrets:
        raise InvalidWebhook("no signing secret is set, so nothing can be checked")
    return secrets
