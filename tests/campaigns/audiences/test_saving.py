"""Saved audiences and the tags of people."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.factories.catalog import make_sku
from tests.factories.emails import make_draft
from tests.factories.people import make_user
from webapp.accounts.models import Prospect, ProspectSource
from webapp.campaigns.errors import (
    AudienceInUse,
    AudienceNameTaken,
    InvalidAudience,
    InvalidRules,
    InvalidTag,
    NoSuchAudience,
)
from webapp.campaigns.models import Audience
from webapp.campaigns.services.audiences import (
    create_audience,
    delete_audience,
    edit_audience,
    fields,
    read_rules,
)
from webapp.campaigns.services.tags import add_tags, list_tags, remove_tags, tags_of
from webapp.core.audit import SYSTEM
from webapp.core.models import AuditEntry

MEMBERS: dict[str, Any] = {"match": "all", "of": [{"field": "member", "op": "is"}]}


def actions(session: Session) -> list[tuple[str, str]]:
    rows = session.execute(select(AuditEntry.action, AuditEntry.subject).order_by(AuditEntry.id))
    return [(action, subject) for action, subject in rows]


def test_an_audience_is_made_changed_and_thrown_away(session: Session) -> None:
    audience = create_audience("  Members ", MEMBERS, SYSTEM)
    assert (audience.name, audience.rules) == ("Members", MEMBERS)
    other = create_audience("Everybody", {}, SYSTEM)
    with pytest.raises(AudienceNameTaken):
        create_audience("Members", {}, SYSTEM)
    with pytest.raises(AudienceNameTaken):
        edit_audience(other.id, "Members", {}, SYSTEM)
    edit_audience(audience.id, "Members", MEMBERS, SYSTEM)
    edit_audience(audience.id, "All members", MEMBERS, SYSTEM)
    for name in ("", "x" * 101, "two\nlines"):
        with pytest.raises(InvalidAudience):
            create_audience(name, {}, SYSTEM)
    with pytest.raises(InvalidRules):
        create_audience("Odd", {"of": [{"field": "mood", "op": "is"}]}, SYSTEM)
    delete_audience(other.id, SYSTEM)
    assert [action for action, _ in actions(session)] == [
        "audience.created",
        "audience.created",
        "audience.edited",
        "audience.deleted",
    ]
    with pytest.raises(NoSuchAudience):
        delete_audience(other.id, SYSTEM)


def test_one_that_mails_use_stays(session: Session) -> None:
    audience = create_audience("Members", MEMBERS, SYSTEM)
    spring, summer = make_draft("Spring"), make_draft("Summer")
    spring.audience_id = summer.exclude_id = audience.id
    session.flush()
    with pytest.raises(AudienceInUse) as error:
        delete_audience(audience.id, SYSTEM)
    assert "“Spring”, “Summer”" in error.value.sentence
    assert session.get(Audience, audience.id) is not None


def test_what_names_nothing_is_told_when_it_is_saved(session: Session) -> None:
    sku = make_sku("Oak Bowl")
    sku.code = "OAK-1"
    session.flush()

    def bought(field: str, *words: str) -> dict[str, Any]:
        return {"of": [{"field": field, "op": "did", "value": list(words)}]}

    create_audience("Oak", bought("sku", "OAK-1"), SYSTEM)
    for field in ("product", "sku", "collection"):
        with pytest.raises(InvalidRules, match="there is nothing named elm"):
            create_audience("Elm", bought(field, "elm"), SYSTEM)
    # What is gone by now can still be read.
    assert read_rules(bought("product", "elm"))


def test_another_capability_can_add_a_question_once() -> None:
    known = fields.find_question("member")
    assert known is not None
    with pytest.raises(ValueError, match="already"):
        fields.offer(known)


def test_tags_come_and_go(session: Session) -> None:
    user = make_user("alice@example.com", password=None)
    session.add(Prospect(email="bob@example.com", source=ProspectSource.CART))
    session.flush()
    assert add_tags(" ALICE@example.com", ["VIP", " summer  fair", "vip"], SYSTEM) == [
        "summer fair",
        "vip",
    ]
    assert add_tags("alice@example.com", ["vip"], SYSTEM) == []
    assert add_tags("bob@example.com", ["vip"], SYSTEM) == ["vip"]
    assert list_tags() == [("vip", 2), ("summer fair", 1)]
    assert remove_tags("alice@example.com", ["Vip", "none"], SYSTEM) == ["vip"]
    assert tags_of("alice@example.com") == ["summer fair"]
    for tag in ("", "a,b", "x" * 61):
        with pytest.raises(InvalidTag):
            add_tags("alice@example.com", [tag], SYSTEM)
    told = actions(session)
    assert [action for action, _ in told] == ["tags.added", "tags.added", "tags.removed"]
    # Whom is told by number, never by address.
    assert not [subject for _, subject in told if "@" in subject or user.email in subject]
