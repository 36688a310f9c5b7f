"""Terms of use: read by everybody, changed by nobody once published, agreed to before going on."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.people import browser_of, make_user
from webapp.accounts.errors import InvalidTerms, NoSuchTerms, TermsPublished, TermsVersionTaken
from webapp.accounts.models import Role, TermsAgreement, TermsOfUse, User
from webapp.accounts.services import terms as services
from webapp.core.audit import OPERATOR, SYSTEM
from webapp.core.db import db
from webapp.core.models import AuditEntry


def publish(version: str, body: str = "<p>Be kind.</p>", summary: str = "") -> TermsOfUse:
    drafted = services.draft(version, "Terms of use", body, summary, OPERATOR)
    services.publish(drafted.id, OPERATOR)
    db.session.commit()
    return drafted


def agree(browser: FlaskClient, terms: TermsOfUse) -> None:
    answer = browser.post("/account/terms?next=/account/orders", data={"terms": terms.id})
    assert answer.location == "/account/orders"


def test_a_shop_without_terms_says_so_and_asks_for_nothing(browser: FlaskClient) -> None:
    assert "has not published any yet" in browser.get("/terms").text
    assert browser.get("/account").status_code == 200
    assert services.current_terms() is None


def test_the_newest_published_version_is_in_force(client: FlaskClient, alice: User) -> None:
    publish("1", "<p>First words</p>")
    publish("2", "<p>Second words</p>", summary="Kinder than before.")
    services.draft("3", "Terms of use", "<p>Third words</p>", "", OPERATOR)
    db.session.commit()
    page = client.get("/terms").text
    assert "Second words" in page
    assert "Third words" not in page
    assert "/terms/1" in page
    old = client.get("/terms/1").text
    assert "First words" in old
    assert "no longer in force" in old
    for hidden in ("3", "9", "x" * 300, "%00"):
        assert client.get(f"/terms/{hidden}").status_code == 404


def test_the_text_is_shown_without_anything_that_runs(client: FlaskClient, app: Flask) -> None:
    publish("1", "<h2>Rules</h2><script>alert(1)</script><p onclick='x()'>Be kind.</p>")
    page = client.get("/terms").text
    assert "<h2>Rules</h2>" in page
    assert "alert(1)" not in page
    assert "onclick" not in page


def test_a_published_version_never_changes(app: Flask, session: Session) -> None:
    terms = publish("1")
    before = (terms.body, terms.published_at)
    with pytest.raises(TermsPublished):
        services.revise(terms.id, "Terms", "<p>Other words</p>", "", OPERATOR)
    with pytest.raises(TermsPublished):
        services.discard(terms.id, OPERATOR)
    services.publish(terms.id, OPERATOR)
    session.commit()
    session.expire_all()
    assert (terms.body, terms.published_at) == before
    published = select(AuditEntry).where(AuditEntry.action == "terms.published")
    assert len(session.scalars(published).all()) == 1


def test_a_draft_can_be_revised_and_thrown_away(app: Flask, session: Session) -> None:
    drafted = services.draft("1", "Terms", "<p>Words</p>", "", OPERATOR)
    services.revise(drafted.id, "Better terms", "<p>Better words</p>", "Better", OPERATOR)
    session.commit()
    assert (drafted.title, drafted.body) == ("Better terms", "<p>Better words</p>")
    services.discard(drafted.id, OPERATOR)
    session.commit()
    assert session.scalars(select(TermsOfUse)).all() == []


@pytest.mark.parametrize("version", ["", " ", "a/b", "x" * 41, "a\nb"])
def test_a_version_needs_a_name_that_an_address_can_carry(app: Flask, version: str) -> None:
    with pytest.raises(InvalidTerms):
        services.draft(version, "Terms", "<p>Words</p>", "", OPERATOR)


def test_a_version_has_a_text_and_its_name_alone(app: Flask) -> None:
    with pytest.raises(InvalidTerms):
        services.draft("1", "Terms", " ", "", OPERATOR)
    publish("1")
    with pytest.raises(TermsVersionTaken):
        services.draft("1", "Terms", "<p>Words</p>", "", OPERATOR)


def test_nobody_agrees_to_a_draft(app: Flask, alice: User) -> None:
    drafted = services.draft("1", "Terms", "<p>Words</p>", "", OPERATOR)
    with pytest.raises(NoSuchTerms):
        services.agree(alice, drafted, SYSTEM)


def test_members_are_asked_first_and_then_go_where_they_were_going(
    browser: FlaskClient, alice: User, session: Session
) -> None:
    terms = publish("1", summary="Be kind to each other.")
    answer = browser.get("/account/orders?page=1")
    assert answer.location == "/account/terms?next=/account/orders?page%3D1"
    page = browser.get(answer.location).text
    assert "Be kind." in page
    assert "Be kind to each other." in page
    answer = browser.post(answer.location, data={"terms": terms.id})
    assert answer.location == "/account/orders?page=1"
    assert browser.get("/account/orders?page=1").status_code == 200

    agreement = session.scalars(select(TermsAgreement)).one()
    assert (agreement.user_id, agreement.terms_id) == (alice.id, terms.id)
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "terms.agreed")).one()
    assert (entry.actor_id, entry.user_id, entry.details) == (alice.id, alice.id, {"version": "1"})


def test_a_new_version_asks_again_and_an_old_agreement_is_kept(
    browser: FlaskClient, session: Session
) -> None:
    first = publish("1")
    agree(browser, first)
    second = publish("2")
    assert browser.get("/account").status_code == 303
    agree(browser, second)
    assert browser.get("/account").status_code == 200
    assert browser.get("/account/terms").location == "/account"
    assert len(session.scalars(select(TermsAgreement)).all()) == 2


def test_nobody_agrees_to_what_they_have_not_read(browser: FlaskClient, session: Session) -> None:
    read = publish("1")
    publish("2", "<p>Quite other words</p>")
    answer = browser.post("/account/terms", data={"terms": read.id}, follow_redirects=True)
    assert "changed since you read them" in answer.text
    assert "Quite other words" in answer.text
    for wrong in ("", "x", "-1", "9" * 30):
        assert browser.post("/account/terms", data={"terms": wrong}).status_code == 200
    assert session.scalars(select(TermsAgreement)).all() == []


def test_agreeing_twice_is_agreeing_once(app: Flask, alice: User, session: Session) -> None:
    terms = publish("1")
    for _ in range(2):
        services.agree(alice, terms, SYSTEM)
        session.commit()
    assert len(session.scalars(select(TermsAgreement)).all()) == 1
    entries = select(AuditEntry).where(AuditEntry.action == "terms.agreed")
    assert len(session.scalars(entries).all()) == 1
    assert services.find_owed_terms(alice.id) is None


def test_staff_are_asked_before_the_back_office(app: Flask, client: FlaskClient) -> None:
    terms = publish("1")
    owner = browser_of(app, make_user("charlie@example.com", role=Role.OWNER))
    answer = owner.get("/admin/")
    assert answer.location.startswith("/account/terms")
    owner.post(answer.location, data={"terms": terms.id})
    assert owner.get("/admin/").status_code == 200


def test_public_pages_the_way_out_and_logging_out_stay_free(browser: FlaskClient) -> None:
    publish("1")
    for path in ("/", "/products", "/cart", "/terms"):
        assert browser.get(path).status_code == 200
    assert "/account/terms" not in browser.get("/account/data").headers.get("Location", "")
    assert browser.post("/logout").location == "/login"


def test_a_press_of_a_button_is_asked_for_terms_too(browser: FlaskClient) -> None:
    publish("1")
    answer = browser.post("/account/profile", data={"name": "Alice", "phone": ""})
    assert answer.location == "/account/terms"


def test_asking_leads_to_no_other_site(browser: FlaskClient) -> None:
    terms = publish("1")
    answer = browser.post("/account/terms?next=//evil.example/", data={"terms": terms.id})
    assert answer.location == "/account"
