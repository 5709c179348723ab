"""The command line: parse, load the recipe, call the stage. Heavy imports happen inside the commands."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from radlet import __version__
from radlet.core.console import Progress, make_console
from radlet.core.errors import CheckpointError, ConfigError, DataError, RadletError

if TYPE_CHECKING:
    from collections.abc import Callable

    from radlet.core.labeller import Labeller
    from radlet.evaluation.scorers.loading import Scorers
    from radlet.inference.drafter import Drafter

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
importers = typer.Typer(name="import", no_args_is_help=True, help="Turn published checkpoints into what radlet reads.")
app.add_typer(importers, rich_help_panel="Use a model")

DRAFT_MARK = "[unverified AI draft]"

_EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors"), "models"),
    **dict.fromkeys(("openai", "httpx2"), "llm"),
    **dict.fromkeys(("bert_score", "sentence_transformers"), "scorers"),
}
"""Package -> the extra it comes with, for work that labelling, scoring and reading studies do without."""

Recipe = Annotated[Path, typer.Argument(help="TOML recipe of the stage.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Overrides, key=value, dotted: training.loop.epochs=2", show_default=False)
]
Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint folder, or the run that holds one.", show_default=False)]
Files = Annotated[
    list[Path], typer.Argument(help="Films (DICOM, PNG, JPEG), folders, or JSONL manifests.", show_default=False)
]

Weights = Annotated[
    Path | None, typer.Option(help="Folder with the weights of metrics that run a model.", show_default=False)
]
Pythons = Annotated[
    list[str] | None,
    typer.Option(help="FAMILY=PATH: the Python that has the package of these weights.", show_default=False),
]
LabellerSettings = Annotated[
    list[str] | None,
    typer.Argument(help="Another labeller and its settings: kind=chexbert path=DIR", show_default=False),
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
def ablate(
    recipe_dir: Annotated[Path, typer.Argument(help="Folder with one recipe for each stage.", show_default=False)],
    grid: Annotated[Path, typer.Argument(help="TOML file with the axes of the ablation.", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("ablation"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells and stages, run nothing.")] = False,
) -> None:
    """Run a recipe folder under many changes, one cell after another, and tell what each change does."""
    from radlet.stages.ablate import ABLATION_HTML, print_effects, print_plan, run_ablation
    from radlet.stages.compare import print_comparison
    from radlet.stages.grid import read_grid

    _check_folder(out)
    cells = read_grid(grid, recipe_dir, out, overrides or [])
    tables = make_console(stderr=False)
    if dry_run:
        print_plan(cells, tables)
        return
    ablation = run_ablation(cells, recipe_dir, out, make_console())
    if ablation.comparison:
        print_comparison(ablation.comparison, tables)
    print_effects(ablation, tables)
    typer.echo(str(out / ABLATION_HTML))


@app.command(rich_help_panel="Whole pipelines")
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
    _check_folder(out)
    source = load_config(SyntheticSource, None, overrides)
    studies = Progress().track(source.studies(seed), "studies")
    num_films = writers[form](studies, out)
    typer.echo(f"{num_films} films in {out}")


@app.command(rich_help_panel="Use a model")
def generate(
    checkpoint: Checkpoint,
    files: Files,
    indication: Annotated[str | None, typer.Option(help="Why the study was made.")] = None,
    question: Annotated[str | None, typer.Option(help="Ask this instead of the checkpoint's own question.")] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write JSON lines: id, file, and findings (or question and answer).")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Films drafted at once.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest draft, in tokens.")] = 160,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed when sampling.")] = 0,
    guidance: Annotated[
        float | None, typer.Option(min=1.0, help="How much the film counts; the checkpoint's own value when not given.")
    ] = None,
) -> None:
    """Draft findings for films, or answer a question about each.

    Unreadable films are named on standard error and make the exit status 1.
    """
    from radlet.inference.drafter import DraftRequest
    from radlet.inference.engines.base import Sampling
    from radlet.inference.film_lists import list_films

    entries = list(list_films(files, indication, question))
    if not entries:
        raise DataError("No film was found. Give films, folders that hold films, or a JSONL manifest.")
    drafter = _film_drafter(checkpoint)
    if any(entry.question is None for entry in entries):
        _check_needs_no_question(drafter, checkpoint)
    guidance = drafter.card.guidance if guidance is None else guidance
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, guidance=guidance)
    readable, refused = _readable(entries, lambda entry: drafter.check_film(entry.path))
    requests = [DraftRequest((entry.path,), entry.indication, entry.question) for entry in readable]
    drafts = drafter.draft(requests, sampling, batch_size, Progress())
    for entry, draft in zip(readable, drafts, strict=True):
        if jsonl:
            said = {"question": entry.question, "answer": draft} if entry.question else {"findings": draft}
            row = {"id": entry.entry_id, "file": str(entry.path), **said, "notice": drafter.card.notice}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(f"{entry.path}: {draft} {DRAFT_MARK}")
    if refused:
        raise typer.Exit(1 if readable else 2)


def _film_drafter(checkpoint: Path) -> "Drafter":
    from radlet.inference.drafter import Drafter

    drafter = Drafter.load(checkpoint)
    if drafter.card.films == "none":
        raise CheckpointError(
            f"{checkpoint}: was trained without films and can look at none. Give a checkpoint of a finetune run whose "
            'recipe does not set films = "none".'
        )
    return drafter


def _check_needs_no_question(drafter: "Drafter", checkpoint: Path) -> None:
    if drafter.card.target_section == "answer":
        raise ConfigError(f"{checkpoint}: was tuned to answer questions. Give one: --question, or in the manifest.")


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
    question: Annotated[str | None, typer.Option(help="Ask this instead of the checkpoint's own question.")] = None,
) -> None:
    """Draw where the model looked while it wrote a word of its draft."""
    from radlet.data.images import read_film, resize_film
    from radlet.inference.attention import find_phrase
    from radlet.inference.drafter import DraftRequest
    from radlet.inference.overlay import draw_explanation

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: is no name of a PNG file. Give one that ends in .png.")
    _check_file(out)
    if file.is_dir():
        raise DataError(f"{file}: is a folder. Give one film.")
    drafter = _film_drafter(checkpoint)
    if question is None:
        _check_needs_no_question(drafter, checkpoint)
    try:
        drafter.check_film(file)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    request = DraftRequest((file,), indication, question)
    draft = drafter.draft([request])[0]
    if word.strip().lower() not in draft.lower():
        typer.echo(f"{draft} {DRAFT_MARK}")
        raise DataError("The word does not occur in the draft above; choose one that does.")
    maps = drafter.attention(request, draft, [find_phrase(draft, word)])
    film = resize_film(read_film(file).pixels, drafter.image_settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_explanation(film, maps[0].weighted, word, draft, drafter.card.notice).save(out)
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
    file: Annotated[
        Path,
        typer.Argument(help="JSONL {id?, text} if the first line starts with {, else a report a line; - reads stdin."),
    ],
    labeller: LabellerSettings = None,
) -> None:
    """Read the 14 CheXpert observations off reports, one JSON line each; without text, all are UNMENTIONED."""
    from radlet.core.jsonl import read_lines
    from radlet.evaluation.readings import label_texts

    chosen = _labeller(labeller)
    lines = read_lines(file)
    if not lines:
        raise DataError(f"{file}: is empty. Give JSONL rows with a text, or a report a line.")
    reports = list(_reports(file, lines))  # nothing is written when a later line is wrong
    for report_id, states in label_texts(reports, chosen):
        typer.echo(json.dumps({"id": report_id, "observations": states}, ensure_ascii=False))


def _labeller(settings: list[str] | None) -> "Labeller":
    from radlet.core.config import load_config
    from radlet.data.assembly import ExampleSettings

    return load_config(ExampleSettings, None, [f"labeller.{setting}" for setting in settings or []]).labeller


def _reports(file: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Yield id and text of each report; one without an id is called by the number of its line."""
    from radlet.core.jsonl import parse_rows

    if not lines[0][1].lstrip().startswith("{"):
        yield from ((str(number), line) for number, line in lines)
        return
    form = 'one JSON object a line: {"id": optional, "text": a report or null}'
    for number, row in parse_rows(file, lines, form):
        report_id = number if row.get("id") is None else row["id"]
        if not isinstance(report_id, str | int) or isinstance(report_id, bool):
            raise DataError(f'{file}, line {number}: "id" must be a text or a whole number. Give {form}.')
        if "text" not in row or not isinstance(row["text"], str | None):
            raise DataError(f'{file}, line {number}: has no "text" that is a text or null. Give {form}.')
        yield str(report_id), row["text"] or ""


