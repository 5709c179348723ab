"""The pages for every kind of sight and hand, and on every screen: axe-core's rules, and that nothing is cut off."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fixtures.accessibility import violations
from tests.fixtures.browser import NEEDS_BROWSER, sitting
from tests.fixtures.dicom_files import write_film
from tests.fixtures.drift_told import DRIFT
from tests.fixtures.reading_room import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER
THEMES = ("dark", "light")
SCREENS = {"small": (1024, 768, 1.0), "zoomed": (1536, 864, 1.25), "large": (1920, 1080, 1.0)}
CUT_OFF = """() => ["body", "main", "#worklist", "#states", "#film-tools", "#report", "#draft", "#own", "#panel"]
  .filter((name) => {
    const one = document.querySelector(name);
    return one && one.scrollWidth > one.clientWidth + 1;
  })"""
OVERLAPS = """() => {
  const scrolls = (one) => one.closest("#studies, #report");
  const all = [...document.querySelectorAll("button, input, select, textarea, h2, .unverified")]
    .filter((one) => one.checkVisibility() && !one.closest("dialog, .search, #first-run"))
    .map((one) => [one, one.getBoundingClientRect()]);
  return all.flatMap(([one, a], number) => all.slice(number + 1)
    .filter(([other, b]) => !one.contains(other) && scrolls(one) === scrolls(other)
      && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(([other]) => [one.textContent, other.textContent]));
}"""


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_the_reading_room(
    server: Server, browser: "Browser", tiny_films: list[Path], theme: str
) -> None:
    with sitting(browser, server, color_scheme=theme) as reader:
        reader.open()
        page = reader.page
        reader.upload(tiny_films[0], indication="Cough.")
        reader.draft()
        page.keyboard.press("n")
        page.wait_for_selector(".faithfulness")
        reader.write("Another text.")
        assert violations(page) == []
        if theme == "light":
            # Its colours are looked at; all else is that of the dark room.
            return
        for key in ("s", "a", "y"):
            page.keyboard.press("Escape")
            page.keyboard.press(key)
            page.wait_for_selector("#panel:not(:has(.busy))")
            assert violations(page) == [], key
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#signing")
        assert violations(page) == []


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_the_dashboard(server: Server, browser: "Browser", theme: str) -> None:
    with sitting(browser, server, color_scheme=theme) as reader:
        reader.page.route("**/api/drift", lambda route: route.fulfill(json=DRIFT))
        day = {"model": "m", "checkpoint_digest": "c" * 64, "num_unchanged": 1, "edit_distance_mean": 0.1}
        days = [
            {**day, "day": f"2026-01-0{number}", "num_signed": 3, "edit_distance_median": 0.1, "num_timed": 2,
             "reading_s_median": 60.0} for number in (1, 2)
        ]  # fmt: skip
        reader.page.route("**/api/statistics*", lambda route: route.fulfill(json=days))
        reader.open("/dashboard", "#statistics[aria-busy=false] ~ #drift[aria-busy=false]")
        reader.page.click("summary >> nth=0")
        assert violations(reader.page) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_cut_off_or_overlaps(server: Server, browser: "Browser", tmp_path: Path, screen: str) -> None:
    width, height, ratio = SCREENS[screen]
    films = [
        write_film(tmp_path / f"{year}.dcm", width + year, PatientID=f"LAYOUT {screen}", StudyDate=f"{year}0101")
        for year in (2024, 2025)
    ]
    size = {"width": width, "height": height}
    with sitting(browser, server, viewport=size, device_scale_factor=ratio) as reader:
        reader.open()
        page = reader.page
        for film in films:
            reader.upload(film)
        reader.shown()
        reader.draft()
        page.keyboard.press("n")
        page.wait_for_selector(".faithfulness")
        assert (page.evaluate(CUT_OFF), page.evaluate(OVERLAPS)) == ([], [])
        page.keyboard.press("c")
        page.wait_for_selector("[data-pane=prior] canvas[data-image]:not([aria-busy])")
        assert (page.evaluate(CUT_OFF), page.evaluate(OVERLAPS)) == ([], [])
