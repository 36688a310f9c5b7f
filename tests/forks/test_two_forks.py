"""What one fork signed, queued, counted or was paid is refused or ignored by the other."""

import json
import uuid
from functools import partial

import pytest
import redis
import requests
import rq
from rq.serializers import JSONSerializer
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from jobs.orders import sweep_paid_sessions
from sandbox.browser import Browser
from tests.business import Business
from tests.buyers import Buyer
from tests.forks.conftest import EMAIL, Pair, Side
from tests.waiting import eventually
from webapp.accounts.models import LoginSession, Role, User
from webapp.accounts.services.staff import create_staff
from webapp.core.audit import OPERATOR
from webapp.core.db import db
from webapp.core.models import Job
from webapp.core.queue import RUN, Queue, enqueue
from webapp.core.signing import InvalidToken, sign, unsign
from webapp.core.state import current_fork
from webapp.orders.models import Cart, CartSku

pytestmark = pytest.mark.chaos

PASSWORD = "Long-Enough-For-Two-7"


def visit(url: str, address: str = "10.1.1.1", **cookies: str) -> requests.Response:
    return requests.get(
        url, cookies=cookies, headers={"X-Forwarded-For": address}, timeout=60,
        allow_redirects=False,
    )  # fmt: skip


def test_equal_orders_of_equal_buyers_stay_apart(pair: Pair) -> None:
    told = 'SELECT o.id, o.number, o.email FROM "order" o'
    assert pair.one.business.ask(told) == pair.other.business.ask(told) == [(1, 1001, EMAIL)]
    for side, _ in pair.ways:
        titles = side.business.ask("SELECT title FROM order_sku")
        assert all(title.startswith(side.title) for (title,) in titles)
        side.business.examine()


def test_an_event_about_the_others_sale_is_kept_and_ignored(pair: Pair) -> None:
    for side, other in pair.ways:
        eventually(partial(met_fate, side, other.session_id, "ignored"), "their event")
        eventually(partial(met_fate, side, side.session_id, "done"), "our event")


def met_fate(side: Side, session_id: str, state: str) -> bool:
    return fate(side, session_id) == state


def fate(side: Side, session_id: str) -> str | None:
    """What became here of the event that says a session was paid."""
    rows = side.business.ask(
        "SELECT state FROM stripe_event WHERE object_id = %s"
        " AND type = 'checkout.session.completed'",
        session_id,
    )
    return rows[0][0] if rows else None


def test_each_sends_its_own_mails_with_links_to_itself(pair: Pair) -> None:
    caught = pair.one.business.neighbours.list_mails("example.com")
    for side, other in pair.ways:
        own = [mail for mail in caught if side.business.domain in mail["from"]]
        assert len(own) == 2
        for mail in own:
            assert side.business.web_url in mail["text"]
            assert other.business.web_url not in mail["text"] + mail["html"]
            assert other.title not in mail["text"]


def test_a_status_link_opens_one_fork_only(pair: Pair) -> None:
    for side, other in pair.ways:
        assert visit(side.status_url).status_code == 200
        refused = visit(other.there(side.status_url))
        assert (refused.status_code, EMAIL in refused.text) == (404, False)


def test_a_download_link_opens_one_fork_only(pair: Pair) -> None:
    for side, other in pair.ways:
        assert visit(side.download_url).text == f"The manual of {side.title}"
        refused = visit(other.there(side.download_url))
        assert (refused.status_code, "The manual of" in refused.text) == (404, False)


def test_a_payment_of_the_other_fork_is_no_order_here(pair: Pair) -> None:
    for side, other in pair.ways:
        page = visit(f"{other.business.web_url}/checkout/success?session_id={side.session_id}")
        assert "Thank you" not in page.text
        assert EMAIL not in page.text
        with other.business.app.app_context():
            sweep_paid_sessions()
        assert other.business.count("order") == 1


def fill_equal_carts(pair: Pair) -> uuid.UUID:
    """Both forks have a cart of this id."""
    cart_id = uuid.uuid4()
    for side, _ in pair.ways:
        with side.business.app.app_context():
            expires_at = db.session.query(Cart.expires_at).limit(1).scalar()
            line = CartSku(sku_id=side.sku_id, quantity=1, seen_unit_amount=2500)
            cart = Cart(id=cart_id, currency="usd", expires_at=expires_at, lines=[line])
            db.session.add(cart)
            db.session.commit()
    return cart_id


