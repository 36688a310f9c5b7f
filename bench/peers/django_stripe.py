"""A Django project with dj-stripe and nothing else, in the rivals' own .venv.

`python django_stripe.py` makes its tables, the endpoint's row and the rows of what is at Stripe
already; gunicorn serves ``django_stripe:application``. The environment names the database
(PEER_DATABASE_URL), Stripe (PEER_STRIPE_URL, PEER_STRIPE_KEY, PEER_STRIPE_ACCOUNT) and the endpoint
(PEER_ENDPOINT, its uuid; PEER_SECRET).
"""

import os
import sys
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse

DATABASE = urlsplit(os.environ["PEER_DATABASE_URL"])

settings.configure(
    SECRET_KEY="only-for-benches",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_stripe",
    # Tables straight as the models are: dj-stripe's way there by its migrations takes minutes.
    MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "djstripe")),
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djstripe"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": DATABASE.path.lstrip("/"),
            "HOST": DATABASE.hostname,
            "PORT": DATABASE.port,
            "USER": unquote(DATABASE.username or ""),
            "PASSWORD": unquote(DATABASE.password or ""),
            # A connection stays with its thread, as ours do.
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    LOGGING_CONFIG=None,
    # As its documentation sets it up, but for Stripe's address.
    STRIPE_API_HOST=os.environ["PEER_STRIPE_URL"],
    STRIPE_TEST_SECRET_KEY=os.environ["PEER_STRIPE_KEY"],
    STRIPE_LIVE_MODE=False,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - after the settings
from django.urls import include, path  # noqa: E402 - after the settings


def worker(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


urlpatterns = [
    path("bench/worker", worker),
    path("stripe/", include("djstripe.urls", namespace="djstripe")),
]
application = get_wsgi_application()


def set_up() -> None:
    from django.core.management import call_command
    from djstripe.enums import APIKeyType, WebhookEndpointStatus
    from djstripe.models import Account, APIKey, Customer, Price, Product, WebhookEndpoint

    call_command("migrate", run_syncdb=True, verbosity=0)
    account = Account.objects.create(id=os.environ["PEER_STRIPE_ACCOUNT"], livemode=False)
    APIKey.objects.create(
        type=APIKeyType.secret,
        secret=os.environ["PEER_STRIPE_KEY"],
        livemode=False,
        djstripe_owner_account=account,
    )
    WebhookEndpoint.objects.create(
        id="we_bench",
        livemode=False,
        djstripe_owner_account=account,
        djstripe_uuid=os.environ["PEER_ENDPOINT"],
        secret=os.environ["PEER_SECRET"],
        enabled_events=["*"],
        status=WebhookEndpointStatus.enabled,
        url="https://bench.example/stripe/",
    )
    # What was there before the first event: a shop knows its customers and its plans.
    for model in (Product, Price, Customer):
        for found in model.stripe_class.list(
            limit=100, api_key=os.environ["PEER_STRIPE_KEY"]
        ).auto_paging_iter():
            model.sync_from_stripe_data(found, api_key=os.environ["PEER_STRIPE_KEY"])


if __name__ == "__main__":
    set_up()
    sys.exit(0)
