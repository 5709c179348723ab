"""Commands that judge texts: labels, scores, comparisons, judges, studies with readers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from radlet.cli.arguments import (
    LabellerSettings,
    Pythons,
    Weights,
    check_apart,
    check_file,
    check_folder,
    chosen_labeller,
    chosen_scorers,
    metric_names,
)
from radlet.core.console import Progress, make_console
from radlet.core.errors import ConfigError, DataError

commands = typer.Typer()


@commands.command(rich_help_panel="Judge texts")
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

    chosen = chosen_labeller(labeller)
    lines = read_lines(file)
    if not lines:
        raise DataError(f"{file}: is empty. Give JSONL rows with a text, or a report a line.")
    reports = list(_reports(file, lines))  # nothing is written when a later line is wrong
    for report_id, states in label_texts(reports, chosen):
        typer.echo(json.dumps({"id": report_id, "observations": states}, ensure_ascii=False))


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


@commands.command(rich_help_panel="Judge texts")
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
    check_file(out)
    if per_report:
        check_file(per_report, "--per-report")
    check_apart(file, out, *([per_report] if per_report else []))
    names = metric_names(metrics) or None
    grouping = Grouping(min_subgroup, by=tuple(by or ()))
    with chosen_scorers(weights, python) as scorers:
        readings = Readings(chosen_labeller(labeller), Progress(), scorers)
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


@commands.command(name="metrics", rich_help_panel="Judge texts")
def list_metrics(
    name: Annotated[str | None, typer.Argument(help="Tell all of this one.", show_default=False)] = None,
    weights: Weights = None,
    python: Pythons = None,
) -> None:
    """List the metrics: range, which way is better, version; of one also source and what an empty text gives."""
    from rich.console import Console

    from radlet.evaluation.metric_table import metric_facts, metrics_table, weights_table

    scorers, console = chosen_scorers(weights, python), Console()
    if name:
        console.print(metric_facts(name, scorers))
    else:
        console.print(metrics_table(scorers), "", weights_table(scorers))


@commands.command(rich_help_panel="Judge texts")
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

    check_folder(out)
    settings = ComparisonSettings(metric_names(metrics), bootstrap, interval)
    with chosen_scorers(weights, python) as scorers:
        readings = Readings(chosen_labeller(labeller), Progress(), scorers)
        comparison = run_compare(systems, out, settings, baselines, make_console(), readings)
    print_comparison(comparison, make_console(stderr=False))
    typer.echo(str(out / COMPARISON_HTML))


@commands.command(rich_help_panel="Judge texts")
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

    check_file(out)
    check_apart(file, out)
    chosen = load_config(JudgeSettings, None, [f"judge.{setting}" for setting in settings or []])
    reports = judge_file(file, chosen.judge, Progress())
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, "".join(report.model_dump_json() + "\n" for report in reports))
    for line in summary_lines(reports):
        typer.echo(line)
    typer.echo(str(out))
    if missing := sum(report.counts is None for report in reports):
        raise typer.Exit(1 if missing < len(reports) else 2)


@commands.command(name="judge-study", rich_help_panel="Judge texts")
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

    check_file(out)
    check_file(out.with_suffix(".html"))
    study = study_files(files, bootstrap, seed, Progress())
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, study.model_dump_json(indent=2) + "\n")
    write_atomically(out.with_suffix(".html"), render_study_page(study))
    for line in study_lines(study):
        typer.echo(line)
    typer.echo(str(out.with_suffix(".html")))


@commands.command(name="reader-study", rich_help_panel="Judge texts")
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
        check_folder(folder)
        for line in sum_up(results, key, folder, seed):
            typer.echo(line)
        return
    if drafts is None or len(drafts) != 2:
        raise ConfigError("Give the drafts of two systems, or --results with what readers saved.")
    key = key or out.with_suffix(".key.json")
    check_file(out)
    check_file(key, "--key")
    if key.resolve() == out.resolve():
        raise ConfigError("--key: is the page itself. Give another name, and keep it from the readers.")
    study = make_study(drafts[0], drafts[1], StudyOptions(cases, references, film_px, seed), Progress())
    for line in write_study(study, out, key):
        typer.echo(line)
