"""A campaign's mail while it is written: made, changed, copied, thrown away."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime

from sqlalchemy import select

from webapp.campaigns.errors import (
    EmailChangedMeanwhile,
    EmailTooBig,
    InvalidEmail,
    NoSuchEmail,
    WrongEmailState,
)
from webapp.campaigns.models import (
    AbMetric,
    Audience,
    Email,
    EmailFormat,
    EmailRecipient,
    EmailState,
    EmailType,
    EmailVariant,
    SequenceStep,
)
from webapp.campaigns.places import CONTROL
from webapp.catalog.services.products import slugify
from webapp.core import clock
from webapp.core.audit import Actor, record
from webapp.core.db import db, take_turns
from webapp.messaging.models import MailSender, MailTopic

MAX_NAME, MAX_LINE, MAX_UTM, MAX_VARIANTS = 120, 500, 100, 8
MAX_BODY_BYTES = 1_000_000
LETTERS = "ABCDEFGH"
# What Postgres or XML can't hold, or nobody can see: tabs and line ends may stay.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
COPY = "Copy of "


@dataclass(frozen=True, slots=True)
class VariantDetails:
    """The words of one variant. Without ``written_text`` the text part is made of the body."""

    subject: str = ""
    preheader: str = ""
    body: str = ""
    written_text: str = ""


@dataclass(frozen=True, slots=True)
class EmailDetails:
    """All that may change about a draft; the fields are Email's own. The first variant is A."""

    name: str
    variants: tuple[VariantDetails, ...] = (VariantDetails(),)
    type: EmailType = EmailType.BOTH
    topic: MailTopic = MailTopic.NEWSLETTER
    format: EmailFormat = EmailFormat.MARKDOWN
    with_layout: bool = True
    sender_id: int | None = None
    audience_id: int | None = None
    exclude_id: int | None = None
    track_opens: bool = True
    track_clicks: bool = True
    utm_campaign: str = ""
    window_from: int | None = None
    window_to: int | None = None
    in_recipients_zone: bool = False
    ab_share: int | None = None
    ab_metric: AbMetric = AbMetric.CLICKS
    ab_minutes: int = 240
    public: bool = False


COLUMNS = tuple(field.name for field in fields(EmailDetails) if field.name != "variants")
WORDS = tuple(field.name for field in fields(VariantDetails))


def get_email(email_id: int) -> Email:
    """Return the mail. Raises NoSuchEmail."""
    email = db.session.get(Email, email_id)
    if email is None:
        raise NoSuchEmail
    return email


def details_of(email: Email) -> EmailDetails:
    """Return what may change about a mail, as it is now."""
    variants = tuple(
        VariantDetails(**{name: getattr(variant, name) for name in WORDS})
        for variant in email.variants
    )
    return EmailDetails(variants=variants, **{name: getattr(email, name) for name in COLUMNS})


def draft_of(details: EmailDetails) -> Email:
    """Return a mail in no session, to look at what is not saved yet."""
    columns = {name: getattr(details, name) for name in COLUMNS}
    variants = [
        EmailVariant(number=number, html="", text="", **asdict(words))
        for number, words in enumerate(details.variants, start=1)
    ]
    return Email(variants=variants, state=EmailState.DRAFT, **columns)


def create_email(details: EmailDetails, by: Actor) -> Email:
    """Make a draft; flushes. Raises InvalidEmail or EmailTooBig."""
    email = draft_of(_checked(details))
    email.created_by = by.id
    _publish(email)
    db.session.add(email)
    db.session.flush()
    record(by, "email.created", f"email:{email.id}")
    return email


def edit_email(
    email_id: int, details: EmailDetails, by: Actor, *, seen_at: datetime | None = None
) -> Email:
    """Change a draft; flushes. ``seen_at`` is the ``updated_at`` that its editor was shown.

    Raises NoSuchEmail, WrongEmailState, EmailChangedMeanwhile, InvalidEmail or EmailTooBig.
    """
    email = _locked_draft(email_id)
    if seen_at is not None and email.updated_at != seen_at:
        raise EmailChangedMeanwhile
    wanted, before = _checked(details), details_of(email)
    names = (*COLUMNS, "variants")
    changed = [name for name in names if getattr(wanted, name) != getattr(before, name)]
    if not changed:
        return email
    for name in changed:
        if name != "variants":
            setattr(email, name, getattr(wanted, name))
    _rewrite(email, wanted.variants)
    _publish(email)
    # Words alone don't touch the mail's own row, and it is what other editors compare.
    email.updated_at = clock.now()
    record(by, "email.edited", f"email:{email.id}", fields=changed)
    db.session.flush()
    return email


def copy_email(email_id: int, by: Actor) -> Email:
    """Make a draft of the same words, whatever became of the first; flushes. Raises NoSuchEmail.

    A sender or an audience stays with it. It is not in the archive before somebody says so again.
    """
    email = get_email(email_id)
    name = email.name if email.name.startswith(COPY) else f"{COPY}{email.name}"
    details = replace(details_of(email), name=name[:MAX_NAME], public=False)
    copy = create_email(details, by)
    record(by, "email.copied", f"email:{email.id}", copy=copy.id)
    db.session.flush()
    return copy


