"""From cart to delivered: what was wanted, what was promised, what was paid, what was sent."""

from webapp.orders.models.carts import (
    Cart,
    CartDiscount,
    CartSku,
    CartState,
    DiscountCode,
    DiscountKind,
)
from webapp.orders.models.checkouts import (
    Checkout,
    CheckoutState,
    ReservationState,
    StockReservation,
)
from webapp.orders.models.handovers import (
    OrderDownload,
    Shipment,
    ShipmentLine,
)
from webapp.orders.models.refunds import (
    OrderRefund,
    RefundState,
)
from webapp.orders.models.sales import (
    NeedsAction,
    Order,
    OrderBillingAddress,
    OrderCounter,
    OrderDiscount,
    OrderPayment,
    OrderShippingAddress,
    OrderShippingMethod,
    OrderSku,
    OrderState,
    OrderStatus,
)
from webapp.orders.models.terms import (
    ShippingMethod,
    TaxRate,
)

__all__ = [
    "Cart",
    "CartDiscount",
    "CartSku",
    "CartState",
    "Checkout",
    "CheckoutState",
    "DiscountCode",
    "DiscountKind",
    "NeedsAction",
    "Order",
    "OrderBillingAddress",
    "OrderCounter",
    "OrderDiscount",
    "OrderDownload",
    "OrderPayment",
    "OrderRefund",
    "OrderShippingAddress",
    "OrderShippingMethod",
    "OrderSku",
    "OrderState",
    "OrderStatus",
    "RefundState",
    "ReservationState",
    "Shipment",
    "ShipmentLine",
    "ShippingMethod",
    "StockReservation",
    "TaxRate",
]