@importers.command(name="chexbert")
def import_chexbert_command(
    weights: Annotated[Path, typer.Argument(help="The published chexbert.pth.", show_default=False)],
    bert: Annotated[
        Path, typer.Option(help="Folder with config.json and vocab.txt of bert-base-uncased.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("chexbert"),
) -> None:
    """Turn the CheXbert labeller's weights into a folder that the labeller of kind chexbert reads."""
    from radlet.models.importers.chexbert import import_chexbert

    _check_folder(out)
    import_chexbert(weights, bert, out)
    typer.echo(str(out))


@app.command(rich_help_panel="Judge texts")
def score(
    file: Annotated[Path, typer.Argument(help="JSONL {id, patient_id?, reference, prediction}.", show_default=False)],
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the patients.")] = 1000,
    interval: Annotated[
        Literal["percentile", "bca"], typer.Option(help="Percentiles, or bias-corrected and accelerated.")
    ] = "percentile",
    metrics: Annotated[
        str | None, typer.Option(help="Score by these alone: bleu_4,rouge_l (see radlet metrics).", show_default=False)
    ] = None,
    per_report: Annotated[
        Path | None, typer.Option(help="JSONL to write: the scores of each report alone.", show_default=False)
    ] = None,
    labeller: LabellerSettings = None,
    out: Annotated[Path, typer.Option(help="Scorecard to write.")] = Path("scorecard.json"),
    weights: Weights = None,
    python: Pythons = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Column whose values make groups, beside sex, age, view, site, scanner.", show_default=False),
    ] = None,
    min_subgroup: Annotated[int, typer.Option(min=2, help="Groups of fewer patients have no number.")] = 20,
) -> None:
    """Score drafts against references, with intervals resampled by patient; ↓ marks scores of which less is better."""
    from radlet.core.runs import write_atomically
    from radlet.evaluation.prediction_files import score_each, score_file
    from radlet.evaluation.readings import Readings
    from radlet.evaluation.scorecard import number_text
    from radlet.evaluation.subgroups import Grouping, subgroup_lines
    from radlet.metrics import METRICS

    if per_report and str(file) == "-":
        raise ConfigError("--per-report reads the predictions a second time. Give a file in place of -.")
    _check_file(out)
    if per_report:
        _check_file(per_report)
    if len({path.resolve() for path in (file, out, *([per_report] if per_report else []))}) < 2 + bool(per_report):
        raise ConfigError("The predictions, --out and --per-report must be different files.")
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise ConfigError("--metrics: names no metric. Give names from radlet metrics with commas, or leave it out.")
    grouping = Grouping(min_subgroup, by=tuple(by or ()))
    with _scorers(weights, python) as scorers:
        readings = Readings(_labeller(labeller), Progress(), scorers)
        scorecard = score_file(
            file, bootstrap, interval=interval, metric_names=names, readings=readings, grouping=grouping
        )
        if per_report:
            per_report.parent.mkdir(parents=True, exist_ok=True)
            rows = score_each(file, names, readings)
            write_atomically(per_report, "".join(json.dumps(row) + "\n" for row in rows))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, scorecard.model_dump_json(indent=2) + "\n")
    for name, estimate in scorecard.metrics.items():
        value, low, high = (number_text(number, 4) for number in (estimate.value, estimate.low, estimate.high))
        typer.echo(f"{name:<40} {value}  [{low}, {high}]{'  ↓' if METRICS[name].sign < 0 else ''}")
    for name, systems in scorecard.unscored.items():
        for reason, count in systems["model"].items():
            typer.echo(f"{name}: {count} reports without a score: {reason}", err=True)
    for line in subgroup_lines(scorecard.subgroups):
        typer.echo(line)
    typer.echo(str(out))


