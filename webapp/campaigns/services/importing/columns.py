"""The columns of Mailchimp's and listmonk's files, and of plain ones: which is what."""

import re
from dataclasses import dataclass

from webapp.campaigns.errors import UnreadableImport

# How each of ours is named elsewhere, in small letters and without spaces, - and _.
HEADINGS = {
    "email": {"email", "emailaddress", "mail", "address", "subscriberemail"},
    "name": {"name", "fullname", "subscribername"},
    "first": {"firstname", "fname", "givenname"},
    "last": {"lastname", "lname", "surname", "familyname"},
    "country": {"cc", "country", "countrycode"},
    "zone": {"timezone", "tz"},
    "tags": {"tags", "tag", "labels"},
    "status": {"status", "subscriptionstatus", "emailmarketingstatus", "acceptsemailmarketing"},
    "attributes": {"attributes"},
    "optin": {"optintime", "subscribedat", "signupdate"},
    "confirm": {"confirmtime", "confirmedat"},
    "unsub": {"unsubtime", "unsubscribedat", "unsubscribetime"},
    "clean": {"cleantime", "cleanedat"},
}
# What their systems note for themselves, and nobody misses.
THEIRS = frozenset({"leid", "euid", "uuid", "id", "lastchanged", "createdat", "updatedat"})
MAX_COLUMNS = 200
NOT_OF_A_VARIABLE = re.compile("[^a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where ours are, and the places of those we don't know, by the variable they would become."""

    at: dict[str, int]
    others: dict[str, int]
    titles: dict[str, str]
    width: int


def read_heading(names: list[str]) -> Columns:
    """Return what the first line says. Raises UnreadableImport without a column of addresses."""
    if len(names) > MAX_COLUMNS:
        raise UnreadableImport(f"The file has more than {MAX_COLUMNS} columns.")
    at: dict[str, int] = {}
    others: dict[str, int] = {}
    titles: dict[str, str] = {}
    for place, name in enumerate(names):
        plain = re.sub(r"[\s_-]", "", name).lower()
        ours = next((key for key, named in HEADINGS.items() if plain in named), None)
        if ours is not None and ours not in at:
            at[ours] = place
        elif plain not in THEIRS:
            variable = variable_of(name) or f"column_{place + 1}"
            others.setdefault(variable, place)
            titles.setdefault(variable, name.strip() or f"column {place + 1}")
    if "email" not in at:
        hint = " It seems to begin with a person at once." if any("@" in n for n in names) else ""
        raise UnreadableImport(
            f"There is no column “Email”. The first line must name the columns.{hint}"
        )
    return Columns(at, others, titles, len(names))


def variable_of(name: str) -> str:
    """Return how a mail's words name a column: ``Favourite colour`` -> ``favourite_colour``."""
    plain = NOT_OF_A_VARIABLE.sub("_", name.strip().lower()).strip("_")[:60]
    return f"_{plain}" if plain[:1].isdigit() else plain
