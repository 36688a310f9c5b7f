"""Stripe Billing: subscriptions, their invoices, and the money that is or isn't collected.

Resources and billing know each other; the resources come first, whoever is asked for first.
"""

from sandbox.stripe import resources

__all__ = ["resources"]
