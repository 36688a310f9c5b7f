"""One mail to five hundred people, from its first word to the money it made."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.journeys.conftest import Demo, fill_in, menu, window

pytestmark = pytest.mark.browser

ALICE = "alice.reads@example.com"
BOB = "bob.leaves@example.com"
CHARLIE = "charlie.moved@example.com"
PEOPLE = 500
TAG = "spring fair"
NAME = "Spring letter"
SUBJECT = "Something new for your first day"
PRODUCT = "Classic Varsity Top"
FROM = "letters@harbor-and-thread.example"
SENDER = f"Harbor letters <{FROM}>"
BODY = """# Spring is here, {{ first_name | friend }}

The first warm day of the year calls for something light.

[Look at the top](%s)
"""
FIGURES = {
    "Delivered": "499",
    "Opened": "0.2%",
    "Clicked": "100.0% of those who opened",
    "Revenue": "$65.90",
    "Left": "0.2%",
    "Bounced": "0.2%",
    "Complained": "0.0%",
}
# Slow enough to be stopped on the way, and fast enough to be waited for.
SLOWLY, QUICKLY = 10, 250
# What a reader's phone calls itself; the tests' own browser says that nobody sits before it.
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Mobile Safari/537.36"
)
# Nobody has a mail before them and reads it within three seconds; who does is a machine.
HAD_TIME = """
    SELECT bool_or(sent_at < now() - interval '3 seconds') FROM email_recipient WHERE address = %s
"""


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A reader's."""
    with window(browser, viewport={"width": 390, "height": 844}, user_agent=PHONE) as page:
        yield page


def test_a_mail_goes_from_its_first_word_to_the_money_it_made(
    demo: Demo, patient: None, owner: Page, phone: Page
) -> None:
    bring_people_in(owner)
    add_a_sender(owner)
    make_an_audience(owner)
    write(owner, demo)
    send_a_test(owner, demo)
    begin(owner)
    hold_and_go_on(owner, demo)
    assert_everybody_got_one(demo)

    with ThreadPoolExecutor(1) as elsewhere:
        bounced = elsewhere.submit(bounce, demo)
        number = read_and_buy(phone, demo)
        judge_and_credit(demo, number)
        bounced.result()
        story = elsewhere.submit(demo.flask, "mail", "explain", CHARLIE)
        see_results(owner, number)
        see_who_left(owner)
        see_who_bounced(owner)
        assert_told(story.result().stdout)


def bring_people_in(owner: Page) -> None:
    menu(owner, "Import")
    others = [f"charlie.{number:03}@example.com" for number in range(PEOPLE - 3)]
    lines = [f"{ALICE},Alice Doe", f"{BOB},", f"{CHARLIE},Charlie Roe"]
    text = "\n".join(["Email,Name", *lines, *(f"{each},Charlie" for each in others)])
    file = FilePayload(name="fair.csv", mimeType="text/csv", buffer=text.encode())
    owner.get_by_label("CSV file").set_input_files(file)
    owner.get_by_label("Where and when they agreed").fill("Signed a list at the spring fair")
    owner.get_by_label("Tags for all of them").fill(TAG)
    owner.get_by_role("button", name="See what it would do").click()
    expect(owner.locator(".tally div", has_text="Agree to it")).to_contain_text("500")
    owner.get_by_role("button", name="Import 500 people").click()
    expect(owner.get_by_role("status")).to_contain_text("500 new people")


def add_a_sender(owner: Page) -> None:
    menu(owner, "Senders")
    owner.get_by_role("link", name="Add a sender").click()
    owner.get_by_label("Name").fill("Harbor letters")
    owner.get_by_label("Address").fill(FROM)
    owner.get_by_label("Mails a second (optional)", exact=True).fill(str(SLOWLY))
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_role("status")).to_contain_text("Harbor letters")


def make_an_audience(owner: Page) -> None:
    menu(owner, "Audiences")
    owner.get_by_role("link", name="Add an audience").click()
    owner.get_by_label("Name").fill("Met at the fair")
    owner.get_by_label("Condition", exact=True).select_option("tag:is")
    owner.get_by_label("Tag").fill(TAG)
    expect(owner.locator(".size")).to_have_text("500 people")
    owner.get_by_role("button", name="Save", exact=True).last.click()
    expect(owner.get_by_role("status")).to_contain_text("Met at the fair")


