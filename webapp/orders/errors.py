"""Why a sale can't go on, each with the sentence the buyer or the staff reads."""

from webapp.core.errors import DomainError, NotFound


class NoSuchOrder(NotFound):
    code = "order_not_found"


class NoSuchSku(NotFound):
    code = "sku_not_found"


class CartError(DomainError):
    code = "cart"


class EmptyCart(CartError):
    code = "cart_empty"


class SoldOut(CartError):
    code = "sold_out"
    status = 409


class TotalChanged(CartError):
    code = "total_changed"
    status = 409


class InvalidDiscount(CartError):
    code = "discount_invalid"


class EmailNeeded(InvalidDiscount):
    code = "email_needed"


class NotDeliverable(CartError):
    code = "not_deliverable"


class CheckoutUnavailable(CartError):
    code = "checkout_unavailable"
    status = 503


class PaymentFailed(CartError):
    code = "payment_failed"
    status = 402


class PaymentUnderWay(CartError):
    """The cart's payment is on its way; a second one must not begin."""

    code = "payment_under_way"
    status = 409


class AlreadyPaid(CartError):
    """The cart was paid a moment ago; ``session_id`` leads to its success page."""

    code = "already_paid"
    status = 409

    def __init__(self, session_id: str) -> None:
        super().__init__("This cart is already paid.")
        self.session_id = session_id


class WrongState(DomainError):
    code = "order_state"
    status = 409


class InvalidShipment(DomainError):
    code = "shipment_invalid"


class InvalidRefund(DomainError):
    code = "refund_invalid"
