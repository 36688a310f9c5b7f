"""The room of audiences: rules put together without JavaScript, counted, said in words, kept."""

import html
import re
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import DOOR, Enter, act, counting, make_product
from tests.factories.billing import make_plan
from tests.factories.emails import make_draft, make_frozen
from webapp.accounts.models import Prospect, ProspectSource, Role
from webapp.billing.models import PlanState
from webapp.campaigns.models import Audience
from webapp.messaging.models import (
    MailConsent,
    MailSuppression,
    MailTopic,
    SuppressionReason,
    SuppressionScope,
)

ROOM = "/admin/audiences/"
NEW = f"{ROOM}new/"
TAGGED = {"r-match": "all", "r-0-ask": "tag:is", "r-0-value": "gold, silver"}


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def fields_of(page: str) -> list[str]:
    """Return the names of a form's rows, as a browser would send them."""
    return re.findall(r'name="(r(?:-\d+)*-(?:match|ask|value|pick|days))"', page)


def meet(session: Session, email: str, *, wants: bool = True, suppressed: bool = False) -> None:
    session.add(Prospect(email=email, name="", source=ProspectSource.NEWSLETTER))
    if wants:
        session.add(
            MailConsent(email=email, topic=MailTopic.NEWSLETTER, wanted=True, source="page")
        )
    if suppressed:
        session.add(
            MailSuppression(
                email=email,
                scope=SuppressionScope.ALL,
                reason=SuppressionReason.BOUNCE,
                source="mail",
            )
        )
    session.commit()


def saved(session: Session) -> Audience:
    session.expire_all()
    return session.scalars(select(Audience)).one()


def test_rules_are_put_together_by_buttons_alone(owner: FlaskClient, session: Session) -> None:
    assert fields_of(owner.get(NEW).text) == ["r-match", "r-0-ask"]
    typed: dict[str, Any] = {"name": "Gold", "r-match": "any", "r-0-ask": "tag:is"}
    page = owner.post(NEW, data=typed | {"do": ""}).text
    assert fields_of(page) == ["r-match", "r-0-ask", "r-0-value"]
    typed["r-0-value"] = "gold"
    page = owner.post(NEW, data=typed | {"do": "group:"}).text
    assert fields_of(page)[-2:] == ["r-1-match", "r-1-0-ask"]
    typed |= {"r-1-match": "none", "r-1-0-ask": "ordered:at_least", "r-1-0-value": "2"}
    page = owner.post(NEW, data=typed | {"r-1-0-days": "30", "do": "add:1"}).text
    assert "r-1-1-ask" in fields_of(page)
    assert 'value="30"' in page
    page = owner.post(NEW, data=typed | {"do": "drop:0"}).text
    assert fields_of(page)[:2] == ["r-match", "r-0-match"]
    assert session.scalars(select(Audience)).all() == []
    answer = owner.post(NEW, data=typed | {"r-1-0-days": "30"})
    assert answer.status_code == 303, words(answer.text)
    assert saved(session).rules == {
        "match": "any",
        "of": [
            {"field": "tag", "op": "is", "value": ["gold"]},
            {
                "match": "none",
                "of": [{"field": "ordered", "op": "at_least", "value": 2, "days": 30}],
            },
        ],
    }


def test_what_was_saved_is_shown_as_it_was_typed(owner: FlaskClient, session: Session) -> None:
    make_product()
    mail = make_frozen(["alice@example.com"])
    typed = {
        "name": "Everything",
        "r-match": "all",
        "r-0-ask": "spent:at_least",
        "r-0-value": "12.50",
        "r-1-ask": "clicked:did",
        "r-1-pick": str(mail.id),
        "r-2-ask": "product:did",
        "r-2-value": "wool-hat, #7",
        "r-3-ask": "country:is",
        "r-3-pick": ["DE", "US"],
        "r-4-ask": "",
        "r-5-ask": "member:is",
    }
    answer = owner.post(NEW, data=typed)
    assert answer.status_code == 303, words(answer.text)
    row = saved(session)
    assert [part.get("value") for part in row.rules["of"]] == [
        1250,
        [mail.id],
        ["wool-hat", 7],
        ["DE", "US"],
        None,
    ]
    page = owner.get(f"{ROOM}edit/?id={row.id}").text
    assert 'value="12.50"' in page
    assert 'value="wool-hat, #7"' in page
    assert page.count(" checked>") == 3
    assert '<option value="wool-hat">Wool hat</option>' in page
    before = row.rules
    sent = dict(typed, name="Renamed")
    sent.pop("r-4-ask")
    assert owner.post(f"{ROOM}edit/?id={row.id}", data=sent).status_code == 303
    assert (saved(session).name, saved(session).rules) == ("Renamed", before)