def write(owner: Page, demo: Demo) -> None:
    menu(owner, "Emails")
    owner.get_by_role("link", name="Add an email").click()
    owner.get_by_label("Name").fill(NAME)
    owner.get_by_label("Subject").fill(SUBJECT)
    owner.get_by_role("button", name="Save").click()

    # While it is typed, a look at it and the checks follow.
    look = owner.frame_locator("[data-look] iframe:last-of-type")
    words = BODY % f"{demo.web}/products/classic-varsity-top"
    owner.get_by_label("Body").fill(words.replace("first_name | friend", "frist_name"))
    expect(owner.locator("#checks")).to_contain_text("Nobody has a {{ frist_name }}.")
    owner.get_by_label("Body").fill(words)
    owner.get_by_label("Preview line").fill("Made for ")
    owner.get_by_role("button", name="first name").click()
    expect(owner.get_by_label("Preview line")).to_have_value("Made for {{ first_name | there }}")
    owner.get_by_label("Audience").select_option(label="Met at the fair (500)")
    owner.get_by_label("From").select_option(label=SENDER)
    expect(look.get_by_role("link", name="Look at the top")).to_be_visible()
    expect(owner.locator("#checks")).not_to_contain_text("frist_name")
    expect(owner.locator("[data-part=size]")).to_contain_text("500 people get it now")

    for reader, called, otherwise in ((ALICE, "Alice", "Alice"), (BOB, "friend", "there")):
        owner.get_by_label("As it looks to the recipient").fill(reader)
        owner.get_by_label("As it looks to the recipient").press("Enter")
        heading = look.get_by_role("heading", level=1)
        expect(heading).to_have_text(f"Spring is here, {called}")
        expect(owner.locator("[data-part=inbox]")).to_contain_text(f"Made for {otherwise}")
    frame = owner.locator("[data-look] iframe").last
    wide = frame.evaluate("frame => frame.clientWidth")
    owner.get_by_label("Phone", exact=True).check()
    expect(owner.locator("[data-look]")).to_have_attribute("data-as", "phone")
    assert frame.evaluate("frame => frame.clientWidth") < 400 < wide
    expect(owner.get_by_text("Not saved yet")).to_be_visible()
    owner.get_by_role("button", name="Save", exact=True).click()
    expect(owner.get_by_role("status")).to_contain_text(f"{NAME} is saved.")


def send_a_test(owner: Page, demo: Demo) -> None:
    me = demo.ready["admin"]["email"]
    owner.locator("#test").get_by_role("button", name="Send").click()
    expect(owner.get_by_role("status")).to_contain_text(f"A test is on its way to {me}.")
    mail = demo.wait_for_mail(me, f"[Test] {SUBJECT}")
    assert mail["from"] == SENDER
    assert "Nothing you do here is counted." in mail["text"]


def begin(owner: Page) -> None:
    owner.get_by_role("button", name="Make ready").click()
    expect(owner.get_by_text("It is for 500 people.")).to_be_visible()
    owner.get_by_text("Send now …").click()
    owner.get_by_role("button", name="Send to 500 people").click()
    expect(owner.get_by_text(f"{NAME} is on its way.")).to_be_visible()


def hold_and_go_on(owner: Page, demo: Demo) -> None:
    """Hold it on its way; while nothing leaves, one leaves us, and the sender is made faster."""
    page, sent = owner.url, owner.locator("[data-figure=sent]")
    expect(sent).not_to_have_text("0")
    owner.get_by_role("button", name="Pause").click()
    expect(owner.locator("h1 + .pill")).to_have_text("Paused")
    demo.wait_until("SELECT count(*) = 0 FROM send_lease WHERE ended_at IS NULL")
    gone = len(recipients(demo))
    assert 0 < gone < PEOPLE

    leave_by_the_header(demo)
    menu(owner, "Senders")
    owner.get_by_role("link", name="Harbor letters").click()
    owner.get_by_role("link", name="Edit").click()
    owner.get_by_label("Mails a second (optional)", exact=True).fill(str(QUICKLY))
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_role("status")).to_contain_text("Harbor letters")
    owner.goto(page)
    expect(sent).to_have_text(str(gone))
    assert len(recipients(demo)) == gone

    owner.get_by_role("button", name="Resume").click()
    expect(owner.locator("h1 + .pill")).to_have_text("Sent")
    expect(sent).to_have_text("500")
    expect(owner.locator("[data-figure=left]")).to_have_text("0")


def recipients(demo: Demo) -> Counter[str]:
    """Count by address what the mailbox caught of the mail."""
    mails = requests.get(f"{demo.ready['mailbox']}/api/messages", timeout=60).json()
    return Counter(mail["to"][0] for mail in mails if mail["subject"] == SUBJECT)


def assert_everybody_got_one(demo: Demo) -> None:
    caught = recipients(demo)
    assert len(caught) == PEOPLE
    assert set(caught.values()) == {1}


