"""The command line: parse, load the recipe, call the stage. Heavy imports happen inside the commands."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from radlet import __version__
from radlet.core.console import Progress, make_console
from radlet.core.errors import ConfigError, DataError, RadletError

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="radlet",
    help="Train, judge and run small multimodal models for chest X-ray reports, privately, on one machine. "
    "Not a medical device: every text a model writes is an unverified AI draft.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

DRAFT_MARK = "[unverified AI draft]"

_MODELS_EXTRA = {"torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors"}
"""Packages of the extra `models`, which labelling, scoring and reading studies do without."""

Recipe = Annotated[Path, typer.Argument(help="TOML recipe of the stage.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Overrides, key=value, dotted: training.loop.epochs=2", show_default=False)
]
Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint folder, or the run that holds one.", show_default=False)]
Files = Annotated[
    list[Path], typer.Argument(help="Films (DICOM, PNG, JPEG), folders, or JSONL manifests.", show_default=False)
]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if debug:
        os.environ["RADLET_DEBUG"] = "1"


def _stage_command(name: str, summary: str) -> None:
    def command(recipe: Recipe, overrides: Overrides = None) -> None:
        import importlib

        from radlet.core.config import load_config
        from radlet.stages.check import stage_config

        cls = stage_config(name)
        if cls is None:
            raise ConfigError(f"Stage '{name}' takes no recipe.")
        stage = importlib.import_module(f"radlet.stages.{name}")
        typer.echo(stage.run(load_config(cls, recipe, overrides), make_console()))

    command.__doc__ = summary
    app.command(name=name, rich_help_panel="Stages")(command)


for _name, _summary in {
    "ingest": "Read raw studies: decode films, list what was refused.",
    "build": "Make training examples: sections, labels, splits by patient.",
    "pretrain": "Train the image encoder and the language model as a pair.",
    "align": "Train the projector between the frozen two.",
    "finetune": "Teach the model to write findings, fully or with LoRA.",
    "evaluate": "Judge the model beside its baselines; write the scorecard.",
}.items():
    _stage_command(_name, _summary)


@app.command(rich_help_panel="Whole pipelines")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    overrides: Overrides = None,
) -> None:
    """Make synthetic studies, train a small model on them and judge it: the whole pipeline in minutes."""
    from radlet.stages.demo import run_demo

    run_demo(out, overrides or [], make_console())


@app.command(name="run", rich_help_panel="Whole pipelines")
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


@app.command(rich_help_panel="Whole pipelines")
def check(
    recipes: Annotated[list[Path], typer.Argument(help="Recipe files or folders.", show_default=False)],
) -> None:
    """Validate recipes without running anything."""
    from radlet.stages.check import check as check_recipes

    for file in check_recipes(recipes):
        typer.echo(f"{file}: ok")


@app.command(rich_help_panel="Whole pipelines")
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
    source = load_config(SyntheticSource, None, overrides)
    studies = Progress().track(source.studies(seed), "studies")
    num_films = writers[form](studies, out)
    typer.echo(f"{num_films} films in {out}")


@app.command(rich_help_panel="Use a model")
def generate(
    checkpoint: Checkpoint,
    files: Files,
    indication: Annotated[str | None, typer.Option(help="Why the study was made.")] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write JSON lines: id, file, findings.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Films drafted at once.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest draft, in tokens.")] = 160,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed when sampling.")] = 0,
) -> None:
    """Draft findings for films; unreadable ones are named on standard error and make the exit status 1."""
    from radlet.inference.drafter import Drafter, DraftRequest
    from radlet.inference.engines.base import Sampling
    from radlet.inference.film_lists import list_films

    entries = list(list_films(files, indication))
    if not entries:
        raise DataError("No film was found. Give films, folders that hold films, or a JSONL manifest.")
    drafter = Drafter.load(checkpoint)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    readable, refused = _readable(entries, lambda entry: drafter.check_film(entry.path))
    requests = [DraftRequest((entry.path,), entry.indication) for entry in readable]
    drafts = drafter.draft(requests, sampling, batch_size, Progress())
    for entry, draft in zip(readable, drafts, strict=True):
        if jsonl:
            row = {"id": entry.entry_id, "file": str(entry.path), "findings": draft, "notice": drafter.card.notice}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(f"{entry.path}: {draft} {DRAFT_MARK}")
    if refused:
        raise typer.Exit(1 if readable else 2)


def _readable(entries: list[Any], probe: "Callable[[Any], None]") -> tuple[list[Any], int]:
    readable = []
    for entry in entries:
        try:
            probe(entry)
        except DataError as error:
            typer.echo(f"{entry.path}: refused: {error}", err=True)
        else:
            readable.append(entry)
    return readable, len(entries) - len(readable)


@app.command(rich_help_panel="Use a model")
def explain(
    checkpoint: Checkpoint,
    file: Annotated[Path, typer.Argument(help="One film.", show_default=False)],
    word: Annotated[str, typer.Option(help="Word or phrase of the draft to explain.", show_default=False)],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("explanation.png"),
    indication: Annotated[str | None, typer.Option(help="Why the study was made.")] = None,
) -> None:
    """Draw where the model looked while it wrote a word of its draft."""
    from radlet.data.images import read_film, resize_film
    from radlet.inference.drafter import Drafter, DraftRequest
    from radlet.inference.overlay import draw_explanation

    drafter = Drafter.load(checkpoint)
    request = DraftRequest((file,), indication)
    draft = drafter.draft([request])[0]
    if word.strip().lower() not in draft.lower():
        typer.echo(f"{draft} {DRAFT_MARK}")
        raise DataError("The word does not occur in the draft above; choose one that does.")
    weights = drafter.attention(request, draft).for_text(word)
    film = resize_film(read_film(file).pixels, drafter.image_settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_explanation(film, weights, word, draft, drafter.card.notice).save(out)
    typer.echo(f"{draft} {DRAFT_MARK}")
    typer.echo(str(out))


@app.command(rich_help_panel="Use a model")
def retrieve(
    encoder: Annotated[Path, typer.Argument(help="Run of pretrain, or its checkpoint.", show_default=False)],
    query: Annotated[str, typer.Argument(help="A film, or words of a report.", show_default=False)],
    examples: Annotated[Path, typer.Option(help="Run of build whose studies are searched.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split that is searched.")] = "train",
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 5,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Write JSON lines.")] = False,
) -> None:
    """Find the studies nearest to a film or to words, with their reports."""
    from radlet.retrieval.lookup import nearest_studies

    for hit in nearest_studies(encoder, examples, split, query, k, Progress()):
        if jsonl:
            typer.echo(json.dumps(hit, ensure_ascii=False))
        else:
            typer.echo(f"{hit['similarity']:.3f}  {hit['study_id']}  {hit['file']}\n       {hit['report']}")


@app.command(rich_help_panel="Judge texts")
def label(
    file: Annotated[Path, typer.Argument(help="JSONL {id, text}, or lines of text; - for standard input.")],
) -> None:
    """Read the 14 CheXpert observations off reports, one JSON line each."""
    from radlet.data.observations import label_report

    lines = sys.stdin.read() if str(file) == "-" else _read_text(file)
    # Not str.splitlines: JSON may hold U+2028 and other line ends inside a string.
    for number, line in enumerate(lines.split("\n"), start=1):
        if not line.strip():
            continue
        report_id, text = _labelled_line(line, number, file)
        states = {name: state.value for name, state in label_report(text).items()}
        typer.echo(json.dumps({"id": report_id, "observations": states}, ensure_ascii=False))


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error.__class__.__name__}). UTF-8 text is needed.") from None


def _labelled_line(line: str, number: int, file: Path) -> tuple[str, str]:
    if not line.lstrip().startswith("{"):
        return str(number), line
    try:
        row = json.loads(line)
        report_id, text = row.get("id"), row["text"]
    except (json.JSONDecodeError, KeyError):
        raise DataError(f'{file}, line {number}: is no JSON object with a "text".') from None
    if not isinstance(text, str | None):
        raise DataError(f'{file}, line {number}: "text" must be a text or null.')
    return str(number if report_id is None else report_id), text or ""


@app.command(rich_help_panel="Judge texts")
def score(
    file: Annotated[Path, typer.Argument(help="JSONL {id, patient_id?, reference, prediction}.", show_default=False)],
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the patients.")] = 1000,
    out: Annotated[Path, typer.Option(help="Scorecard to write.")] = Path("scorecard.json"),
) -> None:
    """Score drafts against references, with intervals resampled by patient."""
    from radlet.evaluation.prediction_files import score_file

    scorecard = score_file(file, bootstrap)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(scorecard.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for name, estimate in scorecard.metrics.items():
        typer.echo(f"{name:<40} {estimate.value:.4f}  [{estimate.low:.4f}, {estimate.high:.4f}]")
    typer.echo(str(out))


def _stop(error: Exception, message: str) -> NoReturn:
    if os.environ.get("RADLET_DEBUG"):
        raise error
    from rich.markup import escape

    make_console().print(f"[bold red]error[/]  {escape(message)}", markup=True, soft_wrap=True)
    sys.exit(2)


def main() -> None:
    """Run the command line; an error a user can act on is one message and exit status 2."""
    # Reports and films stay here: no library may ask a hub or send usage data.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        app()
    except RadletError as error:
        _stop(error, str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _MODELS_EXTRA:
            raise
        _stop(error, f'This command needs {package}, which is not installed: pip install "radlet[models]"')
    except KeyboardInterrupt:
        make_console().print("stopped; the same command goes on from the last saved state", soft_wrap=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
