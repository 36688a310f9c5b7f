"""Checks say what to mend before a mail is sent, and nothing when there is nothing."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.campaigns.writing.drafts import draft
from webapp.accounts.models import Prospect, ProspectSource
from webapp.campaigns.models import EmailFormat, EmailVariant
from webapp.campaigns.services.checking import Level, check, list_variables
from webapp.campaigns.services.checking.spam import CLIP_BYTES
from webapp.core.config import Env
from webapp.core.db import db
from webapp.core.models import Shop
from webapp.core.state import bind

HTML = EmailFormat.HTML
QUIET = {"audience", "dkim", "links_unchecked", "preheader_missing", "postal_address"}


def codes(*words: object, **fields: object) -> set[str]:
    """The codes of what is found in a draft, without what is said of any mail of these tests."""
    found = check(draft(*words, **fields))  # type: ignore[arg-type]
    assert [each.level for each in found] == sorted(
        (each.level for each in found), key=list(Level).index
    )
    assert all(each.sentence.endswith((".", "}")) for each in found), found
    return {each.code for each in found} - QUIET


@pytest.fixture
def production(app: Flask) -> Iterator[None]:
    config, fork = app.extensions["startupwebapp"]
    changed = {"app_env": Env.PRODUCTION, "base_url": "https://northwind.example"}
    bind(app, config.model_copy(update=changed), fork)
    yield
    bind(app, config, fork)


def test_a_good_mail_is_found_good(app: Flask) -> None:
    assert codes() == set()


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("", "subject_missing"),
        ("x" * 70, "subject_long"),
        ("BUY OUR CHAIRS", "subject_capitals"),
        ("Re: our talk", "subject_answer"),
        ("AW: Ihr Stuhl", "subject_answer"),
        ("Chairs! Tables! Beds!", "subject_exclaims"),
        ("Hi\r\nBcc: bob@example.com", "control_character"),
        ("Hi {{ first name }}", "variable_unreadable"),
        ("Hi {{ first_name", "variable_unreadable"),
        ("Hi {{ @leave }}", "mark_misplaced"),
        ("Hi {{ first_name }}", "variable_empty"),
        ("Hi {{ nickname }}", "variable_unknown"),
    ],
)
def test_subjects(app: Flask, subject: str, code: str) -> None:
    assert codes(subject=subject) == {code}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[x]()", "link_empty"),
        ('<a href="">x</a>', "link_empty"),
        ('<a href="https://x.example/{{ name | y }}">x</a>', "link_variable"),
        ('<a href="ftp://x.example">x</a>', "link_syntax"),
        ('<a href="https://[x">x</a>', "link_syntax"),
        ('<a href="www.x.example">x</a>', "link_syntax"),
        ('<a href="https://x.example"></a>', "link_words"),
        ('<a href="https://x.example">click here</a>', "link_words"),
        ('<a href="https://bit.ly/2">look</a>', "link_short"),
        ('<a href="https://evil.example">https://bank.example</a>', "link_pretends"),
        ('<img src="https://x.example/a.png">', "picture_alt"),
        ('<img alt="" src="">', "picture_address"),
        ('<img alt="a" src="data:image/png;base64,AA==">', "picture_inside"),
        ("Hi {{ @pixel }}", "mark_misplaced"),
        ("Hi {{ @nonsense }}", "mark_unknown"),
        ("<p>Hi</p>\n<p>{{ first_name </p>", "variable_unreadable"),
        ("It is all FREE!!! Act now", "spam_words"),
        ("THIS IS A LINE THAT SHOUTS AT EVERYBODY", "spam_capitals"),
        ('<p style="font-size:90px">Hi</p>', "font_huge"),
        ('<p style="font: 2px serif">Hi</p>', "font_tiny"),
    ],
)
def test_bodies(app: Flask, body: str, code: str) -> None:
    rest = "<p>This is what the shop has to tell its people today, in more words than five.</p>"
    assert code in codes(f"{body}{rest}", format=EmailFormat.MARKDOWN if "](" in body else HTML)


def test_a_body_that_names_fonts_without_end_is_checked_at_once(app: Flask) -> None:
    assert "font_tiny" in codes("font:" * 50_000 + "font: 2px", format=HTML)


def test_bodies_that_say_little(app: Flask) -> None:
    assert codes("") == {"empty"}
    assert codes("![A chair](/chair.png)") == {"pictures_alone"}
    assert "text_differs" in codes(written_text="Something quite different stands here instead")
    assert codes("<p>Hello to you all</p>", format=HTML, with_layout=False) == {"leaving_added"}
    assert "body_unreadable" in codes("<mjml><mj-body>", format=EmailFormat.MJML)


def test_a_line_is_named_where_something_is_not_closed(app: Flask) -> None:
    [found] = [each for each in check(draft("Hi\n\n{{ a | b }} {{ c\n")) if "unread" in each.code]
    assert "“{{ c” in line 3 of the body" in found.sentence and found.level is Level.ERROR


def test_gmail_clips_what_is_long_once_links_stand_in_it(app: Flask) -> None:
    assert "clipped" in codes("word " * (CLIP_BYTES // 5))
    # Short as it is written, long as it is sent.
    body = "".join(f"[page {n}](https://x.example/{n}) " for n in range(900))
    [found] = [each for each in check(draft(body)) if each.code == "clipped"]
    assert found.level is Level.WARNING


def test_variables_that_an_import_brought_are_known(app: Flask) -> None:
    db.session.add(
        Prospect(
            email="bob@example.com",
            source=ProspectSource.IMPORT,
            attributes={"size": "XL", "a b": "no name"},
        )
    )
    db.session.flush()
    assert codes("You wear {{ size }}, and the shop has plenty of that for all") == {
        "variable_empty"
    }
    assert codes("You wear {{ size | some }}, and there is plenty of that for all") == set()
    found = check(draft("You wear {{ shoe | some }}, {{ shop_name }} {{ email }} has them all"))
    assert [each.level for each in found if each.code == "variable_unknown"] == [Level.WARNING]
    offered = list_variables()
    assert {"first_name", "size", "shop_url"} <= set(offered) and "a b" not in offered


def test_variants_are_told_apart(app: Flask) -> None:
    email = draft()
    words = email.variants[0]
    email.variants.append(EmailVariant(number=2, subject=words.subject, body=words.body))
    db.session.flush()
    assert "variants_same" in {each.code for each in check(email)}
    email.variants[1].subject = ""
    [found] = [each for each in check(email) if each.code == "subject_missing"]
    assert found.variant == 2 and found.sentence == "B: Write a subject."


def test_what_only_production_minds(app: Flask, production: None) -> None:
    db.session.get_one(Shop, 1).sender_email = "shop@localhost"
    email = draft(
        "[a](http://localhost/x) [b](http://x.example/) [c](https://192.168.1.1.internal/) "
        "and some more words than there would be in no mail at all, for it to be one."
    )
    found = {each.code: each.level for each in check(email)}
    assert found["link_at_home"] is Level.ERROR and found["link_unsafe"] is Level.WARNING
    assert found["postal_address"] is Level.ERROR and found["sender_domain"] is Level.ERROR
    shop = db.session.get_one(Shop, 1)
    shop.sender_email, shop.postal_address = "shop@gmail.com", "1 Mill Lane"
    found = {each.code: each.level for each in check(draft())}
    assert found["sender_freemail"] is Level.WARNING and "postal_address" not in found
