"""The form a mail is written in: what it says, to whom it goes and when, variant by variant."""

from collections.abc import Sequence
from datetime import time
from typing import Any

from wtforms import (
    BooleanField,
    FieldList,
    Form,
    FormField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.campaigns.desk import EVERYBODY, FOR, WRITTEN_IN
from admin.fields import one_line
from webapp.campaigns.models import AbMetric, Email, EmailFormat, EmailType
from webapp.campaigns.services.emails import (
    MAX_LINE,
    MAX_NAME,
    MAX_UTM,
    MAX_VARIANTS,
    EmailDetails,
    VariantDetails,
)
from webapp.core.fields import WholeField
from webapp.messaging.models import MailTopic

DAY = 24 * 60

TYPES = [SelectChoice(each.value, title) for each, title in FOR.items()]
TOPICS = [SelectChoice(topic.value, topic.value.capitalize()) for topic in MailTopic]
FORMATS = [SelectChoice(each.value, title) for each, title in WRITTEN_IN.items()]
METRICS = [
    SelectChoice(AbMetric.CLICKS.value, "Most clicks"),
    SelectChoice(AbMetric.OPENS.value, "Most opens"),
]


class VariantForm(Form):
    subject = StringField("Subject", [Length(max=MAX_LINE), one_line])
    preheader = StringField(
        "Preview line",
        [Optional(), Length(max=MAX_LINE), one_line],
        description="What mail programs show behind the subject.",
    )
    body = TextAreaField("Body", render_kw={"rows": 22})
    written_text = TextAreaField(
        "Text part",
        [Optional()],
        description="Empty: it is made from the body.",
        render_kw={"rows": 8},
    )


class NewEmailForm(Form):
    """What is asked before there is a mail; the rest is written on its own page."""

    name = StringField(
        "Name",
        [InputRequired("Name it."), Length(max=MAX_NAME), one_line],
        description="For the people who work here. Recipients don't see it.",
    )
    subject = StringField("Subject", [Optional(), Length(max=MAX_LINE), one_line])
    type = SelectField("For", [InputRequired()], choices=TYPES, default=EmailType.BOTH.value)
    topic = SelectField(
        "Topic",
        [InputRequired()],
        choices=TOPICS,
        default=MailTopic.NEWSLETTER.value,
        description="It goes to people who said yes to it.",
    )


class EmailForm(Form):
    """Everything about a draft. Choices that the database knows are set by ``offer``."""

    name = StringField(
        "Name",
        [InputRequired("Name it."), Length(max=MAX_NAME), one_line],
        description="For the people who work here.",
    )
    type = SelectField("For", [InputRequired()], choices=TYPES)
    topic = SelectField("Topic", [InputRequired()], choices=TOPICS)
    audience = SelectField("Audience", [Optional()], coerce=str)
    exclude = SelectField("Leave out", [Optional()], coerce=str)
    sender = SelectField("From", [Optional()], coerce=str)
    format = SelectField("Written in", [InputRequired()], choices=FORMATS)
    with_layout = BooleanField("In the shop's layout")
    variants = FieldList(FormField(VariantForm), min_entries=1, max_entries=MAX_VARIANTS)
    ab_share = WholeField(
        "Tried with, percent",
        [Optional(), NumberRange(1, 100)],
        description="The rest get the better one. Empty: everybody gets one or the other.",
    )
    ab_metric = SelectField("Better is", choices=METRICS)
    ab_minutes = WholeField(
        "Decided after, minutes", [Optional(), NumberRange(1, 60 * 24 * 30)], default=240
    )
    track_opens = BooleanField("Count opens")
    track_clicks = BooleanField("Count clicks")
    utm_campaign = StringField(
        "Campaign in links",
        [Optional(), Length(max=MAX_UTM), one_line],
        description="utm_campaign; empty takes the mail's name.",
    )
    window_from = TimeField("Not before", [Optional()])
    window_to = TimeField("Not after", [Optional()])
    in_recipients_zone = BooleanField("By the clock of each recipient")
    public = BooleanField("Show it in the public archive once it is sent")

    def offer(self, audiences: Sequence[Any], senders: Sequence[Any]) -> None:
        """Set what can be chosen among the shop's own rows: (id, title) each."""
        rows = [(str(key), title) for key, title in audiences]
        self.audience.choices = [SelectChoice("", EVERYBODY), *_choices(rows)]
        self.exclude.choices = [SelectChoice("", "Nobody"), *_choices(rows)]
        known = _choices([(str(key), title) for key, title in senders])
        self.sender.choices = [SelectChoice("", "The shop's usual sender"), *known]

    @property
    def window(self) -> tuple[int | None, int | None]:
        """The minutes of a day; midnight ends a day as well as it begins one."""
        begin, end = _minutes(self.window_from.data), _minutes(self.window_to.data)
        if begin is None and end is None:
            return None, None
        return begin or 0, end or DAY

    def details(self) -> EmailDetails:
        """Return what was typed, as the services take it."""
        begin, end = self.window
        return EmailDetails(
            name=(self.name.data or "").strip(),
            variants=tuple(_words(each.data) for each in self.variants),
            type=EmailType(self.type.data),
            topic=MailTopic(self.topic.data),
            format=EmailFormat(self.format.data),
            with_layout=self.with_layout.data,
            sender_id=_number(self.sender.data or ""),
            audience_id=_number(self.audience.data or ""),
            exclude_id=_number(self.exclude.data or ""),
            track_opens=self.track_opens.data,
            track_clicks=self.track_clicks.data,
            utm_campaign=(self.utm_campaign.data or "").strip(),
            window_from=begin,
            window_to=end,
            in_recipients_zone=self.in_recipients_zone.data,
            ab_share=self.ab_share.data,
            ab_metric=AbMetric(self.ab_metric.data or AbMetric.CLICKS),
            ab_minutes=self.ab_minutes.data or 240,
            public=self.public.data,
        )


def typed_before(email: Email) -> dict[str, Any]:
    """Return a mail as its form takes it."""
    same = ("name", "with_layout", "track_opens", "track_clicks", "utm_campaign", "public")
    more = ("in_recipients_zone", "ab_share", "ab_minutes")
    return {
        **{name: getattr(email, name) for name in (*same, *more)},
        "type": email.type.value,
        "topic": email.topic.value,
        "format": email.format.value,
        "ab_metric": email.ab_metric.value,
        "audience": str(email.audience_id or ""),
        "exclude": str(email.exclude_id or ""),
        "sender": str(email.sender_id or ""),
        "window_from": _clock(email.window_from),
        "window_to": _clock(email.window_to),
        "variants": [
            {name: getattr(each, name) for name in ("subject", "preheader", "body", "written_text")}
            for each in email.variants
        ],
    }


def _words(typed: dict[str, str | None]) -> VariantDetails:
    """Browsers send line ends as CRLF, and what is kept has LF."""
    words = {name: (text or "").replace("\r\n", "\n") for name, text in typed.items()}
    for line in ("subject", "preheader"):
        words[line] = words[line].strip()
    return VariantDetails(**words)


def _choices(rows: Sequence[tuple[str, str]]) -> list[SelectChoice]:
    return [SelectChoice(value, title) for value, title in rows]


def _minutes(at: time | None) -> int | None:
    return None if at is None else at.hour * 60 + at.minute


def _clock(minutes: int | None) -> time | None:
    return None if minutes is None else time(minutes % DAY // 60, minutes % 60)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
