"""What can go wrong between us and Stripe."""

from webapp.core.errors import DomainError, RetryLater


class StripeUnavailable(RetryLater):
    """No answer, or one that says nothing: the call may or may not have had its effect."""

    code = "stripe_unavailable"


class StripeRefused(DomainError):
    """Stripe understood and said no; trying the same again is no use."""

    code = "stripe_refused"
    status = 402


class NoSuchStripeObject(StripeRefused):
    code = "stripe_object_missing"
    status = 404


class InvalidWebhook(DomainError):
    """The request isn't an untouched, recent, signed event; the sentence goes to the log."""

    code = "webhook_invalid"


class NoSuchEvent(DomainError):
    code = "event_not_found"
    status = 404
