"""Commands that run stages: each alone, a folder of recipes, a grid, the demo."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radlet.cli.arguments import Executor, NumWorkers, Overrides, RayAddress, Recipe, check_folder
from radlet.cli.launching import TRAINING, launch, one_of_several, taking_part
from radlet.core.console import Progress, make_console
from radlet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

commands = typer.Typer()

Processes = Annotated[
    int, typer.Option(min=1, help="Train in so many processes of this machine; their number changes no result.")
]


def _run_stage(name: str, recipe: Path, overrides: list[str] | None, console: "Console") -> Path:
    from radlet.core.config import load_config
    from radlet.stages.check import stage_config

    cls = stage_config(name)
    if cls is None:
        raise ConfigError(f"Stage '{name}' takes no recipe.")
    path: Path = importlib.import_module(f"radlet.stages.{name}").run(load_config(cls, recipe, overrides), console)
    return path


def _stage_command(name: str, summary: str) -> None:
    def command(recipe: Recipe, overrides: Overrides = None) -> None:
        typer.echo(_run_stage(name, recipe, overrides, make_console()))

    def training_command(recipe: Recipe, overrides: Overrides = None, processes: Processes = 1) -> None:
        if one_of_several():
            with taking_part() as console:
                path = _run_stage(name, recipe, overrides, console)
                if not console.quiet:
                    typer.echo(path)
        elif processes > 1:
            launch(processes, [name, str(recipe), *(overrides or [])])
        else:
            command(recipe, overrides)

    chosen = training_command if name in TRAINING else command
    chosen.__doc__ = summary
    commands.command(name=name, rich_help_panel="Stages")(chosen)


for _name, _summary in {
    "deidentify": "Write a DICOM tree anew, without identifiers.",
    "ingest": "Read raw studies: decode films, list what was refused.",
    "quality": "Find doubtful films and copies; flag or reject them.",
    "structure": "Let a local language model work on report texts, under guard.",
    "build": "Make training examples: sections, labels, splits by patient.",
    "pretrain": "Train the image encoder and the language model as a pair.",
    "align": "Train the projector between the frozen two.",
    "finetune": "Teach the model to write findings, fully or with LoRA.",
    "evaluate": "Judge the model beside its baselines; write the scorecard.",
}.items():
    _stage_command(_name, _summary)


@commands.command(rich_help_panel="Whole pipelines")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    overrides: Overrides = None,
) -> None:
    """Make synthetic studies, train a small model on them and judge it: the whole pipeline in minutes."""
    from radlet.stages.demo import run_demo

    run_demo(out, overrides or [], make_console())


@commands.command(name="run", rich_help_panel="Whole pipelines")
def run_recipe_folder(
    recipe_dir: Annotated[Path, typer.Argument(help="Folder with one recipe for each stage.", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("out"),
) -> None:
    """Run every stage of a recipe folder; overrides name the recipe first: finetune.training.loop.epochs=2."""
    from radlet.stages.pipeline import run_recipes

    console = make_console()
    run_recipes(recipe_dir, out, overrides or [], console)
    console.print(f"[bold green]done[/]  open {out / 'scorecard.html'}")


@commands.command(rich_help_panel="Whole pipelines")
def ablate(
    recipe_dir: Annotated[Path, typer.Argument(help="Folder with one recipe for each stage.", show_default=False)],
    grid: Annotated[Path, typer.Argument(help="TOML file with the axes of the ablation.", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("ablation"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells and stages, run nothing.")] = False,
    executor: Executor = "local",
    num_workers: NumWorkers = None,
    ray_address: RayAddress = None,
) -> None:
    """Run a recipe folder under many changes, one cell after another, and tell what each change does."""
    from radlet.stages.ablate import ABLATION_HTML, print_effects, print_plan, run_ablation
    from radlet.stages.compare import print_comparison
    from radlet.stages.executors import ExecutorSettings
    from radlet.stages.grid import read_grid

    check_folder(out)
    cells = read_grid(grid, recipe_dir, out, overrides or [])
    tables = make_console(stderr=False)
    if dry_run:
        print_plan(cells, tables)
        return
    settings = ExecutorSettings(executor=executor, num_workers=num_workers, ray_address=ray_address)
    ablation = run_ablation(cells, recipe_dir, out, make_console(), settings)
    if ablation.comparison:
        print_comparison(ablation.comparison, tables)
    print_effects(ablation, tables)
    typer.echo(str(out / ABLATION_HTML))


@commands.command(rich_help_panel="Whole pipelines")
def check(
    recipes: Annotated[
        list[Path],
        typer.Argument(help="Recipe files or folders, and grids of an ablation of the folder.", show_default=False),
    ],
) -> None:
    """Validate recipes without running anything."""
    from radlet.stages.check import check as check_recipes

    for file in check_recipes(recipes):
        typer.echo(f"{file}: ok")


@commands.command(rich_help_panel="Whole pipelines")
def synthesize(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("synthetic"),
    form: Annotated[str, typer.Option(help="png: films and a table; dicom: a tree of DX objects.")] = "png",
    seed: Annotated[int, typer.Option(help="Seed of the studies.")] = 0,
) -> None:
    """Write synthetic studies; overrides are settings of the source: num_patients=20 identifiers=true."""
    from radlet.core.config import load_config
    from radlet.data.sources.synthetic import SyntheticSource, write_dicom_tree, write_png_table

    writers = {"png": write_png_table, "dicom": write_dicom_tree}
    if form not in writers:
        raise ConfigError(f"--form {form}: is unknown. Known: {', '.join(writers)}.")
    check_folder(out)
    source = load_config(SyntheticSource, None, overrides)
    studies = Progress().track(source.studies(seed), "studies")
    num_films = writers[form](studies, out)
    typer.echo(f"{num_films} films in {out}")
