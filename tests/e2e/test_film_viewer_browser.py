"""The film as a reader's hands know it: moved, zoomed, windowed, measured; by mouse, keys and fingers; large."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fixtures.browser import NEEDS_BROWSER, Reader, sitting
from tests.fixtures.dicom_files import write_film
from tests.fixtures.reading_room import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = NEEDS_BROWSER
CANVAS = "[data-pane=own] canvas"
GREY_AT = """(canvas, [x, y]) => {
  const ratio = devicePixelRatio;
  return canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data[0];
}"""
LIT = """(canvas) => {
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const lit = [];
  for (let place = 0; place < data.length; place += 4) if (data[place + 3]) lit.push(place / 4);
  const columns = lit.map((place) => place % width);
  const rows = lit.map((place) => Math.floor(place / width));
  const end = (all, better) => all.reduce((one, other) => (better(one, other) ? one : other));
  const [less, more] = [(a, b) => a < b, (a, b) => a > b];
  return [end(columns, less), end(rows, less), end(columns, more), end(rows, more)];
}"""
"""The box of the film on the canvas: left, top, right, bottom; all around it nothing is drawn."""


@pytest.fixture
def reader(seat: Reader) -> Reader:
    # Said of the tests' own reading of the canvas.
    seat.expected = "willReadFrequently"
    seat.open()
    return seat


def windowed(path: Path, number: int, size_px: int = 64, **tags: str) -> Path:
    """Write a film whose header names a window."""
    return write_film(path, number, size_px, **{"WindowCenter": "2048", "WindowWidth": "4096", **tags})


def box(reader: Reader) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the film on its canvas."""
    reader.page.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    left, top, right, bottom = reader.page.eval_on_selector(CANVAS, LIT)
    return left, top, right, bottom


def middle(reader: Reader) -> tuple[float, float]:
    """Return the middle of the film's canvas on the page."""
    place = reader.page.locator(CANVAS).bounding_box()
    assert place is not None
    return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2


def drag(reader: Reader, across: int, down: int, button: str = "left") -> None:
    """Drag over the film, from the middle of its canvas."""
    x, y = middle(reader)
    mouse = reader.page.mouse
    mouse.move(x, y)
    mouse.down(button="middle" if button == "middle" else "right" if button == "right" else "left")
    mouse.move(x + across, y + down, steps=5)
    mouse.up(button="middle" if button == "middle" else "right" if button == "right" else "left")


def view(reader: Reader, pane: str = "own") -> str:
    return reader.page.inner_text(f"#{pane}-view")


def zoom(reader: Reader) -> int:
    found = re.search(r"zoom (\d+) %", view(reader))
    assert found is not None
    return int(found[1])


def look_at(reader: Reader, film: Path) -> None:
    """Put a film on the worklist and wait until it is shown."""
    reader.upload(film)
    reader.shown()


@pytest.mark.parametrize(("way", "seed"), [("tool", 80), ("middle button", 81), ("shift", 82)])
def test_a_film_is_moved_by_as_much_as_the_hand(reader: Reader, tmp_path: Path, way: str, seed: int) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", seed, PatientID=way, size_px=100))
    page = reader.page
    page.keyboard.press("1")
    before = box(reader)
    assert before[2] - before[0] == 99
    if way == "tool":
        page.keyboard.press("v")
        drag(reader, 40, -30)
    elif way == "middle button":
        drag(reader, 40, -30, "middle")
    else:
        page.keyboard.down("Shift")
        drag(reader, 40, -30)
        page.keyboard.up("Shift")
    assert box(reader) == (before[0] + 40, before[1] - 30, before[2] + 40, before[3] - 30)
    assert "window 4095 / 2048" in view(reader), "moving leaves the window alone"


