"""The dashboard as a browser shows it: figures of a real store, and the drift that the API tells."""

from datetime import timedelta
from typing import Any

from tests.fixtures.browser import NEEDS_BROWSER, Reader
from tests.fixtures.drift_told import DRIFT

from radlet.reading.store.store import NewFilm, NewStudy, Store
from radlet.reading.store.tables import DraftRow, SignatureRow, now

pytestmark = NEEDS_BROWSER
DRAFT = "The heart is normal. The lungs are clear."
SIGNED = (
    # Days ago, model, signed text, seconds.
    (3, "first", DRAFT, 40.0),
    (2, "first", "The heart is enlarged. The lungs are clear.", 60.0),
    (2, "second", DRAFT, 30.0),
    (1, "second", DRAFT, None),
)


def sign(store: Store, number: int, days: int, model: str, text: str, reading_s: float | None) -> None:
    study_id, image_id, _ = store.add_film(NewStudy("test", study_uid=f"1.{number}"), NewFilm(b"x", ".png", 1, 1), "t")
    draft = DraftRow(
        study_id=study_id, image_id=image_id, text=DRAFT, model=model, checkpoint_digest=model * 8,
        image_path_digest="i", engine="transformers", prompt="", sampling={}, radlet_version="0", gate={}, seconds=1.0,
    )  # fmt: skip
    store.add_draft(draft, "t")
    signature = store.sign(study_id, text, "anna", reading_s)
    with store.writing() as session:
        session.get_one(SignatureRow, signature.id).signed_at = now() - timedelta(days=days)


def told(seat: Reader, drift: dict[str, Any] | None) -> None:
    if drift:
        seat.page.route("**/api/drift", lambda route: route.fulfill(json=drift))
    seat.open("/dashboard", "#statistics[aria-busy=false] ~ #drift[aria-busy=false]")


def test_before_anything_is_signed_words_say_what_will_be_shown(seat: Reader) -> None:
    told(seat, None)
    assert "Nothing was signed" in seat.page.inner_text("#by-day")
    assert "radlet drift reference" in seat.page.inner_text("#drift-told")


def test_edits_and_times_are_drawn_by_day_and_model_and_read_by_keyboard(seat: Reader) -> None:
    for number, signed in enumerate(SIGNED):
        sign(seat.server.room.store, number, *signed)
    told(seat, DRIFT)
    page = seat.page
    assert page.locator("#numbers strong").all_inner_texts() == ["4", "75 %", "3 %", "3"]
    assert page.locator(".legend li").all_inner_texts() == ["first · firstfir", "second · secondse"]
    assert page.locator("#by-day .chart").count() == 3
    page.focus(".chart >> nth=0")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert "second · secondse: half of 1 report had at most 0 %" in page.inner_text(".readout >> nth=0")
    page.click("#by-day summary >> nth=1")
    rows = page.locator("#by-day figure >> nth=1").locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[1] for row in rows] == ["first · firstfir", "first · firstfir", "second · secondse"]
    page.select_option("#days", "30")
    page.wait_for_selector("#statistics[aria-busy=false]")
    assert page.locator("#numbers strong").all_inner_texts()[0] == "4"


def test_alarms_are_told_in_words_by_scanner_and_measure(seat: Reader) -> None:
    told(seat, DRIFT)
    page = seat.page
    assert "1 alarm over 240 films of all scanners: mean grey." in page.inner_text(".verdict")
    assert "alarm, index 0.410, limit 0.120" in page.inner_text("[data-measure=mean_grey]")
    assert "mean grey: seen against expected" in page.inner_text("#distribution")
    page.focus('[data-measure="Pleural Effusion"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("#distribution >> text=Pleural Effusion")
    page.focus("#distribution .chart")
    page.keyboard.press("Home")
    assert page.inner_text("#distribution .readout") == "present: expected 20 %, seen 25 %"
    page.select_option("#scanner", "1")
    assert "Too few films of Maker Model to tell (3)" in page.inner_text(".verdict")
    assert page.query_selector("[data-measure]") is None
