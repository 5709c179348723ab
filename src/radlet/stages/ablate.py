"""`radlet ablate RECIPE_DIR GRID.toml`: run a recipe folder under many changes, and tell what each of them did.

Cells run one after another. A stage that several cells have in common runs once, as its run directory is found again;
a killed ablation goes on where it was; a cell that fails is recorded with its reason. Leaves ``runs/``,
``ablation.json``, written after every cell, and ``ablation.html``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import RadletError, RunError
from radlet.core.runs import DONE, write_atomically
from radlet.evaluation.ablation import Ablation, CellResult, StageRun, axis_effects, comparable
from radlet.evaluation.ablation_page import render_ablation
from radlet.evaluation.compared_systems import System, align, read_run, with_baselines
from radlet.evaluation.comparison import ComparisonSettings, compare_systems
from radlet.stages.compare import announce_notes
from radlet.stages.executors import ExecutorSettings
from radlet.stages.executors.stage_runs import StageTask, run_stages_on_ray
from radlet.stages.grid import DEFAULT, Cell, Grid
from radlet.stages.together import run_together

if TYPE_CHECKING:
    from rich.console import Console

ABLATION_JSON, ABLATION_HTML = "ablation.json", "ablation.html"


@dataclass
class _Done:
    """What the stages of earlier cells came to."""

    runs: dict[str, Path] = field(default_factory=dict)
    """Key -> run directory."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key -> why."""
    used: set[str] = field(default_factory=set)
    """Keys of the stages of earlier cells."""


class _StageFailedError(Exception):
    """A stage of a cell failed; the others go on."""


def run_ablation(
    grid: Grid, recipe_dir: Path, out: Path, console: "Console", settings: ExecutorSettings | None = None
) -> Ablation:
    """Run every cell, hold them against each other, write page and JSON into `out`, and return the numbers.

    Args:
        grid: The cells.
        recipe_dir: The recipe folder.
        out: Folder for everything that is made.
        console: Where to say what is going on.
        settings: Who runs the stages; by default this process, one after another.

    Raises:
        ConfigError: There is no Ray cluster where the settings ask for one.
        RunError: No cell finished.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = _Done()
    if settings is not None and settings.executor == "ray":
        _run_on_ray(grid, (recipe_dir, out), settings, done, console)
    results = [
        CellResult(variant=cell.variant, settings=dict(cell.settings), seed=cell.seed, state="waiting")
        for cell in grid.cells
    ]
    for number, cell in enumerate(grid.cells):
        _announce(console, grid, number, done)
        results[number] = _run_cell(cell, recipe_dir, out, done, console)
        write_atomically(out / ABLATION_JSON, _record(grid, recipe_dir, results).model_dump_json(indent=2) + "\n")
    if all(result.state == "failed" for result in results):
        raise RunError(f"No cell finished. {out / ABLATION_JSON} tells why each did not.")
    ablation = _judge(_record(grid, recipe_dir, results), grid, done, out, console)
    write_atomically(out / ABLATION_JSON, ablation.model_dump_json(indent=2) + "\n")
    return ablation


def print_plan(grid: Grid, console: "Console") -> None:
    """Show the cells, and how many stages each adds to those before it."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("cell", "stages to run"):
        table.add_column(column)
    seen: set[str] = set()
    for cell in grid.cells:
        new = [recipe for recipe, key in cell.keys.items() if key not in seen]
        seen |= set(cell.keys.values())
        table.add_row(escape(cell.name), ", ".join(new) or "none")
    console.print(table)
    console.print(f"{len(grid.cells)} cells, {grid.num_runs} stage runs ({grid.num_stages - grid.num_runs} shared)")


def print_effects(ablation: Ablation, console: "Console") -> None:
    """Show what each setting does to the metric that heads the ablation, and how long each stage took."""
    from rich.markup import escape
    from rich.table import Table

    if ablation.comparison and ablation.effects:
        head = ablation.comparison.metrics[ablation.comparison.headline]
        title = f"effect on {ablation.comparison.headline}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("axis", "setting", "difference", "p corr."):
            table.add_column(column)
        for axis, settings in ablation.effects.items():
            for name, one in settings.items():
                colour = {"good": "green", "bad": "red"}.get(head.verdict(one), "default")
                text = f"[{colour}]{one.difference:+.3f} ({one.low:+.3f}, {one.high:+.3f})[/]"
                table.add_row(escape(axis), escape(name), text, f"{one.p_corrected:.3f}")
        console.print(table)
    times = (f"{recipe} {seconds:.0f} s in {runs}" for recipe, (runs, seconds) in ablation.stage_seconds.items())
    console.print(f"time by stage, and runs: {', '.join(times)}")


def _run_cell(cell: Cell, recipe_dir: Path, out: Path, done: _Done, console: "Console") -> CellResult:
    from rich.markup import escape

    stages: list[StageRun] = []
    paths: dict[str, Path] = {}
    reason = None
    try:
        for recipe, key in cell.keys.items():
            shared = key in done.used
            done.used.add(key)
            paths[recipe] = _run_stage(cell, recipe, (recipe_dir, out), paths, done, console)
            name = f"{paths[recipe].parent.name}/{paths[recipe].name}"
            stages.append(StageRun(recipe=recipe, run=name, seconds=attempt_seconds(paths[recipe]), shared=shared))
    except _StageFailedError as error:
        reason = str(error)
        console.print(f"[bold red]failed[/]  {escape(reason)}", soft_wrap=True)
    return CellResult(
        variant=cell.variant,
        settings=dict(cell.settings),
        seed=cell.seed,
        state="failed" if reason else "finished",
        reason=reason,
        stages=tuple(stages),
    )


