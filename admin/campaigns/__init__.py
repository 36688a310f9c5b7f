"""The rooms of campaigns and of visitors: mails to many, who gets them, and what came of it."""

from admin.campaigns.ads import Ads
from admin.campaigns.audiences import Audiences
from admin.campaigns.emails import Emails
from admin.campaigns.habits import EmailSettings
from admin.campaigns.imports import Imports
from admin.campaigns.recipients import Recipients
from admin.campaigns.results import Results
from admin.campaigns.sequences import Sequences
from admin.campaigns.visits import Visits

__all__ = [
    "Ads",
    "Audiences",
    "EmailSettings",
    "Emails",
    "Imports",
    "Recipients",
    "Results",
    "Sequences",
    "Visits",
]
