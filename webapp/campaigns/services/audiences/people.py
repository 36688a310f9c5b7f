"""Who there is to write to: members and prospects as one row for each address."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    Subquery,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from webapp.accounts.models import Address, Member, Prospect, User
from webapp.campaigns.models import Email, EmailOrder, EmailRecipient, EmailType, RecipientState
from webapp.campaigns.services.audiences.conditions import compile_rules, read_rules
from webapp.campaigns.services.audiences.rules import EVERYBODY, Rules
from webapp.campaigns.services.audiences.wanting import is_suppressed, wants
from webapp.messaging.models import MailTopic
from webapp.orders.models import Order, OrderShippingAddress

# address, name, country, time_zone, attributes, is_member
People = Select[str, str, str, str, dict[str, Any], bool]


def people(
    type_: EmailType,
    topic: MailTopic,
    rules: Rules = EVERYBODY,
    exclude: Rules | None = None,
) -> People:
    """Return the statement of all who may get a mail of this kind, one row for each address.

    Columns: address, name, country, time_zone, attributes, is_member. Only who wants the topic
    and is not suppressed; both are asked again before each mail is sent.
    """
    person = everyone(type_)
    return _columns(person).where(
        belongs(person, rules, exclude), wants(person, topic), ~is_suppressed(person)
    )


def people_of(email: Email) -> People:
    """Return the statement of all who get ``email`` if it is populated now."""
    person = everyone(email.type)
    return _columns(person).where(
        may_get(person, email), wants(person, email.topic), ~is_suppressed(person)
    )


def everyone(type_: EmailType) -> Subquery:
    """Return every living person with an address of their own, whatever they want to get.

    A prospect who became a member is that member; one whose address a member has proved, too.
    """
    if type_ is EmailType.MEMBER:
        return _members().subquery("person")
    if type_ is EmailType.PROSPECT:
        return _prospects().subquery("person")
    return union_all(_members(), _prospects()).subquery("person")


def belongs(person: Subquery, rules: Rules, exclude: Rules | None) -> ColumnElement[bool]:
    """Return whether the rules take a person in and the others don't keep them out."""
    inside = compile_rules(person, rules)
    return inside if exclude is None else and_(inside, ~compile_rules(person, exclude))


def may_get(person: Subquery, email: Email) -> ColumnElement[bool]:
    """Return whether the mail is meant for a person, leaving aside what they said to it.

    A mail that is sent again goes to those of the first who haven't opened it, and doesn't ask
    whether they would be in its audience today.
    """
    exclude = read_rules(email.exclude.rules) if email.exclude else None
    if email.resend_of is not None:
        return and_(did_not_open(person, email.resend_of), belongs(person, EVERYBODY, exclude))
    rules = read_rules(email.audience.rules) if email.audience else EVERYBODY
    return belongs(person, rules, exclude)


def did_not_open(person: Subquery, email_id: int) -> ColumnElement[bool]:
    """Return whether a mail reached a person and nothing came of it, neither good nor bad."""
    got = EmailRecipient
    ordered = (
        exists()
        .where(EmailOrder.email_id == got.email_id, EmailOrder.recipient_id == got.id)
        .correlate(got)
    )
    return (
        exists()
        .where(
            got.address == person.c.address,
            got.email_id == email_id,
            got.state == RecipientState.SENT,
            got.opened_at.is_(None),
            got.clicked_at.is_(None),
            got.left_at.is_(None),
            got.bounced_at.is_(None),
            got.complained_at.is_(None),
            ~ordered,
        )
        .correlate(person)
    )


def _columns(person: Subquery) -> People:
    of = person.c
    return select(of.address, of.name, of.country, of.time_zone, of.attributes, of.is_member)


def _members() -> Select[Any]:
    known = aliased(Prospect)
    named = func.coalesce(func.nullif(Member.name, ""), known.name, "")
    return (
        select(
            User.email.label("address"),
            named.label("name"),
            _country(
                Address.country,
                known.country,
                or_(Order.member_id == Member.id, Order.prospect_id == known.id),
            ).label("country"),
            func.coalesce(known.time_zone, "").label("time_zone"),
            func.coalesce(known.attributes, func.jsonb_build_object()).label("attributes"),
            true().label("is_member"),
            func.coalesce(cast(known.source, Text), "").label("source"),
            func.least(Member.created_at, known.created_at).label("joined_at"),
        )
        .select_from(User)
        .join(Member, Member.user_id == User.id)
        .outerjoin(Address, and_(Address.member_id == Member.id, Address.is_default))
        .outerjoin(known, and_(known.email == User.email, known.erased_at.is_(None)))
        .where(
            User.email_verified_at.is_not(None),
            User.erased_at.is_(None),
            User.closed_at.is_(None),
            User.active,
        )
    )


def _prospects() -> Select[Any]:
    proven = (
        select(User.id)
        .join(Member, Member.user_id == User.id)
        .where(User.email == Prospect.email, User.email_verified_at.is_not(None))
        .exists()
    )
    return select(
        Prospect.email.label("address"),
        Prospect.name.label("name"),
        _country(literal(""), Prospect.country, Order.prospect_id == Prospect.id).label("country"),
        Prospect.time_zone.label("time_zone"),
        Prospect.attributes.label("attributes"),
        false().label("is_member"),
        cast(Prospect.source, Text).label("source"),
        Prospect.created_at.label("joined_at"),
    ).where(Prospect.erased_at.is_(None), Prospect.member_id.is_(None), ~proven)


def _country(
    chosen: SQLColumnExpression[str],
    imported: SQLColumnExpression[str],
    theirs: ColumnElement[bool],
) -> ColumnElement[str]:
    """Return what a member chose, else what an import knew, else where the last parcel went."""
    last_parcel = (
        select(OrderShippingAddress.country)
        .join(Order, Order.id == OrderShippingAddress.order_id)
        .where(theirs)
        .order_by(Order.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(
        func.nullif(chosen, ""), func.nullif(imported, ""), func.nullif(last_parcel, ""), ""
    )
