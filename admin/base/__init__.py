"""How a list, a detail, a form, an action and a permission are made, once for every room."""

from admin.base.actions import Action, action, page
from admin.base.changes import Changes, Refusing, record, signature
from admin.base.columns import Column, Filter, Link, Money
from admin.base.guarded import Guarded, Page
from admin.base.room import Room

__all__ = [
    "Action",
    "Changes",
    "Column",
    "Filter",
    "Guarded",
    "Link",
    "Money",
    "Page",
    "Refusing",
    "Room",
    "action",
    "page",
    "record",
    "signature",
]
