"""What billing refuses, in sentences for whoever asked."""

from webapp.core.errors import DomainError


class InvalidPolicy(DomainError):
    """A dunning policy that contradicts itself or can't be read."""

    code = "invalid_policy"


class NoSuchPlan(DomainError):
    code = "plan_not_found"
    status = 404


class InvalidPlan(DomainError):
    """What a plan can't be, or can't become as it stands."""

    code = "plan_invalid"


class NotForSale(DomainError):
    """A price that can't be bought (any more)."""

    code = "price_not_for_sale"
    status = 409


class AlreadySubscribed(DomainError):
    """Somebody who subscribes already changes what they have; a second one is never sold."""

    code = "already_subscribed"
    status = 409

    def __init__(self) -> None:
        super().__init__("You have a subscription already; you can change it here.")


class NotSubscribed(DomainError):
    code = "not_subscribed"
    status = 409

    def __init__(self) -> None:
        super().__init__("You have no subscription that could be changed.")


class PaymentPageAway(DomainError):
    """Stripe's page could not be opened; nothing was charged."""

    code = "payment_page_away"
    status = 503


class ChangeRefused(DomainError):
    """A change that Stripe or our own rules turn down, with the reason."""

    code = "change_refused"
    status = 409


class OfferChanged(DomainError):
    """The offer to stay is another one than was seen; nothing was done."""

    code = "offer_changed"
    status = 409

    def __init__(self) -> None:
        super().__init__("Our offer has changed since you saw it. Please look at it once more.")


class NoSuchOperation(DomainError):
    code = "operation_not_found"
    status = 404

    def __init__(self, operation_id: int) -> None:
        super().__init__(f"There is no requested change {operation_id}.")


class NoSuchDifference(DomainError):
    code = "difference_not_found"
    status = 404

    def __init__(self, difference_id: int) -> None:
        super().__init__(f"There is no difference {difference_id}.")


class NoSuchCase(DomainError):
    code = "case_not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such case.")


class CaseClosed(DomainError):
    """What can only be done while an invoice is being chased."""

    code = "case_closed"
    status = 409

    def __init__(self) -> None:
        super().__init__("This case is closed: nothing more is done in it.")


class CaseHeld(DomainError):
    """A pause or an exclusion that is there already, or isn't."""

    code = "case_held"
    status = 409


class CardLinkOver(DomainError):
    """A link from a mail that was used, or whose time is over."""

    code = "card_link_over"
    status = 410

    def __init__(self) -> None:
        super().__init__("This link has been used or its time is over. Log in to go on.")


class PlanNeeded(DomainError):
    """For callers that can't be shown the pricing page."""

    code = "plan_needed"
    status = 402

    def __init__(self) -> None:
        super().__init__("This needs a plan that includes it, with nothing owed.")


class InvalidBillingSettings(DomainError):
    code = "billing_settings_invalid"
