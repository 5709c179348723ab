"""The reading room as a reader meets it: Chromium against the real server, under a strict content security policy."""

import re
from pathlib import Path

import pytest
from tests.fixtures.browser import NEEDS_BROWSER, Reader
from tests.fixtures.dicom_files import write_film

pytestmark = NEEDS_BROWSER
PIXELS = "(canvas) => canvas.toDataURL()"


def test_a_film_from_upload_to_signature(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[0], indication="Cough.")
    assert "Cough." in page.inner_text("#patient")
    assert "passed the input gate" in page.inner_text("#gate")
    draft = reader.draft()
    assert "not verified" in page.inner_text("#draft")
    assert page.input_value("#text") == draft
    reader.write(f"{draft} The lungs are clear.")
    page.wait_for_selector("#changes ins")
    assert page.inner_text("#changes ins").strip() == "The lungs are clear."
    assert "4 words added, 0 removed" in page.inner_text("#changes")
    page.keyboard.press("Control+s")
    page.wait_for_selector("#text-state[data-state=saved]")
    page.wait_for_selector(".study[aria-current=true][data-state=edited]")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#signing ins")
    page.keyboard.press("Enter")
    page.wait_for_selector(".report-text.signed")
    assert page.inner_text(".signature").startswith("Signed by local,")
    assert page.query_selector("#text") is None
    study = reader.server.room.store.study(page.url.partition("=")[2])
    assert study.signatures[-1].text == f"{draft} The lungs are clear."
    page.keyboard.press("o")
    page.wait_for_selector("#text")
    assert page.input_value("#text").endswith("The lungs are clear.")


def test_a_draft_streams_in(reader: Reader, tiny_films: list[Path]) -> None:
    reader.upload(tiny_films[1])
    reader.page.evaluate(
        """() => { window.seen = new Set(); new MutationObserver(() => {
            const now = document.querySelector("#draft .streaming"); if (now?.textContent) seen.add(now.textContent);
        }).observe(document.querySelector("#draft"), { subtree: true, childList: true, characterData: true }); }"""
    )
    draft = reader.draft()
    seen = reader.page.evaluate("[...seen]")
    assert len(seen) > 1
    assert all(draft.startswith(one.strip()) for one in seen)
    assert "not verified" in reader.page.text_content("#said")


def test_a_sentence_lays_its_map_over_the_film(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[2])
    reader.draft()
    canvas = page.query_selector("[data-pane=own] canvas")
    # Said of the test's own reading of the canvas.
    reader.expected = "willReadFrequently"
    bare = canvas.evaluate(PIXELS)
    page.hover(".sentence >> nth=0")
    page.wait_for_selector(".faithfulness")
    told = page.inner_text(".faithfulness")
    assert re.match(r"Faithfulness [+−]\d\.\d\d, (strong|moderate|weak|none|contrary)$", told)
    page.wait_for_selector("[data-pane=own] .badge:not([hidden])")
    page.wait_for_function("([canvas, was]) => canvas.toDataURL() !== was", arg=[canvas, bare])
    page.hover("#patient")
    page.wait_for_selector("[data-pane=own] .badge", state="hidden")
    page.wait_for_function("([canvas, was]) => canvas.toDataURL() === was", arg=[canvas, bare])
    page.keyboard.press("n")
    page.wait_for_selector(".sentence[aria-pressed=true]")
    page.wait_for_selector("[data-pane=own] .badge:not([hidden])")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-pane=own] .badge", state="hidden")


def test_what_is_not_saved_survives_a_reload_and_a_failed_save(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[3])
    reader.write("Clear lungs.")
    # Long before it is wanted: a request right after may get past a route that is just being laid.
    refusal = {"status": 503, "json": {"error": {"message": "The service is stopping."}}}
    page.route("**/report", lambda route: route.fulfill(**refusal))
    page.reload()
    page.wait_for_selector("#text-state[data-state=waiting]")
    assert page.input_value("#text") == "Clear lungs."
    reader.expected = "503"
    page.keyboard.press("Control+s")
    page.wait_for_selector("#text-state[data-state=trouble]")
    assert "Nothing you wrote is lost" in page.inner_text("#warnings")
    page.unroute("**/report")
    page.click("#warnings button >> text=Try again")
    page.wait_for_selector("#text-state[data-state=saved]")
    page.reload()
    page.wait_for_selector("#text-state[data-state=saved]")
    assert page.input_value("#text") == "Clear lungs."


