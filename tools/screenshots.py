"""Take the pictures of ``docs/reading-room.md``: plays a day in a running room, in Chromium, and photographs it.

Only for an empty room with a model trained on synthetic studies::

    radlet synthesize num_patients=36 --seed 7 --form dicom --out /tmp/films
    radlet drift reference demo/ --out /tmp/room.drift.json
    radlet serve demo/ --port 8199 --data-dir /tmp/room drift.reference=/tmp/room.drift.json
    python tools/screenshots.py http://127.0.0.1:8199 /tmp/films

The reader who is played knows the report that each film was drawn with. Where the rule labeller reads the same findings
from the draft, the draft is signed as it stands; else that report's findings are written in its place and signed.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydicom import dcmread

from radlet.data.labellers.rules import RuleLabeller
from radlet.data.sections import parse_sections

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
MOST_BYTES = 200_000
NUM_LEFT = 12
"""Patients at the head of the worklist whose newest study the day leaves unread, for the pictures."""
WAIT_MS = 120_000


def main() -> int:
    """Take all pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="Of the room, on this machine.")
    parser.add_argument("films", type=Path, help="Folder that `radlet synthesize --form dicom` wrote.")
    parser.add_argument(
        "--only", nargs="*", default=[], help="Names of pictures to take anew; the day is then not played."
    )
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    films = sorted(options.films.rglob("*.dcm"))
    if not films:
        sys.exit(f"{options.films} holds no .dcm file; make some with `radlet synthesize`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for name, width_px, height_px, theme, act in TOUR:
            if options.only and name not in options.only:
                continue
            page = browser.new_page(viewport={"width": width_px, "height": height_px}, color_scheme=theme)
            page.set_default_timeout(WAIT_MS)
            page.on("dialog", lambda dialog: dialog.accept())
            page.goto(options.url)
            page.wait_for_selector("#studies li")
            if name == TOUR[0][0] and not options.only:
                add(page, films)
                play(page, films, options.films / "reports.csv")
            act(page)
            page.wait_for_selector("#passing .notice", state="detached")
            page.wait_for_timeout(600)
            keep(page.screenshot(), name)
            page.close()
        browser.close()
    return 0


def keep(picture: bytes, name: str) -> None:
    """Write a picture with as many colours as the size that a page of documentation may have allows."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for num_colours in (256, 128, 64, 32):
        content = io.BytesIO()
        reduce(image, num_colours).save(content, "PNG", optimize=True)
        if content.tell() <= MOST_BYTES:
            break
    else:
        sys.exit(f"{name} takes {content.tell()} bytes; at most {MOST_BYTES} are kept.")
    (FOLDER / f"reading-room-{name}.png").write_bytes(content.getvalue())
    print(f"{name}: {content.tell() // 1000} kB, {num_colours} colours", flush=True)


def reduce(image: Image.Image, num_colours: int) -> Image.Image:
    """Return a picture with few colours, half of them for what is coloured: or a film's greys would take them all."""
    pixels = np.asarray(image).reshape(1, -1, 3)
    coloured = np.ptp(pixels.astype(np.int16), axis=2)[0] > 40
    shown: list[int] = []
    for part in (pixels[:, coloured], pixels[:, ~coloured]):
        if part.size:
            shown += (Image.fromarray(part).quantize(num_colours // 2).getpalette() or [])[: num_colours // 2 * 3]
    palette = Image.new("P", (1, 1))
    palette.putpalette(shown)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def add(page: Page, films: list[Path]) -> None:
    """Put films on the worklist."""
    page.keyboard.press("u")
    page.set_input_files("#files", films)
    page.click("#adding button.main")
    page.wait_for_selector("#adding .received, body:not(:has(#adding))")
    page.keyboard.press("Escape")


def open_study(page: Page, chosen: str) -> None:
    """Open a study by its address."""
    page.evaluate("(id) => { location.hash = `study=${id}`; }", chosen)
    # Not before: keys would go to the study that was open until now.
    page.wait_for_selector(f'.study[data-study="{chosen}"][aria-current=true]')
    page.wait_for_selector("#draft .head")


def play(page: Page, films: list[Path], reports: Path) -> None:
    """Draft all studies; correct and sign all but the newest ones of the first patients, which the pictures show."""
    labeller = RuleLabeller()
    with reports.open(newline="") as file:
        told = {row["StudyInstanceUID"]: row["report"] for row in csv.DictReader(file)}
    headers = [dcmread(film, stop_before_pixels=True) for film in films]
    true = {
        str(one.AccessionNumber): parse_sections(told[str(one.StudyInstanceUID)]).get("findings", "") for one in headers
    }
    listed = page.evaluate("async () => (await (await fetch('/api/studies?limit=200')).json()).studies")
    # A room of a demo has studies of its own.
    studies = [study for study in listed if study["accession_number"] in true]
    newest = {study["patient_id"]: study["id"] for study in reversed(studies)}
    left = list(dict.fromkeys(newest[study["patient_id"]] for study in studies))[:NUM_LEFT]
    unread = [study for study in studies if study["state"] != "signed"]
    for number, study in enumerate(unread):
        open_study(page, study["id"])
        page.keyboard.press("d")
        page.wait_for_selector(".sentence, #gate[data-passed=no]")
        if page.query_selector(".sentence") is None:
            page.wait_for_selector("#warnings .notice")
            page.keyboard.press("Escape")
            continue
        if study["id"] in left:
            continue
        draft, truth = page.input_value("#text"), true[study["accession_number"]]
        seen, wanted = labeller.label([draft, truth])
        if truth and seen != wanted:
            page.fill("#text", truth)
            page.wait_for_selector("#text-state[data-state=waiting]")
            page.keyboard.press("Escape")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#signing")
        page.keyboard.press("Enter")
        page.wait_for_selector(".report-text.signed")
        print(f"{number + 1} of {len(unread)} studies read", end="\r", flush=True)


CHOOSE = """async () => {
  const told = async (path) => (await fetch(path)).json();
  const { studies } = await told("/api/studies?limit=200");
  const before = (one) => studies.some((other) =>
    other.patient_id === one.patient_id && other.state === "signed" && other.study_date < one.study_date);
  const unread = studies.filter((one) => one.state !== "signed" && before(one));
  for (const one of unread) {
    const { drafts } = await told(`/api/studies/${one.id}`);
    const found = (drafts.at(-1)?.findings ?? []).filter((each) => each.state === "POSITIVE");
    if (found.some((each) => !["No Finding", "Support Devices"].includes(each.observation))) return one.id;
  }
  return unread[0].id;
}"""
"""The first unsigned study of a patient with an earlier signed one whose draft names a finding; else the first such."""


def with_priors(page: Page) -> None:
    """Open the study that the pictures show; draft it unless that was done."""
    page.wait_for_selector("#draft .head")
    chosen = page.evaluate(CHOOSE)
    open_study(page, chosen)
    if page.query_selector(".sentence, .signature") is None:
        page.keyboard.press("d")
        page.wait_for_selector(".sentence")


def first_sentence(page: Page) -> None:
    """Lay the first sentence's map over the film."""
    with_priors(page)
    page.keyboard.press("n")
    page.wait_for_selector(".faithfulness")


def comparison(page: Page) -> None:
    """Show the film of before beside the film of now."""
    with_priors(page)
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior] canvas:not([aria-busy])")


def edited(page: Page) -> None:
    """Change a word of the draft, and add a sentence."""
    with_priors(page)
    text = page.input_value("#text")
    page.fill("#text", f"{text.replace('The ', 'Both ', 1)} Compare with the earlier film.")
    page.keyboard.press("Escape")
    page.wait_for_selector("#changes ins")


def signing(page: Page) -> None:
    """Ask for the signature."""
    edited(page)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#signing")


def signed(page: Page) -> None:
    """Sign."""
    signing(page)
    page.keyboard.press("Enter")
    page.wait_for_selector(".report-text.signed")


def findings(page: Page) -> None:
    """Show every finding."""
    with_priors(page)
    page.click("#panel summary")
    page.eval_on_selector("#panels", "(panel) => panel.scrollIntoView()")


def similar(page: Page) -> None:
    """Show studies that look alike."""
    with_priors(page)
    page.keyboard.press("s")
    page.wait_for_selector(".similar, #panel .quiet")
    page.eval_on_selector("#panels", "(panel) => panel.scrollIntoView()")


def overtaken(page: Page) -> None:
    """Let a colleague save another text first, and compare both; nothing is chosen."""
    with_priors(page)
    text = page.input_value("#text")
    page.fill("#text", f"{text.replace('The ', 'Both ', 1)} Compare with the earlier film.")
    page.evaluate(
        """async (text) => { const headers = { "Content-Type": "application/json" };
        const path = `/api/studies/${location.hash.slice(7)}/report`;
        await fetch(path, { method: "PUT", headers, body: JSON.stringify({ text }) }); }""",
        f"{text} No acute fracture.",
    )
    page.keyboard.press("Control+s")
    page.wait_for_selector("#choosing")


def alone(page: Page) -> None:
    """Give the screen to two films, the dark part of their greys spread."""
    comparison(page)
    page.keyboard.press("2")
    page.keyboard.press("z")


def whole(page: Page) -> None:
    """Show worklist, film, draft, and the map to be believed most of those of sentences that name a finding."""
    with_priors(page)
    sentences = page.locator(".sentence")
    read = RuleLabeller().label(sentences.all_inner_texts())
    found = [{name for name, state in one.items() if state == "POSITIVE"} - {"No Finding"} for one in read]
    best = (-1.0, 0)
    for number in [number for number, names in enumerate(found) if names]:
        sentences.nth(number).click()
        page.wait_for_selector(f"#evidence h3 >> text=sentence {number + 1} of")
        best = max(best, (float(page.inner_text(".faithfulness").split()[1].rstrip(",").replace("−", "-")), number))
    page.keyboard.press("Escape")
    sentences.nth(best[1]).click()
    page.wait_for_selector(f"#evidence h3 >> text=sentence {best[1] + 1} of")


def refused(page: Page) -> None:
    """Add a film that is none of a chest: what the gate says of a spot of light."""
    across, down = np.meshgrid(np.linspace(-1, 1, 256), np.linspace(-1, 1, 256))
    content = io.BytesIO()
    Image.fromarray((255 * np.clip(1 - np.hypot(across, down), 0, 1)).astype(np.uint8)).save(content, "PNG")
    page.keyboard.press("u")
    page.set_input_files("#files", {"name": "spot.png", "mimeType": "image/png", "buffer": content.getvalue()})
    page.click("#adding button.main")
    page.wait_for_selector("#adding .received")
    page.keyboard.press("Escape")
    page.wait_for_selector("#gate[data-passed=no]")


def dashboard(page: Page) -> None:
    """Show the dashboard after the day."""
    page.goto(page.url.partition("#")[0] + "dashboard")
    page.wait_for_selector("#statistics[aria-busy=false] ~ #drift[aria-busy=false]")


def keys(page: Page) -> None:
    """Show the keys."""
    with_priors(page)
    page.keyboard.press("?")
    page.wait_for_selector("#key-help")


TOUR: tuple[tuple[str, int, int, Literal["dark", "light"], Callable[[Page], None]], ...] = (
    ("whole", 1600, 900, "dark", whole),
    ("draft", 1440, 900, "dark", with_priors),
    ("evidence", 1440, 900, "dark", first_sentence),
    ("prior", 1440, 900, "dark", comparison),
    ("alone", 1440, 900, "dark", alone),
    ("tall", 900, 1350, "dark", first_sentence),
    ("edit", 1440, 900, "dark", edited),
    ("findings", 1440, 900, "dark", findings),
    ("similar", 1440, 900, "light", similar),
    ("keys", 1440, 900, "dark", keys),
    ("sign", 1440, 900, "dark", signing),
    ("dashboard", 1440, 1000, "dark", dashboard),
    ("small", 1024, 768, "light", first_sentence),
    ("overtaken", 1440, 900, "light", overtaken),
    ("signed", 1440, 900, "light", signed),
    ("refused", 1440, 900, "dark", refused),
)
"""Name, width, height, theme, and what is done before; in an order in which none undoes another's."""

if __name__ == "__main__":
    sys.exit(main())
