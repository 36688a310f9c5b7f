"""Credit notes: created, seen beforehand, read and voided."""

from sandbox.stripe.crediting import issuing
from sandbox.stripe.crediting.issuing import KIND
from sandbox.stripe.listing import listed, sublist
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Row
from sandbox.stripe.world import merged_metadata

_CURSORS = ("ending_before", "limit", "starting_after")


@route("POST", "/v1/credit_notes")
def create(call: Call) -> Row:
    return issuing.issue(call.world, call.params)


@route("GET", "/v1/credit_notes/preview")
def preview(call: Call) -> Json:
    return _rehearsed(call).body


@route("GET", "/v1/credit_notes/preview/lines")
def preview_lines(call: Call) -> Json:
    url = "/v1/credit_notes/preview/lines"
    return sublist(_rehearsed(call).private["lines"], url, call.params, "credit_note_line_item")


def _rehearsed(call: Call) -> Row:
    sent = {name: value for name, value in call.params.items() if name not in _CURSORS}
    with call.world.rehearsal():
        return issuing.issue(call.world, sent)


@route("GET", "/v1/credit_notes/{id}")
def retrieve(call: Call, id: str) -> Row:
    return call.world.get(KIND, id, "id")


@route("GET", "/v1/credit_notes/{id}/lines")
def lines(call: Call, id: str) -> Json:
    note = call.world.get(KIND, id, "id")
    url = f"/v1/credit_notes/{id}/lines"
    return sublist(note.private["lines"], url, call.params, "credit_note_line_item")


@route("POST", "/v1/credit_notes/{id}")
def update(call: Call, id: str) -> Row:
    note = call.world.get(KIND, id, "id")
    changes = call.pick("memo")
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(note.body["metadata"], call.params["metadata"])
    previous = call.world.change(note, changes)
    call.world.emit("credit_note.updated", note, previous)
    return note


@route("POST", "/v1/credit_notes/{id}/void")
def void(call: Call, id: str) -> Row:
    note = call.world.get(KIND, id, "id")
    issuing.void(call.world, note)
    return note


@route("GET", "/v1/credit_notes")
def list_(call: Call) -> Json:
    return listed(call, KIND, "/v1/credit_notes", ("customer", "invoice"))
