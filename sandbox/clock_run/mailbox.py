"""The mails that the shop's customers got, as the mailbox caught them."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.browser import NotThereError

LINK = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True, slots=True)
class Mailbox:
    url: str

    def find_link(self, email: str, part: str) -> str:
        """The link that contains ``part``, of the newest mail that has one."""
        for mail in reversed(self.list_mails(to=email)):
            for link in LINK.findall(mail["text"]):
                if part in link:
                    return str(link)
        raise NotThereError(f"No mail to {email} has a link with {part}.")

    def list_codes(self) -> Counter[str]:
        """How often each mail arrived, by the code that the shop gave it."""
        ids = (mail["headers"].get("Message-ID", "") for mail in self.list_mails())
        return Counter(id.strip("<>").partition("@")[0] for id in ids)

    def list_mails(self, **wanted: Any) -> list[dict[str, Any]]:
        """Oldest first."""
        answer = requests.get(f"{self.url}/api/messages", params=wanted, timeout=300)
        found: list[dict[str, Any]] = answer.json()
        return found
