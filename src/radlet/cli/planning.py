"""The command that tells what a recipe will take before it runs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radlet.cli.arguments import Overrides
from radlet.core.console import make_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from radlet.stages.machines import Machine
    from radlet.stages.plan_results import ServingPlan, StagePlan

commands = typer.Typer()

_COLOURS = {
    "process": "grey50",
    "weights": "blue",
    "gradients": "magenta",
    "optimiser": "yellow",
    "activations": "green",
    "cache": "cyan",
    "rows": "red",
    "kernels": "white",
    "kept free": "bright_black",
}
_BAR_WIDTH = 40


@commands.command(rich_help_panel="Whole pipelines")
def plan(
    recipe_dir: Annotated[Path, typer.Argument(help="Folder with one recipe for each stage.", show_default=False)],
    overrides: Overrides = None,
    machine: Annotated[
        str, typer.Option(help="Where: this (measured for some seconds), a100-80gb, 8xh100-80gb, l4-24gb ...")
    ] = "this",
    examples: Annotated[
        Path | None, typer.Option(help="Run of build, to count its rows and words instead of assuming them.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Training rows.")] = None,
    target_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a report.")] = None,
    language_model: Annotated[
        str | None, typer.Option(help="Shape of the language model where its config.json is not on disk: llama-7b ...")
    ] = None,
    usd_per_hour: Annotated[float | None, typer.Option(min=0, help="Price of one device.")] = None,
    watts: Annotated[float | None, typer.Option(min=0, help="Power of one device.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Tell memory, time, energy and price of each training stage, and of drafting, before anything runs."""
    from radlet.stages.machines import machine as find_machine
    from radlet.stages.machines import with_prices
    from radlet.stages.plan import plan_serving, plan_stages
    from radlet.stages.plan_inputs import STAGES, Recipes, Workload

    recipes = Recipes.of(recipe_dir, overrides or [], language_model)
    workload = Workload() if examples is None else Workload.of(examples, recipes.align.films)
    given = {"num_rows": rows, "target_tokens": target_tokens, "new_tokens": target_tokens}
    workload = workload.model_copy(update={name: value for name, value in given.items() if value is not None})
    place = with_prices(find_machine(machine, recipes.finetune.training.loop.precision), usd_per_hour, watts)
    stages = plan_stages(recipes, workload, place)
    serving = plan_serving(recipes, workload, place)
    if as_json:
        typer.echo(json.dumps(_plain(stages, serving, workload.model_dump(), place), indent=2))
        return
    show_plan(stages, serving, place, make_console(stderr=False))
    missing = [stage for stage in STAGES if stage not in recipes.stages]
    if missing:
        make_console().print(f"[dim]Not planned, as {recipe_dir} has no recipe of it: {', '.join(missing)}.[/]")
    _tell_assumptions(workload.model_dump(), place)


def _plain(
    stages: "list[StagePlan]", serving: "ServingPlan", workload: dict[str, int], place: "Machine"
) -> dict[str, Any]:
    def stage_row(stage: "StagePlan") -> dict[str, Any]:
        derived = ("total_s", "peak_bytes", "fits", "kwh", "usd")
        own = {name: value for name, value in asdict(stage).items() if name != "machine"}
        return own | {name: getattr(stage, name) for name in derived}

    drafting = {name: value for name, value in asdict(serving).items() if name != "machine"}
    return {
        "machine": asdict(place),
        "workload": workload,
        "stages": [stage_row(stage) for stage in stages],
        "serving": drafting | {"draft_s": serving.draft_s},
    }


def show_plan(stages: "list[StagePlan]", serving: "ServingPlan", place: "Machine", console: "Console") -> None:
    """Print what each stage takes, and its memory by part."""
    from rich.table import Table

    from radlet.stages.plan_results import reading

    console.print(
        f"[bold]{place.num_devices} x {place.title}[/]" if place.num_devices > 1 else f"[bold]{place.title}[/]"
    )
    times = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "trains, M", "of", "steps", "a step", "in all", "energy", "price"):
        times.add_column(name, justify="right" if name else "left", no_wrap=True)
    for stage in stages:
        times.add_row(
            stage.stage,
            *(f"{count / 1e6:,.1f}" for count in stage.parameters),
            f"{stage.num_steps:,}",
            reading(stage.step_s),
            f"[bold]{reading(stage.total_s)}[/]",
            f"{stage.kwh:,.2f} kWh",
            "-" if stage.usd is None else f"${stage.usd:,.2f}",
        )
    drafting = (
        "drafting",
        "",
        "",
        str(serving.new_tokens),
        reading(serving.token_s),
        f"[bold]{reading(serving.draft_s)}[/]",
    )
    times.add_row(*drafting, "", "")
    console.print(times)
    total_s = sum(stage.total_s for stage in stages)
    disk = max(stage.disk_bytes for stage in stages)
    kept = f", {disk / 1e9:,.1f} GB on disk for what the encoder sees" if disk else ""
    console.print(f"training: [bold]{reading(total_s)}[/], {sum(stage.kwh for stage in stages):,.2f} kWh{kept}\n")
    _show_memory({stage.stage: stage.memory for stage in stages} | {"drafting": serving.memory}, place, console)


def _show_memory(memories: dict[str, dict[str, float]], place: "Machine", console: "Console") -> None:
    from rich.table import Table

    largest = max(sum(memory.values()) for memory in memories.values())
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for stage, memory in memories.items():
        peak = sum(memory.values())
        lacks = f"[bold red]more than {place.memory_bytes / 1e9:.0f} GB[/]" if peak > place.memory_bytes else ""
        table.add_row(stage, f"[bold]{peak / 1e9:,.2f} GB[/]", _bar(memory, largest), lacks)
    console.print(table)
    parts = dict.fromkeys(part for memory in memories.values() for part in memory)
    console.print("  ".join(f"[{_COLOURS[part]}]■[/] {part}" for part in parts))


def _bar(memory: dict[str, float], largest: float) -> "Text":
    from rich.text import Text

    bar = Text(no_wrap=True)
    for part, size in memory.items():
        bar.append("█" * round(_BAR_WIDTH * size / largest), style=_COLOURS[part])
    return bar


def _tell_assumptions(workload: dict[str, int], place: "Machine") -> None:
    console = make_console()
    console.print(
        f"[dim]Reckoned with {workload['num_rows']:,} training rows, {workload['prompt_tokens']} + "
        f"{workload['target_tokens']} tokens of prompt and report, drafts of {workload['new_tokens']}; matrix products "
        f"at {place.half_flops / 1e12:.3g} (16 bits) and {place.single_flops / 1e12:.3g} TFLOP/s, memory at "
        f"{place.weights_bandwidth / 1e9:.3g} GB/s, {place.watts:.0f} W a device. A step of drafting is a token. "
        "Validation is not counted.[/]",
        soft_wrap=True,
    )
