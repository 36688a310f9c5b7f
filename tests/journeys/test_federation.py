"""Alice comes with Google, Bob had a password and links Google, Charlie comes with Apple."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.accounts.oidc.provider import Manner, OidcProvider, Person, serve
from tests.accounts.oidc.tokens import Lie
from tests.journeys.conftest import Demo, demo_on

pytestmark = pytest.mark.browser

ALICE = Person("alice@example.com", "1001", "Alice Doe")
BOB = Person("bob@example.com", "1002", "Bob Roe")
CHARLIE = Person("charlie@example.com", "001.charlie", "Charlie Poe")
PASSWORD = "Quiet-Harbour-42"
TOLD_IN_TURN = [
    Lie.WRONG_STATE,
    Lie.WRONG_NONCE,
    Lie.WRONG_AUDIENCE,
    Lie.BAD_SIGNATURE,
    Lie.UNSIGNED,
    Lie.SIGNED_WITH_PUBLIC_KEY,
]


@pytest.fixture(scope="module")
def google() -> Iterator[OidcProvider]:
    with serve(Manner.GOOGLE) as provider:
        provider.people = [ALICE, BOB]
        yield provider


@pytest.fixture(scope="module")
def apple() -> Iterator[OidcProvider]:
    """The shop is on localhost: to a browser a number is another site, as Apple's is."""
    with serve(Manner.APPLE, "127.0.0.1") as provider:
        provider.people = [CHARLIE]
        yield provider


@pytest.fixture(scope="module")
def shop(
    google: OidcProvider, apple: OidcProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """The demo with the credentials of both."""
    state = tmp_path_factory.mktemp("federated")
    settings = {**google.settings(), **apple.settings()}
    with demo_on(state, {name.upper(): value for name, value in settings.items()}) as demo:
        yield demo


def come(page: Page, shop: Demo, title: str, person: Person) -> None:
    """Press the provider's button and say there who one is."""
    page.goto(f"{shop.web}/login")
    page.get_by_role("link", name=f"Continue with {title}").click()
    page.get_by_role("link", name=f"Continue as {person.email}").click()
    page.wait_for_url(f"{shop.web}/**")


def agree(page: Page) -> None:
    """Agree to the terms of use, where the shop has some."""
    if "/account/terms" in page.url:
        page.get_by_role("button", name="I agree").click()
        page.wait_for_url(re.compile(r"/account(?!/terms)"))


def expect_in(page: Page, shop: Demo) -> None:
    agree(page)
    page.goto(f"{shop.web}/account/security")
    expect(page.get_by_role("heading", name="Security")).to_be_visible()


def expect_out(page: Page, shop: Demo) -> None:
    page.goto(f"{shop.web}/account/security")
    expect(page).to_have_url(re.compile("/login"))


def unlink(page: Page) -> None:
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Unlink Google").click()


def leave(page: Page) -> None:
    page.get_by_role("button", name="Log out", exact=True).first.click()
    page.wait_for_url("**/login**")


def test_alice_comes_with_google_and_comes_back(
    shop: Demo, google: OidcProvider, page: Page
) -> None:
    for lie in TOLD_IN_TURN:
        google.lie = lie
        come(page, shop, "Google", ALICE)
        expect(page.get_by_role("alert")).to_contain_text(
            "does not belong to this browser" if lie is Lie.WRONG_STATE else "our checks"
        )
        expect_out(page, shop)
    google.lie = None

    page.goto(f"{shop.web}/login")
    page.get_by_role("link", name="Continue with Google").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("without signing in there")).to_be_visible()

    come(page, shop, "Google", ALICE)
    expect_in(page, shop)
    row = page.get_by_role("listitem").filter(has_text="Google").first
    expect(row).to_contain_text(ALICE.email)
    welcome = shop.wait_for_mail(ALICE.email, "welcome")
    assert "/verify/" not in welcome["text"]
    unlink(page)
    expect(page.get_by_text("the last way into your account")).to_be_visible()
    leave(page)
    expect_out(page, shop)
    come(page, shop, "Google", ALICE)
    expect_in(page, shop)


def register(page: Page, shop: Demo) -> None:
    page.goto(f"{shop.web}/register")
    page.get_by_label("Email").fill(BOB.email)
    page.locator("input[name=password]").fill(PASSWORD)
    for box in page.get_by_role("checkbox", name=re.compile("I agree")).all():
        box.check()
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/account**")
    mail = shop.wait_for_mail(BOB.email, "welcome")
    found = re.search(r"http://\S+/verify/\S+", mail["text"])
    assert found, mail["text"]
    page.goto(found.group())
    page.locator("main form button").first.click()


def test_bob_keeps_his_account_and_links_google_to_it(
    shop: Demo, google: OidcProvider, page: Page
) -> None:
    register(page, shop)
    expect_in(page, shop)
    leave(page)

    come(page, shop, "Google", BOB)
    expect(page.get_by_role("heading", level=1)).to_have_text("You have an account")
    expect_out(page, shop)

    come(page, shop, "Google", BOB)
    page.get_by_role("link", name="Sign in", exact=True).first.click()
    page.get_by_label("Email").fill(BOB.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"{shop.web}/account/security")
    page.get_by_role("button", name="Link Google").click()
    page.get_by_role("link", name=f"Continue as {BOB.email}").click()
    expect(page).to_have_url(f"{shop.web}/account/security")
    expect(page.get_by_text("Google opens your account from now on.")).to_be_visible()
    told = shop.wait_for_mail(BOB.email, "Google opens your account now")
    assert "/account/security" in told["text"]

    leave(page)
    come(page, shop, "Google", BOB)
    expect_in(page, shop)
    unlink(page)
    expect(page.get_by_text("Google no longer opens your account.")).to_be_visible()


def test_charlie_comes_with_apple_from_another_site(
    shop: Demo, apple: OidcProvider, page: Page
) -> None:
    assert "//localhost:" in shop.web
    apple.lie = Lie.WRONG_NONCE
    come(page, shop, "Apple", CHARLIE)
    expect(page.get_by_role("alert")).to_contain_text("our checks")
    expect_out(page, shop)
    apple.lie = None
    apple.named.clear()
    come(page, shop, "Apple", CHARLIE)
    page.wait_for_url(f"{shop.web}/account**")
    expect_in(page, shop)
    page.goto(f"{shop.web}/account/profile")
    expect(page.get_by_label("Name")).to_have_value(CHARLIE.name)
    names = [cookie.get("name", "") for cookie in page.context.cookies()]
    assert any(name.endswith("_session") for name in names)
    assert not any("apple" in name for name in names)
