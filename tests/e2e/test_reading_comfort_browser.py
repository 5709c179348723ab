"""What a reader must not lose or be led astray by: text, place on the page, and news that nobody answers any more."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fixtures.browser import NEEDS_BROWSER, Reader, sitting
from tests.fixtures.dicom_files import write_film
from tests.fixtures.drift_told import DRIFT
from tests.fixtures.reading_room import Server, room_config, served

from radlet.reading.gate import GateSettings
from radlet.reading.room import RoomSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog

pytestmark = NEEDS_BROWSER
TOP = "(one) => one.getBoundingClientRect().top"
SCREENS = {"desk": (1440, 900), "small": (1024, 768), "tall": (1080, 1920), "wall": (3840, 2160)}
FITS = """() => [document.documentElement, ...document.querySelectorAll("main, #films, #report, #own")]
  .every((one) => one.scrollWidth <= one.clientWidth + 1)"""


def test_the_text_does_not_jump_when_a_sentence_shows_its_evidence(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[0])
    reader.draft()
    before = page.eval_on_selector("#text", TOP)
    page.hover(".sentence >> nth=0")
    page.wait_for_selector(".faithfulness")
    assert page.eval_on_selector("#text", TOP) == before
    page.hover("#patient")
    page.wait_for_selector("#evidence .hint")
    assert page.eval_on_selector("#text", TOP) == before


def test_going_back_to_the_draft_can_be_undone(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[1])
    draft = reader.draft()
    page.focus("#text")
    page.keyboard.press("Control+End")
    page.keyboard.type(" An hour of work.")
    page.wait_for_selector("#text-state[data-state=waiting]")
    page.click("#revert")
    assert page.input_value("#text") == draft
    page.keyboard.press("Control+z")
    assert page.input_value("#text") == f"{draft} An hour of work."
    page.wait_for_selector("#text-state[data-state=waiting]")


def test_who_closes_the_tab_is_asked_though_the_text_is_that_of_another_study(
    server: Server, browser: "Browser", tiny_films: list[Path]
) -> None:
    with sitting(browser, server) as reader:
        reader.open()
        for film in tiny_films[2:4]:
            reader.upload(film)
        written = reader.study_id
        reader.write("Clear lungs.")
        page = reader.page
        page.keyboard.press("Escape")
        other = page.get_attribute(".study:not([aria-current])", "data-study")
        assert other is not None
        assert other != written
        reader.choose(other)
        asked: list[str] = []

        def heard(dialog: "Dialog") -> None:
            asked.append(dialog.type)

        page.on("dialog", heard)
        page.reload()
        assert asked == ["beforeunload"]
        page.wait_for_selector(f'[data-study="{written}"] .mark')


def test_a_room_that_is_cut_off_says_so_until_it_is_back(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[4])
    reader.expected = "net::ERR_FAILED"
    page.route("**/api/studies?*", lambda route: route.abort())
    page.fill("#search", "a")
    page.wait_for_selector("#connection >> text=No connection since")
    page.unroute("**/api/studies?*")
    page.fill("#search", "")
    page.wait_for_selector("#connection", state="hidden")


@pytest.mark.parametrize("key", ["s", "y"])
def test_a_panel_that_is_asked_for_by_key_comes_into_sight(
    server: Server, browser: "Browser", tiny_films: list[Path], key: str
) -> None:
    with sitting(browser, server, viewport={"width": 1280, "height": 720}) as reader:
        reader.open()
        reader.upload(tiny_films[5])
        if reader.page.query_selector(".sentence") is None:
            reader.draft()
        reader.page.keyboard.press(key)
        reader.page.wait_for_selector("#panel:not(:has(.busy))")
        top = reader.page.eval_on_selector("#panel", TOP)
        assert 0 < top < 0.6 * 720


def test_states_are_told_in_words(reader: Reader) -> None:
    chips = reader.page.locator("#states .chip").all_inner_texts()
    assert [words.rstrip("0123456789") for words in chips] == [
        "All ", "New ", "Refused ", "AI draft ", "Edited ", "Signed "
    ]  # fmt: skip


@pytest.mark.parametrize("screen", SCREENS)
def test_the_film_has_the_better_part_of_every_screen(
    server: Server, browser: "Browser", tiny_films: list[Path], screen: str
) -> None:
    width, height = SCREENS[screen]
    with sitting(browser, server, viewport={"width": width, "height": height}) as reader:
        reader.open()
        page = reader.page
        reader.upload(tiny_films[6])
        page.wait_for_selector("#draft .head")
        assert page.evaluate(FITS)
        film = page.locator("[data-pane=own] canvas").bounding_box()
        report = page.locator("#report").bounding_box()
        assert film is not None
        assert report is not None
        if screen == "tall":
            assert film["y"] + film["height"] <= report["y"], "the film lies above the report"
            assert film["width"] > 0.7 * width
        elif screen == "small":
            page.keyboard.press("z")
            film = page.locator("[data-pane=own] canvas").bounding_box()
            assert film is not None
            assert film["width"] == width
        else:
            assert film["width"] > report["width"]
        size = page.eval_on_selector("#report", "(one) => one.currentCSSZoom ?? 1")
        assert size == (1.5 if screen == "wall" else 1), "words are larger on a large screen"


def test_a_refusal_is_told_before_what_went_well(browser: "Browser", tiny_films: list[Path], tmp_path: Path) -> None:
    config = room_config(tmp_path / "strict", room=RoomSettings(gate=GateSettings(checks={})))
    with served(config) as running, sitting(browser, running) as reader:
        reader.open(shown="#first-run >> visible=true")
        page = reader.page
        known = write_film(tmp_path / "known.dcm", 90)
        for films in ([known], [known, *tiny_films]):
            page.keyboard.press("u")
            page.set_input_files("#files", films)
            named = page.inner_text("#adding .fields .quiet")
            page.click("#adding button.main")
            page.wait_for_selector(".received li")
            told = page.locator(".received li").all_inner_texts()
            page.keyboard.press("Escape")
        assert named.endswith("and 3 more")
        assert ["refused" in line for line in told] == [True] * 8 + [False]
        assert page.query_selector("#draft .unverified") is None, "nothing is marked as a draft"
        assert page.query_selector("#draft button.main") is None, "nothing asks for one"


def test_the_outermost_bins_of_a_measure_are_named_as_open(reader: Reader) -> None:
    page = reader.page
    page.route("**/api/drift", lambda route: route.fulfill(json=DRIFT))
    reader.open("/dashboard", "#drift[aria-busy=false]")
    page.click("[data-measure=mean_grey]")
    told = page.text_content("#drift")
    assert told is not None
    assert [words in told for words in ("< 0.25", "0.25–0.5", "≥ 0.75", "0–0.25")] == [True, True, True, False]


def test_the_key_that_signs_asks_nothing_about_the_next_study(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    for number in (190, 191):
        reader.upload(write_film(tmp_path / f"{number}.dcm", number))
    studies = page.eval_on_selector_all(".study", "(all) => all.slice(0, 2).map((one) => one.dataset.study)")
    reader.choose(studies[0])
    reader.write("Of the first patient.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#signing[open]")
    # The answer is on its way while the reader presses the key again, and again.
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f'.study[data-study="{studies[1]}"][aria-current=true]')
    assert page.query_selector("#signing") is None
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#warnings >> text=An empty report cannot be signed")
    store = reader.server.room.store
    assert [one.text for one in store.study(studies[0]).signatures] == ["Of the first patient."]
    assert store.study(studies[1]).signatures == []


def test_a_question_about_a_signature_goes_with_its_study(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    for number in (192, 193):
        reader.upload(write_film(tmp_path / f"{number}.dcm", number))
    studies = page.eval_on_selector_all(".study", "(all) => all.slice(0, 2).map((one) => one.dataset.study)")
    reader.choose(studies[0])
    reader.write("Of the first patient.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#signing[open]")
    # As by the browser's own way back, which no dialog stops.
    page.evaluate("(id) => { location.hash = `study=${id}`; }", studies[1])
    page.wait_for_selector(f'.study[data-study="{studies[1]}"][aria-current=true]')
    page.wait_for_selector("#signing", state="detached")
    assert all(reader.server.room.store.study(one).signatures == [] for one in studies)
