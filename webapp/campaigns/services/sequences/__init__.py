"""Mails that follow an event by themselves: written step by step, switched on, and carried out."""

from webapp.campaigns.services.sequences.figures import (
    SequenceFigures,
    StepFigures,
    figures_of,
)
from webapp.campaigns.services.sequences.running import BATCH, advance, begin, list_due
from webapp.campaigns.services.sequences.switching import activate, deactivate
from webapp.campaigns.services.sequences.writing import (
    SequenceDetails,
    add_step,
    create_sequence,
    delete_sequence,
    edit_sequence,
    get_sequence,
    remove_step,
    reorder_steps,
    rewrite_step,
    set_wait,
)

__all__ = [
    "BATCH",
    "SequenceDetails",
    "SequenceFigures",
    "StepFigures",
    "activate",
    "add_step",
    "advance",
    "begin",
    "create_sequence",
    "deactivate",
    "delete_sequence",
    "edit_sequence",
    "figures_of",
    "get_sequence",
    "list_due",
    "remove_step",
    "reorder_steps",
    "rewrite_step",
    "set_wait",
]
