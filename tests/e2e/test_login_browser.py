"""Coming in, going out and being forgotten, as Chromium does it against a real server over TLS."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update
from tests.fixtures.browser import NEEDS_BROWSER, WAIT_MS
from tests.fixtures.certificates import make_certificate
from tests.fixtures.reading_room import Server, room_config, served

from radlet.reading.store.accounts import Accounts
from radlet.reading.store.tables import SessionRow, now

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = NEEDS_BROWSER
PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_certificate(tmp_path_factory.mktemp("tls"), "own")
    config = room_config(
        tmp_path_factory.mktemp("room"), accounts=True, tls_certificate=made.certificate, tls_key=made.key
    )
    with served(config) as running:
        for name in ("anna", "otto"):
            Accounts(running.room.store).add(name, "reader", PASSWORD, "test")
        yield running


@pytest.fixture
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    # The certificate is its own authority.
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


def log_in(page: "Page", server: Server, name: str = "anna", password: str = PASSWORD) -> None:
    page.goto(f"{server.url}/login")
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("form button")


def test_a_reader_comes_in_by_the_right_password_alone_and_goes(server: Server, context: "BrowserContext") -> None:
    page = context.new_page()
    page.goto(server.url)
    assert page.url == f"{server.url}/login"
    log_in(page, server, password="wrong")
    assert page.inner_text("[role=alert]") == "Name or password is wrong."
    assert context.cookies() == []
    log_in(page, server)
    page.wait_for_selector("#account >> text=anna")
    (cookie,) = context.cookies()
    assert cookie["name"] == "__Host-radlet"
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, True, "Strict", -1)
    assert page.evaluate("document.cookie") == ""
    page.click("#account button")
    page.wait_for_url("**/login")
    assert context.cookies() == []
    page.goto(server.url)
    assert page.url == f"{server.url}/login"


def test_a_session_that_ends_while_somebody_writes_costs_no_text(
    server: Server, context: "BrowserContext", tiny_films: list[Path]
) -> None:
    page = context.new_page()
    log_in(page, server)
    page.wait_for_selector("#account >> text=anna")
    page.keyboard.press("u")
    page.set_input_files("#files", [tiny_films[0]])
    page.click("#adding button.main")
    page.wait_for_selector("#text")
    page.fill("#text", "Clear lungs.")
    end_sessions(server)
    page.keyboard.press("Control+s")
    page.wait_for_selector("#text-state[data-state=trouble]")
    assert "Log in again in another tab" in page.inner_text("#warnings")
    assert page.input_value("#text") == "Clear lungs."
    # Somebody else logs in beside it: the text is not saved under that name.
    other = context.new_page()
    log_in(other, server, "otto")
    other.wait_for_selector("#account >> text=otto")
    page.click("#warnings button >> text=Try again")
    page.wait_for_selector("#warnings >> text=otto is logged in now, not anna")
    log_in(other, server)
    other.wait_for_selector("#account >> text=anna")
    page.click("#warnings button >> text=Try again")
    page.wait_for_selector("#text-state[data-state=saved]")
    (edit,) = server.room.store.study(page.url.partition("=")[2]).edits
    assert (edit.author, edit.text) == ("anna", "Clear lungs.")


def end_sessions(server: Server) -> None:
    """Let the time pass after which sessions end."""
    with server.room.store.writing() as session:
        session.execute(update(SessionRow).values(seen_at=now() - timedelta(hours=1)))
