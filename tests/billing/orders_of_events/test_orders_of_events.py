"""A signup, a renewal, a failure and a recovery, told in every order that Stripe might choose."""

import pytest
from sqlalchemy import Connection

from tests.billing.orders_of_events.replaying import Stage
from tests.billing.orders_of_events.stories import Page, Teller
from webapp.billing.models import CaseState

#: Each chapter with the cases that it leaves behind.
CHAPTERS: dict[str, list[CaseState]] = {
    "sign_up": [],
    "renew": [],
    "fail": [CaseState.OPEN],
    "recover": [CaseState.RECOVERED],
}


def tell(teller: Teller, wanted: str) -> list[Page]:
    """Live up to a chapter; the ones before it are known, its own lies in the inbox."""
    life = {"recover": ["sign_up", "fail"], "fail": ["sign_up"], "renew": ["sign_up"]}
    for chapter in life.get(wanted, []):
        teller.hear(getattr(teller, chapter)())
    pages: list[Page] = getattr(teller, wanted)()
    teller.inform(pages)
    return pages


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    teller: Teller,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    return Stage(connection, monkeypatch, tell(teller, request.param))


@pytest.mark.parametrize(("stage", "cases"), CHAPTERS.items(), indirect=["stage"])
def test_no_order_of_events_changes_what_is_held_in_the_end(
    stage: Stage, cases: list[CaseState]
) -> None:
    everything = range(len(stage.events))
    assert len(everything) >= 5
    wanted = stage.replay(everything)
    assert wanted["Subscription"] and wanted["Invoice"] and wanted["SubscriptionPoint"]
    for row, state in zip(wanted["DunningCase"], cases, strict=True):
        assert repr(state) in row
    for order, found in (*stage.swapped_soon(), *stage.led_late()):
        assert found == wanted, order
    assert stage.replay(*([number] for number in everything[::-1])) == wanted
    one_by_one = [[number] for number in everything]
    assert stage.replay(*one_by_one) == wanted
    twice = [number for number in one_by_one for _ in range(2)]
    assert stage.replay(*twice, everything[::-1]) == wanted
    for number in everything:
        assert stage.drop_and_sweep(number) == wanted, f"{number} was never told"
