"""The code of a mail in the addresses and ids that travel with it.

VERP: the envelope sender of every mail is an address of its own, ``bounces+<code>@``, so a bounce
says which mail it is about whatever its format. Mail servers may change the case of a local part.
"""

import re
from collections.abc import Iterable

MOST_CODES = 8
_CODE = r"[A-Za-z0-9_-]{16,64}"
_IN_ADDRESS = re.compile(rf"\+({_CODE})@")
_IN_ID = re.compile(rf"<({_CODE})@[^<>\s]{{1,255}}>")


def return_path(bounce_address: str, code: str) -> str:
    """Return the envelope sender of the mail with this code: ``bounces+<code>@shop.example``.

    Empty where there is no mailbox for bounces.
    """
    if not bounce_address:
        return ""
    local, _, domain = bounce_address.rpartition("@")
    return f"{local}+{code}@{domain}"


def codes_in_addresses(texts: Iterable[str]) -> list[str]:
    return [code for text in texts for code in _IN_ADDRESS.findall(text)]


def codes_in_ids(texts: Iterable[str]) -> list[str]:
    """Return the left sides of message ids that may be codes: ``<code@shop.example>``."""
    return [code for text in texts for code in _IN_ID.findall(text)]


def distinct(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(codes))[:MOST_CODES]
