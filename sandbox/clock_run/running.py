"""One clock run from its first day to its report."""

import json
import time
from argparse import Namespace
from typing import Any

import psutil

from sandbox.clock_run.chaos import Chaos
from sandbox.clock_run.days import Days
from sandbox.clock_run.examining import Report, examine
from sandbox.clock_run.inbox import Inbox
from sandbox.clock_run.living import Town
from sandbox.clock_run.mailbox import Mailbox
from sandbox.clock_run.people import draw
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Stripe
from sandbox.interruption import ignore_signals
from sandbox.ports import free_port
from sandbox.processes import write_atomically
from sandbox.steps import Steps

TELL_EVERY = 20


def run(options: Namespace, began: float) -> int:
    """Start, live, examine, stop whatever happened. Returns the exit status."""
    steps = Steps()
    site = Site(options.state, steps, mortal=options.chaos > 0)
    try:
        site.end_orphans()
        report = live(site, options, began)
    finally:
        ignore_signals()
        site.stop()
    report.show(steps)
    if options.json:
        write_atomically(options.json, json.dumps(report.as_json(), indent=2) + "\n")
    return 1 if report.breaches else 0


def live(site: Site, options: Namespace, began: float) -> Report:
    """Let all days pass, and look at what has become of everything."""
    addresses = site.start(free_port(), fresh=site.state.file.exists())
    stripe = Stripe(addresses.stripe, addresses.stripe_key)
    inbox = Inbox(site, stripe, hear_of_what_is_handled(stripe))
    days = Days(site, stripe, inbox, clock_off(options))
    people = draw(options.customers, options.days, options.seed)
    town = Town(site, stripe, Mailbox(addresses.mailbox), days, people)
    cores = psutil.cpu_times()
    with Chaos.of(days, options.chaos, options.days, options.seed) as chaos:
        for day in range(options.days):
            chaos.strike(day)
            days.begin(day)
            town.live(day)
            days.end()
            if day % TELL_EVERY == TELL_EVERY - 1 or day == options.days - 1:
                site.steps.say(
                    f"  day {day + 1:4}  {time.monotonic() - began:6.1f} s  {days.costs()}"
                )
    report = examine(town)
    if days.off:
        report.figures["clock off"] = f"from day {days.off.start} on for {len(days.off)} days"
    report.figures["killed"] = chaos.told()
    report.figures["killed at work"] = chaos.at_work
    report.figures["seconds"] = f"{time.monotonic() - began:.0f}"
    report.figures["a day"] = days.costs()
    report.figures["stolen"] = f"{stolen_since(cores):.0f}% of the cores' time"
    cpu = site.cpu_seconds()
    report.figures["CPU seconds"] = ", ".join(f"{name} {used:.0f}" for name, used in cpu.items())
    return report


def stolen_since(before: Any) -> float:
    """Percent of the cores' time that the machine's host gave to others; 0 where nobody tells."""
    now = psutil.cpu_times()
    total: float = sum(now[:8]) - sum(before[:8])
    stolen: float = getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)
    return 100 * stolen / max(total, 1.0)


def clock_off(options: Namespace) -> range:
    """The days on which the clock process stands still: in the middle of the run."""
    first = options.days // 2
    return range(first, first + options.clock_off)


def hear_of_what_is_handled(stripe: Stripe) -> frozenset[str]:
    """Choose the events of the endpoint, as a shop does in Stripe's dashboard."""
    from webapp.payments.services import HANDLED

    endpoint = stripe.get("webhook_endpoints")["data"][0]["id"]
    wanted = {f"enabled_events[{n}]": type_ for n, type_ in enumerate(sorted(HANDLED))}
    stripe.post(f"webhook_endpoints/{endpoint}", **wanted)
    return HANDLED
