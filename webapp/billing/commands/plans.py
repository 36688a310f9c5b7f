"""The operator's commands for what is sold by subscription."""

import re

import click
from flask.cli import with_appcontext

from webapp.billing.errors import InvalidPlan
from webapp.billing.models import Interval, Plan, PlanPrice
from webapp.billing.queries.plans import find_plan, get_plan, list_plans
from webapp.billing.services import mirroring, plans
from webapp.billing.services.plans import PlanDraft
from webapp.core.audit import OPERATOR
from webapp.core.commands import Sentences, deed
from webapp.core.money import format_money, parse_amount
from webapp.core.shop import get_shop

PAIR = re.compile(r"([a-z][a-z0-9_]*)=(.+)", re.DOTALL)
UNLIMITED = "none"


@click.group(cls=Sentences)
def plan() -> None:
    """What can be subscribed to."""


@plan.command("list")
@with_appcontext
def list_() -> None:
    """List all plans with their prices in force and how many subscribe."""
    for each, subscribers in list_plans():
        sold = ", ".join(_price(price) for price in each.prices if price.retired_at is None)
        sync = "differs at Stripe" if each.drift else each.sync_error or _synced(each)
        click.echo(
            f"{each.slug:20} {each.state.value:10} {sold or 'no price':32} "
            f"{subscribers:6} subscribe  {sync}"
        )


@plan.command("show")
@click.argument("slug")
@with_appcontext
def show(slug: str) -> None:
    """Show all about a plan."""
    found = get_plan(slug)
    click.echo(f"{found.name} ({found.slug}), {found.state.value}: {found.description or '-'}")
    click.echo(f"trial: {found.trial_days} days; position {found.position}")
    for key, words in found.features.items():
        click.echo(f"  feature {key}: {words}")
    for key, most in found.limits.items():
        click.echo(f"  limit {key}: {'none' if most is None else most}")
    for price in found.prices:
        state = "in force" if price.retired_at is None else f"retired {price.retired_at:%Y-%m-%d}"
        click.echo(f"  price {_price(price)}, {state}, {price.stripe_price_id or 'not at Stripe'}")
    for name, (ours, theirs) in found.drift.items():
        click.echo(f"  differs in {name}: here {ours!r}, at Stripe {theirs!r}")
    click.echo(f"at Stripe: {found.sync_error or _synced(found)}")


@plan.command("create")
@click.argument("slug")
@click.option("--name", required=True)
@click.option("--description", default="")
@click.option("--monthly", help="A price for a month, like 12.50.")
@click.option("--yearly", help="A price for a year.")
@click.option("--currency", help="ISO 4217; the shop's own by default.")
@click.option("--trial-days", type=int, default=0)
@click.option("--position", type=int, default=0, help="The dearer plan has the higher one.")
@click.option("--feature", "features", multiple=True, help="key=Words a customer reads")
@click.option("--limit", "limits", multiple=True, help="key=3, or key=none")
@click.option("--publish", is_flag=True, help="Put it on the pricing page.")
@click.option("--if-missing", is_flag=True, help="Do nothing when it exists.")
@deed
def create(
    slug: str,
    name: str,
    description: str,
    monthly: str | None,
    yearly: str | None,
    currency: str | None,
    trial_days: int,
    position: int,
    features: tuple[str, ...],
    limits: tuple[str, ...],
    publish: bool,
    if_missing: bool,
) -> str:
    """Create the plan SLUG."""
    if if_missing and find_plan(slug) is not None:
        return f"Plan {slug} is there already."
    draft = PlanDraft(
        name=name,
        description=description,
        features=_pairs(features),
        limits={key: _limit(key, text) for key, text in _pairs(limits).items()},
        trial_days=trial_days,
        position=position,
    )
    made = plans.create_plan(slug, draft, OPERATOR)
    for interval, amount in ((Interval.MONTH, monthly), (Interval.YEAR, yearly)):
        if amount is not None:
            _set_price(made, interval, amount, currency)
    if publish:
        plans.publish_plan(made.id, OPERATOR)
    return f"Plan {slug} is {'published' if publish else 'a draft'}."


@plan.command("price")
@click.argument("slug")
@click.argument("interval", type=click.Choice([each.value for each in plans.SOLD_BY]))
@click.argument("amount")
@click.option("--currency", help="ISO 4217; the shop's own by default.")
@deed
def price_(slug: str, interval: str, amount: str, currency: str | None) -> str:
    """Sell SLUG at AMOUNT per INTERVAL from now on; who has the old price keeps it."""
    price = _set_price(get_plan(slug), Interval(interval), amount, currency)
    return f"{slug} costs {_price(price)} now."


@plan.command("publish")
@click.argument("slug")
@deed
def publish_(slug: str) -> str:
    """Put SLUG on the pricing page."""
    plans.publish_plan(get_plan(slug).id, OPERATOR)
    return f"Plan {slug} is published."


@plan.command("retire")
@click.argument("slug")
@deed
def retire(slug: str) -> str:
    """Take SLUG off the pricing page; who has it keeps it."""
    plans.retire_plan(get_plan(slug).id, OPERATOR)
    return f"Plan {slug} is retired."


@plan.command("sync")
@click.argument("slug")
@deed
def sync(slug: str) -> str:
    """Make Stripe's product and prices like ours, now."""
    found = get_plan(slug)
    mirroring.sync_plan(found.id)
    return f"{slug}: {found.sync_error or 'Stripe has it.'}"


@plan.command("check")
@click.argument("slug")
@deed
def check(slug: str) -> str:
    """Compare SLUG with Stripe's product and prices."""
    drift = mirroring.check_plan(get_plan(slug).id)
    told = [
        f"{name}: here {ours!r}, at Stripe {theirs!r}" for name, (ours, theirs) in drift.items()
    ]
    return "\n".join(told) or f"{slug} is the same at Stripe."


def _set_price(of: Plan, interval: Interval, amount: str, currency: str | None) -> PlanPrice:
    currency = (currency or get_shop().currency).lower()
    return plans.set_price(of.id, interval, currency, parse_amount(amount, currency), OPERATOR)


def _price(price: PlanPrice) -> str:
    return f"{format_money(price.unit_amount, price.currency)} a {price.interval.value}"


def _synced(of: Plan) -> str:
    return f"synced {of.synced_at:%Y-%m-%d %H:%M}" if of.synced_at else "not synced yet"


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        match = PAIR.fullmatch(text)
        if match is None:
            raise InvalidPlan(f"{text!r} is not like key=words.")
        found[match[1]] = match[2]
    return found


def _limit(key: str, text: str) -> int | None:
    if text == UNLIMITED:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidPlan(f"The limit {key} is a whole number, or none.")
    return int(text)
