"""Every page of the back office as a browser gets it: at home under our strict policy."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.admin.conftest import make_order, make_product
from tests.admin.people import add_visit, make_message, make_prospect, member_of
from tests.admin.test_engine_room import add_event, add_job, add_mail
from tests.admin.test_sequences import make_sequence
from tests.factories.billing import (
    make_customer,
    make_plan,
    make_step,
    make_subscription,
    make_unpaid_invoice,
    open_case,
)
from tests.factories.emails import make_draft, make_frozen, recipient_of
from tests.factories.people import browser_of, make_user
from webapp.accounts.models import Role, TermsOfUse
from webapp.billing.models import BillingDifference, SubscriptionStatus
from webapp.campaigns.models import Ad, Audience, EmailState
from webapp.core import clock
from webapp.core.db import db
from webapp.core.models import AuditEntry, JobState
from webapp.messaging.models import (
    BounceKind,
    MailBounce,
    MailDomainLimit,
    MailReport,
    MailSender,
    MailState,
    MailSuppression,
    ReportSource,
    ReportState,
    SuppressionReason,
    SuppressionScope,
)
from webapp.orders.models import DiscountCode, DiscountKind, ShippingMethod, TaxRate

TEMPLATES = Path(__file__).parents[2] / "templates" / "admin"


WRITTEN = (
    "plans",
    "products",
    "discounts",
    "shipping",
    "tax",
    "terms",
    "ads",
    "audiences",
    "senders",
)


def add_post(session: Session) -> dict[str, Any]:
    """Add one of everything that mails to many leave behind; returns keys by room."""
    email = make_frozen(["alice@example.com"], state=EmailState.SENT)
    recipient = recipient_of(email, "alice@example.com")
    opened = {"field": "opened", "op": "did", "value": [email.id], "days": 30}
    either = {"match": "any", "of": [{"field": "country", "op": "is", "value": ["DE"]}]}
    suppressed = {"scope": SuppressionScope.ALL, "reason": SuppressionReason.BOUNCE}
    rows: dict[str, Any] = {
        "audiences": Audience(name="Readers", rules={"of": [opened, either]}),
        "senders": MailSender(
            name="News",
            address="news@shop.example",
            is_default=True,
            warmup_from=clock.now().date(),
            warmup=[50, 100],
        ),
        "suppressions": MailSuppression(email="alice@example.com", source="mail", **suppressed),
        "bounces": MailBounce(
            key="b", email="alice@example.com", kind=BounceKind.HARD, source="mail"
        ),
        "reports": MailReport(
            key="r", source=ReportSource.MAIL, content=b"?", state=ReportState.UNREADABLE
        ),
    }
    session.add_all([*rows.values(), MailDomainLimit(domain="example.com", per_second=5)])
    session.commit()
    keys = {room: row.id for room, row in rows.items()}
    return keys | {"results": email.id, "recipients": f"{email.id}-{recipient.id}"}


def add_billing() -> dict[str, int]:
    """Add a subscription whose renewal failed, and a difference; returns keys by room."""
    customer = make_customer(make_user("bob@example.com"))
    plan = make_plan(drift={"name": ["Pro", "Theirs"]})
    row = make_subscription(customer, plan, status=SubscriptionStatus.PAST_DUE)
    unpaid = make_unpaid_invoice(customer, row)
    case = open_case(unpaid)
    make_step(case, "mail:0")
    wrong = BillingDifference(kind="invoice", stripe_id=unpaid.stripe_id, field="total")
    db.session.add(wrong)
    db.session.commit()
    return {
        "plans": plan.id,
        "subscriptions": row.id,
        "invoices": unpaid.id,
        "cases": case.id,
        "dunning-policy": case.policy_id,
        "differences": wrong.id,
    }


def billing_paths(keys: dict[str, int]) -> list[str]:
    """Return the pages of billing beside lists and details."""
    deeds = {
        "subscriptions": ("cancel", "change", "discount", "pause"),
        "invoices": ("retry", "void", "write-off"),
        "cases": ("exclude", "pause", "try-now", "write-off"),
        "dunning-policy": ("simulate",),
    }
    paths = [
        f"/admin/{room}/{deed}/?id={keys[room]}" for room, names in deeds.items() for deed in names
    ]
    return [
        *paths,
        "/admin/billing-settings/",
        "/admin/billing-events/",
        "/admin/dunning-policy/new/",
    ]


@pytest.fixture
def pages(app: Flask, owner: FlaskClient, session: Session) -> dict[str, str]:
    product, order = make_product(), make_order()
    job, mail = add_job(session, JobState.FAILED), add_mail(session, "m", MailState.FAILED)
    add_event(session)
    rows: list[Any] = [
        DiscountCode(code="GO", kind=DiscountKind.PERCENT, value=1000),
        ShippingMethod(code="standard", name="Standard", unit_amount=500),
        TaxRate(country="US", name="Sales tax", basis_points=800),
    ]
    session.add_all(rows)
    session.commit()
    alice, prospect, message = member_of(make_user()), make_prospect(), make_message()
    draft, mail_out, sequence = make_draft(), make_frozen(["alice@example.com"]), make_sequence()
    terms, ad = TermsOfUse(version="1", body="<p>Be kind.</p>"), Ad(code="go", name="Go")
    viewer = make_user("viewer@example.com", role=Role.VIEWER)
    session.add_all([terms, ad])
    browser_of(app, alice.user)
    add_visit()
    session.commit()
    post, billing = add_post(session), add_billing()
    entry = session.scalars(select(AuditEntry.id)).first()
    keys = {
        "orders": order.id,
        "products": product.id,
        "jobs": job.id,
        "events": "evt_1",
        "mails": mail.id,
        "discounts": rows[0].id,
        "shipping": rows[1].id,
        "tax": rows[2].id,
        "members": alice.id,
        "prospects": prospect.id,
        "contact": message.id,
        "terms": terms.id,
        "ads": ad.id,
        "emails": draft.id,
        "sequences": sequence.id,
        "staff": viewer.id,
        "audit": entry,
        **post,
        **billing,
    }
    paths = billing_paths(billing)
    paths += ["/admin/", "/admin/shop/", "/admin/visits/", "/admin/staff/roles/"]
    paths += ["/admin/email-settings/", f"/admin/emails/details/?id={mail_out.id}"]
    paths += ["/admin/emails/new/", "/admin/sequences/new/"]
    paths += [f"/admin/sequences/{page}/?id={sequence.id}" for page in ("edit", "people")]
    paths += ["/admin/staff/new/", "/admin/orders/?search=nothing+at+all"]
    for room, key in keys.items():
        paths += [f"/admin/{room}/", f"/admin/{room}/details/?id={key}"]
        if room in WRITTEN:
            paths += [f"/admin/{room}/new/", f"/admin/{room}/edit/?id={key}"]
    paths += ["/admin/imports/", "/admin/suppressions/new/", "/admin/suppressions/import/"]
    paths.append(f"/admin/results/compare/?id={post['results']}")
    paths.append(f"/admin/recipients/why/?address=alice@example.com&email={post['results']}")
    paths.append(f"/admin/products/variant/?id={product.variants[0].id}")
    paths.append(f"/admin/products/add-variant/?id={product.id}")
    found = {}
    for path in paths:
        answer = owner.get(path)
        assert (path, answer.status_code) == (path, 200)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
        found[path] = answer.text
    return found


def test_no_page_needs_what_the_policy_forbids(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        assert not re.search(r"\son[a-z]+\s*=", html), path
        # Within a tag: the code of the newsletter's form is shown as words.
        assert not re.search(r"<[^>]*\sstyle\s*=", html), path
        assert "<style" not in html, path
        assert "javascript:" not in html, path
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", html), path
        assert not re.search(r"bootstrap|jquery|select2", html, re.I), path
        for address in re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', html):
            assert address.startswith("/"), (path, address)


def test_every_form_that_changes_something_carries_the_token(pages: dict[str, str]) -> None:
    forms = 0
    for path, html in pages.items():
        for form in re.findall(r'<form[^>]*method="post".*?</form>', html, re.S):
            assert form.count('name="csrf_token"') == 1, (path, form[:200])
            forms += 1
    assert forms > len(pages)


def test_every_field_has_a_label(pages: dict[str, str]) -> None:
    fields = 0
    for path, html in pages.items():
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', html))
        for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", html):
            if 'type="hidden"' in tag or "aria-label" in tag:
                continue
            fields += 1
            identity = re.search(r' id="([^"]+)"', tag)
            wrapped = re.search(r"<label[^>]*>\s*" + re.escape(tag), html)
            assert wrapped or (identity and identity.group(1) in labelled), (path, tag)
    assert fields > len(pages)


def test_every_page_says_where_one_is(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        assert html.count("<h1>") == 1, path
        assert html.count("<main") == 1, path
        assert html.split("<nav")[1].count('aria-current="page"') == 1, path
        ids = re.findall(r' id="([^"]+)"', html)
        assert len(ids) == len(set(ids)), path


def test_links_within_the_back_office_lead_somewhere(
    pages: dict[str, str], owner: FlaskClient
) -> None:
    links = {
        link.replace("&amp;", "&")
        for html in pages.values()
        for link in re.findall(r'<a[^>]+href="(/admin/[^"]*)"', html)
    }
    assert len(links) > 40
    for link in links:
        assert (link, owner.get(link).status_code) == (link, 200)


def test_no_template_of_flask_admin_is_used(app: Flask) -> None:
    own = {path.relative_to(TEMPLATES.parent).as_posix() for path in TEMPLATES.rglob("*.html")}
    for name in ("list", "details", "create", "edit"):
        assert f"admin/model/{name}.html" in own
    loaded = app.jinja_env.list_templates(filter_func=lambda name: name.startswith("admin/"))
    assert set(loaded) == own
