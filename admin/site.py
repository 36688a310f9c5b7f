"""The plan of the house: every room of the back office, in the order of the menu."""

from flask import Flask
from flask_admin import Admin
from flask_admin.theme import Theme

from admin.base import Guarded
from admin.catalog import Products
from admin.dashboard import Dashboard
from admin.discounts import Discounts
from admin.messaging import Mails
from admin.orders import Orders
from admin.payments import StripeEvents
from admin.queue import Jobs
from admin.settings import ShippingMethods, ShopSettings, TaxRates
from webapp.catalog.models import Product
from webapp.core.models import Job
from webapp.messaging.models import Mail
from webapp.orders.models import DiscountCode, Order, ShippingMethod, TaxRate
from webapp.payments.models import StripeEvent


class Site(Admin):
    """Flask-Admin with the one list of rooms that the menu is made from."""

    def __init__(self, app: Flask) -> None:
        self.rooms: list[Guarded] = []
        # No folder of that name: a page we forgot to write fails instead of bringing Bootstrap.
        theme = Theme(folder="ours", base_template="admin/base.html")
        super().__init__(app, name="Back office", index_view=Dashboard(), theme=theme)

    def add_view(self, view: Guarded) -> None:
        self.rooms.append(view)
        super().add_view(view)


def rooms() -> list[Guarded]:
    return [
        Orders(Order, "Orders", path="orders", group="Sales", icon="box"),
        Discounts(DiscountCode, "Discounts", path="discounts", group="Sales", icon="tag"),
        Products(Product, "Products", path="products", group="Catalogue", icon="cart"),
        Jobs(Job, "Jobs", path="jobs", group="Engine room", icon="rerun"),
        StripeEvents(
            StripeEvent, "Stripe events", path="events", group="Engine room", icon="clock"
        ),
        Mails(Mail, "Mails", path="mails", group="Engine room", icon="mail"),
        ShopSettings("Shop", path="shop", group="Settings", icon="user"),
        ShippingMethods(
            ShippingMethod, "Shipping", path="shipping", group="Settings", icon="truck"
        ),
        TaxRates(TaxRate, "Tax", path="tax", group="Settings", icon="info"),
    ]


def build(app: Flask) -> Site:
    """Put the back office into ``app``."""
    site = Site(app)
    site.add_views(*rooms())
    return site
