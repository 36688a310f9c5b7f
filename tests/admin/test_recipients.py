"""The room of recipients: who got a mail and why others didn't, however many there are."""

import re
import uuid

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, make_order
from tests.admin.people import make_prospect
from tests.factories.emails import code_of, make_frozen, recipient_of
from tests.plans import measure
from webapp.accounts.models import Role
from webapp.campaigns.models import (
    Email,
    EmailOrder,
    EmailRecipient,
    EmailState,
    EmailUnsubscribe,
    LeaveReason,
    LeaveWay,
    OrderCredit,
    PersonTag,
    RecipientState,
    TrackingEvent,
    TrackingKind,
)
from webapp.core import clock
from webapp.messaging.models import (
    BounceKind,
    MailBounce,
    MailSuppression,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)

ALICE, BOB = "alice@example.com", "bob@example.com"
ROOM = "/admin/recipients/"


def key_of(recipient: EmailRecipient) -> str:
    return f"{recipient.email_id}-{recipient.id}"


def addresses(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a [^>]+>([^<]+@[^<]+)</a>', page)


@pytest.fixture
def email(session: Session) -> Email:
    """A mail that alice got and bob's server refused."""
    made = make_frozen([ALICE, BOB], state=EmailState.SENT)
    alice, bob = recipient_of(made, ALICE), recipient_of(made, BOB)
    alice.state, alice.sent_at, alice.attempts = RecipientState.SENT, clock.now(), 1
    alice.smtp_reply, alice.opened_at = "250 ok queued", clock.now()
    bob.state, bob.attempts, bob.smtp_reply = RecipientState.FAILED, 1, "550 no such user"
    session.commit()
    return made


def test_recipients_are_found_by_mail_state_deed_address_and_code(
    owner: FlaskClient, email: Email
) -> None:
    make_frozen(["charlie@example.com"])
    alice = recipient_of(email, ALICE)
    mine = f"{ROOM}?email={email.id}"
    assert addresses(owner.get(ROOM).text) == ["charlie@example.com", BOB, ALICE]
    assert addresses(owner.get(mine).text) == [BOB, ALICE]
    assert addresses(owner.get(f"{mine}&state=trouble").text) == [BOB]
    assert addresses(owner.get(f"{ROOM}?state=claimed").text) == []
    assert addresses(owner.get(f"{mine}&did=opened").text) == [ALICE]
    assert addresses(owner.get(f"{mine}&did=left").text) == []
    for typed in (" ALICE@example.com", code_of(alice), f"<{code_of(alice)}@shop.example>"):
        assert addresses(owner.get(ROOM, query_string={"search": typed}).text) == [ALICE]
    bounced = f"bounces%2B{code_of(alice)}@shop.example"
    assert addresses(owner.get(f"{ROOM}?search={bounced}").text) == [ALICE]
    assert addresses(owner.get(f"{ROOM}?search=alice").text) == []


def test_a_page_of_a_million_is_read_from_an_index(owner: FlaskClient, session: Session) -> None:
    people = [f"p{number:03}@example.com" for number in range(160)]
    email, other = make_frozen(people, state=EmailState.SENT), make_frozen(people)
    session.execute(
        text("UPDATE email_recipient SET state = 'failed' WHERE email_id = :id AND id % 2 = 0"),
        {"id": email.id},
    )
    session.commit()
    wanted = {
        "page=1": "pk_email_recipient",
        f"page=1&email={other.id}": "pk_email_recipient",
        f"email={email.id}&state=trouble": "ix_email_recipient_trouble",
        "state=trouble": "ix_email_recipient_trouble",
        "did=bounced": "ix_email_recipient_lost",
        "search=p001@example.com": "uq_email_recipient_address_email_id",
    }
    measure(session)
    # The few rows of a test would be read and sorted otherwise.
    session.execute(text("SET LOCAL enable_seqscan = off"))
    session.execute(text("SET LOCAL enable_bitmapscan = off"))
    for query, index in wanted.items():
        with counting() as statements:
            answer = owner.get(f"{ROOM}?{query}")
        assert answer.status_code == 200
        assert len(statements) <= DOOR + 6, "\n".join(statements.statements)
        listed = next(each for each in statements.statements if "OFFSET" in each)
        plan = explain(session, listed, email.id)
        assert index in plan, (query, plan)
        assert "search" in query or "Sort" not in plan, (query, plan)


def explain(session: Session, statement: str, email_id: int) -> str:
    names = re.findall(r"%\((\w+)\)s", statement)
    values = {name: 50 if name.startswith("param") else email_id for name in names}
    values |= {name: "p001@example.com" for name in names if name.startswith("address")}
    rows = session.connection().exec_driver_sql(f"EXPLAIN {statement}", values)
    return "\n".join(row[0] for row in rows)


def test_the_story_of_a_recipient_tells_machines_from_people_and_ends_at_the_order(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    alice, now = recipient_of(email, ALICE), clock.now()
    order = make_order(email=ALICE)
    ids = {"email_id": email.id, "recipient_id": alice.id}
    scanner = TrackingEvent(
        event_id=uuid.uuid4(),
        kind=TrackingKind.TRAP,
        link=2,
        method="GET",
        agent="Scanner/1.0",
        human=False,
        why="followed the trap",
        at=now,
        **ids,
    )
    person = TrackingEvent(
        event_id=uuid.uuid4(),
        kind=TrackingKind.CLICK,
        link=1,
        method="GET",
        human=True,
        at=now,
        **ids,
    )
    left = EmailUnsubscribe(
        topic=MailTopic.NEWSLETTER,
        way=LeaveWay.PAGE,
        reason=LeaveReason.OTHER,
        comment="<b>Too many</b>",
        **ids,
    )
    bounce = MailBounce(
        key="b1",
        email=ALICE,
        code=code_of(alice),
        kind=BounceKind.SOFT,
        status="4.2.2",
        diagnostic="mailbox full",
        source="mail",
    )
    credit = EmailOrder(order_id=order.id, credit=OrderCredit.CLICK, link=1, acted_at=now, **ids)
    suppressed = MailSuppression(
        email=ALICE,
        scope=SuppressionScope.MARKETING,
        reason=SuppressionReason.COMPLAINT,
        source="mail",
    )
    session.add_all([scanner, person, left, bounce, credit, suppressed])
    session.commit()
    page = owner.get(f"{ROOM}details/?id={key_of(alice)}").text
    for told in (
        "Chosen as a recipient",
        "Taken by their mail server",
        "250 ok queued",
        "Followed the link that no person sees by a machine",
        "followed the trap · Scanner/1.0",
        "Clicked by a person",
        "http://localhost/products",
        "Bounced for now",
        "4.2.2 · mailbox full",
        "Left newsletter on the shop&#39;s page",
        "Another reason · &lt;b&gt;Too many&lt;/b&gt;",
        f"order #{order.number}",
        "No campaign",
    ):
        assert told in page, told
    assert f'href="/admin/orders/details/?id={order.id}"' in page


def test_a_servers_words_are_listed_where_a_mail_was_not_plainly_sent(
    owner: FlaskClient, email: Email
) -> None:
    page = owner.get(ROOM).text
    assert "550 no such user" in page
    assert "250 ok queued" not in page


def test_recipients_lead_to_their_mail_also_before_it_goes_out(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    ready = make_frozen([ALICE], state=EmailState.READY)
    ready.name = "Not gone yet"
    session.commit()
    page = owner.get(f"{ROOM}?email={ready.id}").text
    assert addresses(page) == [ALICE]
    for key, room in ((ready.id, "emails"), (email.id, "results")):
        target = f"/admin/{room}/details/?id={key}"
        assert f'href="{target}"' in owner.get(f"{ROOM}?email={key}").text
        assert owner.get(target).status_code == 200
    story = owner.get(f"{ROOM}details/?id={key_of(recipient_of(ready, ALICE))}").text
    assert f'href="/admin/emails/details/?id={ready.id}"' in story


@pytest.mark.parametrize("state", [EmailState.PAUSED, EmailState.CANCELLED])
def test_nothing_is_offered_once_more_of_a_mail_that_is_held_or_over(
    owner: FlaskClient, session: Session, email: Email, state: EmailState
) -> None:
    session.get_one(Email, email.id).state = state
    session.commit()
    page = owner.get(f"{ROOM}details/?id={key_of(recipient_of(email, BOB))}").text
    assert f'action="{ROOM}send-once-more/"' not in page
    alice = recipient_of(email, ALICE)
    alice.state = RecipientState.PENDING
    session.commit()
    waits = "Pending" if state is EmailState.PAUSED else "Cancelled"
    assert f'<span class="pill ">{waits}</span>' in owner.get(f"{ROOM}?email={email.id}").text


def test_somebody_we_know_is_tagged_on_the_page_about_their_address(
    enter: Enter, session: Session, email: Email
) -> None:
    make_prospect(ALICE)
    manager, why = enter(Role.MANAGER), f"{ROOM}why/?address={ALICE}"
    told = act(manager, f"{ROOM}tags/", address=ALICE, tags="Wholesale, fair 2026,", back=why)
    assert "is tagged fair 2026, wholesale" in told
    for page in (
        manager.get(why),
        manager.get(f"{ROOM}details/?id={key_of(recipient_of(email, ALICE))}"),
    ):
        assert "Take off the tag wholesale" in page.text
    assert "They had those tags" in act(manager, f"{ROOM}tags/", address=ALICE, tags="wholesale")
    told = act(manager, f"{ROOM}tags/", address=ALICE, remove="wholesale", back=why)
    assert "no longer tagged wholesale" in told
    assert session.scalars(select(PersonTag.tag)).all() == ["fair 2026"]
    assert "Nobody we know" in act(manager, f"{ROOM}tags/", address=BOB, tags="x")
    assert "without commas" in act(manager, f"{ROOM}tags/", address=ALICE, tags="x" * 61)
    seen = enter(Role.STAFF).get(why).text
    assert "fair 2026" in seen
    assert 'name="tags"' not in seen


def test_a_failed_mail_is_sent_once_more_by_a_persons_decision_alone(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    alice, bob = recipient_of(email, ALICE), recipient_of(email, BOB)
    again = f"{ROOM}send-once-more/"
    assert again in owner.get(f"{ROOM}details/?id={key_of(bob)}").text
    assert f'action="{again}"' not in owner.get(f"{ROOM}details/?id={key_of(alice)}").text
    assert "is sent the mail once more" in act(owner, again, id=key_of(bob))
    session.expire_all()
    assert recipient_of(email, BOB).state is RecipientState.PENDING
    assert "Only a mail that failed" in act(owner, again, id=key_of(bob))
    assert "Only a mail that failed" in act(owner, again, id=key_of(alice))
    assert "Email sent again" in owner.get(f"{ROOM}details/?id={key_of(bob)}").text


def test_why_somebody_got_a_mail_or_not_is_told_for_any_address(
    owner: FlaskClient, email: Email
) -> None:
    page = owner.get(f"{ROOM}why/?address=Bob@example.com&email={email.id}").text
    assert "This mail:" in page
    assert f"{ROOM}details/?id={key_of(recipient_of(email, BOB))}" in page
    stranger = owner.get(f"{ROOM}why/?address=nobody@example.com&email={email.id}").text
    assert "No campaign went to this address." in stranger
    assert "Nobody we know has this address." in stranger
    assert owner.get(f"{ROOM}why/").status_code == 200


def test_a_key_that_names_nobody_is_a_page_that_says_so(owner: FlaskClient) -> None:
    for key in ("1", "1-1", "x", "1-", "99999999999999999999-1", "0-0-0", "-1-1", ""):
        assert owner.get(f"{ROOM}details/", query_string={"id": key}).status_code == 404
        told = act(owner, f"{ROOM}send-once-more/", id=key, back=ROOM)
        assert "nothing here under that number" in told, key


def test_who_got_mails_is_for_those_who_may_look_at_people(enter: Enter, email: Email) -> None:
    bob = key_of(recipient_of(email, BOB))
    assert enter(Role.VIEWER).get(f"{ROOM}details/?id={bob}").status_code == 403
    staff = enter(Role.STAFF)
    assert "Send once more" not in staff.get(f"{ROOM}details/?id={bob}").text
    assert staff.post(f"{ROOM}send-once-more/", data={"id": bob}).status_code == 403
