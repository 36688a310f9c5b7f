"""What stands in place of an address whose owner asked to be forgotten.

The row of a mail that was sent stays, as the mail's figures count it; RFC 2606 keeps ``invalid``
from ever being part of somebody's address.
"""

ERASED_AT = "@erased.invalid"


def is_erased(address: str) -> bool:
    return address.endswith(ERASED_AT)
