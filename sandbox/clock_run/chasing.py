"""Whether every unpaid invoice was chased as the default policy says, from Stripe's own facts."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sandbox.clock_run.arrivals import by_case, listed
from sandbox.clock_run.days import Look
from sandbox.clock_run.debts import Close, Debt
from sandbox.clock_run.rules import DONE, END, WALL, act, plan
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Json

CASES = """
    SELECT d.id, i.stripe_id AS invoice, d.state, d.opened_at, d.closed_at, d.amount,
           d.decline_code, d.walled_at, c.email
    FROM dunning_case d JOIN invoice i ON i.id = d.invoice_id
         JOIN billing_customer c ON c.id = d.customer_id ORDER BY d.id
"""
STEPS = "SELECT id, case_id, key, state, due_at, at FROM dunning_step ORDER BY case_id, id"


@dataclass(slots=True)
class Chase:
    site: Site
    debts: dict[str, Debt]
    looks: list[Look]
    cases: list[Json] = field(default_factory=list)
    steps: dict[int, list[Json]] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)

    def examine(self) -> None:
        self.cases, self.steps = self.site.rows(CASES), by_case(self.site.rows(STEPS))
        chased = Counter(case["invoice"] for case in self.cases)
        self._examine_invoices(chased)
        for case in self.cases:
            if case["invoice"] in self.debts:
                self._examine_case(case, self.debts[case["invoice"]])
        self.told["cases"] = listed(Counter(case["state"] for case in self.cases))
        self.told["steps"] = listed(
            Counter(f"{s['key']} {s['state']}" for each in self.steps.values() for s in each)
        )

    def walls(self) -> dict[str, set[bool]]:
        """By customers who owe something: whether the wall is to stand, or may during a look."""
        found: dict[str, set[bool]] = defaultdict(set)
        for debt in self.debts.values():
            if debt.is_owed:
                stands = {WALL in taken for taken in self._allowed(debt, None)}
                before = found.get(debt.invoice["customer"], {False})
                found[debt.invoice["customer"]] = {a or b for a in stands for b in before}
        return found

    def _examine_invoices(self, chased: Counter[str]) -> None:
        """One case for each invoice whose first charge failed, none for any other."""
        for invoice, count in chased.items():
            if count > 1:
                self.breaches.append(f"Invoice {invoice} has {count} cases.")
        for invoice in sorted(self.debts.keys() - chased.keys()):
            self.breaches.append(f"Invoice {invoice} failed and has no case.")
        for invoice in sorted(chased.keys() - self.debts.keys()):
            self.breaches.append(f"Invoice {invoice} has a case and never failed.")

    def _examine_case(self, case: Json, debt: Debt) -> None:
        steps = self.steps.get(case["id"], [])
        taken = {step["key"]: step["state"] for step in steps}
        if len(taken) != len(steps):
            self._breach(case, f"has a step twice: {[s['key'] for s in steps]}.")
        for sentence in (
            *self._see_facts(case, debt),
            *self._see_end(case, debt, taken),
            *_see_wall(case, steps),
            *_see_dues(steps, debt),
        ):
            self._breach(case, sentence)
        # A mail that was taken back in time was a step done all the same.
        taken = {key: DONE if state == "withdrawn" else state for key, state in taken.items()}
        allowed = self._allowed(debt, _seconds(case["closed_at"]))
        if taken not in allowed:
            self._breach(
                case,
                f"from {debt.opened_at:%m-%d %H:%M} to {_day(case['closed_at'])}, took {taken}, "
                f"and the policy says {allowed[0]}.",
            )

    def _see_facts(self, case: Json, debt: Debt) -> list[str]:
        """What the case says of its invoice is what Stripe says of it."""
        closed = _seconds(case["closed_at"])
        ends = debt.closes()
        wanted = {
            "opened_at": (_seconds(case["opened_at"]), debt.opened),
            "amount": (case["amount"], debt.invoice["amount_due"]),
            "decline_code": (case["decline_code"], debt.refusal_at(closed)),
        }
        found = [
            f"has {name} {ours!r}, and by Stripe it is {theirs!r}."
            for name, (ours, theirs) in wanted.items()
            if ours != theirs
        ]
        if Close(case["state"], closed) not in ends:
            found.append(f"is {case['state']} at {closed}, and by Stripe one of {ends}.")
        return found

    def _see_end(self, case: Json, debt: Debt, taken: dict[str, str]) -> list[str]:
        """The last step ends what is not paid; and nobody is lost by anything else."""
        is_ended = debt.subscription is not None and debt.subscription["status"] == "canceled"
        if END in taken and not is_ended and debt.invoice["status"] != "paid":
            return ["took its last step, and its subscription lives."]
        if END in taken and case["state"] == "voluntary":
            return ["took its last step and is called voluntary."]
        if case["state"] == "lost" and not self._was_ended_for_debt(debt):
            return ["is lost, and neither the policy nor Stripe ended it for want of payment."]
        return []

    def _was_ended_for_debt(self, debt: Debt) -> bool:
        """By the last step in a case of the subscription, or by Stripe when no try was left."""
        if debt.subscription is None:
            return False
        why = (debt.subscription["cancellation_details"] or {}).get("reason")
        return why == "payment_failed" or any(
            step["key"] == END and step["at"].timestamp() <= (debt.ended or 0) + 60
            for case in self.cases
            if case["invoice"] in self.debts
            and self.debts[case["invoice"]].subscription is debt.subscription
            for step in self.steps.get(case["id"], ())
        )

    def _allowed(self, debt: Debt, closed: int | None) -> list[dict[str, str]]:
        """What was to be done, by each look before its end; during the last one both may be."""
        until = datetime.fromtimestamp(closed, UTC) if closed else self.looks[-1].ended
        # Stripe's times are cut to whole seconds.
        until += timedelta(seconds=1)
        looks = [look for look in self.looks if debt.opened_at <= look.ended]
        looks = [look for look in looks if look.begun <= until]
        allowed: list[dict[str, str]] = []
        for last in ("begun", "ended"):
            moments = [look.begun for look in looks]
            if looks and last == "ended":
                moments.append(min(looks[-1].ended, until))
            allowed.append(act(debt.opened_at, moments))
        return allowed

    def _breach(self, case: Json, sentence: str) -> None:
        self.breaches.append(f"Case {case['id']} of {case['email']} {sentence}")


def _see_wall(case: Json, steps: list[Json]) -> list[str]:
    """The wall stands from the moment of its step on, and only then."""
    step = next((each for each in steps if each["key"] == WALL), None)
    walled_at = case["walled_at"]
    if step is None or walled_at is None:
        is_right = step is None and walled_at is None
    else:
        is_right = step["due_at"] <= walled_at <= step["at"]
    return [] if is_right else [f"has its wall at {walled_at}, and the step {step}."]


def _see_dues(steps: list[Json], debt: Debt) -> list[str]:
    """Each step was due when the policy says, and taken no sooner; what was missed may be."""
    dues = {each.key: each.due for each in plan(debt.opened_at)}
    return [
        f"took {step['key']} at {step['at']}, due at {step['due_at']}; by the policy it is due at "
        f"{dues.get(step['key'])}."
        for step in steps
        if step["due_at"] != dues.get(step["key"])
        or (step["state"] != "missed" and step["at"] < step["due_at"])
    ]


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _day(moment: datetime | None) -> str:
    return f"{moment:%m-%d %H:%M}" if moment else "now"
