"""The options of a mail, which writing and changing it have in common."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

import click

from webapp.campaigns.models import AbMetric, EmailFormat, EmailType
from webapp.campaigns.services.emails import EmailDetails, VariantDetails
from webapp.messaging.models import MailTopic

F = TypeVar("F", bound=Callable[..., Any])
WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
DAY_MINUTES = 24 * 60


class Window(click.ParamType[tuple[int | None, int | None]]):
    """``09:00-18:00`` as minutes of the day; ``any`` is the whole day."""

    name = "window"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        if value == "any":
            return None, None
        found = WINDOW.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no window like 09:00-18:00, or any.", param, ctx)
        begin = int(found[1]) * 60 + int(found[2])
        end = int(found[3]) * 60 + int(found[4]) if found[3] else DAY_MINUTES
        return begin, end


_OPTIONS = (
    click.option("--subject", help="May hold variables: {{ first_name | there }}."),
    click.option("--preheader", help="What inboxes show after the subject."),
    click.option("--body", type=click.File("r", encoding="utf-8"), help="- is stdin."),
    click.option("--text", type=click.File("r", encoding="utf-8"), help="A text part of your own."),
    click.option("--format", type=click.Choice([each.value for each in EmailFormat])),
    click.option(
        "--layout/--bare", "with_layout", default=None, help="The shop's layout, or none."
    ),
    click.option("--type", type=click.Choice([each.value for each in EmailType])),
    click.option("--topic", type=click.Choice([each.value for each in MailTopic])),
    click.option("--audience", "audience_id", type=int, help="The number of a saved audience."),
    click.option(
        "--exclude", "exclude_id", type=int, help="The number of an audience to leave out."
    ),
    click.option("--sender", "sender_id", type=int, help="The number of a sender."),
    click.option(
        "--public/--private", default=None, help="Show it in the archive once it is sent."
    ),
    click.option("--opens/--no-opens", "track_opens", default=None, help="Count opens."),
    click.option("--clicks/--no-clicks", "track_clicks", default=None, help="Count clicks."),
    click.option("--utm-campaign", help="What its links are called in statistics."),
    click.option("--window", type=Window(), help="When it may be sent: 09:00-18:00, or any."),
    click.option(
        "--their-clock/--our-clock",
        "in_recipients_zone",
        default=None,
        help="Send at the hour of each recipient's own time zone.",
    ),
    click.option("--ab-share", type=click.IntRange(1, 100), help="Percent that a test goes to."),
    click.option("--ab-metric", type=click.Choice([each.value for each in AbMetric])),
    click.option("--ab-minutes", type=click.IntRange(1), help="How long a test lasts."),
)
_WORDS = {"subject": "subject", "preheader": "preheader", "body": "body", "text": "written_text"}
_KINDS: dict[str, type[StrEnum]] = {
    "format": EmailFormat,
    "type": EmailType,
    "topic": MailTopic,
    "ab_metric": AbMetric,
}


def with_choices(command: F) -> F:
    """Give a command every option of a mail; those not given arrive as None."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def changed(details: EmailDetails, version: int, given: Mapping[str, Any]) -> EmailDetails:
    """Return the mail with what was given; the words are those of one version.

    A version that is one more than there are is added.
    """
    said = {name: value for name, value in given.items() if value is not None}
    words = {_WORDS[name]: _read(value) for name, value in said.items() if name in _WORDS}
    columns = {name: said[name] for name in said.keys() - _WORDS.keys()}
    for name, kind in _KINDS.items():
        if name in columns:
            columns[name] = kind(columns[name])
    if "window" in columns:
        columns["window_from"], columns["window_to"] = columns.pop("window")
    variants = list(details.variants)
    if version == len(variants) + 1:
        variants.append(VariantDetails())
    if not 1 <= version <= len(variants):
        raise click.UsageError(
            f"It has {len(variants)} versions; the next one is added by its number."
        )
    variants[version - 1] = replace(variants[version - 1], **words)
    return replace(details, variants=tuple(variants), **columns)


def _read(value: Any) -> str:
    return value if isinstance(value, str) else str(value.read())
