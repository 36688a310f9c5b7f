"""How fast the shop's pages are, beside a bare Flask view on the same server and workers."""

import re
from functools import partial
from pathlib import Path

import requests

from bench.ground import Ground, Site, machine
from bench.load import Load, generator, press
from bench.registry import Bench, Effort
from bench.report import Notes, Row, beside
from bench.rounds import alternate, middle
from sandbox.processes import SandboxError

NAME = "pages"
WANTED_CARDS = 24


def run(ground: Ground, effort: Effort, notes: Notes) -> list[Row]:
    """Return requests per second, p95 and queries of each page."""
    site = ground.site(NAME)
    paths = {"hello": "/bench/hello", **page_paths(site)}
    queries = count_queries(site, paths)
    with site.web() as url:
        for path in paths.values():
            check(url + path)
        contestants = {
            name: partial(press, url + path, effort.seconds) for name, path in paths.items()
        }
        alternate({name: partial(press, url + path, 1) for name, path in paths.items()}, 1)
        samples = alternate(contestants, effort.rounds)
    notes.add(machine())
    notes.add(generator())
    notes.add(
        f"{NAME}: medians of {effort.rounds} alternating rounds of {effort.seconds} s; nothing is"
        " cached, the request limiter counts, the list page shows 24 products."
    )
    return [*_rates(samples), *_waits(samples), *_queries(queries)]


def page_paths(site: Site) -> dict[str, str]:
    """Return the addresses to ask for; the product is the one with the most variants."""
    with site.ground.postgres.connect(site.database) as connection:
        row = connection.execute(
            "SELECT p.slug FROM product p JOIN product_sku s ON s.product_id = p.id"
            " WHERE p.status = 'published' GROUP BY p.id ORDER BY count(*) DESC, p.id LIMIT 1"
        ).fetchone()
    if row is None:
        raise SandboxError("The catalogue has no published product to show.")
    return {"home": "/", "list": "/products", "product": f"/products/{row[0]}"}


def check(url: str) -> None:
    """Refuse to measure an error page, or a list that isn't full."""
    answer = requests.get(url, timeout=20, allow_redirects=False)
    if answer.status_code != 200:
        raise SandboxError(f"{url} answers {answer.status_code}: {answer.text[:300]}")
    if url.endswith("/products") and answer.text.count('class="card') < WANTED_CARDS:
        raise SandboxError(f"{url} shows fewer than {WANTED_CARDS} products.")


def count_queries(site: Site, paths: dict[str, str]) -> dict[str, int]:
    """Return how many statements each page sends, once it is warm, by what Postgres itself logs."""
    with site.ground.postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {site.database} SET log_statement = 'all'")
    counts: dict[str, int] = {}
    with site.app() as app:
        client = app.test_client()
        for name, path in paths.items():
            if name == "hello":
                continue
            client.get(path, base_url="https://bench.example")
            before = _count_logged(site.ground.postgres.log)
            client.get(path, base_url="https://bench.example")
            counts[name] = _count_logged(site.ground.postgres.log) - before
    with site.ground.postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {site.database} RESET log_statement")
    return counts


def _count_logged(log: Path) -> int:
    return len(re.findall(r"LOG:  (?:statement|execute )", log.read_text(errors="replace")))


def _rates(samples: dict[str, list[Load]]) -> list[Row]:
    rows = [
        Row(NAME, name, middle([load.rate for load in loads]), "requests/s")
        for name, loads in samples.items()
    ]
    return [rows[0], *(beside(row, rows[0]) for row in rows[1:])]


def _waits(samples: dict[str, list[Load]]) -> list[Row]:
    rows = [
        Row(NAME, f"{name}-p95", middle([load.p95 for load in loads]), "ms")
        for name, loads in samples.items()
    ]
    return [rows[0], *(beside(row, rows[0]) for row in rows[1:])]


def _queries(counts: dict[str, int]) -> list[Row]:
    return [Row(NAME, f"{name}-queries", count, "queries") for name, count in counts.items()]


BENCH = Bench(NAME, "pages per second beside a bare Flask view", run)