def _scorers(weights: Path | None, python: list[str] | None) -> "Scorers":
    from radlet.evaluation.scorers.base import ScorerSettings
    from radlet.evaluation.scorers.loading import Scorers

    pythons = {}
    for given in python or []:
        family, equals, path = given.partition("=")
        if not equals:
            raise ConfigError(
                f"--python {given}: is not of the form FAMILY=PATH, for example radgraph=/opt/env/bin/python."
            )
        pythons[family] = Path(path)
    return Scorers(weights, ScorerSettings(python=pythons), Progress())


@app.command(name="metrics", rich_help_panel="Judge texts")
def list_metrics(
    name: Annotated[str | None, typer.Argument(help="Tell all of this one.", show_default=False)] = None,
    weights: Weights = None,
    python: Pythons = None,
) -> None:
    """List the metrics: range, which way is better, version; of one also source and what an empty text gives."""
    from rich.console import Console

    from radlet.evaluation.metric_table import metric_facts, metrics_table, weights_table

    scorers, console = _scorers(weights, python), Console()
    if name:
        console.print(metric_facts(name, scorers))
    else:
        console.print(metrics_table(scorers), "", weights_table(scorers))


@app.command(rich_help_panel="Judge texts")
def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            help="Evaluate runs, scorecards or prediction files, or NAME=PATH; the first is the reference.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for comparison.json and comparison.html.")] = Path("comparison"),
    metrics: Annotated[
        str | None, typer.Option(help="Names of metrics, comma between; the first heads the page.", show_default=False)
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--with-baselines/--without-baselines", help="Show the baselines of evaluate runs.")
    ] = True,
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the patients.")] = 1000,
    interval: Annotated[
        Literal["percentile", "bca"], typer.Option(help="Percentiles, or bias-corrected and accelerated.")
    ] = "percentile",
    labeller: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting of another labeller, once for each: --labeller kind=chexbert --labeller path=DIR",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    python: Pythons = None,
) -> None:
    """Hold systems against each other on the same reports: paired tests, one table, one page."""
    from radlet.evaluation.comparison import ComparisonSettings
    from radlet.evaluation.readings import Readings
    from radlet.stages.compare import COMPARISON_HTML, print_comparison, run_compare

    _check_folder(out)
    names = tuple(name.strip() for name in (metrics or "").split(",") if name.strip())
    settings = ComparisonSettings(names, bootstrap, interval)
    with _scorers(weights, python) as scorers:
        readings = Readings(_labeller(labeller), Progress(), scorers)
        comparison = run_compare(systems, out, settings, baselines, make_console(), readings)
    print_comparison(comparison, make_console(stderr=False))
    typer.echo(str(out / COMPARISON_HTML))


