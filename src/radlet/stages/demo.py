"""`radlet demo`: the tiny recipe from nothing to a judged model, and what to try next."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from radlet.data.manifests import read_examples
from radlet.stages.pipeline import run_recipes, shipped_recipes

if TYPE_CHECKING:
    from rich.console import Console


def run_demo(out: Path, overrides: Sequence[str], console: "Console") -> None:
    """Run the tiny recipe into `out` and say where the page is and how to try the model on a film."""
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
    }
    console.print(f"\n[bold green]Done in {minutes:.1f} minutes.[/]")
    for what, command in steps.items():
        console.print(f"\n{what}:\n  [cyan]{command}[/]", soft_wrap=True)


def _short(path: str) -> str:
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return path
