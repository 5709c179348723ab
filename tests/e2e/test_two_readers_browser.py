"""Two readers of one study, each in a browser of their own: no text covers another unseen."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from argon2 import PasswordHasher
from tests.fixtures.browser import NEEDS_BROWSER, Reader, sitting
from tests.fixtures.reading_room import Server, room_config, served

from radlet.reading.store.accounts import Accounts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER
PASSWORD = "correct horse battery"  # noqa: S105 - of nothing but this test
ASK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
"""As when the reader comes back to the tab: what else happened is asked at once."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(room_config(tmp_path_factory.mktemp("room"), accounts=True)) as running:
        accounts = Accounts(running.room.store, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        for name in ("anna", "ben"):
            accounts.add(name, "reader", PASSWORD, "test")
        yield running


@pytest.fixture(scope="module")
def sessions(server: Server, browser: "Browser") -> dict[str, Any]:
    """Log each reader in by the form; their cookies are good for all tests."""
    found = {}
    for name in ("anna", "ben"):
        with sitting(browser, server) as one:
            one.log_in(name, PASSWORD)
            found[name] = one.page.context.storage_state()
    return found


@pytest.fixture
def anna(server: Server, browser: "Browser", sessions: dict[str, Any]) -> Iterator[Reader]:
    with sitting(browser, server, storage_state=sessions["anna"]) as one:
        one.open()
        yield one


@pytest.fixture
def ben(server: Server, browser: "Browser", sessions: dict[str, Any]) -> Iterator[Reader]:
    with sitting(browser, server, storage_state=sessions["ben"]) as one:
        one.open()
        yield one


def both_open(anna: Reader, ben: Reader, film: Path) -> str:
    """Let both open one study with the same text on it."""
    anna.upload(film)
    study_id = anna.study_id
    ben.page.reload()
    ben.page.wait_for_selector(f'[data-study="{study_id}"]')
    ben.choose(study_id)
    return study_id


def texts(server: Server, study_id: str) -> list[str]:
    return [one.text for one in server.room.store.study(study_id).edits]


def test_a_colleague_is_told_and_what_they_save_comes_in(anna: Reader, ben: Reader, tiny_films: list[Path]) -> None:
    both_open(anna, ben, tiny_films[0])
    ben.page.wait_for_selector("#colleagues >> text=anna has this study open too")
    anna.page.evaluate(ASK_AGAIN)
    anna.page.wait_for_selector("#colleagues >> text=ben has this study open too, just opened")
    anna.write("Clear lungs.")
    anna.save()
    ben.page.evaluate(ASK_AGAIN)
    ben.page.wait_for_selector("#passing >> text=anna saved another text")
    assert ben.page.input_value("#text") == "Clear lungs."
    assert ben.page.query_selector("#overtaken") is None


def test_the_second_text_is_refused_and_put_on_top_by_choice(anna: Reader, ben: Reader, tiny_films: list[Path]) -> None:
    study_id = both_open(anna, ben, tiny_films[1])
    ben.write("The heart is normal.")
    anna.write("The heart is enlarged.")
    anna.save()
    ben.expected = "409"
    ben.page.keyboard.press("Control+s")
    ben.page.wait_for_selector("#choosing[open]")
    assert texts(ben.server, study_id) == ["The heart is enlarged."]
    theirs, mine = ben.page.locator("#choosing .report-text").all_inner_texts()
    assert (theirs, mine) == ("The heart is enlarged.", "The heart is normal.")
    assert ben.page.inner_text("#choosing del") == "enlarged"
    assert ben.page.inner_text("#choosing ins") == "normal"
    # Deciding later loses nothing either.
    ben.page.keyboard.press("Escape")
    ben.page.wait_for_selector("#choosing", state="detached")
    assert ben.page.input_value("#text") == "The heart is normal."
    ben.page.click("#overtaken button")
    ben.page.click("#choosing [value=keep]")
    ben.page.wait_for_selector("#text-state[data-state=saved]")
    assert texts(ben.server, study_id) == ["The heart is enlarged.", "The heart is normal."]
    assert ben.page.query_selector("#overtaken") is None


def test_a_text_that_gives_way_can_be_brought_back(anna: Reader, ben: Reader, tiny_films: list[Path]) -> None:
    study_id = both_open(anna, ben, tiny_films[2])
    ben.write("By Ben.")
    anna.write("By Anna.")
    anna.save()
    ben.page.evaluate(ASK_AGAIN)
    ben.page.wait_for_selector("#overtaken >> text=anna saved another text meanwhile")
    ben.page.click("#overtaken button")
    ben.page.click("#choosing [value=take]")
    ben.page.wait_for_selector("#text-state[data-state=saved]")
    assert ben.page.input_value("#text") == "By Anna."
    ben.page.reload()
    ben.page.click("#others >> text=Bring it back")
    assert ben.page.input_value("#text") == "By Ben."
    ben.save()
    assert texts(ben.server, study_id) == ["By Anna.", "By Ben."]


def test_a_signature_does_not_cover_what_came_while_it_was_asked_for(
    anna: Reader, ben: Reader, tiny_films: list[Path]
) -> None:
    study_id = both_open(anna, ben, tiny_films[4])
    ben.draft()
    drafted = ben.page.input_value("#text")
    ben.page.keyboard.press("Control+Enter")
    ben.page.wait_for_selector("#signing[open]")
    anna.write("A large pneumothorax.")
    anna.save()
    # Behind the question Ben's page takes the text in.
    ben.page.evaluate(ASK_AGAIN)
    ben.page.wait_for_function("() => document.querySelector('#text').value === 'A large pneumothorax.'")
    ben.expected = "409"
    ben.page.click("#signing [value=sign]")
    ben.page.wait_for_selector("#choosing[open]")
    assert ben.server.room.store.study(study_id).signatures == []
    theirs, mine = ben.page.locator("#choosing .report-text").all_inner_texts()
    assert (theirs, mine) == ("A large pneumothorax.", drafted)


def test_mine_on_top_is_on_top_of_what_was_shown(anna: Reader, ben: Reader, tiny_films: list[Path]) -> None:
    study_id = both_open(anna, ben, tiny_films[5])
    ben.write("By Ben.")
    anna.write("First by Anna.")
    anna.save()
    ben.expected = "409"
    ben.page.keyboard.press("Control+s")
    ben.page.wait_for_selector("#choosing[open]")
    anna.write("Second by Anna.")
    anna.save()
    ben.page.evaluate(ASK_AGAIN)
    ben.page.wait_for_selector("#passing >> text=anna saved another text")
    ben.page.click("#choosing [value=keep]")
    ben.page.wait_for_selector("#choosing[open] >> text=Second by Anna.")
    assert texts(ben.server, study_id) == ["First by Anna.", "Second by Anna."]


def test_a_signature_is_not_covered(anna: Reader, ben: Reader, tiny_films: list[Path]) -> None:
    study_id = both_open(anna, ben, tiny_films[3])
    ben.write("By Ben.")
    anna.write("By Anna.")
    anna.page.keyboard.press("Control+Enter")
    anna.page.click("#signing [value=sign]")
    anna.page.wait_for_selector(".report-text.signed")
    ben.expected = "409"
    ben.page.keyboard.press("Control+Enter")
    ben.page.click("#signing [value=sign]")
    ben.page.wait_for_selector("#choosing[open] >> text=Theirs: signed by anna")
    assert [one.signed_by for one in ben.server.room.store.study(study_id).signatures] == ["anna"]
    ben.page.click("#choosing [value=keep]")
    ben.page.wait_for_selector("#text-state[data-state=saved]")
    study = ben.server.room.store.study(study_id)
    assert (study.state, study.signatures[0].text, study.edits[-1].text) == ("edited", "By Anna.", "By Ben.")