@app.command(rich_help_panel="Judge texts")
def judge(
    file: Annotated[
        Path,
        typer.Argument(help="JSONL {id, reference, prediction, age?, indication?}.", show_default=False),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="Another judge and its settings: kind=llm server.url=URL model.name=NAME samples=3", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="JSONL to write: score, counts and errors of each report.")] = Path(
        "judged.jsonl"
    ),
) -> None:
    """Count six kinds of errors in drafts against references, significant or not: by rules, or by a language model.

    What stays without a judgement is told by reason and makes the exit status 1.
    """
    from radlet.core.config import load_config
    from radlet.core.runs import write_atomically
    from radlet.evaluation.judging import JudgeSettings, judge_file, summary_lines

    _check_file(out)
    chosen = load_config(JudgeSettings, None, [f"judge.{setting}" for setting in settings or []])
    reports = judge_file(file, chosen.judge, Progress())
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, "".join(report.model_dump_json() + "\n" for report in reports))
    for line in summary_lines(reports):
        typer.echo(line)
    typer.echo(str(out))
    if missing := sum(report.counts is None for report in reports):
        raise typer.Exit(1 if missing < len(reports) else 2)


@app.command(name="judge-study", rich_help_panel="Judge texts")
def judge_study(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Counts by experts, and what judges (radlet judge) or metrics {id, value} made of the same drafts.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="JSON to write; a page of the same name goes beside it.")] = Path(
        "judge-study.json"
    ),
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the patients.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
) -> None:
    """Compare judges with experts, beside how well each expert agrees with the others."""
    from radlet.core.runs import write_atomically
    from radlet.evaluation.judge_study import study_files
    from radlet.evaluation.judge_study_page import render_study_page, study_lines

    _check_file(out)
    _check_file(out.with_suffix(".html"))
    study = study_files(files, bootstrap, seed, Progress())
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, study.model_dump_json(indent=2) + "\n")
    write_atomically(out.with_suffix(".html"), render_study_page(study))
    for line in study_lines(study):
        typer.echo(line)
    typer.echo(str(out.with_suffix(".html")))


