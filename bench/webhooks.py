"""How fast Stripe's events are acknowledged and worked off, beside dj-stripe on the same events.

The events are two months of subscribers: signups, renewals, failures, recoveries, with what
belongs to them. The clock of the banner starts when a failed payment's webhook is posted.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles

from bench.billing import banner, inbox
from bench.billing.people import History, enrol, offer_plan
from bench.billing.rival import RIVAL, Rival
from bench.billing.stream import Stream, Worked, split
from bench.ground import Ground, Site, machine
from bench.load import Load, press
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle

NAME = "webhooks"
ROUND = "bench_webhooks_round"
GOAL = 5
# How many subscribers for each of `--count`, how many members watch their pages, and how many
# there are to warm up with.
STREAM, WATCHERS, WARM = 6, 2, 8


@dataclass(frozen=True, slots=True)
class Scene:
    """A shop whose members' events wait to be told; ``watched``: one whose members look on."""

    shop: Site
    watched: Site
    watches: list[banner.Watch]
    stream: Stream


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return events acknowledged and processed per second, and how soon the banner is seen."""
    ground.start_stripe()
    scene = _prepare(ground, effort)
    rival = Rival(ground, scene.stream)
    rival.set_up()
    contestants: dict[str, Callable[[], Worked]] = {
        "processed-1-worker": partial(_work, scene, 1),
        "processed-2-workers": partial(_work, scene, 2),
        "through-2-workers": partial(_pass, scene),
        RIVAL: rival.work,
    }
    samples = alternate(contestants, _rounds(effort))
    with scene.shop.web() as url:
        hello = press(f"{url}/bench/hello", effort.seconds)
    waits = banner.measure(scene.watched, scene.watches, scene.stream.others)
    _explain(notes, scene, effort, rival)
    return [*_acks(samples, hello), *_rates(samples), *_banners(waits)]


def _rounds(effort: Effort) -> int:
    """Half as many as of others, rounded up: each of these is long."""
    return (effort.rounds + 1) // 2


def _prepare(ground: Ground, effort: Effort) -> Scene:
    shop, watched = ground.site(NAME), ground.site(f"{NAME}_watched")
    history = History(ground)
    history.go_to(0)
    with contextlib.ExitStack() as stack:
        here, there = stack.enter_context(shop.app()), stack.enter_context(watched.app())
        crowd = enrol(here, range(WARM + STREAM * effort.count), "member")
        watchers = enrol(there, [9] * (banner.WARM + WATCHERS * effort.count), "watcher")
        price = offer_plan(here)
        history.subscribe(crowd, price)
        history.subscribe(watchers, offer_plan(there))
        banner.sync(there, watchers)
        history.live([*crowd, *watchers])
        watches = banner.log_in(there, watchers)
    history.finish()
    stream = split(history.events(), (crowd[: WARM // 2], crowd[WARM // 2 : WARM], crowd[WARM:]))
    return Scene(shop, watched, watches, stream)


def _work(scene: Scene, workers: int) -> Worked:
    site = scene.shop.ground.copy_site(scene.shop, ROUND)
    worked = inbox.work_off(site, scene.stream, workers)
    inbox.check(site, scene.stream)
    return worked


def _pass(scene: Scene) -> Worked:
    site = scene.shop.ground.copy_site(scene.shop, ROUND)
    worked = inbox.pass_through(site, scene.stream, 2)
    inbox.check(site, scene.stream)
    return worked


def _rates(samples: dict[str, list[Worked]]) -> list[Row]:
    rows = {
        name: Row(NAME, name, middle([each.rate for each in worked]), "events/s")
        for name, worked in samples.items()
    }
    rival = rows.pop(RIVAL)
    slow = Row(NAME, f"{RIVAL}-p99", _p99([each.ack for each in samples[RIVAL]]), "ms")
    return [*(beside(row, rival) for row in rows.values()), rival, slow]


def _acks(samples: dict[str, list[Worked]], hello: Load) -> list[Row]:
    alone = ("processed-1-worker", "processed-2-workers")
    acks = [each.ack for name in alone for each in samples[name]]
    rate = Row(NAME, "ack", middle([ack.rate for ack in acks]), "events/s")
    slow = Row(NAME, "ack-p99", _p99(acks), "ms")
    bare = Row(NAME, "hello", round(hello.rate, 2), "events/s")
    bare_slow = Row(NAME, "hello-p99", hello.p99, "ms")
    return [beside(rate, bare), beside(slow, bare_slow), bare, bare_slow]


def _p99(loads: Sequence[Load]) -> float:
    return middle([load.p99 for load in loads])


def _banners(waits: list[float]) -> list[Row]:
    slow = quantiles(waits, n=100, method="inclusive")[98]
    return [
        Row(NAME, "banner", round(median(waits), 2), "ms"),
        Row(NAME, "banner-p99", round(slow, 2), "ms"),
    ]


def _explain(notes: Notes, scene: Scene, effort: Effort, rival: Rival) -> None:
    count = len(scene.stream.events)
    notes.add(machine())
    notes.add(f"Postgres: {scene.shop.ground.durability()}.")
    notes.add(
        f"{NAME}: medians of {_rounds(effort)} alternating rounds over the same {count} events of"
        f" {STREAM * effort.count} subscribers' two months, on a fresh copy of the database each,"
        " both warm; 8 connections in a closed loop, our Python client."
    )
    notes.add(
        f"{NAME}: `ack` is signature checked and event committed before the answer, no worker"
        " running; `processed` is from a full inbox to all done, with receipts, cases and access"
        " written, but no clock that takes the steps of cases; `through` is from the first webhook"
        f" to all done, acknowledging included: that is what {RIVAL} does, which processes within"
        f" the request, so it is the row that is like for like. Goal of `processed`: {GOAL} times"
        f" {RIVAL}."
    )
    notes.add(
        f"{NAME}: of the {count} events ours did all {count} in every round; {rival.account()}."
        f" An object that many events of a batch name is fetched once by ours; {RIVAL} fetches for"
        " each. So the fuller the inbox, the greater the distance: a short stream shows less."
    )
    notes.add(
        f"{NAME}: `banner` is from a failed payment's webhook to the first page of that member"
        f" that shows it, {len(scene.watches) - banner.WARM} members one by one, one worker."
    )


BENCH = Bench(NAME, "Stripe's events acknowledged and processed per second, beside dj-stripe", run)
