"""The operator's commands for campaigns, audiences and advertisements."""

from webapp.campaigns.commands import people, results, sending, sequences, writing
from webapp.campaigns.commands.ads import ads
from webapp.campaigns.commands.explain import explain
from webapp.campaigns.commands.group import campaign

__all__ = ["ads", "campaign", "explain", "people", "results", "sending", "sequences", "writing"]