def test_plans_are_ticked_and_none_means_any(owner: FlaskClient, session: Session) -> None:
    make_plan("pro")
    make_plan("team", name="Team of ten", state=PlanState.RETIRED)
    typed: dict[str, Any] = {"name": "Payers", "r-match": "all"}
    typed |= {"r-0-ask": "subscribed:is", "r-0-pick": ["pro", "team"]}
    typed |= {"r-1-ask": "subscribed:is_not", "r-2-ask": "left:did", "r-2-days": "30"}
    answer = owner.post(NEW, data=typed)
    assert answer.status_code == 303, words(answer.text)
    row = saved(session)
    assert row.rules["of"] == [
        {"field": "subscribed", "op": "is", "value": ["pro", "team"]},
        {"field": "subscribed", "op": "is_not", "value": []},
        {"field": "left", "op": "did", "days": 30},
    ]
    page = owner.get(f"{ROOM}edit/?id={row.id}").text
    assert page.count(" checked>") == 2
    assert "<summary>Pro, Team of ten</summary>" in page
    assert "<summary>any plan</summary>" in page
    said = "subscribes to Pro or Team of ten and doesn't subscribe to any plan and stopped"
    assert said in words(owner.get(f"{ROOM}details/?id={row.id}").text)


def test_people_are_counted_as_they_are_typed_apart_from_who_gets_no_mail(
    enter: Enter, session: Session
) -> None:
    meet(session, "alice@example.com")
    meet(session, "bob@example.com", suppressed=True)
    meet(session, "charlie@example.com", wants=False)
    manager = enter(Role.MANAGER)
    asked = {"r-match": "all", "r-0-ask": "source:is", "r-0-pick": "newsletter"}
    part = manager.post(f"{ROOM}count/", data=asked).text
    assert "<html" not in part
    said = words(part)
    assert "3 people" in said
    assert "get the newsletter 1 suppressed 1 never said yes to it 1" in said
    assert "alice@example.com" in said
    assert "bob@example.com" not in said
    offers = words(manager.post(f"{ROOM}count/", data=asked | {"topic": "offers"}).text)
    assert "get the offers 0" in offers
    wrong = manager.post(f"{ROOM}count/", data={"r-0-ask": "joined:within", "r-0-value": "soon"})
    assert "needs a whole number" in wrong.text
    rows = manager.post(f"{ROOM}shape/", data=asked | {"do": "add:"}).text
    assert "<html" not in rows
    assert fields_of(rows)[-1] == "r-1-ask"


def test_nonsense_in_the_form_is_a_sentence(owner: FlaskClient, session: Session) -> None:
    for typed in (
        {"r-0-ask": "nobody:ever"},
        {"r-0-ask": "tag:is", "r-0-value": ""},
        {"r-0-ask": "spent:at_least", "r-0-value": "much"},
        {"r-0-ask": "ordered:ever", "r-0-days": "-3"},
        {"r-0-ask": "country:is", "r-0-pick": "Atlantis"},
        {f"r-{number}-ask": "member:is" for number in range(60)},
    ):
        answer = owner.post(NEW, data={"name": "Odd"} | typed)
        assert answer.status_code == 422, typed
        assert 'role="alert"' in answer.text
    for do in ("drop:", "drop:9-9", "add:7", "group:0-0-0-0-0", "x", "add:1-1-1-1-1-1"):
        assert owner.post(NEW, data=TAGGED | {"do": do}).status_code == 200
    assert session.scalars(select(Audience)).all() == []


def test_a_used_audience_stays_and_an_unused_one_goes_once(
    owner: FlaskClient, session: Session
) -> None:
    owner.post(NEW, data=TAGGED | {"name": "Gold"})
    row = saved(session)
    draft = make_draft("Spring news")
    draft.audience_id = row.id
    session.commit()
    page = words(owner.get(f"{ROOM}details/?id={row.id}").text)
    assert "Everybody who is tagged gold or silver" in page
    assert "Spring news" in page
    assert f'action="{ROOM}remove/"' not in owner.get(f"{ROOM}details/?id={row.id}").text
    assert "is used by “Spring news”" in words(act(owner, f"{ROOM}remove/", id=row.id))
    draft = session.merge(draft)
    draft.audience_id = None
    session.commit()
    assert "is deleted" in act(owner, f"{ROOM}remove/", id=row.id)
    assert "nothing here" in act(owner, f"{ROOM}remove/", id=row.id, back=ROOM)
    assert owner.post(NEW, data=TAGGED | {"name": ""}).status_code == 422


def test_the_list_tells_sizes_in_few_statements(owner: FlaskClient, session: Session) -> None:
    mail = make_frozen(["alice@example.com"])
    opened = {"match": "all", "of": [{"field": "opened", "op": "did", "value": [mail.id]}]}
    session.add_all([Audience(name=f"A{number}", rules=opened) for number in range(9)])
    session.add(Audience(name="Broken", rules={"of": [{"field": "gone", "op": "is"}]}))
    session.commit()
    assert "There is nothing called “gone”" in words(owner.get(ROOM).text)
    with counting() as statements:
        page = owner.get(ROOM).text
    assert len(statements) <= DOOR + 5, "\n".join(statements.statements)
    assert page.count("opened “News”") >= 9


def test_who_may_look_may_not_change_and_a_sample_is_for_who_may_see_people(
    enter: Enter, session: Session
) -> None:
    session.add(Audience(name="All", rules={}))
    session.commit()
    row = saved(session)
    viewer = enter(Role.VIEWER)
    assert viewer.get(f"{ROOM}details/?id={row.id}").status_code == 200
    for path in ("new/", f"edit/?id={row.id}", "remove/", "count/", "shape/"):
        assert viewer.post(f"{ROOM}{path}", data={"id": row.id}).status_code == 403
