"""Delivers mails and reads what comes back: the transactions around network and strangers."""

import logging
import time
from datetime import timedelta

from sqlalchemy.exc import OperationalError

from webapp.campaigns.services import bouncing as campaign_bouncing
from webapp.core import clock
from webapp.core.db import db
from webapp.core.errors import RetryLater, Unprocessable
from webapp.core.queue import Queue, ring
from webapp.core.state import current_config
from webapp.messaging import services
from webapp.messaging.bounces import Report, read
from webapp.messaging.errors import InvalidMailWebhook
from webapp.messaging.gateway import Outcome, current_gateway
from webapp.messaging.gateway.sns import confirm_subscription as confirm_sns
from webapp.messaging.models import MailReport, MailState, ReportSource
from webapp.messaging.services import Letter, Settled, bouncing, reports
from webapp.messaging.services.bouncing import Match

logger = logging.getLogger(__name__)

READING_SECONDS = 30
LATELY = timedelta(days=30)
NOBODY = "It names nobody we wrote to, so it changed nothing."


def deliver(mail_id: int) -> None:
    """Send one mail at most once; raises RetryLater when it surely was not accepted yet."""
    letter = services.claim(mail_id)
    db.session.commit()
    if letter is None:
        return
    handover = current_gateway().hand_over(letter.envelope, lambda: _begin(letter))
    state = services.conclude(letter, handover)
    db.session.commit()
    facts = {"mail_id": mail_id, "attempt": letter.attempt, "outcome": handover.outcome.value}
    if handover.outcome is Outcome.ACCEPTED:
        logger.info("mail sent", extra=facts)
        return
    # The reply may repeat the address; it is kept with the mail and stays out of the log.
    logger.warning("mail not sent", extra=facts)
    if state is MailState.PENDING:
        raise RetryLater(f"The mail server did not take mail {mail_id} yet: {handover.status}.")


def _begin(letter: Letter) -> bool:
    begun = services.begin(letter)
    db.session.commit()
    return begun


def settle_stale() -> Settled:
    """The clock's sweep: no mail stays open without a job that cares for it."""
    settled = services.settle_stale()
    db.session.commit()
    if settled != Settled():
        logger.warning(
            "stale mails settled",
            extra={
                "promised": settled.promised,
                "failed": settled.failed,
                "unknown": settled.unknown,
            },
        )
    return settled


def read_reports() -> None:
    """Read waiting bounces and complaints until none is left, or hand over after half a minute."""
    until = time.monotonic() + READING_SECONDS
    while _read_one():
        if time.monotonic() > until:
            ring(reports.READ, Queue.MAIL)
            return


def _read_one() -> bool:
    """Read one report in a transaction of its own, locked so that nobody else reads it."""
    report = reports.claim_report()
    if report is None:
        db.session.rollback()
        return False
    try:
        with db.session.begin_nested():
            reading = read(report.source, report.content)
            found = _matched(report, reading.reports)
            bouncing.note(found, report.source)
            reports.finish_report(report, reading.trouble)
            if reading.reports and not any(match for _, match in found):
                report.error = NOBODY
    except OperationalError:
        # The database's trouble is not the report's: it stays waiting.
        db.session.rollback()
        raise
    except Exception as error:
        logger.warning("mail report not read", exc_info=error, extra={"report": report.id})
        reports.finish_report(report, f"It can't be used ({type(error).__name__}).")
    db.session.commit()
    return True


def _matched(report: MailReport, claims: tuple[Report, ...]) -> list[tuple[Report, Match | None]]:
    """Return each claim with the mail it is about, in an order that is the same for everybody."""
    ordered = sorted(claims, key=lambda claim: (claim.codes, claim.key))
    return [(claim, _match(claim, report.source)) for claim in ordered]


def _match(claim: Report, source: ReportSource) -> Match | None:
    at = bouncing.believable(claim.at)
    for code in claim.codes:
        if email := bouncing.recipient_of(code):
            return Match(email, code, at)
        if email := campaign_bouncing.note_bounce(code, claim.kind, at):
            return Match(email, code.lower(), at)
    # Anybody can write a mail; what a provider signed may be believed without a code.
    if source is ReportSource.MAIL or not claim.email:
        return None
    lately = clock.now() - LATELY
    wrote = bouncing.has_written_to(claim.email) or campaign_bouncing.has_written_to(
        claim.email, lately
    )
    return Match(claim.email, None, at) if wrote else None


def confirm_subscription(url: str) -> None:
    """Tell Amazon SNS that the shop listens to its topic; raises RetryLater when it's away."""
    try:
        confirm_sns(url, current_config().ses_topic_arn)
    except InvalidMailWebhook as wrong:
        raise Unprocessable(wrong.sentence) from None


def purge_reports() -> None:
    """The clock's: words of strangers are not kept longer than a month."""
    emptied = reports.purge_reports()
    db.session.commit()
    if emptied:
        logger.info("old mail reports emptied", extra={"count": emptied})
