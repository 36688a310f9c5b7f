"""Finds the benches: every module of this package that has a ``BENCH``."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import bench
from bench.ground import Ground
from bench.report import Notes, Row


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: ``rounds`` of ``seconds`` of load, or of ``count`` things done."""

    rounds: int = 5
    seconds: int = 2
    count: int = 50


@dataclass(frozen=True, slots=True)
class Bench:
    """One file's measurement. One that is ``by_name_only`` isn't part of a run of all."""

    name: str
    claim: str
    run: Callable[[Ground, Effort, Notes], list[Row]]
    by_name_only: bool = False


def list_benches() -> list[Bench]:
    """Return the benches by name; a file is enough to add one."""
    found: list[Bench] = []
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name.startswith("_") or module.ispkg:
            continue
        declared = getattr(import_module(f"bench.{module.name}"), "BENCH", None)
        if isinstance(declared, Bench):
            found.append(declared)
    return sorted(found, key=lambda each: each.name)
