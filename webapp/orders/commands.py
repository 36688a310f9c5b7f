"""The operator's commands for how a shop sells."""

import click
from flask.cli import with_appcontext
from sqlalchemy.dialects.postgresql import insert

from webapp.core.db import db
from webapp.orders.models import ShippingMethod, TaxRate

METHODS: list[dict[str, object]] = [
    {
        "code": "standard",
        "name": "Standard, 3 to 5 days",
        "unit_amount": 590,
        "max_weight_grams": None,
        "carrier": "UPS",
        "position": 1,
    },
    {
        "code": "express",
        "name": "Express, 1 to 2 days",
        "unit_amount": 1490,
        "max_weight_grams": 10_000,
        "carrier": "FedEx",
        "position": 2,
    },
]


@click.group()
def shop() -> None:
    """How this shop sells."""


@shop.command("seed-shipping")
@with_appcontext
def seed_shipping() -> None:
    """Give a new shop two shipping methods; the ones that are there stay as they are."""
    for method in METHODS:
        statement = insert(ShippingMethod).values(countries=[], min_weight_grams=0, active=True)
        db.session.execute(statement.values(method).on_conflict_do_nothing())
    db.session.commit()
    click.echo("Shipping methods are there.")


@shop.command("tax")
@click.argument("country")
@click.argument("percent", type=float)
@click.option("--name", default="Tax", help="What it is called on the bill.")
@click.option("--inclusive", is_flag=True, help="Prices contain it already.")
@with_appcontext
def tax(country: str, percent: float, name: str, inclusive: bool) -> None:
    """Set the tax of COUNTRY to PERCENT."""
    values = {
        "country": country.upper(),
        "name": name,
        "basis_points": round(percent * 100),
        "inclusive": inclusive,
        "on_shipping": True,
    }
    statement = insert(TaxRate).values(values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=[TaxRate.country], set_=values)
    )
    db.session.commit()
    click.echo(f"{country.upper()}: {percent} %.")
