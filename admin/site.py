"""The plan of the house: every room of the back office, in the order of the menu."""

from flask import Flask
from flask_admin import Admin
from flask_admin.theme import Theme

from admin.accounts import ContactMessages, Members, Prospects, Staff, Terms
from admin.audit import Audit
from admin.base import Guarded
from admin.billing import (
    BillingEvents,
    BillingHabits,
    Cases,
    Differences,
    Invoices,
    Numbers,
    Plans,
    Policies,
    Subscriptions,
)
from admin.campaigns import (
    Ads,
    Audiences,
    Emails,
    EmailSettings,
    Imports,
    Recipients,
    Results,
    Sequences,
    Visits,
)
from admin.catalog import Products
from admin.dashboard import Dashboard
from admin.discounts import Discounts
from admin.messaging import BounceReports, Bounces, Mails, Senders, Suppressions
from admin.orders import Orders
from admin.payments import StripeEvents
from admin.queue import Jobs
from admin.settings import ShippingMethods, ShopSettings, TaxRates
from webapp.accounts.models import ContactMessage, Member, Prospect, TermsOfUse, User
from webapp.billing.models import (
    BillingDifference,
    DunningCase,
    DunningPolicy,
    Invoice,
    Plan,
    Subscription,
)
from webapp.campaigns.models import Ad, Audience, Email, EmailRecipient, Sequence
from webapp.catalog.models import Product
from webapp.core.access import declare
from webapp.core.models import AuditEntry, Job
from webapp.messaging.models import Mail, MailBounce, MailReport, MailSender, MailSuppression
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
        Subscriptions(
            Subscription, "Subscriptions", path="subscriptions", group="Billing", icon="rerun"
        ),
        Numbers("Numbers", path="numbers", group="Billing", icon="chart"),
        Invoices(Invoice, "Invoices", path="invoices", group="Billing", icon="box"),
        Cases(DunningCase, "Dunning", path="cases", group="Billing", icon="warn"),
        Plans(Plan, "Plans", path="plans", group="Billing", icon="tag"),
        Policies(
            DunningPolicy, "Dunning policy", path="dunning-policy", group="Billing", icon="clock"
        ),
        BillingEvents(
            StripeEvent, "Billing events", path="billing-events", group="Billing", icon="search"
        ),
        Differences(
            BillingDifference, "Differences", path="differences", group="Billing", icon="info"
        ),
        Members(Member, "Members", path="members", group="People", icon="user"),
        Prospects(Prospect, "Prospects", path="prospects", group="People", icon="search"),
        ContactMessages(ContactMessage, "Messages", path="contact", group="People", icon="mail"),
        Emails(Email, "Emails", path="emails", group="Email", icon="mail"),
        Sequences(Sequence, "Sequences", path="sequences", group="Email", icon="rerun"),
        Results(Email, "Results", path="results", group="Email", icon="chart"),
        Audiences(Audience, "Audiences", path="audiences", group="Email", icon="user"),
        Recipients(EmailRecipient, "Recipients", path="recipients", group="Email", icon="search"),
        Imports("Import", path="imports", group="Email", icon="plus"),
        Suppressions(
            MailSuppression, "Suppressions", path="suppressions", group="Email", icon="close"
        ),
        Bounces(MailBounce, "Bounces", path="bounces", group="Email", icon="back"),
        Senders(MailSender, "Senders", path="senders", group="Email", icon="out"),
        Visits("Visits", path="visits", group="Visitors", icon="chart"),
        Ads(Ad, "Ads", path="ads", group="Visitors", icon="tag"),
        Jobs(Job, "Jobs", path="jobs", group="Engine room", icon="rerun"),
        StripeEvents(
            StripeEvent, "Stripe events", path="events", group="Engine room", icon="clock"
        ),
        Mails(Mail, "Mails", path="mails", group="Engine room", icon="mail"),
        BounceReports(
            MailReport, "Bounce reports", path="reports", group="Engine room", icon="info"
        ),
        Audit(AuditEntry, "Audit", path="audit", group="Engine room", icon="lock"),
        ShopSettings("Shop", path="shop", group="Settings", icon="cart"),
        ShippingMethods(
            ShippingMethod, "Shipping", path="shipping", group="Settings", icon="truck"
        ),
        EmailSettings("Email settings", path="email-settings", group="Settings", icon="mail"),
        BillingHabits("Billing settings", path="billing-settings", group="Settings", icon="rerun"),
        TaxRates(TaxRate, "Tax", path="tax", group="Settings", icon="info"),
        Terms(TermsOfUse, "Terms of use", path="terms", group="Settings", icon="done"),
        Staff(User, "Staff and roles", path="staff", group="Settings", icon="user"),
    ]


def build(app: Flask) -> Site:
    """Put the back office into ``app``."""
    site = Site(app)
    site.add_views(*rooms())
    _declare(app, site)
    return site


def _declare(app: Flask, site: Site) -> None:
    """Say of every address of the back office who may call it at all; rooms then look closer."""
    rooms = {room.blueprint.name: room for room in site.rooms}
    for rule in app.url_map.iter_rules():
        name, _, method = rule.endpoint.rpartition(".")
        if name in rooms:
            declare(app, rule.endpoint, rooms[name].audience(method))
