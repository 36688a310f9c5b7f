"""Terms of use: drafted, read as people will, published for good."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, act, counting
from tests.admin.test_catalog import save
from tests.factories.people import make_user
from webapp.accounts.models import LoginSession, TermsAgreement, TermsOfUse, User
from webapp.accounts.services.sessions import PROOF_LASTS
from webapp.core import clock
from webapp.core.models import AuditEntry

BODY = "<h2>First</h2><p>Be kind.</p><script>alert(1)</script>"


def draft(owner: FlaskClient, session: Session, version: str = "2026-11") -> TermsOfUse:
    save(owner, "/admin/terms/new/", version=version, summary="All of it.", body=BODY)
    return session.scalars(select(TermsOfUse).where(TermsOfUse.version == version)).one()


def done(session: Session) -> list[str]:
    found = select(AuditEntry.action).where(AuditEntry.action.startswith("terms."))
    return list(session.scalars(found.order_by(AuditEntry.id)))


def test_a_draft_is_read_as_people_will_read_it(owner: FlaskClient, session: Session) -> None:
    terms = draft(owner, session)
    page = owner.get(f"/admin/terms/details/?id={terms.id}").text
    assert "<p>Be kind.</p>" in page
    assert "alert(1)" not in page
    assert "All of it." in page
    assert "Nobody sees it yet" in page
    assert terms.published_at is None
    assert "2026-11" not in owner.get("/terms").text


def test_a_draft_is_edited_published_and_never_changed_again(
    owner: FlaskClient, session: Session
) -> None:
    terms = draft(owner, session)
    save(owner, f"/admin/terms/edit/?id={terms.id}", body="<p>Be very kind.</p>")
    assert "is in force" in act(owner, "/admin/terms/publish/", id=terms.id)
    page = owner.get(f"/admin/terms/details/?id={terms.id}").text
    assert "In force" in page
    assert ">Edit<" not in page
    assert "Publish" not in page.split("<main")[1].split("<dl")[0]
    assert owner.get(f"/admin/terms/edit/?id={terms.id}").status_code == 403
    assert owner.post(f"/admin/terms/edit/?id={terms.id}", data={"body": "x"}).status_code == 403
    assert "never changes" in act(owner, "/admin/terms/discard/", id=terms.id)
    session.expire_all()
    assert terms.published_at is not None
    assert terms.body == "<p>Be very kind.</p>"
    assert done(session)[:3] == ["terms.drafted", "terms.revised", "terms.published"]


def test_a_draft_is_thrown_away(owner: FlaskClient, session: Session) -> None:
    terms = draft(owner, session)
    assert "thrown away" in act(owner, "/admin/terms/discard/", id=terms.id)
    assert session.scalars(select(TermsOfUse)).all() == []
    assert done(session) == ["terms.drafted", "terms.discarded"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": ""}, "Name the version"),
        ({"version": "a/b"}, "no slash"),
        ({"version": "taken"}, "already"),
        ({"body": ""}, "need a text"),
        ({"body": " \n"}, "without a text"),
        ({"title": ""}, "Type a title"),
    ],
)
def test_a_draft_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    draft(owner, session, "taken")
    values = {"version": "new", "title": "Terms", "body": "<p>Text</p>", "summary": ""} | changes
    answer = owner.post("/admin/terms/new/", data=values)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert len(session.scalars(select(TermsOfUse)).all()) == 1


def test_the_list_tells_what_is_in_force_and_how_many_agreed(
    owner: FlaskClient, session: Session
) -> None:
    now = clock.now()
    old = TermsOfUse(version="1", body="x", published_at=now - timedelta(days=700))
    new = TermsOfUse(version="2", body="x", published_at=now - timedelta(days=350))
    session.add_all([old, new, TermsOfUse(version="3", body="x")])
    for name in ("alice", "bob"):
        make_user(f"{name}@example.com")
    ids = session.scalars(select(User.id)).all()
    session.execute(insert(TermsAgreement), [{"user_id": i, "terms_id": new.id} for i in ids])
    session.execute(insert(TermsAgreement), [{"user_id": ids[0], "terms_id": old.id}])
    session.commit()
    with counting() as counted:
        page = owner.get("/admin/terms/").text
    assert len(counted) <= DOOR + 6, "\n".join(counted.statements)
    rows = re.findall(r"<tr>.*?</tr>", page.split("<tbody>")[1], re.S)
    shown = [re.sub(r"<[^>]+>|\s+", " ", row).split()[:3] for row in rows]
    assert shown[0][:2] == ["3", "Draft"]
    assert shown[1][:3] == ["2", "In", "force"]
    assert shown[2][:2] == ["1", "Superseded"]
    numbers = re.findall(r'<td class="number">(\d+)</td>', page)
    assert numbers == ["0", "3", "1"]


def test_publishing_asks_for_a_credential_again(owner: FlaskClient, session: Session) -> None:
    terms = draft(owner, session)
    session.scalars(select(LoginSession)).one().proven_at = clock.now() - PROOF_LASTS
    session.commit()
    answer = owner.post("/admin/terms/publish/", data={"id": terms.id})
    assert answer.location.startswith("/account/prove?next=/admin/terms/details/")
    session.expire_all()
    assert terms.published_at is None
