"""How the shop writes to many: approval, consent, clock, and other sites with its form."""

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.admin.conftest import Enter, said
from tests.admin.test_catalog import save
from webapp.accounts.models import Role
from webapp.campaigns.models import CampaignSettings


def test_settings_of_emails_are_kept_and_refused_with_a_sentence(
    owner: FlaskClient, enter: Enter, session: Session
) -> None:
    url = "/admin/email-settings/"
    page = save(owner, url, time_zone="Europe/Berlin", embed_origins="https://blog.example.com/")
    assert "The settings are saved." in said(page)
    kept = session.get_one(CampaignSettings, 1)
    assert (kept.time_zone, kept.embed_origins) == ("Europe/Berlin", "https://blog.example.com")
    assert "https://blog.example.com" in page
    assert "&lt;iframe" in page
    assert "&lt;form action=" in page
    wrong = owner.post(url, data={"time_zone": "Moon/Crater", "embed_origins": ""})
    assert (wrong.status_code, "A time zone has a name" in wrong.text) == (422, True)
    viewer = enter(Role.VIEWER)
    assert "Your role may look at these" in viewer.get(url).text
    assert viewer.post(url, data={"time_zone": "UTC"}).status_code == 403
