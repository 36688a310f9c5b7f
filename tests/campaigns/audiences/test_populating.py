"""Gathering a mail's recipients: who, with what, when, and never twice."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Insert, func, insert, select, update
from sqlalchemy.orm import Session

from tests.campaigns.audiences.conftest import WILLING, Town, address_of, ago, say
from tests.factories.emails import recipient_of
from tests.plans import explained, measure
from webapp.accounts.models import Prospect, ProspectSource
from webapp.campaigns.errors import NoSuchEmail, WrongEmailState
from webapp.campaigns.models import (
    NOT_YET,
    Audience,
    CampaignSettings,
    Email,
    EmailOrder,
    EmailRecipient,
    EmailState,
    EmailVariant,
    OrderCredit,
    RecipientState,
)
from webapp.campaigns.services import populating
from webapp.campaigns.services.audiences import explain_address
from webapp.campaigns.services.local_time import main_zones, set_due_times
from webapp.campaigns.services.populating import populate, populate_some
from webapp.campaigns.services.readying import forget_recipients
from webapp.campaigns.services.resending import resend_to_non_openers
from webapp.core import clock
from webapp.core.audit import SYSTEM
from webapp.core.queue import enqueue
from webapp.messaging.models import (
    MailConsent,
    MailSuppression,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)
from webapp.orders.models import Order

BUYERS = {"match": "all", "of": [{"field": "ordered", "op": "ever"}]}


def make_ready(
    session: Session, *bodies: str, state: EmailState = EmailState.READY, **values: Any
) -> Email:
    variants = [
        EmailVariant(number=number, subject="News", body=body)
        for number, body in enumerate(bodies or ("Hello",), start=1)
    ]
    email = Email(name="News", state=state, variants=variants, **values)
    session.add(email)
    session.flush()
    return email


def rows_of(session: Session, email: Email) -> dict[str, EmailRecipient]:
    session.expire_all()
    found = select(EmailRecipient).where(EmailRecipient.email_id == email.id)
    return {row.address.partition("@")[0]: row for row in session.scalars(found)}


def make_crowd(session: Session, size: int) -> None:
    addresses = [f"reader{number}@example.org" for number in range(size)]
    session.execute(
        insert(Prospect),
        [{"email": each, "source": ProspectSource.IMPORT, "name": "Ada L"} for each in addresses],
    )
    said = {"topic": MailTopic.NEWSLETTER, "wanted": True, "source": "import: fair"}
    session.execute(insert(MailConsent), [said | {"email": each} for each in addresses])


def test_everybody_gets_one_row_with_what_the_words_ask_for(session: Session, town: Town) -> None:
    charlie = session.query(Prospect).filter_by(email="charlie@example.com").one()
    charlie.attributes = {"colour": "blue", "shoe": 43}
    charlie.name = "  Charlie van  Dam "
    words = "{{ first_name | you }} {{last_name}} {{colour|any}} {{shoe}} {{@leave}} {{nothing}}"
    email = make_ready(session, words)
    assert populate(email.id) == 5
    rows = rows_of(session, email)
    assert set(rows) == set(WILLING)
    assert rows["charlie"].fields == {
        "first_name": "Charlie",
        "last_name": "van  Dam",
        "colour": "blue",
        "shoe": "43",
    }
    assert rows["bob"].fields == {"first_name": "Bob"}
    assert rows["erin"].fields == {}
    assert {row.state for row in rows.values()} == {RecipientState.PENDING}
    assert {row.variant for row in rows.values()} == {1}
    assert all(row.due_at <= clock.now() for row in rows.values())
    assert len({row.secret for row in rows.values()}) == 5
    assert (email.population, email.populated_at is not None) == (5, True)
    # Who is new is added, nobody else is touched.
    secrets = {name: row.secret for name, row in rows.items()}
    assert populate(email.id) == 0
    say(session, "gina", True)
    assert populate(email.id) == 1
    rows = rows_of(session, email)
    assert {name: row.secret for name, row in rows.items() if name != "gina"} == secrets
    assert email.population == 6


def test_secrets_are_spread_over_all_64_bits(session: Session) -> None:
    make_crowd(session, 400)
    email = make_ready(session)
    populate(email.id)
    secrets = [row.secret for row in rows_of(session, email).values()]
    assert len(set(secrets)) == 400
    for bit in range(64):
        assert 120 < sum(secret >> bit & 1 for secret in secrets) < 280
    again = make_ready(session)
    populate(again.id)
    assert not set(secrets) & {row.secret for row in rows_of(session, again).values()}


def test_audience_and_exclusion_are_asked(session: Session, town: Town) -> None:
    buyers = Audience(name="Buyers", rules=BUYERS)
    members = Audience(name="Members", rules={"of": [{"field": "member", "op": "is"}]})
    email = make_ready(session, audience=buyers, exclude=members)
    assert populate(email.id) == 1
    assert set(rows_of(session, email)) == {"dora"}


@pytest.mark.parametrize("state", [EmailState.DRAFT, EmailState.SENT, EmailState.AUTOMATED])
def test_words_must_stand_and_it_must_not_be_over(session: Session, state: EmailState) -> None:
    email = make_ready(session, state=state)
    with pytest.raises(WrongEmailState):
        populate(email.id)
    with pytest.raises(NoSuchEmail):
        populate(email.id + 1)


def test_who_makes_it_ready_anew_meanwhile_is_gathered_for_anew(
    session: Session, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken back to draft and changed while its recipients were gathered: it may be for others."""
    email = make_ready(session, ready_at=clock.now())
    insert_recipients = populating.insert_recipients

    def made_ready_anew(of: Email, now: datetime) -> Insert:
        anew = update(Email).where(Email.id == of.id).values(ready_at=now + timedelta(seconds=1))
        session.execute(anew, execution_options={"synchronize_session": False})
        return insert_recipients(of, now)

    monkeypatch.setattr(populating, "insert_recipients", made_ready_anew)
    with pytest.raises(WrongEmailState):
        populate(email.id)


