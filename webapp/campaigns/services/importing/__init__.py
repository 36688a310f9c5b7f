"""Brings people in from another system's file, with the proof of what they agreed to."""

from webapp.campaigns.services.importing.importing import ImportChoices, import_prospects
from webapp.campaigns.services.importing.report import ImportReport

__all__ = ["ImportChoices", "ImportReport", "import_prospects"]
