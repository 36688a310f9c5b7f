"""A campaign's mail of some 7 KB with 40 links, and the readers who want it."""

from flask import Flask

from bench.ground import Site

LINKS = 40
SHOP = "https://bench.example"
DOMAINS = 50
PARAGRAPH = "Made by hand, in small numbers, from what grows nearby. "
SUBJECT = "What is new, {{ first_name | friend }}"
BODY = "\n".join(
    [
        "<html><body>",
        "<p>Hello {{ first_name | friend }},</p>",
        *(
            f'<p><a href="https://bench.example/products/{n}">Piece {n}</a></p>'
            for n in range(LINKS)
        ),
        '<p><a href="{{@leave}}">Unsubscribe</a></p>',
        "</body></html>",
    ]
)
TEXT = "\n\n".join(
    ["Hello {{ first_name | friend }},", *(PARAGRAPH * 2 for _ in range(12)), "{{@leave}}"]
)

_READERS = """
INSERT INTO prospect (email, name, source, created_at)
SELECT 'reader' || n || '@shop' || n % {domains} || '.example', 'Reader ' || n, 'import', now()
FROM generate_series(1, {count}) n
"""
_WISHES = """
INSERT INTO mail_consent (email, topic, wanted, source, at)
SELECT email, 'newsletter', true, 'bench', now() FROM prospect ORDER BY id
"""


def fill(site: Site, count: int) -> None:
    """Put ``count`` readers who want the newsletter into the shop."""
    with site.ground.postgres.connect(site.database) as connection:
        connection.execute("UPDATE shop SET postal_address = '1 Mill Lane, Leeds'")
        connection.execute(_READERS.format(count=count, domains=DOMAINS).encode())
        connection.execute(_WISHES.encode())
    with site.ground.postgres.connect(site.database) as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def make_ready(app: Flask) -> int:
    """Write the mail and make it ready with the shop's own services; returns its number."""
    from webapp.campaigns.models import EmailFormat
    from webapp.campaigns.services import readying
    from webapp.campaigns.services.emails import EmailDetails, VariantDetails, create_email
    from webapp.core.audit import OPERATOR
    from webapp.core.db import db

    words = VariantDetails(subject=SUBJECT, body=BODY, written_text=TEXT)
    with app.app_context():
        details = EmailDetails(
            "Bench", variants=(words,), format=EmailFormat.HTML, with_layout=False
        )
        email_id = create_email(details, OPERATOR).id
        readying.make_ready(email_id, OPERATOR)
        db.session.commit()
    return email_id


def populate(app: Flask, email_id: int) -> int:
    """Give each reader their row; returns how many there are."""
    from webapp.campaigns.services.populating import populate as add
    from webapp.core.db import db

    with app.app_context():
        added = add(email_id)
        db.session.commit()
    return added


def start(app: Flask, email_id: int) -> None:
    """Press the button that sends it."""
    from webapp.campaigns.services import sending
    from webapp.core.audit import OPERATOR
    from webapp.core.db import db

    with app.app_context():
        sending.start(email_id, OPERATOR)
        db.session.commit()


def sample(app: Flask, email_id: int) -> bytes:
    """Return the message as the first reader gets it: what the rivals send as well."""
    from sqlalchemy import select

    from webapp.campaigns.codes import write_code
    from webapp.campaigns.models import Email, EmailRecipient
    from webapp.campaigns.services.sending.letters import Addressee
    from webapp.campaigns.services.sending.plans import plan_of
    from webapp.core.db import db

    with app.app_context():
        row = db.session.scalars(select(EmailRecipient).filter_by(email_id=email_id)).first()
        assert row
        code = write_code(email_id, row.id, row.secret)
        to = Addressee(row.address, code, "x" * 45, row.fields)
        date = b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        return plan_of(db.session.get_one(Email, email_id)).letter(1, tracked=True).render(to, date)
