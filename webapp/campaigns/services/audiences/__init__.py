"""Whom mails go to: rules over what people bought, subscribe to, opened, said and are."""

from webapp.campaigns.services.audiences.conditions import read_rules
from webapp.campaigns.services.audiences.describing import describe
from webapp.campaigns.services.audiences.explaining import explain_address
from webapp.campaigns.services.audiences.people import people, people_of
from webapp.campaigns.services.audiences.rules import (
    EVERYBODY,
    Condition,
    Group,
    Match,
    Rules,
    write_rules,
)
from webapp.campaigns.services.audiences.saving import (
    create_audience,
    delete_audience,
    edit_audience,
)
from webapp.campaigns.services.audiences.sizing import (
    PersonView,
    Size,
    count_people,
    count_people_of,
    sample_people,
)

__all__ = [
    "EVERYBODY",
    "Condition",
    "Group",
    "Match",
    "PersonView",
    "Rules",
    "Size",
    "count_people",
    "count_people_of",
    "create_audience",
    "delete_audience",
    "describe",
    "edit_audience",
    "explain_address",
    "people",
    "people_of",
    "read_rules",
    "sample_people",
    "write_rules",
]
