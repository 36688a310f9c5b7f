"""Sends queued mails with django-post-office or django-mailer; runs in the rivals' own .venv.

`python django_mail.py post-office|mailer --database URL --port N --count N --message FILE` queues
``count`` mails with the words of ``message`` and prints the seconds it takes to send them.
"""

import argparse
import email
import sys
import time
from collections.abc import Callable
from email import policy
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

SENDER = "news@bench.example"
APPS = {"post-office": "post_office", "mailer": "mailer"}


def configure(way: str, database: str, port: int) -> None:
    import django
    from django.conf import settings

    parts = urlsplit(database)
    settings.configure(
        SECRET_KEY="bench",
        INSTALLED_APPS=["django.contrib.contenttypes", APPS[way]],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "HOST": parts.hostname,
                "PORT": parts.port,
                "USER": unquote(parts.username or ""),
                "PASSWORD": unquote(parts.password or ""),
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        MAILER_EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        MAILER_USE_FILE_LOCK=False,
        MAILER_EMAIL_MAX_BATCH=None,
        # Its own way to use every core: two processes, as many threads as it takes by default.
        POST_OFFICE={"BATCH_SIZE": 5000, "LOG_LEVEL": 0},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def messages(count: int, text: str, html: str) -> list[Any]:
    from django.core.mail import EmailMultiAlternatives

    found = []
    for number in range(count):
        message = EmailMultiAlternatives(
            "What is new", text, SENDER, [f"reader{number}@shop.example"]
        )
        message.attach_alternative(html, "text/html")
        found.append(message)
    return found


def post_office(count: int, text: str, html: str) -> Callable[[], object]:
    from post_office import mail
    from post_office.models import PRIORITY

    mail.send_many(
        [
            {
                "sender": SENDER,
                "recipients": [f"reader{number}@shop.example"],
                "subject": "What is new",
                "message": text,
                "html_message": html,
                "priority": PRIORITY.medium,
            }
            for number in range(count)
        ]
    )
    return lambda: mail.send_queued_mail_until_done(processes=2, log_level=0)


def mailer(count: int, text: str, html: str) -> Callable[[], object]:
    from mailer.engine import send_all
    from mailer.models import Message

    batch = []
    for each in messages(count, text, html):
        row = Message(priority=2)
        row.email = each
        batch.append(row)
    Message.objects.bulk_create(batch, 500)
    return send_all


def left(way: str) -> int:
    if way == "mailer":
        from mailer.models import Message

        return int(Message.objects.count())
    from post_office.models import STATUS, Email

    return int(Email.objects.exclude(status=STATUS.sent).count())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=sorted(APPS))
    parser.add_argument("--database", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--message", type=Path, required=True)
    options = parser.parse_args()
    configure(options.way, options.database, options.port)
    message = email.message_from_bytes(options.message.read_bytes(), policy=policy.default)
    text, html = (str(part.get_content()) for part in message.iter_parts())
    queue = {"post-office": post_office, "mailer": mailer}[options.way]
    send = queue(options.count, text, html)
    began = time.perf_counter()
    send()
    seconds = time.perf_counter() - began
    if left(options.way):
        print(f"{left(options.way)} mails were not sent", file=sys.stderr)
        return 1
    print(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
