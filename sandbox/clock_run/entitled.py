"""Whether everybody may use what they pay for, and nobody else anything, by Stripe's own facts."""

from dataclasses import dataclass, field

from sandbox.clock_run.books import Books
from sandbox.clock_run.site import Site
from sandbox.clock_run.stripe import Json

ENTITLED = """
    SELECT s.stripe_id, c.stripe_customer_id AS customer, e.subscription_id IS NOT NULL AS has_it,
           e.plan_slug = p.slug AS right_plan, e.walled_at IS NOT NULL AS walled, e.owing
    FROM subscription s JOIN billing_customer c ON c.id = s.customer_id
         LEFT JOIN plan_price pp ON pp.id = s.plan_price_id LEFT JOIN plan p ON p.id = pp.plan_id
         LEFT JOIN entitlement e ON e.user_id = c.user_id AND e.subscription_id = s.id
    WHERE NOT s.duplicate
"""
GRANTING = ("trialing", "active", "past_due")
NO_WALL = {False}


@dataclass(slots=True)
class Entitled:
    """``walls``: whether the wall is to stand, or may, by the customers who owe something."""

    site: Site
    books: Books
    walls: dict[str, set[bool]]
    breaches: list[str] = field(default_factory=list)

    def examine(self) -> str:
        """Look at everybody; returns how many may use something, and how many of them rest."""
        subscriptions = {each["id"]: each for each in self.books.subscriptions}
        paid = {each["id"] for each in self.books.invoices if each["status"] == "paid"}
        rows = [row for row in self.site.rows(ENTITLED) if row["stripe_id"] in subscriptions]
        for row in rows:
            body = subscriptions[row["stripe_id"]]
            name = f"{row['stripe_id']}, {body['status']}"
            if body["pause_collection"]:
                name += " and paused"
            if row["has_it"] != _grants(body, paid):
                self.breaches.append(f"{name}: entitled is {row['has_it']}.")
            elif row["has_it"]:
                self.breaches += [f"{name}: {what}" for what in self._see_owing(row)]
        count = self.site.ask("SELECT count(*) FROM entitlement")[0][0]
        known = sum(row["has_it"] for row in rows)
        if count != known:
            self.breaches.append(f"{count} are entitled, and {known} of them by a subscription.")
        rest = sum(subscriptions[row["stripe_id"]]["pause_collection"] is not None for row in rows)
        return f"{count} may use it, {rest} are paused"

    def _see_owing(self, row: Json) -> list[str]:
        walls = self.walls.get(row["customer"], NO_WALL)
        wrong = {
            "the entitlement is of another plan.": not row["right_plan"],
            f"walled is {row['walled']}, by Stripe and the policy the opposite.": (
                row["walled"] not in walls
            ),
            f"owing is {row['owing']}, by Stripe's invoices the opposite.": (
                row["owing"] != (row["customer"] in self.walls)
            ),
        }
        return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def _grants(body: Json, paid: set[str]) -> bool:
    """Who is paused may use what was paid for until it is used up."""
    if body["status"] not in GRANTING:
        return False
    is_paid = body["status"] == "trialing" or body["latest_invoice"] in paid
    return body["pause_collection"] is None or is_paid
