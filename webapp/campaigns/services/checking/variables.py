"""Checks of the variables in a mail: does anybody have them, and what do the others read?"""

from collections.abc import Iterator

from sqlalchemy import exists, func, select

from webapp.accounts.models import Prospect
from webapp.campaigns import marks
from webapp.campaigns.models import Email
from webapp.campaigns.services.checking.finding import Finding, error, warning
from webapp.campaigns.services.checking.words import marks_in
from webapp.campaigns.services.compiling import constants
from webapp.campaigns.services.populating import NAMES
from webapp.core.db import db

NEWEST = 2000


def check_variables(email: Email) -> Iterator[Finding]:
    """Yield an error for what nobody has and nothing stands in for, a warning for what may lack."""
    bare: set[str] = set()
    used: set[str] = set()
    for variant in email.variants:
        words = (variant.subject, variant.preheader, variant.body, variant.written_text)
        used |= marks.variables(*words)
        bare |= {mark.name for mark in marks_in(*words) if mark.fallback is None}
    fixed = set(constants())
    asked = {name for name in used - NAMES - fixed if not name.startswith("@")}
    unknown = asked - _held_by_anybody(asked)
    for name in sorted(used - fixed):
        shown = "{{ " + name + " }}"
        if name in unknown and name in bare:
            yield error(
                "variable_unknown",
                f"Nobody has a {shown}. Correct its name, or say what stands there without it: "
                f"{{{{ {name} | … }}}}.",
            )
        elif name in unknown:
            yield warning("variable_unknown", f"Nobody has a {shown}: all read what stands for it.")
        elif name in bare and name != "email" and not name.startswith("@"):
            yield warning(
                "variable_empty",
                f"Who has no {shown} reads nothing there. Say what stands for it: "
                f"{{{{ {name} | … }}}}.",
            )


def list_variables() -> list[str]:
    """Return the variables that can be used, with those of the prospects met last."""
    newest = (
        select(Prospect.attributes)
        .where(Prospect.attributes != {})
        .order_by(Prospect.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    keys = select(func.jsonb_object_keys(newest.c.attributes)).distinct()
    words = {name for name in db.session.scalars(keys) if marks.variables("{{" + name + "}}")}
    return [*sorted(NAMES), *constants(), *sorted(words - NAMES - set(constants()))]


def _held_by_anybody(names: set[str]) -> set[str]:
    """Return those of the names that some prospect has; each question ends at the first."""
    if not names:
        return set()
    wanted = sorted(names)
    asked = [
        exists().where(Prospect.attributes.has_key(name)).label(f"name_{number}")
        for number, name in enumerate(wanted)
    ]
    answers = db.session.execute(select(*asked)).one()
    return {name for name, held in zip(wanted, answers, strict=True) if held}
