"""Words that staff hang on a person from the page about their address, to find them again."""

import re

from flask import flash, redirect, request
from werkzeug import Response

from admin.base import Room, page
from admin.campaigns.whereabouts import people_links, typed_address
from webapp.accounts.permissions import Permission
from webapp.accounts.views.guard import actor
from webapp.campaigns.services.tags import MAX_TAG, add_tags, remove_tags
from webapp.core.db import db
from webapp.core.errors import DomainError

EDIT = Permission.CAMPAIGNS_EDIT
MOST_TYPED = 500


class TagPages(Room):
    """What the room of recipients does with the tags of an address."""

    @page("/tags/", read=EDIT, write=EDIT)
    def tags(self) -> Response:
        """Hang tags on somebody we know, or take one off."""
        if request.method == "POST":
            with self.refusing() as refusal:
                flash(self._tag(typed_address(request.form.get("address", ""))), "success")
            if refusal.sentence:
                flash(refusal.sentence, "error")
        return redirect(self._back([]), 303)

    def _tag(self, address: str) -> str:
        if not people_links(address):
            raise DomainError("Nobody we know has this address.")
        unwanted = request.form.get("remove", "").replace("\0", "")[:MAX_TAG]
        if unwanted:
            remove_tags(address, [unwanted], actor())
            told = f"{address} is no longer tagged {unwanted}."
        else:
            words = re.split(r"[,\n]", request.form.get("tags", "")[:MOST_TYPED])
            added = add_tags(address, [word for word in words if word.strip()], actor())
            told = f"{address} is tagged {', '.join(added)}." if added else "They had those tags."
        db.session.commit()
        return told
