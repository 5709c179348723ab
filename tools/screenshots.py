"""Take the pictures of ``docs/reading-room.md``: opens a running room in Chromium, reads a study, and photographs it.

Only for a room of synthetic films with a model trained on synthetic studies, whose data folder nobody needs any more::

    radlet synthesize num_patients=3 --form dicom --out /tmp/films
    radlet serve demo/ --port 8199 --data-dir /tmp/room
    python tools/screenshots.py http://127.0.0.1:8199 /tmp/films
"""

import argparse
import io
import math
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
MOST_BYTES = 200_000
WAIT_MS = 120_000
STATISTICS: list[dict[str, Any]] = [
    {
        "day": (date(2026, 9, 1) + timedelta(days=day)).isoformat(),
        "model": model,
        "checkpoint_digest": digest * 8,
        "num_signed": 8 + day % 5,
        "num_unchanged": 2 + day % 3,
        "edit_distance_mean": 0.2,
        "edit_distance_median": round(level + 0.03 * math.sin(day), 3),
        "num_timed": 8,
        "reading_s_median": round(70 + 400 * level + 12 * math.cos(day), 1),
    }
    for model, digest, level, first, last in (
        ("chest-135m", "8ae0bb97", 0.22, 0, 50),
        ("chest-135m-lora", "40cc1d2e", 0.12, 40, 80),
    )
    for day in range(first, last, 2)
]
"""Made up: no reader has signed these."""
_STEPS = [round(0.1 * step, 1) for step in range(9)]
DRIFT: dict[str, Any] = {
    "reference": {"model": "chest-135m-lora", "created_at": "2026-10-09T08:00:00Z", "films": 5200, "reports": 5200},
    "days": 30,
    "false_alarm_rate": 0.01,
    "groups": [
        {
            "scanner": None,
            "films": 412,
            "enough": True,
            "measures": [
                {"name": name, "kind": kind, "psi": psi, "limit": 0.09, "alarm": psi > 0.09, "edges": edges}
                | {"labels": labels, "expected": expected, "seen": seen}
                for name, kind, psi, edges, labels, expected, seen in (
                    ("mean_grey", "input", 0.31, _STEPS, None, [0.02, 0.1, 0.3, 0.36, 0.14, 0.05, 0.02, 0.01],
                     [0.08, 0.24, 0.36, 0.22, 0.06, 0.02, 0.01, 0.01]),
                    ("contrast", "input", 0.04, _STEPS, None, [0.05, 0.2, 0.3, 0.25, 0.1, 0.05, 0.03, 0.02],
                     [0.06, 0.22, 0.3, 0.24, 0.09, 0.05, 0.03, 0.01]),
                    ("view", "input", 0.01, None, ["PA", "AP", "not said"], [0.7, 0.2, 0.1], [0.68, 0.23, 0.09]),
                    ("words", "output", 0.02, _STEPS, None, [0.1, 0.2, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02],
                     [0.09, 0.2, 0.31, 0.21, 0.1, 0.05, 0.03, 0.01]),
                    ("Pleural Effusion", "output", 0.03, None, ["present", "absent", "not said"], [0.2, 0.6, 0.2],
                     [0.24, 0.58, 0.18]),
                )
            ],
        },
    ],
}  # fmt: skip
"""Made up as well, in the form of ``GET /api/drift``."""


def main() -> int:
    """Take all pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="Of the room, on this machine.")
    parser.add_argument("films", type=Path, help="Folder of synthetic DICOM films; one patient has several studies.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    films = sorted(options.films.rglob("*.dcm"))
    if not films:
        sys.exit(f"{options.films} holds no .dcm file; make some with `radlet synthesize`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for name, width_px, height_px, theme, act in TOUR:
            page = browser.new_page(viewport={"width": width_px, "height": height_px}, color_scheme=theme)
            page.set_default_timeout(WAIT_MS)
            page.goto(options.url)
            page.wait_for_selector("#studies li")
            if name == TOUR[0][0]:
                add(page, films)
            act(page)
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


def with_priors(page: Page) -> None:
    """Open the last study of a patient who has several, and draft it unless that was done."""
    page.wait_for_selector("#draft .head")
    chosen = page.evaluate(
        """async () => { const { studies } = await (await fetch("/api/studies?limit=200")).json();
        const known = studies.filter((one) => one.patient_id);
        const several = known.filter((one) => known.filter((other) => other.patient_id === one.patient_id).length > 1);
        return several.sort((a, b) => (a.study_date < b.study_date ? 1 : -1))[0].id; }"""
    )
    page.evaluate("(id) => { location.hash = `study=${id}`; }", chosen)
    # Not before: keys would go to the study that was open until now.
    page.wait_for_selector(f'.study[data-study="{chosen}"][aria-current=true]')
    page.wait_for_selector("#draft .head")
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


def dashboard(page: Page) -> None:
    """Show the dashboard; what it shows of weeks of reading is made up."""
    page.route("**/api/statistics*", lambda route: route.fulfill(json=STATISTICS))
    page.route("**/api/drift", lambda route: route.fulfill(json=DRIFT))
    page.goto(page.url.partition("#")[0] + "dashboard")
    page.wait_for_selector("#statistics[aria-busy=false] ~ #drift[aria-busy=false]")


def keys(page: Page) -> None:
    """Show the keys."""
    with_priors(page)
    page.keyboard.press("?")
    page.wait_for_selector("#key-help")


TOUR: tuple[tuple[str, int, int, Literal["dark", "light"], Callable[[Page], None]], ...] = (
    ("draft", 1440, 900, "dark", with_priors),
    ("evidence", 1440, 900, "dark", first_sentence),
    ("prior", 1440, 900, "dark", comparison),
    ("edit", 1440, 900, "dark", edited),
    ("findings", 1440, 900, "dark", findings),
    ("similar", 1440, 900, "light", similar),
    ("keys", 1440, 900, "dark", keys),
    ("sign", 1440, 900, "dark", signing),
    ("dashboard", 1440, 1000, "dark", dashboard),
    ("small", 1024, 768, "light", first_sentence),
    ("overtaken", 1440, 900, "light", overtaken),
    ("signed", 1440, 900, "light", signed),
)
"""Name, width, height, theme, and what is done before; in an order in which none undoes another's."""

if __name__ == "__main__":
    sys.exit(main())
