"""Each question that an audience can ask, and whom it finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.campaigns.audiences.conftest import WILLING, Town, ago, say
from tests.factories.people import make_user
from webapp.accounts.models import Prospect, ProspectSource, User
from webapp.campaigns.errors import InvalidRules
from webapp.campaigns.models import EmailType
from webapp.campaigns.services.audiences import (
    Rules,
    Size,
    count_people,
    describe,
    people,
    read_rules,
    sample_people,
    write_rules,
)
from webapp.campaigns.services.audiences.fields import list_questions
from webapp.messaging.models import MailTopic

TOPIC = MailTopic.NEWSLETTER

# field, op, value, days, whom it finds among the willing, in words
TABLE: Sequence[tuple[str, str, Any, int | None, set[str], str]] = (
    ("ordered", "ever", None, None, {"alice", "dora"}, "ordered"),
    ("ordered", "ever", None, 60, {"alice"}, "ordered in the last 60 days"),
    ("ordered", "never", None, None, {"bob", "charlie", "erin"}, "never ordered"),
    ("ordered", "at_least", 2, None, {"alice"}, "ordered at least 2 times"),
    ("ordered", "at_least", 2, 10, set(), "ordered at least 2 times in the last 10 days"),
    (
        "ordered",
        "less_than",
        2,
        None,
        {"bob", "charlie", "dora", "erin"},
        "ordered less than 2 times",
    ),
    ("spent", "at_least", 5000, None, {"alice"}, "spent at least $50.00"),
    ("spent", "at_least", 5001, None, set(), "spent at least $50.01"),
    ("spent", "less_than", 2500, 7, set(WILLING) - {"alice"}, "spent less than $25.00 in the"),
    ("average_order", "at_least", 2500, None, {"alice", "dora"}, "at least $25.00 an order"),
    ("average_order", "below", 2500, None, set(), "less than $25.00 an order"),
    ("product", "did", ["{slug}"], None, {"alice", "dora"}, "bought the product “oak-bowl"),
    ("product", "did", ["{product}"], 60, {"alice"}, "bought the product “Oak Bowl”"),
    ("product", "did_not", ["{slug}"], None, {"bob", "charlie", "erin"}, "didn't buy"),
    ("sku", "did", ["OAK-1"], None, {"alice", "dora"}, "bought the SKU “OAK-1”"),
    ("sku", "did", ["{sku}"], None, {"alice", "dora"}, "bought the SKU “OAK-1”"),
    ("collection", "did", ["tableware"], None, {"alice", "dora"}, "from the collection"),
    ("product_tag", "did", ["kitchen"], None, {"alice", "dora"}, "something tagged kitchen"),
    ("product_tag", "did", ["garden"], None, set(), "something tagged garden"),
    ("received", "did", ["{a}"], None, {"alice", "bob"}, "was sent “News”"),
    ("received", "did_not", None, None, {"dora", "erin"}, "wasn't sent any mail"),
    ("opened", "did", ["{a}"], None, {"alice"}, "opened “News”"),
    ("opened", "did", ["{a}", "{b}"], None, {"alice", "charlie"}, "opened “News”"),
    ("opened", "did", None, 30, {"alice"}, "opened any mail in the last 30 days"),
    ("opened", "did_not", None, 30, set(WILLING) - {"alice"}, "didn't open any mail in the"),
    ("clicked", "did", None, None, {"alice"}, "clicked in any mail"),
    ("clicked", "did_not", ["{a}"], None, set(WILLING) - {"alice"}, "didn't click in “News”"),
    ("country", "is", ["DE", "FR"], None, {"alice", "charlie"}, "lives in Germany or France"),
    ("country", "is", ["AT"], None, {"dora"}, "lives in Austria"),
    ("country", "is_not", ["AT"], None, set(WILLING) - {"dora"}, "doesn't live in Austria"),
    ("tag", "is", ["VIP"], None, {"charlie"}, "is tagged VIP"),
    ("tag", "is_not", ["vip"], None, set(WILLING) - {"charlie"}, "isn't tagged vip"),
    ("source", "is", ["import"], None, {"charlie"}, "was met by Import"),
    ("source", "is_not", ["import"], None, set(WILLING) - {"charlie"}, "wasn't met by"),
    ("joined", "within", 30, None, {"alice", "bob", "charlie"}, "in the last 30 days"),
    ("joined", "before", 200, None, {"erin"}, "more than 200 days ago"),
    ("joined", "before", 10**12, None, set(), "more than 1000000000000 days ago"),
    ("member", "is", None, None, {"alice", "bob"}, "has an account"),
    ("member", "is_not", None, None, {"charlie", "dora", "erin"}, "has no account"),
    ("consent", "is", ["offers"], None, {"bob"}, "wants Offers"),
    ("consent", "is_not", ["offers"], None, set(WILLING) - {"bob"}, "doesn't want Offers"),
    ("domain", "is", ["example.com"], None, set(WILLING), "an address at example.com"),
    ("domain", "is", ["@COM"], None, set(WILLING), "an address at @COM"),
    ("domain", "is_not", ["example.com"], None, set(), "no address at example.com"),
    ("domain", "is", ["ample.com"], None, set(), "an address at ample.com"),
)


def group(*conditions: Mapping[str, Any], match: str = "all") -> Rules:
    return read_rules({"match": match, "of": list(conditions)})


def found_by(
    session: Session, rules: Rules, type_: EmailType = EmailType.BOTH, **more: Any
) -> set[str]:
    rows = session.execute(people(type_, TOPIC, rules, **more)).all()
    addresses = [row.address for row in rows]
    assert len(addresses) == len(set(addresses))
    return {address.partition("@")[0] for address in addresses}


def test_every_question_finds_whom_it_should(session: Session, town: Town) -> None:
    numbers = {
        "{a}": town.mail_a.id,
        "{b}": town.mail_b.id,
        "{sku}": town.sku.id,
        "{product}": town.product.id,
        "{slug}": town.product.slug,
    }
    for field, op, value, days, expected, words in TABLE:
        condition: dict[str, Any] = {"field": field, "op": op, "value": value, "days": days}
        if isinstance(value, list):
            condition["value"] = [numbers.get(each, each) for each in value]
        rules = group(condition)
        assert found_by(session, rules) == expected, condition
        assert words in describe(rules), describe(rules)
        assert read_rules(write_rules(rules)) == rules
    asked = {(row[0], row[1]) for row in TABLE}
    here = [each for each in list_questions() if each.theme != "Subscriptions"]
    offered = {(each.field, op.name) for each in here for op in each.ops}
    assert offered - asked == {
        ("sku", "did_not"),
        ("collection", "did_not"),
        ("product_tag", "did_not"),
    }


def test_groups_are_joined_nested_and_left_out(session: Session, town: Town) -> None:
    ordered = {"field": "ordered", "op": "ever"}
    tagged = {"field": "tag", "op": "is", "value": ["vip"]}
    member = {"field": "member", "op": "is"}
    assert found_by(session, group(ordered, member)) == {"alice"}
    assert found_by(session, group(ordered, tagged, match="any")) == {"alice", "dora", "charlie"}
    nested = group(ordered, {"match": "none", "of": [member, tagged]})
    assert found_by(session, nested) == {"dora"}
    assert describe(nested) == (
        "Everybody who ordered and (does not meet any of: has an account or is tagged vip)."
    )
    assert found_by(session, group()) == set(WILLING)
    assert describe(group()) == "Everybody."
    assert found_by(session, group(), exclude=group(ordered)) == {"bob", "charlie", "erin"}
    assert found_by(session, group(), EmailType.MEMBER) == {"alice", "bob"}
    assert found_by(session, group(), EmailType.PROSPECT) == {"charlie", "dora", "erin"}


def test_sizes_tell_who_is_left_out_and_why(session: Session, town: Town) -> None:
    say(session, "fred", False)
    assert count_people(EmailType.BOTH, TOPIC) == Size(7, 5, 1, 1)
    assert count_people(EmailType.BOTH, MailTopic.OFFERS) == Size(7, 1, 1, 5)
    buyers = group({"field": "ordered", "op": "ever"})
    assert count_people(EmailType.BOTH, TOPIC, buyers) == Size(2, 2, 0, 0)
    assert count_people(EmailType.PROSPECT, TOPIC, exclude=buyers) == Size(4, 2, 1, 1)
    assert len(sample_people(EmailType.BOTH, TOPIC, limit=2)) == 2
    first, second, *_ = sample_people(EmailType.BOTH, TOPIC)
    assert (first.address, first.country, first.is_member) == ("alice@example.com", "DE", True)
    assert second.name == "Bob"
    say(session, "gina", True)
    assert count_people(EmailType.BOTH, TOPIC) == Size(7, 6, 1, 0)


def test_an_address_is_one_person_and_only_a_living_one(session: Session, town: Town) -> None:
    known = Prospect(email="bob@example.com", source=ProspectSource.IMPORT, country="NO")
    erased = Prospect(email="gone@example.com", source=ProspectSource.CART, erased_at=ago(1))
    session.add_all([known, erased])
    make_user("erin@example.com", password=None, verified=False)
    make_user("hal@example.com", password=None)
    for name in ("hal", "gone"):
        say(session, name, True)
    everybody = set(WILLING) | {"hal"}
    assert found_by(session, group()) == everybody
    # What an import knew of a member is told beside what they said themselves.
    row = session.execute(people(EmailType.MEMBER, TOPIC)).mappings().all()
    assert {each["address"]: each["country"] for each in row} == {
        "alice@example.com": "DE",
        "bob@example.com": "NO",
        "hal@example.com": "",
    }
    hal = session.query(User).filter_by(email="hal@example.com").one()
    for change in ("closed_at", "erased_at", "active"):
        before = getattr(hal, change)
        setattr(hal, change, False if change == "active" else ago(1))
        session.flush()
        assert found_by(session, group()) == everybody - {"hal"}, change
        setattr(hal, change, before)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"match": "some", "of": []}, "These are no rules"),
        ({"of": [{"field": "ordered"}]}, "These are no rules"),
        ({"of": [{"field": "plan", "op": "is"}]}, "nothing called “plan”"),
        ({"of": [{"field": "ordered", "op": "often"}]}, "not “often”"),
        ({"of": [{"field": "ordered", "op": "ever", "value": 3}]}, "takes no value"),
        ({"of": [{"field": "spent", "op": "at_least"}]}, "needs a whole number"),
        ({"of": [{"field": "spent", "op": "at_least", "value": -1}]}, "These are no rules"),
        ({"of": [{"field": "tag", "op": "is", "value": []}]}, "needs one word"),
        ({"of": [{"field": "country", "op": "is", "value": ["Peru"]}]}, "no choice “Peru”"),
        ({"of": [{"field": "opened", "op": "did", "value": ["x"]}]}, "numbers of mails"),
        ({"of": [{"field": "product", "op": "did", "value": []}]}, "needs one thing"),
        ({"of": [{"field": "member", "op": "is", "days": 3}]}, "narrowed"),
        ({"of": [{"of": [{"of": [{"of": [{"of": []}]}]}]}]}, "nested 4 deep"),
        ({"of": [{"field": "member", "op": "is"}] * 51}, "at most 50"),
        ({"of": [{"field": "tag", "op": "is", "value": ["a\0b"]}]}, "These are no rules"),
    ],
)
def test_rules_that_mean_nothing_are_refused(
    session: Session, raw: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRules) as error:
        read_rules(raw)
    assert words in error.value.sentence
