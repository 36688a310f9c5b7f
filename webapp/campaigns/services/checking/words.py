"""Checks of subject, preheader and the marks in all words."""

import re
from collections.abc import Iterator

from webapp.campaigns import marks
from webapp.campaigns.marks import BROWSER, LEAVE, OURS, Mark
from webapp.campaigns.places import CONTROL
from webapp.campaigns.services.checking.finding import Finding, Sheet, error, hint, warning

LONG_SUBJECT, VERY_LONG_SUBJECT = 60, 100
ANSWER = re.compile(r"\s*(?:re|fwd?|aw|wg|sv)\s*:", re.IGNORECASE)
BRACES = re.compile(r"\{\{.{0,30}", re.DOTALL)


def check_subject(sheet: Sheet) -> Iterator[Finding]:
    subject = sheet.variant.subject
    if not subject.strip():
        yield error("subject_missing", "Write a subject.")
        return
    length = len(_without_marks(subject))
    if length > VERY_LONG_SUBJECT:
        yield warning(
            "subject_long", f"Shorten the subject: of its {length} characters most are cut off."
        )
    elif length > LONG_SUBJECT:
        yield hint("subject_long", f"The subject has {length} characters; phones show about 40.")
    if is_shouting(subject):
        yield warning("subject_capitals", "Write the subject in small letters: capitals shout.")
    if ANSWER.match(subject):
        yield warning(
            "subject_answer",
            "Take “Re:” or “Fwd:” off the subject: it pretends to be an answer, which laws forbid "
            "and filters punish.",
        )
    if "!!" in subject or subject.count("!") > 2 or "??" in subject:
        yield hint("subject_exclaims", "One exclamation mark in the subject is enough.")


def check_preheader(sheet: Sheet) -> Iterator[Finding]:
    if not sheet.variant.preheader.strip():
        yield hint(
            "preheader_missing",
            "Write a preheader: without one inboxes show the first words of the body.",
        )


def check_control(sheet: Sheet) -> Iterator[Finding]:
    lines = {"subject": sheet.variant.subject, "preheader": sheet.variant.preheader}
    for name, line in lines.items():
        if CONTROL.search(line):
            yield error(
                "control_character",
                f"The {name} holds a line break or another control character. Type it anew.",
            )


def check_marks(sheet: Sheet) -> Iterator[Finding]:
    variant = sheet.variant
    places = {
        "subject": variant.subject,
        "preheader": variant.preheader,
        "body": variant.body,
        "text part": variant.written_text,
    }
    for name, words in places.items():
        yield from _check_braces(name, words)
        for mark in marks_in(words):
            if mark.name.startswith("@"):
                yield from _check_ours(name, mark)


def marks_in(*words: str) -> Iterator[Mark]:
    for text in words:
        yield from (part for part in marks.split(text) if isinstance(part, Mark))


def is_shouting(words: str) -> bool:
    letters = [letter for letter in _without_marks(words) if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    return len(letters) >= 8 and capitals > 0.7 * len(letters)


def _check_braces(place: str, words: str) -> Iterator[Finding]:
    bare = "".join(part if isinstance(part, str) else part.name for part in marks.split(words))
    found = BRACES.search(bare)
    if found is None:
        return
    where = f"line {bare[: found.start()].count(chr(10)) + 1} of the {place}"
    shown = found.group().split("\n", 1)[0].split("}", 1)[0].strip()
    yield error(
        "variable_unreadable",
        f"“{shown}” in {where if place in ('body', 'text part') else f'the {place}'} is no "
        "variable: it is one word, closed by two braces, like {{ first_name | there }}.",
    )


def _check_ours(place: str, mark: Mark) -> Iterator[Finding]:
    shown = "{{ " + mark.name + " }}"
    if mark.name not in OURS:
        yield error("mark_unknown", f"There is no {shown}. Take it out of the {place}.")
    elif place in ("subject", "preheader"):
        yield error("mark_misplaced", f"Take {shown} out of the {place}: it belongs in the body.")
    elif mark.name not in (LEAVE, BROWSER):
        yield error("mark_misplaced", f"Take {shown} out: it is put in by itself.")


def _without_marks(words: str) -> str:
    return "".join(part for part in marks.split(words) if isinstance(part, str)).strip()
