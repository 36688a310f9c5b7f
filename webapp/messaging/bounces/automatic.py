"""Messages that programs send for people: away notes and receipts are answers, never bounces."""

import re

from webapp.messaging.bounces.message import Mail, find_part, value, values

RECEIPTS = ("message/disposition-notification", "message/global-disposition-notification")
_AWAY = re.compile(
    r"^\W{0,3}(auto(matic(ally)?|mated)?[- ]?(reply|response|replied|generated)|out of (the )?"
    r"office|away from|on (vacation|holiday|leave)|abwesen|réponse automatique|vacation|"
    r"respuesta automática|risposta automatica|automatisch antwoord)|\b(auto:|autoreply)",
    re.IGNORECASE,
)


def is_automatic(message: Mail) -> bool:
    """Say whether a program answered for somebody (RFC 3834), or it is a receipt (RFC 8098)."""
    submitted = value(message, "Auto-Submitted").lower()
    if submitted and not submitted.startswith("no"):
        return True
    if values(message, "X-Autoreply", "X-Autorespond", "X-Autoresponse"):
        return True
    if value(message, "Precedence").lower() in ("auto_reply", "auto-reply"):
        return True
    return bool(_AWAY.search(value(message, "Subject"))) or (
        find_part(message, *RECEIPTS) is not None
    )
