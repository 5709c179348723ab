"""What a reader does with films and drafts all day: compare, measure, ask, look for; and what goes wrong on the way."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import dcmread
from tests.fixtures.browser import NEEDS_BROWSER, Reader, sitting
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import Server, room_config, served
from tests.fixtures.wire import wired

from radlet.reading.gate import GateSettings
from radlet.reading.room import RoomSettings
from radlet.reading.store.tables import DraftRow, ImageRow, StudyRow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER
FINDINGS = [
    {"observation": "Pneumothorax", "state": "POSITIVE", "probability": 0.95},
    {"observation": "Edema", "state": "NEGATIVE", "probability": 0.8},
    {"observation": "Pneumonia", "state": "UNCERTAIN", "probability": 0.5},
    {"observation": "Fracture", "state": "UNMENTIONED", "probability": 0.02},
]


@pytest.fixture
def strict(browser: "Browser", tmp_path: Path) -> Iterator[Reader]:
    """Sit before a room whose gate refuses films that show no chest."""
    config = room_config(tmp_path / "strict", room=RoomSettings(gate=GateSettings(checks={})))
    with served(config) as running, sitting(browser, running) as one:
        one.open(shown="#first-run >> visible=true")
        yield one


def drag(reader: Reader, across: int, down: int) -> None:
    """Drag over the film of the study, from its middle."""
    box = reader.page.locator("[data-pane=own] canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    reader.page.mouse.move(x, y)
    reader.page.mouse.down()
    reader.page.mouse.move(x + across, y + down, steps=4)
    reader.page.mouse.up()


def view(reader: Reader, pane: str = "own") -> str:
    return reader.page.inner_text(f"#{pane}-view")


def test_a_prior_lies_beside_the_film_with_window_and_zoom_linked_until_parted(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    dates = ("20250101", "20260101")
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    films = [write_film(tmp_path / f"{day}.dcm", 40 + number, PatientID="LINKED", StudyDate=day, size_px=96, **window)
             for number, day in enumerate(dates)]  # fmt: skip
    for film in films:
        reader.upload(film)
    reader.shown()
    page.wait_for_selector("#comparing button")
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior] canvas[data-image]:not([aria-busy])")
    assert "Earlier · 2025-01-01" in page.inner_text("[data-pane=prior] figcaption")
    assert "No signed report" in page.inner_text("[data-pane=prior] .prior-report")
    came = view(reader).split(" · ")[0]
    drag(reader, 50, 20)
    page.keyboard.press("+")
    set_now = view(reader).split(" · ")[0]
    assert set_now != came
    assert set_now in view(reader, "prior")
    heights = page.eval_on_selector_all("[data-pane] canvas", "(all) => all.map((one) => one.clientHeight)")
    assert heights[0] == heights[1]
    assert re.findall(r"zoom \d+", view(reader)) == re.findall(r"zoom \d+", view(reader, "prior"))
    page.keyboard.press("l")
    page.keyboard.press("r")
    assert came in view(reader)
    assert set_now in view(reader, "prior")
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior]", state="hidden")


def test_a_length_is_that_of_the_film_in_mm(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    reader.upload(write_film(tmp_path / "film.dcm", 50, PatientID="MM", PixelSpacing="0.5\\0.25", size_px=100))
    reader.shown()
    page.keyboard.press("1")
    page.keyboard.press("m")
    # One pixel of the film is one of the screen across, and, being twice as tall as wide, two down.
    drag(reader, 40, 0)
    assert view(reader).endswith("10.0 mm")
    drag(reader, 0, 40)
    assert view(reader).endswith("10.0 mm · 10.0 mm")
    page.keyboard.press("Delete")
    assert "mm" not in view(reader)


def test_dragging_across_and_up_sets_contrast_and_brightness(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[0])
    reader.shown()
    page.keyboard.press("w")
    drag(reader, -100, 0)
    assert "window 195 / 128" in view(reader)
    drag(reader, 0, -50)
    assert "window 195 / 98" in view(reader)
    page.focus("[data-pane=own] canvas")
    page.keyboard.press("ArrowRight")
    assert "window 203 / 98" in view(reader)
    page.keyboard.press("r")
    assert "window 255 / 128" in view(reader)


def test_a_wider_window_shows_what_the_header_cut_off(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    path = write_film(tmp_path / "film.dcm", 60, PatientID="DEEP", size_px=64, WindowCenter="1000", WindowWidth="401")
    header = dcmread(path)
    header.PixelData = np.repeat([[1100, 2000, 3000, 3100]], 16, axis=1).repeat(64, axis=0).astype("<u2").tobytes()
    header.save_as(path)
    reader.upload(path)
    reader.shown()
    assert "window 400 / 1000" in view(reader)
    greys = """() => { const canvas = document.querySelector("[data-pane=own] canvas");
      const { width, height } = canvas, side = Math.min(width, height);
      const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
      context.drawImage(canvas, 0, 0);
      return [0, 1, 2, 3].map((part) => {
        const x = width / 2 + side * (part / 4 + 0.125 - 0.5);
        return context.getImageData(x, height / 2, 1, 1).data[0]; }); }"""
    assert page.evaluate(greys) == [192, 255, 255, 255]
    for _ in range(10):
        drag(reader, 300, 150)
    page.wait_for_function(f"() => new Set(({greys})()).size === 4")
    shown = page.evaluate(greys)
    assert shown == sorted(shown)
    assert "window 400" not in view(reader)
    page.keyboard.press("r")
    assert "window 400 / 1000" in view(reader)


def test_findings_are_told_by_words_bars_and_signs_and_contradictions_are_named(
    reader: Reader, tiny_films: list[Path]
) -> None:
    reader.upload(tiny_films[7])
    store = reader.server.room.store
    draft = DraftRow(
        study_id=reader.study_id, image_id=store.study(reader.study_id).images[0].id, text="Pneumothorax.", model="m",
        checkpoint_digest="c" * 64, image_path_digest="i", engine="e", prompt="", sampling={}, radlet_version="0",
        gate={"passed": True}, seconds=1.0, findings=FINDINGS, sentences=[[0, 13]],
    )  # fmt: skip
    store.add_draft(draft, "node")
    page = reader.page
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector(".findings")
    page.click("#panel summary")
    lines = page.locator(".findings li")
    told = {line.split("\n")[0]: line for line in lines.all_inner_texts()}
    assert list(told) == ["Edema", "Pneumothorax", "Pneumonia", "Fracture"]
    assert "draft and encoder disagree: look again" in told["Edema"]
    assert ("very likely 0.95" in told["Pneumothorax"], "draft says present" in told["Pneumothorax"]) == (True, True)
    assert "very unlikely 0.02" in told["Fracture"]
    filled = [line.locator(".bars .on").count() for line in lines.all()]
    assert filled == [4, 5, 3, 1]
    grounds = page.eval_on_selector_all(
        ".bars .on:first-child", "(all) => all.map((one) => getComputedStyle(one).background)"
    )
    assert len(set(grounds)) == 3, "likely, uncertain and unlikely differ by colour and pattern"


def test_similar_studies_are_reports_of_others_and_say_so(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[1])
    page.keyboard.press("s")
    page.wait_for_selector("#panel >> text=No collection is searched")
    found = [{"study_id": "other-7", "similarity": 0.8123, "report": "Clear lungs."}]
    page.route("**/similar", lambda route: route.fulfill(json=found))
    reader.upload(tiny_films[2])
    page.wait_for_selector(".similar li")
    assert page.inner_text(".similar li").split() == ["other-7", "·", "similarity", "0.812", "Clear", "lungs."]
    assert "reports are of other patients" in page.inner_text("#panel")


def test_a_question_is_answered_beside_its_words(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[3])
    page.keyboard.press("a")
    page.keyboard.type("Is there an effusion?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answers dt >> text=Is there an effusion?")
    assert "AI" in page.inner_text(".answers dd .unverified")
    assert page.input_value("#question") == ""
    page.route("**/question", lambda route: route.fulfill(status=429, json={"error": {"message": "The line is full."}}))
    reader.expected = "429"
    page.fill("#question", "And now?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel .trouble >> text=The line is full.")
    assert page.input_value("#question") == "And now?"


def test_a_refused_film_says_why_at_the_door_and_before_the_draft(strict: Reader, tiny_films: list[Path]) -> None:
    page = strict.page
    page.click("#first-upload")
    page.set_input_files("#files", tiny_films[4])
    page.click("#adding button.main")
    page.wait_for_selector(".received li")
    words = page.inner_text(".received li")
    assert "refused by the input gate" in words
    assert len(words.partition("gate.")[2].split()) > 3, "the reason is told in words"
    page.click("#adding [value=no]")
    assert "no draft can be written" in page.inner_text("#gate")
    strict.expected = "422"
    page.keyboard.press("d")
    page.wait_for_selector("#warnings >> text=The input gate refused every film of the study.")
    page.wait_for_selector(".study[data-state=refused][aria-current=true]")
    assert page.query_selector(".sentence") is None


def test_what_is_no_film_is_told_and_nothing_is_added(strict: Reader, tmp_path: Path) -> None:
    page = strict.page
    assert "No studies yet" in page.inner_text("#first-run")
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    strict.expected = "422"
    page.keyboard.press("u")
    page.set_input_files("#files", tmp_path / "letter.dcm")
    page.click("#adding button.main")
    page.wait_for_selector("#adding .trouble >> text=letter.dcm:")
    page.keyboard.press("Escape")
    assert page.is_visible("#first-run")


def test_many_films_come_in_and_a_bad_one_keeps_no_other_out(
    reader: Reader, tiny_films: list[Path], tmp_path: Path
) -> None:
    page = reader.page
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    reader.expected = "422"
    before = reader.server.room.store.worklist()[1]
    page.keyboard.press("u")
    page.set_input_files("#files", [tiny_films[0], tmp_path / "letter.dcm", *tiny_films])
    page.click("#adding button.main")
    page.wait_for_selector(".received")
    assert page.locator(".received li").count() == 9
    assert page.inner_text("#adding .trouble").startswith("letter.dcm: ")
    assert reader.server.room.store.worklist()[1] - before == 9


def test_a_draft_that_is_cut_off_is_told_and_written_again(
    server: Server, browser: "Browser", tiny_films: list[Path]
) -> None:
    with wired(server.url) as wire, sitting(browser, Server(wire.url, server.room)) as reader:
        reader.open()
        reader.upload(tiny_films[5])
        reader.expected = "net::ERR_"
        before = len(server.room.store.study(reader.study_id).drafts)
        wire.cut_at(b'data: {"text"')
        page = reader.page
        page.keyboard.press("d")
        page.wait_for_selector("#warnings >> text=The reading room cannot be reached. Nothing you wrote is lost")
        reader.write("Written while nobody answers.")
        page.keyboard.press("Control+s")
        page.wait_for_selector("#text-state[data-state=trouble]")
        wire.mend()
        page.keyboard.press("Control+s")
        page.wait_for_selector("#text-state[data-state=saved]")
        page.keyboard.press("Escape")
        page.keyboard.press("d")
        page.wait_for_selector(".sentence")
        assert page.input_value("#text") == "Written while nobody answers."
        assert len(server.room.store.study(reader.study_id).drafts) - before in (1, 2)


def test_a_thousand_studies_scroll_and_are_found(browser: "Browser", tmp_path: Path) -> None:
    with served(room_config(tmp_path / "full")) as running, sitting(browser, running) as reader:
        with running.room.store.writing() as session:
            for number in range(1000):
                row = StudyRow(
                    id=f"{number:032x}", origin="test", patient_id=f"P{number}", patient_name=f"Doe^N{number}"
                )
                row.images = [ImageRow(position=0, path="none.png", sha256="", height_px=1, width_px=1)]
                session.add(row)
        # Films that are not there are the test's own doing.
        reader.expected = "the server responded with a status of"
        reader.open()
        page = reader.page
        assert page.locator(".study").count() < 200
        for _ in range(40):
            if page.locator(".study").count() >= 1000:
                break
            shown = page.locator(".study").count()
            page.eval_on_selector("#studies", "(list) => list.scrollTo(0, list.scrollHeight)")
            page.wait_for_function("(was) => document.querySelectorAll('.study').length > was", arg=shown)
        assert page.locator(".study").count() == 1000
        kept = page.evaluate_handle("document.querySelector('.study:not([aria-current])')")
        page.evaluate("document.querySelector('#search').dispatchEvent(new Event('input'))")
        page.keyboard.press("/")
        page.keyboard.type("n777")
        page.wait_for_function("() => document.querySelectorAll('.study').length === 1")
        assert "Doe, N777" in page.inner_text(".study")
        assert kept.evaluate("(line) => line.isConnected") is False
        page.keyboard.press("Escape")


def test_the_next_study_is_the_one_below_even_after_the_signed_one_has_left_the_list(
    reader: Reader, tiny_films: list[Path]
) -> None:
    page = reader.page
    for film in tiny_films[5:8]:
        reader.upload(film)
        reader.draft()
    page.click("#states [data-state=drafted]")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.study')].every((one) => one.dataset.state === 'drafted')"
    )
    listed = page.eval_on_selector_all(".study", "(all) => all.map((one) => one.dataset.study)")
    reader.choose(listed[1])
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#signing")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f'.study[data-study="{listed[2]}"][aria-current=true]')
    assert reader.server.room.store.study(listed[1]).state == "signed"
    assert page.query_selector(f'[data-study="{listed[1]}"]') is None