def test_a_cart_cookie_fits_one_fork_only(pair: Pair) -> None:
    cart_id = fill_equal_carts(pair)
    for side, other in pair.ways:
        with side.business.app.app_context():
            cookie = sign("cart", str(cart_id))
        ours = visit(f"{side.business.web_url}/cart", **{f"{side.business.name}_cart": cookie})
        assert f"{side.title} Bowl" in ours.text
        theirs = visit(f"{other.business.web_url}/cart", **{f"{other.business.name}_cart": cookie})
        assert "Your cart is empty" in theirs.text


def test_one_browser_keeps_a_cart_in_each(pair: Pair) -> None:
    browser = Browser()
    for side, _ in pair.ways:
        page = browser.open(side.product_url)
        browser.submit(page, page.form("/cart/add"))
    for side, other in pair.ways:
        cart = browser.open(f"{side.business.web_url}/cart").text
        assert f"{side.title} Bowl" in cart
        assert other.title not in cart


def test_a_session_and_its_csrf_token_fit_one_fork_only(pair: Pair) -> None:
    for side, other in pair.ways:
        mine, theirs = token_of(side), token_of(other)
        assert add_to_cart(side, *mine) == 303
        assert add_to_cart(other, *mine) == 400
        assert add_to_cart(other, theirs[0], mine[1]) == 400
        assert add_to_cart(other, mine[0], theirs[1]) == 400


def token_of(side: Side) -> tuple[str, str]:
    """Return a visitor's session cookie and the token that its forms carry."""
    browser = Browser()
    form = browser.open(side.product_url).form("/cart/add")
    return browser.session.cookies[f"{side.business.name}_session"], form.fields["csrf_token"]


def add_to_cart(side: Side, session: str, token: str) -> int:
    return requests.post(
        f"{side.business.web_url}/cart/add",
        data={"csrf_token": token, "sku_id": side.sku_id, "quantity": 1},
        headers={"Cookie": f"{side.business.name}_session={session}"},
        allow_redirects=False,
        timeout=60,
    ).status_code


def hire_the_same_person(pair: Pair) -> None:
    """Equal ids, addresses and password hashes: only the fork is another."""
    with pair.one.business.app.app_context():
        user = create_staff("owner@example.com", Role.OWNER, PASSWORD, OPERATOR)
        same = {
            "id": user.id,
            "email": user.email,
            "email_verified_at": user.email_verified_at,
            "password_hash": user.password_hash,
        }
        db.session.commit()
    with pair.other.business.app.app_context():
        db.session.add(User(**same, role=Role.OWNER))
        db.session.commit()


def open_the_same_sessions(side: Side, other: Side) -> None:
    """Even with the very row of the session, only its own fork's cookie opens it."""
    columns = LoginSession.__table__.columns.keys()
    with side.business.app.app_context():
        rows = db.session.execute(select(*LoginSession.__table__.columns)).all()
        known = [dict(zip(columns, row, strict=True)) for row in rows]
    with other.business.app.app_context():
        db.session.execute(insert(LoginSession).on_conflict_do_nothing(), known)
        db.session.commit()


