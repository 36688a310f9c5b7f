"""The room of results: people apart from machines, the mail with its clicks, and the orders."""

import io
import re
import uuid
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, counting, make_order, said
from tests.factories.emails import make_draft, make_frozen, recipient_of
from webapp.accounts.models import Prospect, Role
from webapp.campaigns.models import (
    Email,
    EmailOrder,
    EmailRecipient,
    EmailState,
    EmailUnsubscribe,
    EmailVariant,
    LeaveReason,
    LeaveWay,
    OrderCredit,
    PersonTag,
    RecipientState,
    SendLease,
    TrackingEvent,
    TrackingKind,
)
from webapp.core import clock
from webapp.messaging.models import MailConsent, MailTopic

ROOM, IMPORTS = "/admin/results/", "/admin/imports/"
PEOPLE = ["alice@example.com", "bob@example.com", "charlie@example.com", "dora@example.com"]


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def add_event(row: EmailRecipient, kind: TrackingKind, *, human: bool) -> TrackingEvent:
    return TrackingEvent(
        event_id=uuid.uuid4(),
        email_id=row.email_id,
        recipient_id=row.id,
        kind=kind,
        link=1 if kind is TrackingKind.CLICK else None,
        method="GET",
        human=human,
        at=clock.now(),
    )


def make_sent(session: Session, number: int = 1001) -> Email:
    """A mail that four got: alice and bob opened, alice clicked and bought, charlie's bounced."""
    email, now = make_frozen(PEOPLE, state=EmailState.SENT), clock.now()
    rows = {address: recipient_of(email, address) for address in PEOPLE}
    for row in rows.values():
        row.state, row.sent_at = RecipientState.SENT, now
    alice, bob, charlie, dora = rows.values()
    alice.opened_at = bob.opened_at = alice.clicked_at = now
    bob.left_at = charlie.bounced_at = now
    order = make_order(number, email=alice.address, lines=(("Hat", 2),))
    ids = {"email_id": email.id}
    session.add_all(
        [
            SendLease(size=4, sent=4, expires_at=now, ended_at=now, **ids),
            SendLease(size=1, failed=1, expires_at=now, ended_at=now, **ids),
            add_event(alice, TrackingKind.OPEN, human=True),
            add_event(alice, TrackingKind.CLICK, human=True),
            add_event(dora, TrackingKind.OPEN, human=False),
            add_event(dora, TrackingKind.CLICK, human=False),
            EmailUnsubscribe(
                recipient_id=bob.id,
                topic=MailTopic.NEWSLETTER,
                way=LeaveWay.PAGE,
                reason=LeaveReason.OTHER,
                comment="Too <many> mails",
                **ids,
            ),
            EmailOrder(
                order_id=order.id,
                recipient_id=alice.id,
                credit=OrderCredit.CLICK,
                link=1,
                acted_at=order.placed_at - timedelta(minutes=5),
                **ids,
            ),
        ]
    )
    session.commit()
    return email


@pytest.fixture
def email(session: Session) -> Email:
    return make_sent(session)


def test_the_list_tells_people_apart_from_machines_in_few_statements(
    owner: FlaskClient, session: Session
) -> None:
    for number in range(1001, 1009):
        make_sent(session, number)
    make_draft("Not gone out")
    with counting() as statements:
        page = owner.get(ROOM).text
    assert len(statements) <= DOOR + 16, "\n".join(statements.statements)
    row = plain(page.split("<tbody>")[1].split("</tr>")[0])
    # Delivered, opened, clicked, orders, revenue, each, left, bounced, complained.
    figures = "3 66.7% 33.3% 1 $25.00 $8.33 33.3% 25.0% 0.0%"
    assert row.endswith(figures), row
    assert page.count("$25.00") == 8
    assert "Not gone out" not in page
    with counting() as again:
        owner.get(ROOM)
    assert len(again) <= DOOR + 5, "\n".join(again.statements)
    assert "Nothing matches" in owner.get(f"{ROOM}?search=nothing").text


def test_a_mails_page_tells_where_its_figures_come_from(owner: FlaskClient, email: Email) -> None:
    page = owner.get(f"{ROOM}details/?id={email.id}").text
    told = plain(page)
    for figure in (
        "Opened 66.7% 2 people",
        "Clicked 33.3% 1 person, 50.0% of those who opened",
        "Revenue $25.00 1 order",
        "1 open and 1 click came from machines, not from people",
        "1 recipient was refused or left in doubt",
        "Another reason 1",
        "Too &lt;many&gt; mails",
        "Link 1 5 min later",
        "4 recipients. Counted",
    ):
        assert figure in told, (figure, told)
    for link in (
        f"/admin/recipients/?email={email.id}&amp;did=opened",
        f"/admin/results/map/?id={email.id}&amp;variant=1",
        f"/admin/emails/details/?id={email.id}",
    ):
        assert link in page
    order = re.search(r"/admin/orders/details/\?id=\d+", page)
    assert order is not None
    assert "#1001" in owner.get(order.group()).text
    assert "sandbox" in page.split("<iframe")[1].split(">")[0]