def leave_by_the_header(demo: Demo) -> None:
    """What a mail program's own button does (RFC 8058)."""
    headers = demo.wait_for_mail(BOB, SUBJECT)["headers"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = re.search(r"<(http\S+)>", headers["List-Unsubscribe"])
    assert address
    answer = requests.post(address[1], data={"List-Unsubscribe": "One-Click"}, timeout=60)
    assert (answer.status_code, answer.text) == (200, "You are unsubscribed.\n")


def read_and_buy(phone: Page, demo: Demo) -> str:
    """Open the mail on a phone, follow its link and buy; returns the order's number."""
    mail = demo.wait_for_mail(ALICE, SUBJECT)
    demo.wait_until(HAD_TIME, ALICE)
    with phone.expect_response(re.compile(r"/o/\w+\.gif$")) as pixel:
        phone.goto(f"{demo.ready['mailbox']}/messages/{mail['id']}/html")
    assert pixel.value.ok
    expect(phone.get_by_role("heading", level=1)).to_have_text("Spring is here, Alice")
    with phone.expect_popup() as opened:
        phone.get_by_role("link", name="Look at the top").click()
    shop = opened.value
    expect(shop.get_by_role("heading", level=1)).to_have_text(PRODUCT)
    shop.locator("form[action$='/cart/add'] label", has_text="Small").first.click()
    shop.locator("form[action$='/cart/add'] button[type=submit]").last.click()
    shop.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    fill_in(shop, email=ALICE)
    shop.get_by_role("button", name=re.compile(r"^Pay \$")).last.click()
    shop.wait_for_url("**/checkout/success**")
    number = re.search(r"\d{4,}", demo.wait_for_mail(ALICE, "order")["subject"])
    assert number
    return number.group()


def bounce(demo: Demo) -> None:
    """Charlie's mail server finds out later that there is no Charlie."""
    mail = demo.wait_for_mail(CHARLIE, SUBJECT)
    back = f"{demo.ready['mailbox']}/api/messages/{mail['id']}/bounce"
    assert requests.post(back, timeout=300).ok
    demo.wait_until("SELECT count(*) = 1 FROM mail_suppression WHERE email = %s", CHARLIE)


def judge_and_credit(demo: Demo, number: str) -> None:
    """Let the time pass in which more could come to light about what Alice did."""
    demo.call("jobs.campaigns.drain_tracking")
    demo.wait_until("SELECT count(*) = 2 FROM tracking_event")
    demo.sql("UPDATE tracking_event SET received_at = received_at - interval '1 minute'")
    demo.call("jobs.campaigns.judge_tracking")
    demo.wait_until("SELECT bool_and(human IS NOT NULL) FROM tracking_event")
    credit = """path = 'jobs.campaigns.credit_order'
        AND subject = (SELECT 'order:' || id FROM "order" WHERE number = %s)"""
    demo.wait_until(f"SELECT count(*) > 0 FROM job WHERE {credit}", number)
    demo.sql(f"UPDATE job SET run_at = now() WHERE {credit}", number)
    demo.wait_until("SELECT count(*) = 1 FROM email_order")


def see_results(owner: Page, number: str) -> None:
    menu(owner, "Results")
    owner.get_by_role("link", name=NAME).click()
    for title, figure in FIGURES.items():
        expect(owner.locator(".stat", has_text=re.compile(rf"^\s*{title}"))).to_contain_text(figure)
    expect(owner.get_by_text("Every open and click so far was a person's.")).to_be_visible()
    link = owner.get_by_role("row", name=re.compile("classic-varsity-top"))
    expect(link).to_contain_text("1 order")
    clicked = owner.frame_locator(".mail-map").get_by_role("link", name="Look at the top")
    expect(clicked).to_contain_text("100%")
    order = owner.get_by_role("row", name=re.compile(f"#{number}"))
    expect(order).to_contain_text(ALICE)
    expect(order).to_contain_text("$65.90")
    order.get_by_role("link", name=f"#{number}").click()
    expect(owner.get_by_role("heading", level=1)).to_contain_text(number)
    expect(owner.get_by_role("link", name=ALICE)).to_be_visible()


def see_who_left(owner: Page) -> None:
    menu(owner, "Recipients")
    owner.get_by_label("What they did").select_option(label="Left through it")
    expect(owner.locator("tbody tr")).to_have_count(1)
    owner.get_by_role("link", name=BOB).click()
    expect(owner.get_by_text("Left newsletter by their mail program's button")).to_be_visible()


def see_who_bounced(owner: Page) -> None:
    menu(owner, "Suppressions")
    row = owner.get_by_role("row", name=re.compile(CHARLIE))
    expect(row).to_contain_text("Every mail, also about orders")
    expect(row).to_contain_text("Bounced")


def assert_told(story: str) -> None:
    """Check what the operator reads about Charlie."""
    assert re.search(r"Gets no mail at all since .*: bounce", story)
    assert re.search(rf"sent .* {NAME} .*; bounced ", story)
    assert re.search(r"hard .* 5\.1\.1 ", story)
