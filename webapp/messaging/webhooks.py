"""Where mail providers report bounces: check, keep, ring, answer. A job understands them later."""

import hashlib
import logging
from collections.abc import Callable

from flask import Blueprint, Response, request

from webapp.core import clock
from webapp.core.access import EVERYONE, open_to
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.queue import Queue, enqueue, ring
from webapp.core.security import csrf, limiter
from webapp.core.state import current_config
from webapp.messaging.errors import InvalidMailWebhook, NotReporting, WebhookTooLarge
from webapp.messaging.gateway.sendgrid import verify_sendgrid
from webapp.messaging.gateway.sns import NOTIFICATION, verify_sns
from webapp.messaging.models import ReportSource
from webapp.messaging.services.reports import READ, keep_report

logger = logging.getLogger(__name__)
blueprint = Blueprint("messaging", __name__)

Answer = tuple[dict[str, object], int]

# SNS sends 256 KiB at most, SendGrid batches of some hundred KiB.
MAX_BYTES = 1024 * 1024
CONFIRM = "jobs.messaging.confirm_subscription"


def _was_refused(response: Response) -> bool:
    return response.status_code >= 400


@blueprint.post("/webhooks/mail/ses")
@open_to(EVERYONE)
@csrf.exempt
@limiter.limit("100 per minute", deduct_when=_was_refused)
def ses_webhook() -> Answer:
    """Take what Amazon SES says through SNS; see ``_answer``."""
    return _answer(_take_ses)


@blueprint.post("/webhooks/mail/sendgrid")
@open_to(EVERYONE)
@csrf.exempt
@limiter.limit("100 per minute", deduct_when=_was_refused)
def sendgrid_webhook() -> Answer:
    """Take SendGrid's events; see ``_answer``."""
    return _answer(_take_sendgrid)


def _answer(take: Callable[[], None]) -> Answer:
    """Answer 200 once the report is safe in Postgres, and refuse all but signed ones.

    Signed reports are never limited; an address that sends others is, after 100 a minute.
    """
    try:
        take()
    except DomainError as refused:
        db.session.rollback()
        logger.warning("mail webhook refused", extra={"why": refused.sentence})
        return {"error": {"code": refused.code, "message": refused.sentence}}, refused.status
    return {"received": True}, 200


def _take_ses() -> None:
    topic = current_config().ses_topic_arn
    if not topic:
        raise NotReporting
    body = _body()
    message = verify_sns(body, topic)
    if message.subscribe_url:
        # Answered by a job: nothing is asked of the network while SNS waits.
        key = f"sns:{message.message_id}"
        enqueue(CONFIRM, message.subscribe_url, queue=Queue.MAIL, key=key)
        db.session.commit()
    elif message.kind == NOTIFICATION:
        _keep(ReportSource.SES, message.message_id, body)


def _take_sendgrid() -> None:
    public_key = current_config().sendgrid_public_key
    if not public_key:
        raise NotReporting
    body = _body()
    signature = request.headers.get("X-Twilio-Email-Event-Webhook-Signature", "")
    timestamp = request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
    verify_sendgrid(body, signature, timestamp, public_key, clock.now())
    # A batch that is sent again is the same body under another time.
    _keep(ReportSource.SENDGRID, hashlib.sha256(body).hexdigest(), body)


def _body() -> bytes:
    if request.content_length is None or request.content_length > MAX_BYTES:
        raise WebhookTooLarge(MAX_BYTES)
    body = request.get_data(cache=False)
    if not body:
        raise InvalidMailWebhook("The body is empty.")
    return body


def _keep(source: ReportSource, key: str, body: bytes) -> None:
    is_new = keep_report(source, key, body)
    db.session.commit()
    if is_new:
        ring(READ, Queue.MAIL)
