"""Addresses as they are compared: one mailbox is one text, however somebody spelled it."""

from webapp.messaging.errors import InvalidAddress
from webapp.messaging.services.composing import checked_address


def folded(address: str) -> str:
    """Return the address in small letters, its domain in punycode (IDNA 2008).

    RFC 5321 lets a server tell ``Alice@`` from ``alice@``, but none does, and a list that must
    not be got round can't either. What is no address is folded as far as it goes.
    """
    try:
        return checked_address(address, "address").lower()
    except InvalidAddress:
        return address.strip().lower()


def domain_of(address: str) -> str:
    """Return the domain that takes the address's mails, in small letters and punycode."""
    return folded(address).rpartition("@")[2]