def test_a_film_is_moved_and_zoomed_by_keys(reader: Reader, tmp_path: Path) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", 61, PatientID="KEYS", size_px=100))
    page = reader.page
    page.keyboard.press("1")
    for _ in range(4):
        page.keyboard.press("+")
    whole = box(reader)
    page.focus(CANVAS)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    moved = box(reader)
    assert (moved[0] < whole[0], moved[1] < whole[1]) == (True, True), "one looks further right and down"
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert box(reader) == whole
    page.keyboard.press("1")
    page.keyboard.press("=")
    assert zoom(reader) == 125, "the key of + without Shift"
    page.keyboard.press("+")
    assert zoom(reader) == 156
    for _ in range(2):
        page.keyboard.press("-")
    assert zoom(reader) == 100
    page.keyboard.press("f")
    canvas = page.locator(CANVAS).bounding_box()
    assert canvas is not None
    left, top, right, bottom = box(reader)
    assert max(right - left + 1 - canvas["width"], bottom - top + 1 - canvas["height"]) == pytest.approx(0, abs=2)


def test_a_film_cannot_be_moved_out_of_sight(reader: Reader, tmp_path: Path) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", 62, PatientID="LOST", size_px=100))
    page = reader.page
    for _ in range(12):
        page.keyboard.press("+")
    page.keyboard.press("v")
    for _ in range(12):
        drag(reader, 300, 200)
    left, top, right, bottom = box(reader)
    canvas = page.locator(CANVAS).bounding_box()
    assert canvas is not None
    assert (right - left > canvas["width"] / 3, bottom - top > canvas["height"] / 3) == (True, True)


def test_what_lies_under_the_pointer_stays_there_when_the_wheel_zooms(reader: Reader, tmp_path: Path) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", 63, PatientID="WHEEL", size_px=100))
    page = reader.page
    page.keyboard.press("1")
    left, top, _, _ = box(reader)
    canvas = page.locator(CANVAS).bounding_box()
    assert canvas is not None
    # The upper left corner of the film lies under the pointer.
    page.mouse.move(canvas["x"] + left, canvas["y"] + top)
    for _ in range(4):
        page.mouse.wheel(0, -120)
    assert zoom(reader) > 180
    now = box(reader)
    assert now[:2] == pytest.approx((left, top), abs=1)


def test_two_fingers_zoom_and_move(server: Server, browser: "Browser", tmp_path: Path) -> None:
    with sitting(browser, server, has_touch=True) as reader:
        reader.expected = "willReadFrequently"
        reader.open()
        look_at(reader, windowed(tmp_path / "film.dcm", 64, PatientID="TOUCH", size_px=100))
        reader.page.keyboard.press("m")
        x, y = middle(reader)
        before = zoom(reader)
        session = reader.page.context.new_cdp_session(reader.page)

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x + across, "y": y + down, "id": number} for number, (across, down) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", (-50, 0))
        touch("touchStart", (-50, 0), (50, 0))
        touch("touchMove", (-75, 0), (75, 0))
        touch("touchMove", (-100, 0), (100, 0))
        touch("touchEnd")
        assert zoom(reader) == pytest.approx(2 * before, rel=0.03)
        assert "window 4095 / 2048" in view(reader)
        assert "px" not in view(reader).replace("size of a pixel", ""), "no measure is left of the first finger"
        # Zoomed in, the film fills the canvas; its greys tell where it is.
        at = [x - reader.page.locator(CANVAS).bounding_box()["x"], 300]  # type: ignore[index]
        grey = reader.page.eval_on_selector(CANVAS, GREY_AT, at)
        touch("touchStart", (-50, 0), (50, 0))
        for step in range(1, 6):
            touch("touchMove", (-50, 10 * step), (50, 10 * step))
        touch("touchEnd")
        box(reader)
        assert abs(reader.page.eval_on_selector(CANVAS, GREY_AT, [at[0], at[1] + 50]) - grey) <= 12
        assert zoom(reader) == pytest.approx(2 * before, rel=0.03)


def test_a_double_click_fits_then_gives_the_screen_to_the_film(reader: Reader, tmp_path: Path) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", 65, PatientID="ALONE", size_px=100))
    page = reader.page
    page.keyboard.press("1")
    page.dblclick(CANVAS)
    fitted = zoom(reader)
    assert fitted > 400
    assert page.is_visible("#report")
    page.dblclick(CANVAS)
    assert [page.is_visible(one) for one in ("#worklist", "#report")] == [False, False]
    canvas = page.locator(CANVAS).bounding_box()
    assert canvas is not None
    assert canvas["width"] == 1440
    page.wait_for_function(
        "(was) => Number(/zoom (\\d+)/.exec(document.querySelector('#own-view').textContent)[1]) > was", arg=fitted
    )
    page.keyboard.press("Escape")
    assert [page.is_visible(one) for one in ("#worklist", "#report")] == [True, True]
    page.keyboard.press("z")
    assert not page.is_visible("#report")
    page.keyboard.press("e")
    assert page.is_visible("#report"), "whoever wants to write sees the text"
    assert page.evaluate("document.activeElement.id") == "text"