def test_a_job_gathers_them_and_leaves_alone_what_is_a_draft_again(
    session: Session, town: Town, run_jobs: Callable[[], int]
) -> None:
    ready, draft = make_ready(session), make_ready(session, state=EmailState.DRAFT)
    for email in (ready, draft):
        enqueue("jobs.campaigns.populate", email.id)
    session.commit()
    assert run_jobs() == 2
    assert (len(rows_of(session, ready)), len(rows_of(session, draft))) == (5, 0)


def test_a_random_part_tries_the_variants_and_the_others_wait(session: Session) -> None:
    make_crowd(session, 100)
    email = make_ready(session, "A", "B", "C", ab_share=30)
    assert populate(email.id) == 100
    rows = rows_of(session, email).values()
    tested = [row for row in rows if row.due_at < NOT_YET]
    assert Counter(row.variant for row in tested) == {1: 10, 2: 10, 3: 10}
    assert {row.variant for row in rows if row.due_at == NOT_YET} == {1}
    # Not just the first of the alphabet.
    assert {row.address[6] for row in tested} - {"0", "1"}
    email.ab_winner = 2
    email.state = EmailState.SENDING
    session.flush()
    make_late = Prospect(email="late@example.com", source=ProspectSource.IMPORT)
    session.add(make_late)
    say(session, "late", True)
    assert populate(email.id) == 1
    late = recipient_of(email, "late@example.com")
    assert (late.variant, late.due_at < NOT_YET) == (2, True)


@pytest.mark.parametrize("share", [None, 100])
def test_without_a_test_variants_are_spread_over_everybody(
    session: Session, share: int | None
) -> None:
    make_crowd(session, 20)
    email = make_ready(session, "A", "B", ab_share=share)
    populate(email.id)
    rows = rows_of(session, email).values()
    assert Counter(row.variant for row in rows) == {1: 10, 2: 10}
    assert all(row.due_at < NOT_YET for row in rows)


def test_it_is_the_same_time_of_day_for_everybody(session: Session, town: Town) -> None:
    session.add(CampaignSettings(time_zone="Europe/Berlin"))
    erin = session.query(Prospect).filter_by(email="erin@example.com").one()
    erin.time_zone = "America/Los_Angeles"
    dora = session.query(Prospect).filter_by(email="dora@example.com").one()
    dora.time_zone, dora.country = "Nowhere/Land", "AU"
    with clock.frozen(datetime(2026, 3, 2, 12, tzinfo=UTC)):
        email = make_ready(session, in_recipients_zone=True)
        populate(email.id)
        rows_of(session, email)["bob"].due_at = NOT_YET
        session.flush()
        # Nine in the morning in Berlin.
        at = datetime(2026, 3, 3, 8, tzinfo=UTC)
        first = set_due_times(email.id, at)
        due = {name: row.due_at for name, row in rows_of(session, email).items()}
        assert due == {
            "alice": at,
            "bob": NOT_YET,
            "charlie": at,
            "dora": datetime(2026, 3, 2, 22, tzinfo=UTC),
            "erin": datetime(2026, 3, 3, 17, tzinfo=UTC),
        }
        assert first == due["dora"]
        # Where that hour has passed it goes at once.
        soon = clock.now() + timedelta(hours=1)
        assert set_due_times(email.id, soon) == clock.now()
        # Who comes later is due by the same clock.
        email.state, email.scheduled_at = EmailState.SCHEDULED, at
        say(session, "gina", True)
        assert populate(email.id) == 1
        assert rows_of(session, email)["gina"].due_at == at
        # Where the window is closed by then it is due when that opens.
        email.window_from, email.window_to = 9 * 60, 12 * 60
        set_due_times(email.id, soon)
        due = {name: row.due_at for name, row in rows_of(session, email).items()}
        assert due["alice"] == at
        assert due["dora"] == datetime(2026, 3, 2, 22, tzinfo=UTC)
        assert due["erin"] == datetime(2026, 3, 3, 17, tzinfo=UTC)
    assert len(main_zones()) > 240


