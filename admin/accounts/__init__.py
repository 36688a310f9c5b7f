"""The rooms of people: who they are, what they agreed to, what they wrote, who works here."""

from admin.accounts.contact import ContactMessages
from admin.accounts.members import Members
from admin.accounts.prospects import Prospects
from admin.accounts.staff import Staff
from admin.accounts.terms import Terms

__all__ = ["ContactMessages", "Members", "Prospects", "Staff", "Terms"]
