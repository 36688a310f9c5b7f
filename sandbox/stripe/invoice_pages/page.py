"""The hosted invoice: read by whoever has its link, and paid there."""

from sandbox.stripe import errors, hosted
from sandbox.stripe.billing import paying
from sandbox.stripe.checkout.page import faults_of_card
from sandbox.stripe.hosted import Visit, page, render
from sandbox.stripe.invoice_pages import reading
from sandbox.stripe.messages import Response
from sandbox.stripe.portal import cards, plans
from sandbox.stripe.resources import payment_methods
from sandbox.stripe.store import Row
from sandbox.stripe.world import World

_NOUN = "invoice"
#: Its PDF library takes a second to load, and few sandboxes print anything.
_PAPER = "sandbox.stripe.invoice_pages.paper"


@page("GET", "/c/invoice/*", "invoice", _NOUN)
def show(world: World, invoice: Row, visit: Visit) -> Response:
    if visit.query.get("payment_intent") == invoice.private.get("intent"):
        return _back_from_bank(world, invoice)
    return _shown(world, invoice, {}, {}, 200)


def _back_from_bank(world: World, invoice: Row) -> Response:
    if invoice.body["status"] == "paid":
        _keep_card(world, invoice)
        return _shown(world, invoice, {}, {}, 200)
    intent = world.find("payment_intent", invoice.private.get("intent"))
    error = intent.body["last_payment_error"] if intent else None
    faults = {"payment": error["message"]} if error else {}
    return _shown(world, invoice, {}, faults, 402 if error else 200)


def payable(invoice: Row) -> bool:
    return invoice.body["status"] in ("open", "uncollectible")


@page("POST", "/c/invoice/*", "invoice", _NOUN)
def pay(world: World, invoice: Row, visit: Visit) -> Response:
    if not payable(invoice):
        # The first of two clicks paid.
        return _shown(world, invoice, {}, {}, 200)
    if visit.sent.get("action") == "confirm":
        return _charge(world, invoice, None, visit.sent)
    fault = cards.fault_of(world, visit.sent)
    if fault:
        return _shown(world, invoice, visit.sent, faults_of_card(fault.message, fault.param), 402)
    customer = world.find("customer", invoice.body["customer"])
    method = cards.typed_card(world, visit.sent, customer)
    invoice.private["keep"] = method.id if visit.sent.get("keep") else None
    world.save(invoice)
    return _charge(world, invoice, method.id, visit.sent)


def _charge(world: World, invoice: Row, method: str | None, sent: dict[str, str]) -> Response:
    try:
        paying.pay(world, invoice, method, on_session=True)
    except errors.ApiError as error:
        return _shown(world, invoice, sent, faults_of_card(error.message, error.param), 402)
    intent = world.get("payment_intent", invoice.private["intent"])
    if intent.body["status"] == "requires_action":
        return Response.redirect(intent.body["next_action"]["redirect_to_url"]["url"])
    _keep_card(world, invoice)
    return Response.redirect(invoice.body["hosted_invoice_url"])


def _keep_card(world: World, invoice: Row) -> None:
    """Charge the card that just paid from now on, if its owner wanted that."""
    method = world.find("payment_method", invoice.private.pop("keep", None))
    customer = world.find("customer", invoice.body["customer"])
    if method is None or customer is None or customer.deleted:
        return
    world.save(invoice)
    payment_methods.attach_to(world, method, customer)
    cards.make_default(world, customer, method.id)


def _shown(
    world: World, invoice: Row, sent: dict[str, str], faults: dict[str, str], status: int
) -> Response:
    if invoice.body["status"] == "draft":
        return hosted.sentence(404, "Nothing here", "This invoice is still being written.")
    text = render(
        "invoice.html",
        shop=invoice.body["account_name"],
        invoice=invoice.body,
        words=reading.state_of(invoice),
        lines=reading.entries(invoice),
        sums=reading.sums(world, invoice),
        payable=payable(invoice),
        recurring=invoice.body["parent"] is not None,
        waiting=_waiting(world, invoice),
        sent=sent,
        faults=faults,
    )
    return Response.html(status, text)


def _waiting(world: World, invoice: Row) -> str:
    """The card whose bank wants to ask before it pays."""
    intent = world.find("payment_intent", invoice.private.get("intent"))
    if intent is None or intent.body["status"] != "requires_action":
        return ""
    method = world.find("payment_method", intent.body["payment_method"])
    default = paying.method_for(world, invoice)
    if method is None or default is None or method.id != default.id:
        return ""
    return plans.method_words(method.body)


@page("GET", "/c/invoice/*/pdf", "invoice", _NOUN, _PAPER)
def pdf(world: World, invoice: Row, _visit: Visit) -> Response:
    if invoice.body["status"] == "draft":
        return hosted.sentence(404, "Nothing here", "This invoice is still being written.")
    from sandbox.stripe.invoice_pages import paper

    return _file(f"Invoice-{invoice.body['number']}.pdf", paper.invoice(world, invoice))


@page("GET", "/c/credit_note/*/pdf", "credit_note", "credit note", _PAPER)
def credit_note_pdf(world: World, note: Row, _visit: Visit) -> Response:
    from sandbox.stripe.invoice_pages import paper

    return _file(f"CreditNote-{note.body['number']}.pdf", paper.credit_note(world, note))


def _file(name: str, content: bytes) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(200, content, "application/pdf", headers)
