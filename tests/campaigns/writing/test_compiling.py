"""What an author writes becomes what is sent, whatever it is written in."""

from typing import Any

import pytest
from flask import Flask

from tests.campaigns.writing.drafts import draft
from tests.effort import calls_of
from webapp.campaigns import marks
from webapp.campaigns.errors import UnreadableBody
from webapp.campaigns.models import EmailFormat, EmailVariant
from webapp.campaigns.services.compiling import (
    Compiled,
    Link,
    compile_variant,
    fill,
    fill_line,
    freeze,
    unfreeze,
)
from webapp.campaigns.services.settings import SettingsDetails, edit_settings
from webapp.core.audit import SYSTEM
from webapp.core.db import db
from webapp.core.models import Shop

MJML = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hi {{ first_name | Tom &amp; Jerry }}, <a href="/x">our shop</a></mj-text>
<mj-button href="https://else.example/?a=1&amp;b=2">Go on</mj-button>
</mj-column></mj-section></mj-body></mjml>"""


def compiled(body: str, **fields: Any) -> Compiled:
    email = draft(body, **fields)
    return compile_variant(email, email.variants[0])


def leads(made: Compiled) -> list[str]:
    """Where the author's links lead: neither the shop's name at the top, nor the trap."""
    return [link.url for link in made.links if not link.trap and link.number > 1]


@pytest.mark.parametrize(
    ("format", "with_layout", "body"),
    [
        ("markdown", True, "Hi {{ first_name | Tom & Jerry }}, [our shop](/x)"),
        ("html", True, '<p>Hi {{ first_name | Tom &amp; Jerry }}, <a href="/x">our shop</a></p>'),
        ("html", False, '<p>Hi {{first_name|Tom & Jerry}}, <a href="/x">our shop</a></p>'),
        ("mjml", True, MJML),
        ("mjml", False, MJML),
    ],
)
def test_marks_survive_every_format(app: Flask, format: str, with_layout: bool, body: str) -> None:
    made = compiled(body, format=EmailFormat(format), with_layout=with_layout)
    name = marks.Mark("first_name", "Tom & Jerry")
    for part in (made.html, made.text):
        assert name in list(marks.split(part))
        assert "{{@leave}}" in part
    assert made.html.lower().startswith("<!doctype html")
    assert made.html.count("{{@pixel}}</body>") == 1
    assert "http://localhost/x" in made.links[1 if with_layout else 0].url
    number = 2 if with_layout else 1
    assert f"our shop <{{{{@click:{number}}}}}>" in made.text
    assert f'href="{{{{@click:{number}}}}}"' in made.html


def test_values_and_fallbacks_are_escaped_by_whoever_fills_them(app: Flask) -> None:
    made = compiled("{{ name | <b>you</b> }}")
    assert "{{name|<b>you</b>}}" in made.html
    assert fill("a {{ b | c }} d", lambda mark: f"<{mark.name}:{mark.fallback}>") == "a <b:c> d"
    assert fill_line("Hi {{ a }}", lambda _: "x\r\nBcc: y\u2028z") == "Hi x Bcc: y z"


def test_markdown_is_words_and_never_tags(app: Flask) -> None:
    made = compiled(
        "# Hello\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))\n\n"
        "**[Look](/products)**\n\n![A chair](/chair.png)\n\n| a | b |\n|--|--|\n| {{ c | d }} | 1 |"
        "\n\nSee https://bücher.example/ä."
    )
    assert "<script" not in made.html and 'href="javascript' not in made.html
    assert "&lt;script&gt;" in made.html
    assert 'class="button"' in made.html and 'src="http://localhost/chair.png"' in made.html
    assert "{{c|d}} 1" in made.text
    assert "https://xn--bcher-kva.example/%C3%A4" in [link.url for link in made.links]


def test_what_acts_is_taken_out_of_html(app: Flask) -> None:
    made = compiled(
        '<html><head><base href="//evil.example"><style>p{color:red}</style></head>'
        '<body onload="x()"><p onclick="x()">Hi<iframe src="//e"></iframe></p><form>Keep</form>'
        '<a href=" java\tscript:x()">a</a><svg><script>x</script></svg>'
        '<noscript><p title="</noscript><img src=x onerror=x()>"></noscript></body></html>',
        format=EmailFormat.HTML,
    )
    for bad in ("<script", "onclick", "onload", "<iframe", "script:", "<svg", "onerror", "<base"):
        assert bad not in made.html, bad
    assert 'style="color: red' in made.html and "Keep" in made.html


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "doesn't begin with <mjml>"),
        ("<p>Hi</p>", "doesn't begin with <mjml>"),
        (
            "<mjml>\n<mj-body>\n<mj-text>Hi\n</mj-body></mjml>",
            "the <mj-text> of line 3 is still open where line 4",
        ),
        ("<mjml>\n<mj-body>\n", "<mj-body> of line 2 is never closed"),
        ("<mjml><mj-body>\n<mj-foo></mj-foo></mj-body></mjml>", "line 2 has <mj-foo>"),
        ('<mjml><mj-body>\n<mj-include path="/etc/passwd"/></mj-body></mjml>', "line 2 includes"),
        ("<mjml><mj-body><mj-section a=></mj-section></mj-body></mjml>", "never closed"),
        ("<mjml><mj-head>\nü\n<p></p></mj-head></mjml>", "line 2"),
    ],
)
def test_a_fault_in_mjml_is_told_with_its_line(app: Flask, body: str, sentence: str) -> None:
    with pytest.raises(UnreadableBody) as refusal:
        compiled(body, format=EmailFormat.MJML)
    assert sentence in refusal.value.sentence


def test_nesting_without_end_is_refused_before_a_parser_falls_over(app: Flask) -> None:
    deep = "<p>" * 50_000 + "</p>" * 50_000
    for format, body in [
        (EmailFormat.HTML, "<div>" * 100_000),
        # None of these closes a <div> of HTML.
        (EmailFormat.HTML, "<div/>" * 100_000),
        (EmailFormat.HTML, "<div></x>" * 100_000),
        (EmailFormat.HTML, "<div><!--</div>-->" * 50_000),
        (EmailFormat.HTML, '<div a="</div>">' * 50_000),
        (EmailFormat.HTML, "<div><table><td></div>" * 40_000),
        (EmailFormat.HTML, "<ul><li>" * 90 + "</li></ul>" * 90),
        (EmailFormat.MJML, f"<mjml><mj-body><mj-text>{deep}</mj-text></mj-body></mjml>"),
    ]:
        with pytest.raises(UnreadableBody, match="deep"):
            compiled(body, format=format)
    flat = "<!--[if mso]><table><td><![endif]--><p>Hi<br/><b>you</b><!-->" * 300
    assert "Hi\nyou" in compiled(flat, format=EmailFormat.HTML).text
    lists = "<ul><li>" * 60 + "Hi"
    assert "- Hi" in compiled(lists, format=EmailFormat.HTML).text


def test_what_takes_readers_of_patterns_forever_is_read_at_once(app: Flask) -> None:
    with pytest.raises(UnreadableBody, match="doesn't begin"):
        compiled("<!--a-->" * 60, format=EmailFormat.MJML)
    assert compiled("<!--a-->" * 60 + MJML, format=EmailFormat.MJML).links
    with pytest.raises(UnreadableBody, match="more than 1000 links"):
        compiled("Hi", written_text=" ".join(f"https://x.example/{n}" for n in range(20_000)))
    # No number of a link has so many digits.
    assert "{{x:999" in compiled("{{x:" + "9" * 5000 + "}}").text


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("https://else.example/?a=1&amp;b=2", "https://else.example/?a=1&b=2"),
        ("http://bücher.example:8080/ä b", "http://xn--bcher-kva.example:8080/%C3%A4%20b"),
        ("//else.example/x", "http://else.example/x"),
        ("https://else.example/%7Eme?q=%26#top", "https://else.example/%7Eme?q=%26#top"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
    ],
)
def test_links_are_registered_as_they_were_meant(app: Flask, href: str, url: str) -> None:
    made = compiled(f'<a href="{href}">x</a>', format=EmailFormat.HTML)
    assert leads(made) == [url]


@pytest.mark.parametrize(
    "href", ["mailto:a@x.example", "tel:+441", "#top", "{{@leave}}", "{{@browser}}"]
)
def test_what_is_no_page_is_left_alone(app: Flask, href: str) -> None:
    made = compiled(f'<a href="{href}">x</a>', format=EmailFormat.HTML)
    assert leads(made) == [] and f'href="{href}"' in made.html


def test_links_are_numbered_over_all_variants_by_place(app: Flask) -> None:
    body = "[one](https://one.example/) and [two](https://two.example/)"
    email = draft(body, with_layout=True)
    email.variants.append(
        EmailVariant(number=2, subject="B", body="[three](https://three.example/)")
    )
    db.session.flush()
    freeze(email)
    db.session.commit()
    found = [
        (link.number, link.variant, link.url.partition("?")[0], link.trap) for link in email.links
    ]
    home = "http://localhost/"
    assert found == [
        (1, 1, home, False),
        (2, 1, "https://one.example/", False),
        (3, 1, "https://two.example/", False),
        (4, 1, home, True),
        (5, 2, home, False),
        (6, 2, "https://three.example/", False),
        (7, 2, home, True),
    ]
    assert 'href="{{@click:6}}"' in email.variants[1].html
    assert compile_variant(email, email.variants[1]).html == email.variants[1].html
    assert "utm_content=B" in email.links[4].url
    unfreeze(email)
    assert email.links == [] and email.variants[0].html == ""


def test_the_trap_is_there_for_machines_alone(app: Flask) -> None:
    made = compiled("[one](https://one.example/)")
    trap = next(link for link in made.links if link.trap)
    tag = made.html.partition(f'<a href="{{{{@click:{trap.number}}}}}"')[2].partition("</a>")[0]
    assert 'aria-hidden="true"' in tag and 'tabindex="-1"' in tag and "display:none" in tag
    assert tag.endswith(">") and f"@click:{trap.number}" not in made.text


def test_without_tracking_links_are_plain_and_there_is_no_pixel(app: Flask) -> None:
    made = compiled("[one](https://one.example/)", track_clicks=False, track_opens=False)
    assert made.links == [] and "@click" not in made.html + made.text and "@pixel" not in made.html
    assert 'href="https://one.example/"' in made.html and "one: https://one.example/" in made.text


def test_links_to_the_shop_say_which_mail_they_are_of(app: Flask) -> None:
    body = "[a](/p?utm_source=mine&x=1) [b](https://else.example/) [c](http://localhost/q#top)"
    own, other, third = leads(compiled(body, name="Autumn sale!"))
    assert own == "http://localhost/p?utm_source=mine&x=1&utm_medium=email&utm_campaign=autumn-sale"
    assert other == "https://else.example/"
    assert third.startswith("http://localhost/q?utm_source=northwind-goods&")
    assert third.endswith("#top")
    assert "utm_campaign=spring" in leads(compiled("[a](/p)", utm_campaign="spring"))[0]
    edit_settings(SettingsDetails(utm=False), SYSTEM)
    assert leads(compiled("[a](/p)")) == ["http://localhost/p"]


def test_the_text_part_reads_well(app: Flask) -> None:
    made = compiled(
        "# News\n\nHello *you*,\nsee [our\nshop](https://a.example/).\n\n[Buy](https://b.example/)"
        "\n\n- one\n- two\n  1. deep\n\n> quoted\n\n---\n\n![A chair](/c.png)\n\n`{{ name }}`"
    )
    content = made.text.partition("\n\n--\n")[0]
    assert content.splitlines() == [
        "News",
        "",
        "Hello you, see our shop <{{@click:2}}>.",
        "",
        "Buy: {{@click:3}}",
        "",
        "- one",
        "- two",
        "  1. deep",
        "",
        "> quoted",
        "",
        "----",
        "",
        "A chair",
        "",
        "{{name}}",
    ]
    foot = made.text.partition("\n\n--\n")[2]
    assert "because you subscribed" in foot and "Unsubscribe: {{@leave}}" in foot


def test_a_text_part_of_ones_own_shares_the_links(app: Flask) -> None:
    made = compiled(
        "[one](https://one.example/)",
        written_text="Hi {{ name }}! https://one.example/ or (https://two.example/x).",
    )
    assert "Hi {{name}}! {{@click:2}} or ({{@click:3}})." in made.text
    assert made.links[2] == Link(3, "https://two.example/x")


def test_a_document_of_ones_own_can_be_left_and_keeps_its_place_for_it(app: Flask) -> None:
    own = {"format": EmailFormat.HTML, "with_layout": False}
    added = compiled("<p>Hi</p>", preheader="Look <inside>", **own)
    assert added.html.count("{{@leave}}") == 1 and "Look &lt;inside&gt;" in added.html
    assert '<html lang="en-US">' in added.html and '<meta charset="utf-8">' in added.html
    kept = compiled('<html lang="de"><p>Hi</p><a href="{{ @leave }}">Tschüss</a>', **own)
    assert kept.html.count("{{@leave}}") == 1 and '<html lang="de">' in kept.html
    assert kept.text.count("{{@leave}}") == 1


def test_what_is_the_same_for_everybody_is_filled_in(app: Flask) -> None:
    shop = db.session.get_one(Shop, 1)
    shop.name, shop.postal_address = "Birch & Wool", "1 Mill Lane\nLeeds"
    email = draft("{{ shop_name }} at {{ shop_url }}/x, [p]({{ shop_url }}/p)")
    email.variants[0].subject = "{{ shop_name }} for {{ name | you }}"
    freeze(email)
    variant = email.variants[0]
    assert "Birch &amp; Wool at http://localhost/x" in variant.html
    assert "Birch & Wool at http://localhost/x" in variant.text
    assert variant.subject == "Birch & Wool for {{name|you}}"
    assert email.links[1].url.startswith("http://localhost/p?")
    assert "1 Mill Lane, Leeds" in variant.text and "1 Mill Lane, Leeds" in variant.html


def test_a_long_mail_is_made_while_its_author_types(app: Flask) -> None:
    email = draft("## Part\n\nSome *words* about [it](/p) and more of them.\n\n" * 40)
    compile_variant(email, email.variants[0])
    _, calls = calls_of(lambda: compile_variant(email, email.variants[0]))
    assert calls < 150_000
