"""Whether every mail arrived as often as the shop says, and every step's mail is what it says."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sandbox.clock_run.mailbox import Mailbox
from sandbox.clock_run.rules import DONE, MISSED
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Json

MAILS = "SELECT id, dedupe_key, code, recipient, state FROM mail ORDER BY id"
WITHDRAWN = "withdrawn"
Steps = dict[int, list[Json]]


@dataclass(slots=True)
class Arrivals:
    """``forgiving``: somebody may have died between sending a mail and writing it down."""

    site: Site
    mailbox: Mailbox
    forgiving: bool = False
    breaches: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)

    def examine(self, cases: list[Json], steps: Steps) -> None:
        mails = self.site.rows(MAILS)
        posted = {mail["dedupe_key"]: mail["state"] for mail in mails}
        states = Counter(
            self._examine_step(case, step, steps[case["id"]], posted)
            for case in cases
            for step in steps[case["id"]]
            if step["key"].startswith("mail:") and step["state"] != MISSED
        )
        for key in sorted(posted):
            if key.startswith("dunning:") and key.count(":") == 3:
                self.breaches.append(f"Mail {key} is {posted.pop(key)} and belongs to no step.")
        self.told["dunning mails"] = listed(states)
        self._examine_mails(mails)

    def _examine_step(
        self, case: Json, step: Json, steps: list[Json], posted: dict[str, str]
    ) -> str:
        """A done step's mail was sent; a withdrawn one's was called off, and for a reason."""
        key = f"dunning:{case['id']}:{step['key']}"
        state = posted.pop(key, "none")
        if state not in self._wanted(step["state"]):
            self.breaches.append(f"Step {key} is {step['state']}, and its mail is {state}.")
        is_last = all(
            each["id"] <= step["id"] or not each["key"].startswith("mail:") for each in steps
        )
        if step["state"] == WITHDRAWN and case["closed_at"] is None and is_last:
            self.breaches.append(f"Step {key} was withdrawn, and nothing took its place.")
        return state

    def _wanted(self, step: str) -> tuple[str, ...]:
        if step == DONE:
            return ("sent", "unknown") if self.forgiving else ("sent",)
        return (WITHDRAWN,) if step == WITHDRAWN else ()

    def _examine_mails(self, mails: list[Json]) -> None:
        """What the mailbox caught is what the shop says it sent, each once."""
        caught = self.mailbox.list_codes()
        states: Counter[str] = Counter()
        once = 0
        for mail in mails:
            got = caught.pop(mail["code"], 0)
            states[mail["state"]] += 1
            once += mail["state"] == "sent" and got == 1
            if got not in self._expected(mail["state"]):
                self.breaches.append(
                    f"Mail {mail['dedupe_key']} to {mail['recipient']} is {mail['state']} and "
                    f"arrived {got} times."
                )
        for code, count in caught.items():
            self.breaches.append(f"{count} mails arrived that the shop does not know: {code}.")
        self.told["mails"] = f"{listed(states)}; {once} of {states['sent']} sent arrived once"

    def _expected(self, state: str) -> tuple[int, ...]:
        if state == "unknown" and self.forgiving:
            return (0, 1)
        return (1,) if state == "sent" else (0,)


def by_case(steps: list[Json]) -> Steps:
    found: Steps = defaultdict(list)
    for step in steps:
        found[step["case_id"]].append(step)
    return found


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"