def test_the_worklist_can_be_folded_away_and_stays_so(reader: Reader, tiny_films: list[Path]) -> None:
    look_at(reader, tiny_films[0])
    page = reader.page
    page.keyboard.press("q")
    assert not page.is_visible("#worklist")
    assert page.is_visible("#report")
    page.reload()
    page.wait_for_selector("#draft .head")
    assert not page.is_visible("#worklist")
    page.keyboard.press("/")
    assert page.is_visible("#worklist"), "whoever searches sees the list"
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Escape")
    page.click("#fold")
    assert not page.is_visible("#worklist")
    page.click("#fold")
    assert page.is_visible("#worklist")


def test_two_films_take_the_worklists_room_where_it_is_narrow(
    server: Server, browser: "Browser", tmp_path: Path
) -> None:
    days = ("20250101", "20260101")
    films = [windowed(tmp_path / f"{day}.dcm", 66 + number, PatientID="ROOM", PatientName="Room^Rita", StudyDate=day)
             for number, day in enumerate(days)]  # fmt: skip
    with sitting(browser, server, viewport={"width": 1024, "height": 768}) as reader:
        reader.open()
        for film in films:
            look_at(reader, film)
        page = reader.page
        page.keyboard.press("c")
        page.wait_for_selector("[data-pane=prior] canvas[data-image]:not([aria-busy])")
        assert not page.is_visible("#worklist")
        widths = page.eval_on_selector_all("[data-pane] canvas", "(all) => all.map((one) => one.clientWidth)")
        assert min(widths) > 300
        assert all(line.startswith("Room, Rita · ") for line in page.locator("figcaption").all_inner_texts()[:2])
        page.keyboard.press("c")
        assert page.is_visible("#worklist")


def test_each_preset_spreads_its_part_of_the_greys(reader: Reader, tmp_path: Path) -> None:
    look_at(reader, windowed(tmp_path / "film.dcm", 68, PatientID="PRESETS", size_px=100))
    page = reader.page
    windows = {}
    for key in ("2", "3", "4"):
        page.keyboard.press(key)
        found = re.search(r"window (\d+) / (\d+)", view(reader))
        assert found is not None
        windows[key] = (int(found[1]), int(found[2]))
    assert windows["2"][1] < windows["4"][1] < windows["3"][1], "dark, all, bright: by their middles"
    assert max(windows["2"][0], windows["3"][0]) < windows["4"][0], "a part is narrower than the whole"
    page.keyboard.press("r")
    assert "window 4095 / 2048" in view(reader)


def test_window_and_measures_of_a_film_are_there_when_it_comes_back(reader: Reader, tmp_path: Path) -> None:
    uids = {"StudyInstanceUID": "1.2.3.4", "PatientID": "BACK", "PixelSpacing": "0.5\\0.5"}
    films = [windowed(tmp_path / f"{number}.dcm", 70 + number, size_px=100, **uids) for number in range(2)]
    for film in films:
        look_at(reader, film)
    page = reader.page
    drag(reader, -100, 0)
    page.keyboard.press("m")
    drag(reader, 0, 60)
    drag(reader, 120, 0)
    assert "ratio 0.50" in view(reader), "heart to thorax, say"
    told = view(reader)
    first = page.get_attribute(CANVAS, "data-image")
    page.keyboard.press("x")
    page.wait_for_function(
        "([canvas, was]) => document.querySelector(canvas).dataset.image !== was", arg=[CANVAS, first]
    )
    assert "window 4095 / 2048" in view(reader)
    assert "mm" not in view(reader)
    page.keyboard.press("x")
    page.wait_for_function(
        "([canvas, was]) => document.querySelector(canvas).dataset.image === was", arg=[CANVAS, first]
    )
    assert view(reader) == told


