"""`radlet demo`: the tiny recipe from nothing to a judged model, and what to try next."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.data.manifests import read_examples
from radlet.stages.pipeline import run_recipes, shipped_recipes

if TYPE_CHECKING:
    from rich.console import Console

_CARD_FILMS, _CARD_DRAFTS = 600, 100
"""Studies measured, and drafted, for the reference card: some seconds of work."""


def run_demo(out: Path, overrides: Sequence[str], console: "Console") -> None:
    """Run the tiny recipe into `out` and say where the page is and how to try the model.

    Beside the model it leaves the card that `radlet serve` holds films and drafts against.
    """
    from rich.panel import Panel

    started = monotonic()
    console.print(
        Panel.fit(
            "[bold]radlet demo[/]\nA small chest X-ray report model from nothing, on synthetic studies:\n"
            "studies → examples → encoder → alignment → fine-tuning → judgement",
            border_style="cyan",
        )
    )
    done = run_recipes(shipped_recipes("tiny"), out, overrides, console)
    _make_reference_card(out / "checkpoint", done["build"], console)
    film = next(
        path
        for example in read_examples(done["build"])
        if example.split == "test"
        for path, view in zip(example.image_paths, example.views, strict=True)
        if view != "LATERAL"
    )
    minutes = (monotonic() - started) / 60
    radlet = _short(sys.argv[0]) if Path(sys.argv[0]).name == "radlet" else "radlet"
    steps = {
        "Open the scorecard in a browser": (out / "scorecard.html").resolve().as_uri(),
        "Draft findings for a film the model has never seen": f"{radlet} generate {out / 'checkpoint'} {_short(film)}",
        "See where it looked": (
            f"{radlet} explain {out / 'checkpoint'} {_short(film)} --word pneumothorax --out {out / 'where.png'}"
        ),
        "Find similar studies": (
            f"{radlet} retrieve {out / 'encoder'} {_short(film)} --examples {_short(str(done['build']))}"
        ),
        "Open the reading room in a browser": f"{radlet} serve {out}",
    }
    console.print(f"\n[bold green]Done in {minutes:.1f} minutes.[/]")
    for what, command in steps.items():
        console.print(f"\n{what}:\n  [cyan]{command}[/]", soft_wrap=True)


def _make_reference_card(checkpoint: Path, build: Path, console: "Console") -> None:
    from radlet.reading.drift.placing import place_beside, read_beside
    from radlet.reading.drift.reference import Sample, make_reference
    from radlet.reading.gate import GateSettings
    from radlet.reading.served_model import ServedModel
    from radlet.stages.served import DEMO_MODEL

    model, place, card = ServedModel.load(checkpoint, DEMO_MODEL), place_beside(checkpoint), read_beside(checkpoint)
    if card and card.checkpoint_digest == model.identity.checkpoint_digest:
        return
    try:
        make_reference(model, build, GateSettings(), Sample(_CARD_FILMS, _CARD_DRAFTS), Progress()).write(place)
    except DataError as error:  # no film passes the gate: the model is none the worse
        console.print(f"drift: no reference card. {error}", markup=False, soft_wrap=True)


def _short(path: str) -> str:
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return path
