"""People known by an address alone: what they did so far, and whether they became members."""

import re

from flask.testing import FlaskClient
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, make_order
from tests.admin.people import add_consent, make_message, make_prospect, member_of
from tests.admin.rows import add_mail
from tests.factories.people import make_user
from webapp.accounts.models import PersonNote, Prospect, ProspectSource, Role
from webapp.core import clock
from webapp.core.models import AuditEntry


def emails(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/admin/prospects[^>]*>([^<]+)<', page)


def test_the_list_tells_where_they_came_from(owner: FlaskClient, session: Session) -> None:
    alice = member_of(make_user())
    make_prospect(member_id=alice.id, converted_at=clock.now(), source=ProspectSource.PURCHASE)
    make_prospect("charlie@example.com", source=ProspectSource.NEWSLETTER, name="Charlie")
    assert emails(owner.get("/admin/prospects/").text) == ["charlie@example.com", "bob@example.com"]
    for choice, found in {
        "source=newsletter": ["charlie@example.com"],
        "converted=yes": ["bob@example.com"],
        "converted=no": ["charlie@example.com"],
        "search=CHARLIE": ["charlie@example.com"],
        "search=bob@example.com": ["bob@example.com"],
        "search=nobody": [],
    }.items():
        assert (choice, emails(owner.get(f"/admin/prospects/?{choice}").text)) == (choice, found)


def test_the_page_tells_orders_mails_consent_messages_and_notes(
    owner: FlaskClient, session: Session
) -> None:
    prospect = make_prospect()
    order = make_order(1001, email=prospect.email)
    order.prospect_id = prospect.id
    add_mail(session, order, "m", subject="Your hat is on its way")
    add_consent(prospect.email)
    make_message("Where is my hat?")
    act(owner, "/admin/prospects/add-note/", id=prospect.id, text="Likes hats.")
    with counting() as counted:
        page = owner.get(f"/admin/prospects/details/?id={prospect.id}").text
    assert len(counted) <= DOOR + 15, "\n".join(counted.statements)
    for told in ("#1001", "$35.00", "Your hat is on its way", "Newsletter", "Where is", "Likes"):
        assert told in page, told
    assert session.scalars(select(PersonNote.prospect_id)).one() == prospect.id
    deed = session.scalars(select(AuditEntry).where(AuditEntry.action == "prospect.noted")).one()
    assert deed.subject == f"prospect:{prospect.id}"


def test_the_list_leads_those_who_may_to_the_import(enter: Enter) -> None:
    assert 'href="/admin/imports/">Import' in enter(Role.MANAGER).get("/admin/prospects/").text
    main = enter(Role.STAFF).get("/admin/prospects/").text.split("<main")[1]
    assert "/admin/imports/" not in main


def test_a_converted_one_leads_to_the_member(owner: FlaskClient, session: Session) -> None:
    alice = member_of(make_user())
    prospect = make_prospect(member_id=alice.id, converted_at=clock.now())
    page = owner.get(f"/admin/prospects/details/?id={prospect.id}").text
    assert f'href="/admin/members/details/?id={alice.id}"' in page


def test_many_prospects_take_few_statements(owner: FlaskClient, session: Session) -> None:
    rows = [{"email": f"p{n:04}@example.com", "source": ProspectSource.CART} for n in range(300)]
    session.execute(insert(Prospect), rows)
    session.commit()
    with counting() as counted:
        assert len(emails(owner.get("/admin/prospects/?page=3").text)) == 50
    assert len(counted) <= DOOR + 6, "\n".join(counted.statements)