def test_a_staff_session_opens_one_back_office_only(pair: Pair) -> None:
    hire_the_same_person(pair)
    for side, other in pair.ways:
        browser = Browser()
        page = browser.open(f"{side.business.web_url}/login")
        login = {"email": "owner@example.com", "password": PASSWORD}
        browser.submit(page, page.form("/login"), login)
        cookie = browser.session.cookies[f"{side.business.name}_session"]
        open_the_same_sessions(side, other)
        ours, theirs = (
            visit(f"{each.business.web_url}/admin/", **{f"{each.business.name}_session": cookie})
            for each in (side, other)
        )
        assert (ours.status_code, theirs.status_code // 100) == (200, 3)
        assert "/login" in theirs.headers["Location"]


@pytest.mark.parametrize("purpose", ["cart", "order", "download"])
def test_a_signature_is_worth_nothing_elsewhere(pair: Pair, purpose: str) -> None:
    for side, other in pair.ways:
        with side.business.app.app_context():
            token = sign(purpose, 1)
            assert unsign(purpose, token) == 1
        with other.business.app.app_context(), pytest.raises(InvalidToken):
            unsign(purpose, token)


def test_every_key_in_redis_says_whose_it_is(pair: Pair) -> None:
    names = [side.business.name for side, _ in pair.ways]
    with redis.Redis.from_url(pair.one.business.redis_url) as store:
        keys = [key.decode() for key in store.scan_iter(count=1000)]
    # RQ's list of all queues and workers, and its records of rings, whose ids are random.
    shared = ("rq:queues", "rq:workers", "rq:job:", "rq:execution", "rq:clean_registries")
    strangers = [
        key for key in keys if not any(n in key for n in names) and not key.startswith(shared)
    ]
    assert strangers == []
    assert any(names[0] in key for key in keys)
    assert any(names[1] in key for key in keys)


def test_a_worker_leaves_the_other_forks_jobs_alone(pair: Pair) -> None:
    side, other = pair.one, pair.other
    other.business.kill("worker")
    ours, theirs = put_equal_jobs(pair)
    eventually(lambda: state_of(side, ours) == "done", "our job")
    assert state_of(other, theirs) == "queued"
    other.business.start("worker")
    eventually(lambda: state_of(other, theirs) == "done", "their job")


def put_equal_jobs(pair: Pair) -> list[int]:
    """A harmless promise in each fork; returns their ids."""
    ids = []
    for side, _ in pair.ways:
        with side.business.app.app_context():
            job_id = enqueue("jobs.orders.settle_checkouts")
            db.session.commit()
            assert job_id
            ids.append(job_id)
    return ids


def state_of(side: Side, job_id: int) -> str:
    return str(side.business.ask("SELECT state FROM job WHERE id = %s", job_id)[0][0])


def test_a_message_in_the_wrong_queue_is_refused(pair: Pair) -> None:
    for side, other in pair.ways:
        job_id = park_equal_jobs(pair)
        with redis.Redis.from_url(side.business.redis_url) as store:
            name = queue_name(other.business)
            queue = rq.Queue(name, connection=store, serializer=JSONSerializer)
            sent = queue.enqueue(RUN, side.business.name, job_id)
            refused = queue.failed_job_registry
            eventually(partial(refused.__contains__, sent), "the refusal")
        assert (state_of(side, job_id), state_of(other, job_id)) == ("cancelled", "cancelled")
        other.business.assert_alive()


def park_equal_jobs(pair: Pair) -> int:
    """The same id in both forks, in a state that only running it would change."""
    job_id = 900_000 + uuid.uuid4().int % 90_000
    for side, _ in pair.ways:
        side.business.ask(
            "INSERT INTO job (id, path, args, queue, state, attempts, max_attempts, run_at,"
            " deadline_at, created_at) OVERRIDING SYSTEM VALUE VALUES (%s,"
            " 'jobs.orders.settle_checkouts', '[]', 'critical', 'cancelled', 0, 8, now(), now(),"
            " now()) RETURNING id",
            job_id,
        )
    return job_id


def queue_name(business: Business) -> str:
    with business.app.app_context():
        return current_fork().queue_name(Queue.CRITICAL)


def test_a_limit_reached_in_one_fork_is_not_reached_in_the_other(pair: Pair) -> None:
    for number, (side, other) in enumerate(pair.ways):
        guesser, guesser_there = (Buyer(each.business, 500 + number) for each in (side, other))
        statuses = [guess(guesser) for _ in range(16)]
        assert (statuses[0], statuses[-1]) == (303, 429)
        assert guess(guesser_there) == 303


def guess(buyer: Buyer) -> int:
    """Try a discount code; returns the answer's status."""
    base = buyer.business.web_url
    if buyer.cart is None:
        shelf = buyer.browser.open(f"{base}/products").links("/products/")
        buyer.fill_cart(next(link for link in shelf if "bowl" in link))
    assert buyer.cart
    form = buyer.cart.form("/cart/discount")
    return buyer.browser.session.post(
        form.action, data={**form.fields, "code": "GUESS"}, allow_redirects=False, timeout=60
    ).status_code


def test_every_line_of_a_log_names_its_fork(pair: Pair) -> None:
    for side, _ in pair.ways:
        log = side.business.folder / f"{side.business.name}-worker.log"
        forks = {json.loads(line)["fork"] for line in log.open() if line.startswith("{")}
        assert forks == {side.business.name}


def test_numbers_of_jobs_are_equal_and_mean_nothing_across(pair: Pair) -> None:
    """Had a job crossed, one fork's first job would have been run twice and the other's never."""
    for side, _ in pair.ways:
        with side.business.app.app_context():
            first = db.session.query(Job).order_by(Job.id).limit(1).one()
            assert (first.id, first.state.value, first.attempts) == (1, "done", 1)
            assert len(first.tries) == 1
