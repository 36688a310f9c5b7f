"""Where the subject of a job or a mail ("order:42") is found in the back office."""

from flask import url_for

from admin.base import Link

ROOMS = {"order": "admin_orders", "product": "admin_products"}


def subject_link(subject: str | None) -> Link | None:
    """Return a link to what ``subject`` names, or its bare text when it has no room."""
    if not subject:
        return None
    noun, _, key = subject.partition(":")
    room = ROOMS.get(noun)
    url = url_for(f"{room}.details_view", id=key) if room and key.isdigit() else None
    return Link(subject.replace(":", " ").capitalize(), url)