def test_a_full_line_is_waited_for(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    full = {"status": 429, "headers": {"Retry-After": "4"}, "json": {"error": {"message": "The line is full."}}}
    page.route("**/draft", lambda route: route.fulfill(**full), times=1)
    reader.upload(tiny_films[4])
    reader.expected = "429"
    page.keyboard.press("d")
    page.wait_for_selector(".going >> text=Trying again in")
    page.wait_for_selector(".sentence")


def test_the_day_of_a_reader_by_keyboard(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(*tiny_films[5:7])
    page.wait_for_function("() => document.querySelectorAll('#studies .study').length >= 2")
    first = page.url
    page.keyboard.press("j")
    page.wait_for_function("(was) => location.href !== was", arg=first)
    page.keyboard.press("k")
    page.wait_for_function("(was) => location.href === was", arg=first)
    view = page.locator("#own-view")
    reader.shown()
    page.keyboard.press("i")
    assert "inverted" in view.inner_text()
    page.keyboard.press("1")
    assert "zoom 100 %" in view.inner_text()
    page.keyboard.press("?")
    page.wait_for_selector("#key-help[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#key-help", state="detached")
    page.keyboard.press("t")
    page.wait_for_selector("html[data-theme=light]")
    page.keyboard.press("e")
    page.keyboard.type("j")
    assert (page.input_value("#text"), page.url) == ("j", first)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("zzz")
    page.wait_for_selector("#studies .empty")


def test_a_name_stays_on_the_page_and_a_length_is_in_mm(reader: Reader, tmp_path: Path) -> None:
    page = reader.page
    write_film(tmp_path / "film.dcm", 1, PatientName="Doe^Jane", PatientID="77")
    content = [*(tmp_path / "film.dcm").read_bytes()]
    # As a browser does it when somebody lets go of a file over the page.
    page.evaluate(
        """(content) => { const held = new DataTransfer();
        held.items.add(new File([new Uint8Array(content)], "film.dcm"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true })); }""",
        content,
    )
    page.wait_for_selector("#adding")
    assert "1 film: film.dcm" in page.inner_text("#adding")
    page.click("#adding button.main")
    page.wait_for_selector("#patient h2 >> text=Doe, Jane")
    assert "Doe" not in page.title() + page.url
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    box = page.locator("[data-pane=own] canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2)
    page.mouse.up()
    spacing = reader.server.room.store.study(page.url.partition("=")[2]).images[0].spacing_mm
    assert (" mm" if spacing else " px") in page.inner_text("#own-view")


def test_paper_says_who_answers_for_it(reader: Reader, tiny_films: list[Path]) -> None:
    page = reader.page
    reader.upload(tiny_films[7])
    reader.draft()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.inner_text("#print .stamp") == "AI DRAFT — NOT VERIFIED"
    assert "Nobody has signed this text." in page.inner_text("#print")
    assert not page.is_visible("#draft")


def test_a_diff_leads_from_one_text_to_the_other(reader: Reader) -> None:
    texts = [
        "",
        "The heart is enlarged.",
        "The heart is not enlarged. Clear lungs.",
        "  Clear,\nclear.",
        "Plèvre 3.5 cm",
    ]
    parts = reader.page.evaluate(
        """async (texts) => { const { changes } = await import("/static/diff.js");
        return texts.flatMap((one) => texts.map((other) => [one, other, changes(one, other)])); }""",
        texts,
    )
    for before, after, way in parts:
        assert "".join(part["text"] for part in way if part["kind"] != "added") == before
        assert "".join(part["text"] for part in way if part["kind"] != "removed") == after
    way = next(way for before, after, way in parts if (before, after) == (texts[1], texts[2]))
    assert [part["text"] for part in way if part["kind"] == "added"] == ["not ", ". Clear lungs"]


CONTRASTS = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  return [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest(":disabled")
    && [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())).map((one) => {
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))];
    return [one.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_stands_out_from_its_ground(reader: Reader, tiny_films: list[Path], theme: str) -> None:
    page = reader.page
    page.emulate_media(color_scheme=theme)
    reader.upload(tiny_films[0])
    reader.draft()
    page.wait_for_selector(f"html[data-theme={theme}]")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [one for one in contrasts if one[1] < 4.5] == []
