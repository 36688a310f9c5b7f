"""The rooms of billing: plans, who subscribes, what is owed, how it is chased, what Stripe says."""

from admin.billing.cases import Cases
from admin.billing.differences import Differences
from admin.billing.events import BillingEvents
from admin.billing.invoices import Invoices
from admin.billing.numbers import Numbers
from admin.billing.plans import Plans
from admin.billing.policies import Policies
from admin.billing.settings import BillingHabits
from admin.billing.subscriptions import Subscriptions

__all__ = [
    "BillingEvents",
    "BillingHabits",
    "Cases",
    "Differences",
    "Invoices",
    "Numbers",
    "Plans",
    "Policies",
    "Subscriptions",
]
