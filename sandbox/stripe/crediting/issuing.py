"""Issuing a credit note: less to pay while its invoice is open, money back once it is paid."""

from dataclasses import dataclass, field

from sandbox.stripe import errors, money
from sandbox.stripe.billing import balances, settling
from sandbox.stripe.crediting import lines
from sandbox.stripe.resources import refunds
from sandbox.stripe.routing import Call
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import World, check_metadata

KIND = "credit_note"


@dataclass(slots=True)
class Money:
    """Where what was already paid goes."""

    refund: int = 0
    credit: int = 0
    elsewhere: int = 0
    #: Refunds made before, with how much of each belongs to the note.
    made: list[tuple[Row, int]] = field(default_factory=list)

    @property
    def whole(self) -> int:
        return self.refund + self.credit + self.elsewhere + sum(part for _, part in self.made)


def issue(world: World, params: Json) -> Row:
    """Keep a credit note and do what it says; raises ApiError."""
    errors.unsupported(params, ("shipping_cost", "email_type"))
    check_metadata(params.get("metadata") or {})
    invoice = world.named("invoice", params["invoice"], "invoice")
    if invoice.body["status"] not in ("open", "paid", "uncollectible"):
        raise errors.invalid(
            "You can only create a credit note for an invoice that is open, paid or uncollectible. "
            f"This one is {invoice.body['status']}.",
            "invoice",
        )
    found = lines.sums(world, invoice, params)
    before = invoice.body["status"] != "paid"
    money_back = Money() if before else _money_back(world, params)
    _check(invoice, found.total, money_back, before)
    note = _keep(world, invoice, params, found, before)
    if before:
        _owe_less(world, invoice, found.total)
    else:
        _give_back(world, invoice, note, money_back)
    world.emit("credit_note.created", note)
    return note


def _money_back(world: World, params: Json) -> Money:
    back = Money(
        params.get("refund_amount", 0),
        params.get("credit_amount", 0),
        params.get("out_of_band_amount", 0),
    )
    for index, sent in enumerate(params.get("refunds") or []):
        errors.unsupported(sent, ("payment_record_refund",))
        refund = world.named("refund", sent.get("refund", ""), f"refunds[{index}][refund]")
        back.made.append((refund, sent.get("amount_refunded", refund.body["amount"])))
    return back


def _check(invoice: Row, total: int, back: Money, before: bool) -> None:
    body = invoice.body
    if before:
        most = body["amount_remaining"]
    else:
        most = body["amount_paid"] - body["post_payment_credit_notes_amount"]
    if total > most:
        raise errors.invalid(
            f"The credit note amount ({money.written(total, body['currency'])}) is greater than "
            f"what can be credited of the invoice ({money.written(most, body['currency'])}).",
            "amount",
        )
    if not before and back.whole != total:
        raise errors.invalid(
            "The sum of credit amount, refund amount and out of band amount "
            f"({money.written(back.whole, body['currency'])}) must equal the credit note amount "
            f"({money.written(total, body['currency'])})."
        )


def _keep(world: World, invoice: Row, params: Json, found: lines.Sums, before: bool) -> Row:
    total = found.total
    earlier = world.rows(KIND, ["json_extract(body, '$.invoice') = ?"], [invoice.id])
    body: Json = {
        "amount": total,
        "amount_shipping": 0,
        "currency": invoice.body["currency"],
        "customer": invoice.body["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": found.discount,
        "discount_amounts": lines.total_discounts(found),
        "effective_at": params.get("effective_at", world.now),
        "invoice": invoice.id,
        "memo": params.get("memo"),
        "metadata": params.get("metadata") or {},
        "number": f"{invoice.body['number']}-CN-{len(earlier) + 1:02}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "post_payment_amount": 0 if before else total,
        "pre_payment_amount": total if before else 0,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": found.subtotal,
        "subtotal_excluding_tax": found.subtotal - found.inside,
        "total": total,
        "total_excluding_tax": total - found.added - found.inside,
        "total_taxes": lines.total_taxes(found),
        "type": "pre_payment" if before else "post_payment",
        "voided_at": None,
    }
    note = world.add(KIND, body, {"lane": invoice.private.get("lane"), "lines": found.lines})
    note.body["pdf"] = f"{world.base_url}/c/credit_note/{note.id}/pdf"
    note.body["lines"] = {
        "object": "list",
        "data": found.lines[:10],
        "has_more": len(found.lines) > 10,
        "url": f"/v1/credit_notes/{note.id}/lines",
    }
    world.save(note)
    return note


def _owe_less(world: World, invoice: Row, amount: int) -> None:
    """Take an amount off an open invoice (a negative one puts it back)."""
    body = invoice.body
    changes = {
        "amount_due": body["amount_due"] - amount,
        "amount_remaining": body["amount_remaining"] - amount,
        "pre_payment_credit_notes_amount": body["pre_payment_credit_notes_amount"] + amount,
    }
    previous = world.change(invoice, changes)
    intent = world.find("payment_intent", invoice.private.get("intent"))
    payment = world.find("invoice_payment", invoice.private.get("payment"))
    if intent is not None and payment is not None and body["amount_due"]:
        world.change(intent, {"amount": body["amount_due"]})
        world.change(payment, {"amount_requested": body["amount_due"]})
    world.emit("invoice.updated", invoice, previous)
    if not body["amount_due"] and body["status"] == "open":
        settling.mark_paid(world, invoice)


def _give_back(world: World, invoice: Row, note: Row, back: Money) -> None:
    if back.refund:
        call = Call(world, {"payment_intent": invoice.private["intent"], "amount": back.refund})
        refund = refunds.create(call)
        assert isinstance(refund, Row)
        back.made.append((refund, back.refund))
    changes: Json = {
        "refunds": [
            {
                "amount_refunded": part,
                "payment_record_refund": None,
                "refund": refund.id,
                "type": "refund",
            }
            for refund, part in back.made
        ]
    }
    customer = world.find("customer", invoice.body["customer"])
    if back.credit and customer is not None and not customer.deleted:
        entry = balances.move(
            world,
            customer,
            -back.credit,
            invoice.body["currency"],
            "credit_note",
            invoice.id,
            credit_note=note.id,
        )
        changes["customer_balance_transaction"] = entry.id
        world.emit(
            "customer.updated", customer, {"balance": entry.body["ending_balance"] + back.credit}
        )
    world.change(note, changes)
    whole = invoice.body["post_payment_credit_notes_amount"] + note.body["amount"]
    previous = world.change(invoice, {"post_payment_credit_notes_amount": whole})
    world.emit("invoice.updated", invoice, previous)


def void(world: World, note: Row) -> None:
    """Take back a note that only made an open invoice smaller; raises ApiError."""
    invoice = world.get("invoice", note.body["invoice"])
    if note.body["status"] == "void":
        raise errors.invalid(f"Credit note {note.id} is already void.")
    if note.body["type"] != "pre_payment" or invoice.body["status"] != "open":
        raise errors.invalid("You can only void a credit note of an invoice that is still open.")
    _owe_less(world, invoice, -note.body["amount"])
    world.change(note, {"status": "void", "voided_at": world.now})
    world.emit("credit_note.voided", note)
