"""Chasing failed payments: cases that follow Stripe's facts, and steps that follow the clock."""

from webapp.billing.services.dunning.following import follow_invoice, follow_subscription
from webapp.billing.services.dunning.links import settle_session
from webapp.billing.services.dunning.ticking import tick

__all__ = ["follow_invoice", "follow_subscription", "settle_session", "tick"]