def test_thousands_just_gathered_are_not_looked_through_once_for_each(session: Session) -> None:
    """The statistics know nothing of them yet, and a plan for one recipient takes minutes."""
    make_crowd(session, 1500)
    populate(make_ready(session).id)
    measure(session)
    email = make_ready(session, in_recipients_zone=True)
    populate(email.id)
    about = ("UPDATE email_recipient", "DELETE FROM email_recipient")
    with explained(session.connection(), *about) as plans:
        set_due_times(email.id, clock.now() + timedelta(days=1))
        email.state = EmailState.DRAFT
        session.flush()
        assert forget_recipients(email.id, 1000) == 1000
    moved, gone = plans
    assert "Nested Loop" not in moved, moved
    assert "Join Filter" not in gone, gone
    assert forget_recipients(email.id, 1000) == 500


def test_those_who_did_nothing_get_it_again(session: Session, town: Town) -> None:
    first = town.mail_b
    for name in ("erin", "dora", "alice", "gina", "fred"):
        row = EmailRecipient(
            email_id=first.id,
            address=address_of(name),
            secret=1,
            state=RecipientState.SENT,
            sent_at=ago(3),
        )
        session.add(row)
    session.flush()
    alice = recipient_of(first, address_of("alice"))
    order = session.scalars(select(Order.id).limit(1)).one()
    session.add(
        EmailOrder(
            order_id=order,
            email_id=first.id,
            recipient_id=alice.id,
            credit=OrderCredit.CLICK,
            acted_at=ago(1),
        )
    )
    recipient_of(first, address_of("dora")).bounced_at = ago(2)
    session.commit()
    first.track_opens = first.track_clicks = False
    with pytest.raises(WrongEmailState, match="all would get it twice"):
        resend_to_non_openers(first.id, None, SYSTEM)
    first.track_opens = True
    again = resend_to_non_openers(first.id, "Once more", SYSTEM)
    assert (again.state, again.resend_of) == (EmailState.DRAFT, first.id)
    assert [each.subject for each in again.variants] == ["Once more"]
    again.state = EmailState.READY
    session.flush()
    # Charlie opened it, alice bought, dora bounced, gina left, fred is suppressed.
    assert populate(again.id) == 2
    assert set(rows_of(session, again)) == {"bob", "erin"}
    assert "did nothing with it" in explain_address(again.id, address_of("charlie"))
    with pytest.raises(WrongEmailState):
        resend_to_non_openers(first.id, None, SYSTEM)
    with pytest.raises(WrongEmailState):
        resend_to_non_openers(again.id, None, SYSTEM)


def test_a_sequence_adds_some_at_a_time(session: Session, town: Town) -> None:
    email = make_ready(session, "{{first_name}}", state=EmailState.AUTOMATED)
    addresses = [address_of(name) for name in ("alice", "gina", "fred")]
    assert populate_some(email, addresses) == {address_of("alice")}
    assert populate_some(email, [*addresses, address_of("bob")]) == {
        address_of("alice"),
        address_of("bob"),
    }
    assert set(rows_of(session, email)) == {"alice", "bob"}
    assert email.population == 2


def test_why_somebody_gets_it_or_not(session: Session, town: Town) -> None:
    buyers = Audience(name="Buyers", rules=BUYERS)
    vips = Audience(name="VIPs", rules={"of": [{"field": "tag", "op": "is", "value": ["vip"]}]})
    email = make_ready(session, audience=buyers)
    open_to_all = make_ready(session, exclude=vips)

    def why(name: str, mail: Email = open_to_all) -> str:
        return explain_address(mail.id, f" {address_of(name).upper()} ")

    assert why("alice") == "They get it: they will be among its recipients once these are gathered."
    assert why("zoe") == "Nobody with this address is a member or a prospect."
    assert why("bob", email) == (
        "The audience “Buyers” leaves them out: it is not true that this person ordered."
    )
    assert why("charlie") == "They are in “VIPs”, which this mail leaves out."
    assert why("fred").startswith("The address is suppressed since")
    assert "because of: complaint, known from ses" in why("fred")
    assert why("gina").startswith("They said no to “Newsletter” on")
    open_to_all.topic = MailTopic.OFFERS
    assert why("erin") == "They never said that they want “Offers”."
    populate(email.id)
    assert why("alice", email) == "It is waiting to be sent to them."
    row = recipient_of(email, address_of("alice"))
    row.state, row.smtp_reply = RecipientState.FAILED, "550 no such user."
    session.flush()
    assert why("alice", email) == "Their mail server refused it: 550 no such user."
    session.add(
        MailSuppression(
            email=address_of("dora"),
            scope=SuppressionScope.ALL,
            reason=SuppressionReason.BOUNCE,
            source="bounce",
            detail="5.1.1",
        )
    )
    session.flush()
    assert why("dora", email) == "It is waiting to be sent to them."
    assert session.scalar(select(func.count()).select_from(EmailRecipient)) == 6
