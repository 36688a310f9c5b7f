"""Rules by which the mailbox refuses mail on request, as real mail servers do unasked."""

import re
import threading
from dataclasses import dataclass
from typing import Any

STAGES = ("mail", "rcpt", "data")
REPLY = re.compile(r"^[45]\d\d [\x20-\x7e]{1,400}$")


@dataclass(slots=True)
class Rule:
    """Answer `reply` at `at`, to `to` alone if given, `times` times (None: until cleared)."""

    reply: str
    at: str
    to: str | None
    times: int | None

    def as_json(self) -> dict[str, Any]:
        return {"reply": self.reply, "at": self.at, "to": self.to, "times": self.times}


def read_rule(wish: object) -> Rule:
    """A rule from JSON; ValueError with a sentence if it makes no sense."""
    if not isinstance(wish, dict):
        raise ValueError("Send a JSON object.")
    reply, times, to = wish.get("reply"), wish.get("times"), wish.get("to")
    at = wish.get("at", "rcpt")
    if not isinstance(reply, str) or not REPLY.match(reply):
        raise ValueError("`reply` is an SMTP reply such as `451 try later`.")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError("`times` is a whole number from 1, or left out for always.")
    if to is not None and not isinstance(to, str):
        raise ValueError("`to` is an address.")
    if at not in STAGES or (to and at != "rcpt"):
        raise ValueError("`at` is mail, rcpt or data; with `to` it is rcpt.")
    return Rule(reply, at, to.strip().lower() if to else None, times)


class Refusals:
    """The rules in force, in the order they came; the first that fits answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def list_rules(self) -> list[Rule]:
        with self._lock:
            return list(self._rules)

    def reply(self, at: str, to: str | None = None) -> str | None:
        """The refusal due now, counted off its rule; None to go on."""
        with self._lock:
            for rule in self._rules:
                if rule.at == at and (rule.to is None or rule.to == (to or "").lower()):
                    self._count(rule)
                    return rule.reply
        return None

    def _count(self, rule: Rule) -> None:
        if rule.times is not None:
            rule.times -= 1
            if rule.times == 0:
                self._rules.remove(rule)
