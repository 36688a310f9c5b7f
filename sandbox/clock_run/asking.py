"""What the shop itself says: its MRR at the end of some days, and the doctor's report, as JSON.

`python -m sandbox.clock_run.asking DAY...` asks with the shop's own queries, in one process.
"""

import json
import sys
from datetime import date
from typing import Any

from sandbox.clock_run.site import Site

CURRENCY = "usd"


def ask(site: Site, days: list[date]) -> dict[str, Any]:
    """Return ``{"numbers": {day: figures}, "checks": [...]}``."""
    told = site.run_module("sandbox.clock_run.asking", *(day.isoformat() for day in days))
    found: dict[str, Any] = json.loads(told)
    return found


def main() -> None:
    from webapp.billing.queries.numbers import Span, figures_of, in_brief
    from webapp.doctor import examine
    from wsgi import create_app

    days = [date.fromisoformat(day) for day in sys.argv[1:]]
    with create_app().app_context():
        spans = [Span(before, day) for before, day in zip([days[0], *days], days, strict=False)]
        numbers = {span.until.isoformat(): in_brief(figures_of(span, CURRENCY)) for span in spans}
        checks = examine(ask_stripe=True)["checks"]
    print(json.dumps({"numbers": numbers, "checks": checks}, default=str))


if __name__ == "__main__":
    main()
