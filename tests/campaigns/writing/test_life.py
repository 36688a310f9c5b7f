"""A mail is written, looked at, tried and made ready; and from then on it stands."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from tests.factories.people import make_user
from webapp.accounts.models import Member, Prospect, ProspectSource
from webapp.campaigns.errors import (
    EmailChangedMeanwhile,
    EmailNotReady,
    EmailTooBig,
    InvalidEmail,
    NoSuchPerson,
    NotApproved,
    WrongEmailState,
)
from webapp.campaigns.models import (
    Email,
    EmailLink,
    EmailRecipient,
    EmailState,
    RecipientState,
    Sequence,
    SequenceStep,
    SequenceTrigger,
)
from webapp.campaigns.services import readying
from webapp.campaigns.services.emails import (
    EmailDetails,
    VariantDetails,
    copy_email,
    create_email,
    delete_draft,
    details_of,
    edit_email,
)
from webapp.campaigns.services.previewing import preview
from webapp.campaigns.services.readying import approve, back_to_draft, make_ready, may_send
from webapp.campaigns.services.settings import (
    SettingsDetails,
    edit_settings,
    get_settings,
)
from webapp.campaigns.services.testing import send_test
from webapp.core.audit import OPERATOR, SYSTEM, Actor
from webapp.core.db import db
from webapp.core.errors import DomainError
from webapp.core.models import ActorKind, AuditEntry, Job
from webapp.messaging.models import Mail

WORDS = VariantDetails("News for {{ first_name | you }}", "Look", "See [it](/p), {{ name | you }}.")
DETAILS = EmailDetails("Autumn news", (WORDS,))


def staff(email: str = "alice@example.com") -> Actor:
    return Actor(ActorKind.STAFF, make_user(email).id)


def test_a_draft_is_made_changed_copied_and_deleted(app: Flask) -> None:
    alice = staff()
    email = create_email(DETAILS, alice)
    db.session.commit()
    assert (email.state, email.created_by) == (EmailState.DRAFT, alice.id)
    assert details_of(email) == DETAILS

    seen = email.updated_at
    two = replace(DETAILS, variants=(WORDS, VariantDetails("Other")), public=True)
    edit_email(email.id, two, alice, seen_at=seen)
    db.session.commit()
    assert [each.subject for each in email.variants] == [WORDS.subject, "Other"]
    assert email.slug == "autumn-news" and email.updated_at > seen
    edit_email(email.id, replace(two, variants=(WORDS,)), alice)
    db.session.commit()
    assert len(email.variants) == 1

    copy = copy_email(email.id, alice)
    assert (copy.name, copy.public, copy.slug) == ("Copy of Autumn news", False, None)
    again = create_email(replace(DETAILS, public=True), alice)
    assert again.slug == "autumn-news-2"
    delete_draft(copy.id, alice)
    db.session.commit()
    assert db.session.get(Email, copy.id) is None
    told = db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert told[:3] == ["email.created", "email.edited", "email.edited"]
    assert "Autumn" not in str([entry.details for entry in db.session.scalars(select(AuditEntry))])


def test_the_second_of_two_editors_is_told(app: Flask) -> None:
    email = create_email(DETAILS, SYSTEM)
    db.session.commit()
    seen = email.updated_at
    said = (replace(WORDS, body="Mine"),)
    edit_email(email.id, replace(DETAILS, variants=said), SYSTEM, seen_at=seen)
    db.session.commit()
    with pytest.raises(EmailChangedMeanwhile):
        edit_email(email.id, replace(DETAILS, name="Theirs"), SYSTEM, seen_at=seen)
    assert email.variants[0].body == "Mine"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "a name"),
        ({"name": "x" * 121}, "120"),
        ({"name": "a\nb"}, "control character"),
        ({"utm_campaign": "a\rb"}, "control character"),
        ({"variants": ()}, "one variant"),
        ({"variants": (WORDS,) * 9}, "8 at most"),
        ({"variants": (replace(WORDS, subject="Hi\r\nBcc: bob@example.com"),)}, "subject of A"),
        ({"variants": (WORDS, replace(WORDS, preheader="a\x00"))}, "preheader of B"),
        ({"window_from": 60}, "until when"),
        ({"window_from": 60, "window_to": 60}, "ends after"),
        ({"ab_share": 0}, "percent"),
        ({"ab_minutes": 0}, "minute"),
        ({"variants": (WORDS, WORDS), "ab_share": 20, "in_recipients_zone": True}, "clock"),
        ({"audience_id": 9999}, "audience is gone"),
        ({"sender_id": 9999}, "sender is gone"),
    ],
)
def test_what_cant_be_kept_is_refused(
    app: Flask, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidEmail) as refusal:
        create_email(replace(DETAILS, **changes), SYSTEM)  # type: ignore[arg-type]
    assert sentence in refusal.value.sentence


def test_ten_megabytes_are_refused_with_a_sentence(app: Flask) -> None:
    huge = (replace(WORDS, body="x" * 10_000_000),)
    with pytest.raises(EmailTooBig, match=r"10\.0 MB\. The most is 1 MB"):
        create_email(replace(DETAILS, variants=huge), SYSTEM)


def test_odd_characters_and_faces_are_kept_or_dropped(app: Flask) -> None:
    odd = VariantDetails("👩‍👩‍👧 für dich", "", "a\x00b\r\nc\x1b\td")
    email = create_email(replace(DETAILS, name="🎉", public=True, variants=(odd,)), SYSTEM)
    db.session.commit()
    assert email.variants[0].subject == odd.subject
    assert email.variants[0].body == "ab\nc\td" and email.slug == "email"


def test_it_is_seen_as_somebody_would_read_it(app: Flask) -> None:
    bob = make_user("bob@example.com", name="Bob <Builder>")
    db.session.add(
        Prospect(
            email="carol@example.com",
            name="Carol",
            source=ProspectSource.IMPORT,
            attributes={"size": 44},
        )
    )
    words = replace(WORDS, body="[it](https://x.example/?a=1&b=2) {{ name | you }} {{ size | ? }}")
    email = create_email(replace(DETAILS, variants=(words,)), SYSTEM)
    db.session.commit()
    made_up = preview(email.id, 1, None)
    assert made_up.subject == "News for Alex"
    assert 'href="https://x.example/?a=1&amp;b=2"' in made_up.html
    assert "{{" not in made_up.html + made_up.text and ".gif" not in made_up.html
    assert "@" not in made_up.html.partition("<body")[2]

    of_bob = preview(email.id, 1, "BOB@example.com")
    assert of_bob.subject == "News for Bob"
    assert "Bob &lt;Builder&gt; ?" in of_bob.html and "Bob <Builder> ?" in of_bob.text
    assert "Carol 44" in preview(email.id, 1, "carol@example.com").text
    with pytest.raises(NoSuchPerson):
        preview(email.id, 1, "nobody@example.com")
    with pytest.raises(DomainError):
        preview(email.id, 2, None)

    db.session.get_one(
        Member, db.session.scalars(select(Member.id).where(Member.user_id == bob.id)).one()
    ).name = "x\r\nBcc: y"
    assert preview(email.id, 1, "bob@example.com").subject == "News for x Bcc:"


def test_a_test_is_marked_sent_once_and_never_counted(app: Flask) -> None:
    email = create_email(DETAILS, SYSTEM)
    mail = send_test(email.id, 1, "carol@bücher.example", SYSTEM, nonce="press-1")
    assert mail.subject == "[Test] News for Alex" and mail.kind == "campaign_test"
    assert mail.recipient == "carol@xn--bcher-kva.example"
    assert mail.subject_ref == f"email:{email.id}"
    body = mail.html.partition("<body")[2]
    assert "This is a test of “Autumn news”" in body[:400] and "/c/" not in mail.html
    assert ".gif" not in mail.html and mail.text.startswith("This is a test")
    assert 'href="http://localhost/p?utm_' in mail.html
    assert send_test(email.id, 1, "carol@bücher.example", SYSTEM, nonce="press-1").id == mail.id
    assert send_test(email.id, 1, "carol@bücher.example", SYSTEM, nonce="press-2").id != mail.id
    assert db.session.scalar(select(func.count(Mail.id))) == 2
    assert db.session.scalar(select(func.count(EmailRecipient.id))) == 0
    for bad in ("nobody", "a@b.example\r\nBcc: c@d.example"):
        with pytest.raises(DomainError):
            send_test(email.id, 1, bad, SYSTEM)


def test_ready_is_a_gate_and_what_went_through_stands(app: Flask) -> None:
    alice = staff()
    bad = replace(WORDS, subject="", body="{{ nickname }}")
    email = create_email(replace(DETAILS, variants=(bad,)), alice)
    db.session.commit()
    with pytest.raises(EmailNotReady) as refusal:
        make_ready(email.id, alice)
    assert "Write a subject" in refusal.value.sentence and "nickname" in refusal.value.sentence
    db.session.rollback()
    assert email.state is EmailState.DRAFT

    edit_email(email.id, DETAILS, alice)
    make_ready(email.id, alice)
    db.session.commit()
    assert (email.state, email.ready_by) == (EmailState.READY, alice.id)
    promised = db.session.scalars(select(Job).where(Job.path == "jobs.campaigns.populate")).one()
    assert (promised.args, promised.subject) == ([email.id], f"email:{email.id}")
    url = db.session.get_one(EmailLink, (email.id, 2)).url
    assert url.startswith("http://localhost/p?utm_")
    with pytest.raises(WrongEmailState):
        make_ready(email.id, alice)
    for change in (
        lambda: edit_email(email.id, replace(DETAILS, name="x"), alice),
        lambda: delete_draft(email.id, alice),
    ):
        with pytest.raises(WrongEmailState, match="copy it"):
            change()
    # Whatever becomes of the words and the shop, the link lands where it was registered.
    html = email.variants[0].html
    email.variants[0].body = "[it](https://evil.example/)"
    edit_settings(SettingsDetails(utm=False), SYSTEM)
    db.session.commit()
    db.session.expire_all()
    assert db.session.get_one(EmailLink, (email.id, 2)).url == url
    assert email.variants[0].html == html and "evil" not in preview(email.id, 1, None).html


def test_back_to_draft_forgets_what_was_frozen(app: Flask) -> None:
    email = create_email(DETAILS, SYSTEM)
    make_ready(email.id, SYSTEM)
    for number, state in enumerate((RecipientState.PENDING, RecipientState.SENT)):
        address = f"alice{number}@example.com"
        row = EmailRecipient(email_id=email.id, secret=number, address=address, state=state)
        db.session.add(row)
    email.population = 2
    db.session.commit()
    back_to_draft(email.id, SYSTEM)
    db.session.commit()
    assert (email.state, email.population, email.populated_at) == (EmailState.DRAFT, 0, None)
    assert email.links == [] and email.variants[0].html == "" and email.ready_at is None
    # Who got it already must not get it again, whatever it says then.
    left = db.session.scalars(select(EmailRecipient.state)).all()
    assert left == [RecipientState.SENT]
    with pytest.raises(WrongEmailState):
        back_to_draft(email.id, SYSTEM)
    with pytest.raises(WrongEmailState):
        delete_draft(email.id, SYSTEM)
    make_ready(email.id, SYSTEM)
    email.state = EmailState.SENDING
    db.session.commit()
    with pytest.raises(WrongEmailState):
        back_to_draft(email.id, SYSTEM)


def test_many_recipients_are_forgotten_by_a_job(
    app: Flask, run_jobs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readying, "AT_ONCE", 2)
    email = create_email(DETAILS, SYSTEM)
    make_ready(email.id, SYSTEM)
    db.session.execute(delete(Job))
    for number in range(5):
        address = f"alice{number}@example.com"
        db.session.add(EmailRecipient(email_id=email.id, secret=number, address=address))
    db.session.commit()
    back_to_draft(email.id, SYSTEM)
    db.session.commit()
    assert db.session.scalar(select(func.count(EmailRecipient.id))) == 3
    with pytest.raises(WrongEmailState, match="still being forgotten"):
        make_ready(email.id, SYSTEM)
    db.session.rollback()
    assert run_jobs() == 1
    assert db.session.scalar(select(func.count(EmailRecipient.id))) == 0
    make_ready(email.id, SYSTEM)


def test_somebody_else_approves_where_the_fork_says_so(app: Flask) -> None:
    alice, bob = staff(), staff("bob@example.com")
    email = create_email(DETAILS, alice)
    with pytest.raises(WrongEmailState):
        approve(email.id, bob)
    make_ready(email.id, alice)
    db.session.commit()
    may_send(email.id)
    edit_settings(SettingsDetails(approval=True), alice)
    with pytest.raises(NotApproved):
        may_send(email.id)
    with pytest.raises(NotApproved, match="somebody else"):
        approve(email.id, alice)
    approve(email.id, bob)
    db.session.commit()
    may_send(email.id)
    assert email.approved_by == bob.id
    with pytest.raises(WrongEmailState, match="already"):
        approve(email.id, bob)
    back_to_draft(email.id, bob)
    make_ready(email.id, bob)
    with pytest.raises(NotApproved):
        may_send(email.id)


def test_a_step_of_a_sequence_is_not_deleted(app: Flask) -> None:
    email = create_email(DETAILS, SYSTEM)
    step = SequenceStep(number=1, wait_minutes=0, email_id=email.id)
    sequence = Sequence(name="Welcome", trigger=SequenceTrigger.MEMBER_JOINED, steps=[step])
    db.session.add(sequence)
    db.session.flush()
    with pytest.raises(WrongEmailState, match="sequence"):
        delete_draft(email.id, SYSTEM)


def test_settings_have_defaults_and_are_checked(app: Flask) -> None:
    assert get_settings().double_opt_in and not get_settings().approval
    said = "https://Blog.example/\nhttps://bücher.example:8443\n\nhttps://blog.example"
    edit_settings(SettingsDetails(time_zone="Europe/Berlin", embed_origins=said), OPERATOR)
    db.session.commit()
    kept = get_settings()
    assert kept.embed_origins == "https://blog.example\nhttps://xn--bcher-kva.example:8443"
    for bad in ("blog.example", "https://a.example/x", "https://a; script-src *", "javascript://x"):
        with pytest.raises(DomainError, match="no site"):
            edit_settings(SettingsDetails(embed_origins=bad), OPERATOR)
    with pytest.raises(DomainError, match="time zone"):
        edit_settings(SettingsDetails(time_zone="Mars"), OPERATOR)