@app.command(name="reader-study", rich_help_panel="Judge texts")
def reader_study(
    drafts: Annotated[
        list[Path] | None,
        typer.Argument(help="Two runs of evaluate, or JSONL {id, reference, prediction, image?}.", show_default=False),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="File that a reader saved; once for each reader.", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The key; by default beside the page.", show_default=False)] = None,
    out: Annotated[
        Path, typer.Option(help="Page to write; with --results, the folder for the summary and the counts.")
    ] = Path("reader-study.html"),
    cases: Annotated[int | None, typer.Option(min=1, help="So many cases, drawn by the seed.")] = None,
    references: Annotated[bool, typer.Option("--references", help="Show the reference reports too.")] = False,
    film_px: Annotated[int, typer.Option(min=64, max=4096, help="Longer side of the films.")] = 768,
    seed: Annotated[int, typer.Option(help="Seed of cases, order and sides, or of the resamples.")] = 0,
) -> None:
    """Make a blinded page of two systems' drafts to read offline; or, with --results, sum up what readers saved."""
    from radlet.evaluation.reader_files import sum_up, write_study
    from radlet.evaluation.reader_study import StudyOptions, make_study

    if results:
        if drafts or key is None:
            raise ConfigError("--results: needs --key, the key of the page, and no drafts beside it.")
        folder = out if out.suffix != ".html" else out.with_suffix("")
        _check_folder(folder)
        for line in sum_up(results, key, folder, seed):
            typer.echo(line)
        return
    if drafts is None or len(drafts) != 2:
        raise ConfigError("Give the drafts of two systems, or --results with what readers saved.")
    key = key or out.with_suffix(".key.json")
    _check_file(out)
    _check_file(key)
    study = make_study(drafts[0], drafts[1], StudyOptions(cases, references, film_px, seed), Progress())
    for line in write_study(study, out, key):
        typer.echo(line)


def _check_file(out: Path) -> None:
    """Refuse, before the work starts, a place where no file can be written at its end."""
    if out.is_dir():
        raise ConfigError(f"--out {out}: is a folder. Give the name of a file.")
    _check_folder(out.parent)


def _check_folder(out: Path) -> None:
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"--out: {existing} is a file. Give a place in a folder, which need not exist yet.")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"--out: {existing} may not be written to. Give a place where you may write.")


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
        if package not in _EXTRAS:
            raise
        _stop(error, f'This command needs {package}, which is not installed: pip install "radlet[{_EXTRAS[package]}]"')
    except OSError as error:
        # No text of the error's own: it may quote what was read.
        reason = os.strerror(error.errno) if error.errno else "no reason was given"
        _stop(error, f"{error.filename or 'A file'}: {type(error).__name__} ({reason}).")
    except KeyboardInterrupt:
        make_console().print("stopped; the same command goes on from the last saved state", soft_wrap=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
