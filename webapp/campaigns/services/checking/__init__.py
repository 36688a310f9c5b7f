"""What is wrong with a mail before it is sent: errors, warnings, and hints about spam filters."""

from collections.abc import Iterator
from dataclasses import replace

from webapp.campaigns.errors import UnreadableBody
from webapp.campaigns.models import Email
from webapp.campaigns.services.checking.envelope import check_envelope
from webapp.campaigns.services.checking.finding import Finding, Level, Sheet, error
from webapp.campaigns.services.checking.links import check_links
from webapp.campaigns.services.checking.remote import addresses_of, check_remote, recall
from webapp.campaigns.services.checking.spam import check_size, check_spam
from webapp.campaigns.services.checking.variables import check_variables, list_variables
from webapp.campaigns.services.checking.words import (
    check_control,
    check_marks,
    check_preheader,
    check_subject,
)
from webapp.campaigns.services.compiling import Compiled, compile_all
from webapp.campaigns.services.emails import LETTERS
from webapp.core.queue import Queue, enqueue

CHECK_LINKS = "jobs.campaigns.check_links"
ORDER = list(Level)
OF_WORDS = (
    check_subject,
    check_preheader,
    check_control,
    check_marks,
    check_links,
    check_size,
    check_spam,
)


def check(email: Email) -> list[Finding]:
    """Return what is to be mended, the worst first; nothing is fetched for it.

    What a look at links and pictures found within the last day is among it.
    """
    found = [*check_envelope(email), *check_variables(email)]
    all_made = list(compile_all(email))
    for (number, made), variant in zip(all_made, email.variants, strict=True):
        of_variant = list(_check_variant(Sheet(email, variant, _readable(made)), made))
        if len(email.variants) > 1:
            letter = LETTERS[number - 1]
            of_variant = [
                replace(each, variant=number, sentence=f"{letter}: {each.sentence}")
                for each in of_variant
            ]
        found += of_variant
    found += recall(addresses_of(made for _, made in all_made if isinstance(made, Compiled)))
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda finding: ORDER.index(finding.level))


def ask_to_check_links(email_id: int) -> None:
    """Have a job fetch the mail's links and pictures; ``check`` knows the answer after it."""
    enqueue(CHECK_LINKS, email_id, queue=Queue.MAINTENANCE, subject=f"email:{email_id}")


def _check_variant(sheet: Sheet, made: Compiled | UnreadableBody) -> Iterator[Finding]:
    if isinstance(made, UnreadableBody):
        yield error("body_unreadable", made.sentence)
    for rule in OF_WORDS:
        yield from rule(sheet)


def _readable(made: Compiled | UnreadableBody) -> Compiled | None:
    return made if isinstance(made, Compiled) else None


__all__ = [
    "Finding",
    "Level",
    "ask_to_check_links",
    "check",
    "check_remote",
    "list_variables",
]
