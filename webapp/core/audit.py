"""The audit: who did what to whom, when, from where. Added to in the transaction it tells of."""

import ipaddress
import uuid
from dataclasses import dataclass
from typing import Any

from webapp.core import logging as log
from webapp.core.db import db
from webapp.core.models import ActorKind, AuditEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever does something. ``network`` is the first part of their address, never all of it."""

    kind: ActorKind
    id: uuid.UUID | None = None
    network: str = ""
    # The device in words, like "Firefox on Linux"; sessions keep it, the audit does not.
    device: str = ""


SYSTEM = Actor(ActorKind.SYSTEM)
OPERATOR = Actor(ActorKind.OPERATOR)


def record(
    actor: Actor,
    action: str,
    subject: str,
    *,
    user_id: uuid.UUID | None = None,
    **details: Any,
) -> None:
    """Note that ``actor`` did ``action`` ("password.changed") to ``subject`` ("order:42").

    ``user_id`` is the person it was done to, who may read it. ``details`` hold ids, names of
    fields and figures: never an address, a name or a secret. The caller commits.
    """
    db.session.add(
        AuditEntry(
            actor_id=actor.id,
            actor_kind=actor.kind,
            action=action,
            subject=subject,
            user_id=user_id,
            details=details,
            network=actor.network,
            request_id=log.request_id.get(),
        )
    )


def network_of(address: str | None) -> str:
    """Return an address without its last part: ``203.0.113.0/24``, ``2001:db8:1::/48``."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    bits = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, bits), strict=False))