def delete_draft(email_id: int, by: Actor) -> None:
    """Throw a draft away; flushes. Raises NoSuchEmail or WrongEmailState."""
    email = _locked_draft(email_id)
    step = select(SequenceStep.id).where(SequenceStep.email_id == email.id)
    if db.session.scalar(step.limit(1)) is not None:
        raise WrongEmailState("This email is a step of a sequence. Take it out there first.")
    meant_for = select(EmailRecipient.id).where(EmailRecipient.email_id == email.id)
    if db.session.scalar(meant_for.limit(1)) is not None:
        raise WrongEmailState("Those it was meant for are still being forgotten. Try again later.")
    db.session.delete(email)
    record(by, "email.deleted", f"email:{email_id}")
    db.session.flush()


def _locked_draft(email_id: int) -> Email:
    email = db.session.get(Email, email_id, with_for_update=True, populate_existing=True)
    if email is None:
        raise NoSuchEmail
    if email.state is not EmailState.DRAFT:
        raise WrongEmailState(
            f"This email is {email.state.value}, so its words stand. Take it back to draft, or "
            "copy it, to change them."
        )
    return email


def _rewrite(email: Email, words: tuple[VariantDetails, ...]) -> None:
    del email.variants[len(words) :]
    for number, each in enumerate(words, start=1):
        if number > len(email.variants):
            email.variants.append(EmailVariant(number=number))
        for name in WORDS:
            setattr(email.variants[number - 1], name, getattr(each, name))


def _publish(email: Email) -> None:
    """Give a public mail its address in the archive; it keeps it whatever it is called later."""
    if not email.public or email.slug:
        return
    wanted = slugify(email.name) if any(map(str.isalnum, email.name)) else "email"
    # Two of one name at once: the second sees the first one's.
    take_turns("email:slug")
    slug, number = wanted, 1
    while db.session.scalar(select(Email.id).where(Email.slug == slug)) is not None:
        number += 1
        slug = f"{wanted}-{number}"
    email.slug = slug


def _checked(details: EmailDetails) -> EmailDetails:
    """Return the details as they are kept. Raises InvalidEmail or EmailTooBig."""
    if not 1 <= len(details.variants) <= MAX_VARIANTS:
        raise InvalidEmail(f"An email has one variant at least and {MAX_VARIANTS} at most.")
    _check_times(details)
    _check_references(details)
    name = _line(details.name, "name", MAX_NAME)
    if not name:
        raise InvalidEmail("Give the email a name: staff see it, recipients don't.")
    return replace(
        details,
        name=name,
        utm_campaign=_line(details.utm_campaign, "campaign in links", MAX_UTM),
        variants=tuple(
            _checked_words(words, LETTERS[number]) for number, words in enumerate(details.variants)
        ),
    )


def _check_times(details: EmailDetails) -> None:
    begin, end = details.window_from, details.window_to
    if (begin is None) != (end is None):
        raise InvalidEmail("Say both from when and until when it may be sent, or neither.")
    if begin is not None and end is not None and not 0 <= begin < end <= 1440:
        raise InvalidEmail("The time to send in ends after it begins, on the same day.")
    if details.ab_share is not None and not 1 <= details.ab_share <= 100:
        raise InvalidEmail("Variants are tried with 1 to 100 percent of the audience.")
    tested = len(details.variants) > 1 and details.ab_share not in (None, 100)
    if tested and details.in_recipients_zone:
        # Nobody could say who wins before the last clock on earth shows the time.
        raise InvalidEmail("A test of variants can't go by each recipient's clock. Choose one.")
    if details.ab_minutes < 1:
        raise InvalidEmail("The better variant is decided after a minute at least.")


def _check_references(details: EmailDetails) -> None:
    asked: list[tuple[int | None, Callable[[int], object | None], str]] = [
        (details.sender_id, lambda key: db.session.get(MailSender, key), "sender"),
        (details.audience_id, lambda key: db.session.get(Audience, key), "audience"),
        (details.exclude_id, lambda key: db.session.get(Audience, key), "audience to leave out"),
    ]
    for key, find, what in asked:
        if key is not None and find(key) is None:
            raise InvalidEmail(f"The {what} is gone. Choose another one.")


def _checked_words(words: VariantDetails, letter: str) -> VariantDetails:
    return VariantDetails(
        subject=_line(words.subject, f"subject of {letter}", MAX_LINE),
        preheader=_line(words.preheader, f"preheader of {letter}", MAX_LINE),
        body=_body(words.body, f"body of {letter}"),
        written_text=_body(words.written_text, f"text part of {letter}"),
    )


def _line(text: str, what: str, longest: int) -> str:
    line = text.strip()
    if CONTROL.search(line):
        raise InvalidEmail(f"The {what} holds a line break or another control character.")
    if len(line) > longest:
        raise InvalidEmail(f"The {what} is longer than {longest} characters.")
    return line


def _body(text: str, what: str) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BODY_BYTES:
        raise EmailTooBig(
            f"The {what} is {size / 1_000_000:.1f} MB. The most is {MAX_BODY_BYTES // 1_000_000} "
            "MB, and mail programs cut off after 0.1 MB: link to pictures and files instead of "
            "putting them in."
        )
    return UNWRITABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
