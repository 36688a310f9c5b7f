"""What somebody who wants to leave is offered, to stay."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from webapp.billing.models import (
    Cancellation,
    CancelOffer,
    CancelOutcome,
    Interval,
    Subscription,
    SubscriptionStatus,
)
from webapp.billing.queries.settings import get_settings
from webapp.core import clock
from webapp.core.db import db

# Whoever was made to stay by an offer is not offered one again for this long.
OFFER_AGAIN = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered to somebody who wants to leave: so many months of rest, or at a discount."""

    kind: CancelOffer = CancelOffer.NONE
    months: int = 0
    percent: int = 0

    @property
    def terms(self) -> str:
        """What was offered as one word, which the form sends back to be compared."""
        return f"{self.kind.value}-{self.months}-{self.percent}"


NO_OFFER = Offer()


def pays_monthly(subscription: Subscription) -> bool:
    """Whether what is taken off or left out for months meets as many charges."""
    return subscription.interval is Interval.MONTH and subscription.interval_count == 1


def offer_for(subscription: Subscription) -> Offer:
    """Return what somebody who wants to leave is offered first: nothing twice within a year.

    Who is on trial pays nothing that could be paused or reduced, and some months of a pause or of
    a discount may pass without a charge for one who pays by the year.
    """
    settings = get_settings()
    active = subscription.status is SubscriptionStatus.ACTIVE
    if settings.offer is CancelOffer.NONE or not active or subscription.pause_behavior:
        return NO_OFFER
    if not pays_monthly(subscription):
        return NO_OFFER
    if settings.offer is CancelOffer.DISCOUNT and subscription.discounts:
        return NO_OFFER
    stayed = select(Cancellation.id).where(
        Cancellation.subscription_id == subscription.id,
        Cancellation.outcome == CancelOutcome.STAYED,
        Cancellation.at > clock.now() - OFFER_AGAIN,
    )
    if db.session.scalar(stayed.limit(1)) is not None:
        return NO_OFFER
    if settings.offer is CancelOffer.PAUSE:
        return Offer(CancelOffer.PAUSE, settings.pause_months)
    return Offer(CancelOffer.DISCOUNT, settings.offer_months, settings.offer_percent)
