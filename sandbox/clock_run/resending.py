"""Sends once more what a dying worker left in doubt and nobody got, as the shop's people do.

`python -m sandbox.clock_run.resending ID...` does it by the shop's own service, in one process.
"""

import sys

from sandbox.clock_run.mailbox import Mailbox
from sandbox.clock_run.site import Site

IN_DOUBT = "SELECT id, code FROM mail WHERE state = 'unknown'"


def resend(site: Site, mailbox: Mailbox) -> int:
    """Return how many mails are on their way once more; one that did arrive is left alone."""
    in_doubt = site.ask(IN_DOUBT)
    arrived = mailbox.list_codes() if in_doubt else {}
    lost = [str(id) for id, code in in_doubt if code not in arrived]
    if lost:
        site.run_module("sandbox.clock_run.resending", *lost)
    return len(lost)


def main() -> None:
    from webapp.core.db import db
    from webapp.messaging.services import send_again
    from wsgi import create_app

    with create_app().app_context():
        for id in sys.argv[1:]:
            send_again(int(id))
        db.session.commit()


if __name__ == "__main__":
    main()
