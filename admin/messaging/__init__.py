"""The rooms of the post: each mail, who gets none, what came back, and who mails come from."""

from admin.messaging.bounces import BounceReports, Bounces
from admin.messaging.mails import Mails
from admin.messaging.senders import Senders
from admin.messaging.suppressions import Suppressions

__all__ = ["BounceReports", "Bounces", "Mails", "Senders", "Suppressions"]
