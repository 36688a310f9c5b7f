"""The operator's commands for advertisements."""

import click

from webapp.campaigns.queries import find_ad
from webapp.campaigns.services.ads import AdDetails, create_ad
from webapp.core.audit import OPERATOR
from webapp.core.commands import Sentences, deed


@click.group(cls=Sentences)
def ads() -> None:
    """Advertisements elsewhere that lead here."""


@ads.command("create")
@click.argument("code")
@click.option("--name", required=True, help="What staff call it.")
@click.option("--landing", default="/products", help="The page of this shop it leads to.")
@click.option("--if-missing", is_flag=True, help="Do nothing when the code is there.")
@deed
def create(code: str, name: str, landing: str, if_missing: bool) -> str:
    """Make an advertisement: /a/CODE leads to its page, and visits are counted."""
    if if_missing and find_ad(code) is not None:
        return f"The advertisement {code} is there already."
    ad = create_ad(code, AdDetails(name, landing), OPERATOR)
    return f"/a/{ad.code} leads to {ad.landing}."