def _run_on_ray(
    grid: Grid, folders: tuple[Path, Path], settings: ExecutorSettings, done: _Done, console: "Console"
) -> None:
    """Run the stages of all cells on a Ray cluster, as many at a time as it can."""
    tasks: dict[str, StageTask] = {}
    for cell in grid.cells:
        for recipe, key in cell.keys.items():
            after = {source: cell.keys[source] for source in cell.wiring[recipe].values()}
            config = partial(_config, cell, recipe, folders)
            tasks.setdefault(key, StageTask(key, recipe, recipe.partition("-")[0], config, after))

    def tell(task: StageTask, result: Path | str) -> None:
        table: dict[str, Any] = done.failed if isinstance(result, str) else done.runs
        table[task.key] = result
        how_many = f"{len(done.runs) + len(done.failed)} of {len(tasks)}"
        console.print(f"  {how_many} stages: {task.recipe} {'failed' if isinstance(result, str) else 'done'}")

    run_stages_on_ray(list(tasks.values()), settings, tell)


def _config(cell: Cell, recipe: str, folders: tuple[Path, Path], paths: Mapping[str, Path]) -> StageConfig:
    return cell.config(recipe, *folders, paths)


def _run_stage(
    cell: Cell, recipe: str, folders: tuple[Path, Path], paths: dict[str, Path], done: _Done, console: "Console"
) -> Path:
    """Return the run of a stage: an earlier cell's, else one that is made now.

    Raises:
        _StageFailedError: It failed, now or in an earlier cell.
    """
    key = cell.keys[recipe]
    if key in done.failed:
        raise _StageFailedError(done.failed[key])
    if key not in done.runs:
        try:
            config = cell.config(recipe, *folders, paths)
            done.runs[key] = run_together({recipe: (recipe.partition("-")[0], config)}, console)[recipe]
        except RadletError as error:
            done.failed[key] = f"{recipe}: {error}"
        except Exception as error:  # noqa: BLE001 - one cell must not end the others; its text may quote a report
            done.failed[key] = (
                f"{recipe}: {type(error).__name__}. `radlet --debug {recipe}` with its recipe tells more."
            )
    if key in done.failed:
        raise _StageFailedError(done.failed[key])
    return done.runs[key]


def attempt_seconds(run_dir: Path) -> float | None:
    """Return how long the attempt took that finished a run: from its environment being noted to its end."""
    begun, ended = run_dir / "environment.json", run_dir / DONE
    if not (begun.is_file() and ended.is_file()):
        return None
    return max(0.0, ended.stat().st_mtime - begun.stat().st_mtime)


def _judge(ablation: Ablation, grid: Grid, done: _Done, out: Path, console: "Console") -> Ablation:
    """Hold the variants against each other, and write the page."""
    settings = ComparisonSettings(grid.config.metrics, grid.config.num_resamples)
    systems, reasons = comparable(_systems(grid, ablation, done))
    everyone = [*systems, *with_baselines(systems[:1])[1:]]
    lineup = align(everyone)
    comparison = compare_systems(everyone, lineup, settings, Progress(console))
    missing = [cell.name for cell, one in zip(grid.cells, ablation.cells, strict=True) if one.state == "failed"]
    notes = [f"{name} cannot be held against {systems[0].name}: {reason}" for name, reason in reasons.items()]
    notes += [f"{len(missing)} of {len(ablation.cells)} cells failed: {'; '.join(missing)}"] if missing else []
    if systems[0].name != DEFAULT:
        notes.append(f"the cell of the recipe as it is failed: {systems[0].name} stands in its place")
    comparison = comparison.model_copy(update={"notes": (*comparison.notes, *notes)})
    announce_notes(comparison, console)
    ablation = ablation.model_copy(update={"comparison": comparison})
    drafted = {system.name: system for system in systems}
    ablation = ablation.model_copy(update={"effects": axis_effects(ablation, comparison, drafted, settings)})
    write_atomically(out / ABLATION_HTML, render_ablation(ablation, comparison, lineup))
    return ablation


def _systems(grid: Grid, ablation: Ablation, done: _Done) -> list[System]:
    """Return the variants that finished, each with the drafts of its seeds."""
    by_variant: dict[str, list[System]] = {}
    for cell, result in zip(grid.cells, ablation.cells, strict=True):
        if result.state == "finished":
            one = read_run(cell.variant, done.runs[cell.keys["evaluate"]])
            by_variant.setdefault(cell.variant, []).append(one)
    return [
        System(name, tuple(rows for one in several for rows in one.drafts), several[0].scorecard, several[0].run_dir)
        for name, several in by_variant.items()
    ]


def _record(grid: Grid, recipe_dir: Path, results: Sequence[CellResult]) -> Ablation:
    return Ablation(
        recipe=recipe_dir.resolve().name,
        mode=grid.config.mode,
        axes=dict(grid.axes),
        default=dict(grid.default),
        cells=tuple(results),
    )


def _announce(console: "Console", grid: Grid, number: int, done: _Done) -> None:
    from rich.markup import escape

    cell = grid.cells[number]
    shared = sum(key in done.used for key in cell.keys.values())
    console.print(
        f"\n[bold]cell {number + 1} of {len(grid.cells)}[/]  {escape(cell.name)}  "
        f"[dim]{shared} of {len(cell.keys)} stages shared with earlier cells[/]"
    )
