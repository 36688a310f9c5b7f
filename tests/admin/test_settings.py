"""The shop's face, its discounts, its shipping and its tax."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import act, make_order, make_product, said
from tests.admin.test_catalog import save, typed
from webapp.core.models import Shop
from webapp.orders.models import DiscountCode, DiscountKind, OrderState, ShippingMethod, TaxRate


def test_the_shop_gets_another_face(owner: FlaskClient, session: Session) -> None:
    page = save(owner, "/admin/shop/", name="Southwind", accent="#aa3311", country="de")
    assert said(page) == "The settings are saved."
    session.expire_all()
    shop = session.get_one(Shop, 1)
    assert (shop.name, shop.accent, shop.country) == ("Southwind", "#aa3311", "DE")
    assert "Southwind" in page


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "A shop needs a name."),
        ({"accent": "red;}body{display:none"}, "Like #1f5eff."),
        ({"sender_email": "nobody"}, "Invalid email address."),
        ({"sender_name": "A\r\nBcc: x@example.org"}, "Only one line"),
        ({"country": "Germany"}, "Two letters"),
        ({"locale": "tlh"}, "Not a valid choice"),
    ],
)
def test_a_face_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    answer = owner.post("/admin/shop/", data=typed(owner.get("/admin/shop/").text) | changes)
    assert answer.status_code == 422
    assert why in answer.text
    session.expire_all()
    assert session.get_one(Shop, 1).name == "Northwind Goods"


def test_the_currency_is_not_for_changing(owner: FlaskClient, session: Session) -> None:
    save(owner, "/admin/shop/", currency="eur", id="7")
    session.expire_all()
    assert session.get_one(Shop, 1).currency == "usd"


@pytest.mark.parametrize(
    ("typed_in", "kind", "value", "shown"),
    [
        ({"kind": "percent", "percent": "12.5"}, DiscountKind.PERCENT, 1250, "12.5 %"),
        ({"kind": "amount", "amount": "5"}, DiscountKind.AMOUNT, 500, "$5.00"),
        ({"kind": "free_shipping"}, DiscountKind.FREE_SHIPPING, 0, "Free shipping"),
    ],
)
def test_a_code_is_made(
    owner: FlaskClient,
    session: Session,
    typed_in: dict[str, str],
    kind: DiscountKind,
    value: int,
    shown: str,
) -> None:
    more = {"code": "spring", "minimum_amount": "20", "starts_at": "2026-03-01T08:30"}
    page = save(owner, "/admin/discounts/new/", **(more | typed_in))
    assert said(page) == "Code SPRING is added."
    assert shown in page
    code = session.scalars(select(DiscountCode)).one()
    assert (code.code, code.kind, code.value, code.minimum_amount) == ("SPRING", kind, value, 2000)
    assert code.starts_at is not None
    assert code.starts_at.isoformat() == "2026-03-01T08:30:00+00:00"
    before = (code.value, code.starts_at, code.active, code.stackable)
    save(owner, f"/admin/discounts/edit/?id={code.id}")
    session.expire_all()
    assert (code.value, code.starts_at, code.active, code.stackable) == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"percent": ""}, "Say how much"),
        ({"percent": "101"}, "between 0 and 100"),
        ({"percent": "much"}, "is not a percentage"),
        ({"code": "two words"}, "Letters, digits"),
        ({"code": "TAKEN"}, "already a code of that name"),
        ({"starts_at": "2026-03-02T00:00", "ends_at": "2026-03-01T00:00"}, "start before it ends"),
        ({"total_limit": "0"}, "Number must be"),
    ],
)
def test_a_code_that_can_not_be_is_refused(
    owner: FlaskClient, session: Session, changes: dict[str, str], why: str
) -> None:
    session.add(DiscountCode(code="TAKEN", kind=DiscountKind.FREE_SHIPPING))
    session.commit()
    values = {"code": "NEW", "kind": "percent", "percent": "10"}
    answer = owner.post("/admin/discounts/new/", data=values | changes)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert len(session.scalars(select(DiscountCode)).all()) == 1


def test_a_code_is_switched_off(owner: FlaskClient, session: Session) -> None:
    code = DiscountCode(code="GO", kind=DiscountKind.PERCENT, value=1000)
    session.add(code)
    session.commit()
    assert act(owner, "/admin/discounts/switch-off/", id=code.id) == "Code GO is switched off."
    session.expire_all()
    assert code.active is False


def test_a_shipping_method_comes_changes_and_goes(owner: FlaskClient, session: Session) -> None:
    values = {"code": "express", "name": "Express", "unit_amount": "12.90", "countries": "us, CA"}
    save(owner, "/admin/shipping/new/", **values)
    method = session.scalars(select(ShippingMethod)).one()
    assert (method.unit_amount, method.countries, method.active) == (1290, ["US", "CA"], True)
    assert method.max_weight_grams is None
    page = save(owner, "/admin/shipping/new/", **values)
    assert "already a method of that code" in page
    save(owner, f"/admin/shipping/edit/?id={method.id}", unit_amount="0", active=None)
    session.expire_all()
    assert (method.unit_amount, method.active) == (0, False)
    assert act(owner, "/admin/shipping/remove/", id=method.id, back="/admin/shipping/") == (
        "Express is deleted."
    )
    assert session.scalars(select(ShippingMethod)).all() == []
    assert "a country is two letters" in save(
        owner, "/admin/shipping/new/", **(values | {"countries": "Mars"})
    )


def test_a_tax_rate_is_typed_in_percent(owner: FlaskClient, session: Session) -> None:
    save(owner, "/admin/tax/new/", country="de", name="MwSt", basis_points="19", inclusive="y")
    rate = session.scalars(select(TaxRate)).one()
    assert (rate.country, rate.basis_points, rate.inclusive) == ("DE", 1900, True)
    save(owner, f"/admin/tax/edit/?id={rate.id}", basis_points="7.25")
    session.expire_all()
    assert rate.basis_points == 725
    again = {"country": "DE", "name": "VAT", "basis_points": "1"}
    assert "already a rate for that country" in save(owner, "/admin/tax/new/", **again)


def test_the_start_page_tells_the_day(owner: FlaskClient, session: Session) -> None:
    make_product("Nearly gone", on_hand=2)
    make_product("Plenty", on_hand=50)
    make_order(1001)
    make_order(1002, status=OrderState.NEEDS_ACTION)
    page = owner.get("/admin/").text
    assert '<span class="hint">Orders today</span><span class="value">2</span>' in page
    assert '<span class="hint">Revenue today</span><span class="value">$70.00</span>' in page
    assert '<span class="hint">Need action</span><span class="value">1</span>' in page
    low = page.split("Low stock")[1]
    assert "Nearly gone" in low
    assert "Plenty" not in low