def test_the_clicks_are_drawn_over_the_mail_in_a_document_that_can_do_nothing(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    answer = owner.get(f"{ROOM}map/?id={email.id}")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy
    assert "frame-ancestors 'self'" in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Cache-Control"] == "no-store"
    assert ">1 · 100%</span>The shop</a>" in answer.text
    assert "Hello there" in answer.text
    assert "{{" not in answer.text
    assert "/c/" not in answer.text and "/u/" not in answer.text
    variant = session.get_one(EmailVariant, (email.id, 1))
    variant.html = '<p title="{{first_name|<b>}}">{{name}}</p><a href="{{@click:2}}">trap</a>'
    session.commit()
    odd = owner.get(f"{ROOM}map/?id={email.id}").text
    assert "<b>" not in odd
    assert "[name]" in odd
    assert "·" not in odd, "a trap bears no badge"
    assert owner.get(f"{ROOM}map/?id={email.id}&variant=7").status_code == 404
    assert owner.get(f"{ROOM}map/?id={make_draft().id}").status_code == 404


def test_an_order_right_after_the_click_came_at_once(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    credit = session.scalars(select(EmailOrder)).one()
    credit.acted_at += timedelta(minutes=5)
    session.commit()
    assert "Link 1 at once" in plain(owner.get(f"{ROOM}details/?id={email.id}").text)


def test_the_frame_of_a_short_mail_is_not_that_of_a_long_one(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    def tall() -> int:
        page = owner.get(f"{ROOM}details/?id={email.id}").text
        return int(page.split('class="mail-map" height="')[1].split('"')[0])

    short, words = tall(), session.get_one(EmailVariant, (email.id, 1))
    words.text = "A line of some length.\n\n" * 100
    session.commit()
    assert 200 < short < 400
    assert tall() == 960


def test_versions_stand_beside_each_other_with_the_winner(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    row = session.get_one(Email, email.id)
    row.variants.append(EmailVariant(number=2, subject="The other", html="<p>Other</p>"))
    row.ab_share, row.ab_winner = 20, 2
    bob = recipient_of(email, PEOPLE[1])
    bob.variant = 2
    session.commit()
    told = plain(owner.get(f"{ROOM}details/?id={email.id}").text)
    assert "A News 2 50.0% 50.0%" in told
    assert "B Winner The other 1 100.0% 0.0%" in told
    assert "The rest of the audience got version B" in told
    assert "Other" in owner.get(f"{ROOM}map/?id={email.id}").text


def test_up_to_five_mails_are_compared_and_the_best_is_marked(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    others = [make_frozen(PEOPLE[:1], state=EmailState.SENT) for _ in range(6)]
    query = "&".join(f"id={each.id}" for each in [email, *others])
    page = owner.get(f"{ROOM}compare/?{query}&id=x&id=-1").text
    assert page.split("<thead>")[1].split("</thead>")[0].count("<a href") == 5
    assert re.search(r'class="best"><span class="number">66.7%</span>.*?best', page)
    assert page.count(" checked>") == 5
    assert "2 of those chosen are left out" in page
    assert "Choose up to 5" in owner.get(f"{ROOM}compare/").text


def test_figures_are_for_everybody_here_and_people_for_those_who_may_see_them(
    enter: Enter, email: Email
) -> None:
    page = enter(Role.VIEWER).get(f"{ROOM}details/?id={email.id}").text
    assert "66.7%" in page
    for hidden in ("@example.com</td>", "Too &lt;many", "/admin/recipients/"):
        assert hidden not in page.split("<main")[1]
    staff = enter(Role.STAFF).get(f"{ROOM}details/?id={email.id}").text
    assert "alice@example.com" in staff


def test_the_start_page_tells_the_newest_mails_and_those_in_trouble(
    owner: FlaskClient, session: Session, email: Email
) -> None:
    page = plain(owner.get("/admin/").text)
    assert "News 4 66.7% 33.3% $25.00" in page
    assert "Campaigns in trouble" not in page
    recipient_of(email, PEOPLE[0]).state = RecipientState.UNKNOWN
    session.commit()
    assert "Campaigns in trouble 1" in plain(owner.get("/admin/").text)
    session.get_one(Email, email.id).started_at = clock.now() - timedelta(days=8)
    session.commit()
    assert "Campaigns in trouble" not in owner.get("/admin/").text


def look(browser: FlaskClient, content: str, **said_of_it: str) -> str:
    values = {"source": "Spring fair, paper list", "topic": "newsletter"} | said_of_it
    file = {"file": (io.BytesIO(content.encode()), "people.csv")}
    return browser.post(IMPORTS, data=values | file).text


def test_prospects_come_in_by_a_second_press_with_what_they_agreed_to(
    enter: Enter, session: Session
) -> None:
    manager = enter(Role.MANAGER)
    content = "Email Address,First Name,Shoe size\nAlice@example.com,Alice,38\nbob@example.com,,\n"
    page = look(manager, content, tags="fair 2026", keep_all="y")
    assert "Import 2 people" in page
    assert "shoe_size" in page
    assert session.scalars(select(Prospect)).all() == []
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    assert fields["tags"] == "fair 2026"
    answer = manager.post(IMPORTS, data=fields, follow_redirects=True)
    assert "2 new people" in said(answer.text)
    found = {row.email: row.attributes for row in session.scalars(select(Prospect))}
    assert found == {"alice@example.com": {"shoe_size": "38"}, "bob@example.com": {}}
    assert len(session.scalars(select(PersonTag)).all()) == 2
    source = session.scalars(select(MailConsent.source)).first()
    assert source == "import: Spring fair, paper list"
    again = manager.post(IMPORTS, data=fields)
    assert "no longer here" in again.text
    assert "All of it is here already" in look(manager, content, tags="fair 2026", keep_all="y")
    assert "Say how they agreed" in look(manager, content, source="")
    wrong = look(manager, "Email\nnobody\n")
    assert "1 line has to be mended" in plain(wrong)
    assert 'name="token"' not in wrong
    assert enter(Role.STAFF).get(IMPORTS).status_code == 403