def test_a_measure_being_drawn_ends_when_all_are_taken_off_or_another_film_comes(
    reader: Reader, tmp_path: Path
) -> None:
    uids = {"StudyInstanceUID": "1.2.3.5", "PatientID": "HALF", "PixelSpacing": "0.5\\0.5"}
    for number in range(2):
        look_at(reader, windowed(tmp_path / f"{number}.dcm", 74 + number, size_px=100, **uids))
    page = reader.page
    page.keyboard.press("m")
    drag(reader, 0, 60)
    told = view(reader)
    assert told.endswith("mm")
    x, y = middle(reader)
    first = page.get_attribute(CANVAS, "data-image")
    for key in ("x", "x", "Delete"):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y)
        before = page.get_attribute(CANVAS, "data-image")
        page.keyboard.press(key)
        if key == "x":
            page.wait_for_function(
                "([canvas, was]) => document.querySelector(canvas).dataset.image !== was", arg=[CANVAS, before]
            )
        page.mouse.move(x + 90, y + 40)
        page.mouse.up()
        if key == "Delete" or page.get_attribute(CANVAS, "data-image") != first:
            assert "mm" not in view(reader)
        else:
            assert view(reader) == told, "the finished measure is as it was"


def test_a_film_says_that_it_is_on_its_way_and_when_it_does_not_come(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route("**/values", hold)
    reader.upload(windowed(tmp_path / "film.dcm", 73, PatientID="SLOW", size_px=64))
    page.wait_for_selector("#own-view >> text=The film is being loaded")
    reader.expected = "net::ERR"
    for route in held:
        route.abort()
    page.wait_for_selector("#own-view >> text=The film could not be loaded.")
    page.unroute("**/values")
    page.click("#warnings button >> text=Try again")
    page.wait_for_selector("#own-view >> text=zoom")


def test_keys_answer_with_caps_lock_on_and_say_why_they_do_nothing(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    look_at(reader, tiny_films[1])
    page.keyboard.press("I")
    assert "inverted" in view(reader)
    for key, words in (
        ("c", "No other study of this patient is here."),
        ("x", "This study has no other film."),
        ("n", "No draft yet"),
        ("o", "This report is not signed"),
        ("Control+s", "Nothing to save"),
    ):
        page.keyboard.press(key)
        page.wait_for_selector(f"#passing >> text={words}")


def test_a_film_that_joins_the_open_study_can_be_chosen_and_is_judged(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    uids = {"StudyInstanceUID": "1.2.3.9", "PatientID": "JOINS"}
    look_at(reader, windowed(tmp_path / "1.dcm", 280, **uids))
    assert page.query_selector("#film-choice button") is None
    second = windowed(tmp_path / "2.dcm", 281, **uids)
    # As from an archive: the page is not told, but asks.
    answer = page.request.post(f"{reader.server.url}/api/studies", multipart={
        "films": {"name": "film", "mimeType": "application/dicom", "buffer": second.read_bytes()}})  # fmt: skip
    assert answer.status == 201
    with page.expect_request("**/gate"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => document.querySelectorAll('#film-choice button').length === 2")


def test_presets_of_linked_films_go_by_the_greys_of_each_and_buttons_by_the_hand(
    reader: Reader, tmp_path: Path
) -> None:
    page = reader.page
    ids = {"PatientID": "TWO", "PatientName": "Two^Tom"}
    windows = (("20250101", "4096"), ("20260101", "65536"))
    for number, (date, width) in enumerate(windows):
        tags = {**ids, "StudyDate": date, "WindowCenter": "2048", "WindowWidth": width}
        look_at(reader, windowed(tmp_path / f"{date}.dcm", 284 + number, **tags))
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior] canvas[data-image]:not([aria-busy])")
    page.keyboard.press("4")
    told = [re.search(r"window (\d+)", page.inner_text(f"#{pane}-view")) for pane in ("own", "prior")]
    # Of noise over all twelve bits, whatever window the headers name.
    assert [one is not None and 3900 < int(one[1]) < 4100 for one in told] == [True, True], told
    page.keyboard.press("l")
    page.click("[data-pane=prior] canvas")
    page.click("#film-tools button:has-text('Invert')")
    assert "inverted" in page.inner_text("#prior-view")
    assert "inverted" not in page.inner_text("#own-view")
