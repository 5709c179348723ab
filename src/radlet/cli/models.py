"""Commands that use a model: drafts, maps, neighbours."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from radlet.cli.arguments import Checkpoint, Executor, Files, NumWorkers, RayAddress, check_file, check_folder
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    from radlet.inference.drafter import Drafter
    from radlet.inference.film_lists import FilmEntry
    from radlet.reading.gate import GateVerdict

commands = typer.Typer()

DRAFT_MARK = "[unverified AI draft]"

AtGate = Literal["warn", "refuse", "off"]


@commands.command(rich_help_panel="Use a model")
def generate(
    checkpoint: Checkpoint,
    files: Files,
    adapter: Annotated[
        Path | None, typer.Option(help="Adapter of a finetune run, over the checkpoint it was trained from.")
    ] = None,
    indication: Annotated[str | None, typer.Option(help="Why the study was made.")] = None,
    question: Annotated[str | None, typer.Option(help="Ask this instead of the checkpoint's own question.")] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write JSON lines: id, file, and findings (or question and answer).")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Films drafted at once.")] = 16,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest draft, in tokens; the checkpoint's own value when not given.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed when sampling.")] = 0,
    guidance: Annotated[
        float | None, typer.Option(min=1.0, help="How much the film counts; the checkpoint's own value when not given.")
    ] = None,
    gate: Annotated[
        AtGate,
        typer.Option(help="Films that the input gate refuses: warn of and draft, refuse, or do not look at any."),
    ] = "warn",
    executor: Executor = "local",
    num_workers: NumWorkers = None,
    ray_address: RayAddress = None,
) -> None:
    """Draft findings for films, or answer a question about each.

    Films that cannot be read, or are refused, are named on standard error and make the exit status 1.
    """
    from radlet.inference.drafter import DraftRequest
    from radlet.inference.engines.base import Sampling
    from radlet.inference.film_lists import list_films
    from radlet.stages.executors import ExecutorSettings
    from radlet.stages.executors.drafters import drafting

    settings = ExecutorSettings(executor=executor, num_workers=num_workers, ray_address=ray_address)
    if adapter is not None and settings.executor != "local":
        raise ConfigError("--adapter works with the executor 'local' alone. Join the two with radlet merge for others.")
    entries = list(list_films(files, indication, question))
    if not entries:
        raise DataError("No film was found. Give films, folders that hold films, or a JSONL manifest.")
    drafter = _film_drafter(checkpoint, adapter)
    if any(entry.question is None for entry in entries):
        _check_needs_no_question(drafter, checkpoint)
    guidance = drafter.card.guidance if guidance is None else guidance
    max_new_tokens = max_new_tokens or drafter.card.max_new_tokens
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, guidance=guidance)
    admitted = _admit(entries, gate)
    requests = [DraftRequest((entry.path,), entry.indication, entry.question) for entry, _ in admitted]
    with drafting(settings) as spread:
        drafts = spread(drafter, checkpoint).draft(requests, sampling, batch_size, Progress())
    for (entry, verdict), draft in zip(admitted, drafts, strict=True):
        if jsonl:
            said: dict[str, Any] = (
                {"question": entry.question, "answer": draft} if entry.question else {"findings": draft}
            )
            if verdict is not None:
                said["gate"] = verdict.model_dump(mode="json")
            row = {"id": entry.entry_id, "file": str(entry.path), **said, "notice": drafter.card.notice}
            typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            typer.echo(f"{entry.path}: {draft} {DRAFT_MARK}")
    if len(admitted) < len(entries):
        raise typer.Exit(1 if admitted else 2)


def _film_drafter(checkpoint: Path, adapter: Path | None = None) -> "Drafter":
    from radlet.inference.adapted import load_adapted
    from radlet.inference.drafter import Drafter

    drafter = load_adapted(checkpoint, adapter) if adapter else Drafter.load(checkpoint)
    if drafter.card.films == "none":
        raise CheckpointError(
            f"{checkpoint}: was trained without films and can look at none. Give a checkpoint of a finetune run whose "
            'recipe does not set films = "none".'
        )
    return drafter


def _check_needs_no_question(drafter: "Drafter", checkpoint: Path) -> None:
    if drafter.card.target_section == "answer":
        raise ConfigError(f"{checkpoint}: was tuned to answer questions. Give one: --question, or in the manifest.")


def _admit(entries: list["FilmEntry"], gate: AtGate) -> list[tuple["FilmEntry", "GateVerdict | None"]]:
    """Return the films to draft from, and name the others and what the gate says on standard error."""
    admitted: list[tuple[FilmEntry, GateVerdict | None]] = []
    for entry in entries:
        try:
            verdict = _judge(entry.path, gate)
        except DataError as error:
            typer.echo(f"{entry.path}: refused: {error}", err=True)
            continue
        for reason in verdict.reasons if verdict else ():
            stops = reason.action == "refuse" and gate == "refuse"
            typer.echo(f"{entry.path}: {'refused' if stops else 'warning'}: {reason.words}", err=True)
        if verdict is None or verdict.passed or gate != "refuse":
            admitted.append((entry, verdict))
    return admitted


def _judge(film: Path, gate: AtGate) -> "GateVerdict | None":
    from radlet.data.images import read_film
    from radlet.reading.gate import GateSettings
    from radlet.reading.opening import judge_file

    if gate == "off":
        read_film(film)
        return None
    return judge_file(film, GateSettings())


@commands.command(rich_help_panel="Use a model")
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
    from radlet.inference.film_lists import FilmEntry
    from radlet.inference.overlay import draw_explanation

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: is no name of a PNG file. Give one that ends in .png.")
    check_file(out)
    if file.is_dir():
        raise DataError(f"{file}: is a folder. Give one film.")
    drafter = _film_drafter(checkpoint)
    if question is None:
        _check_needs_no_question(drafter, checkpoint)
    if not _admit([FilmEntry(file.name, file)], "warn"):
        raise typer.Exit(2)
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


@commands.command(rich_help_panel="Use a model")
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


@commands.command(rich_help_panel="Use a model")
def merge(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint the adapters were trained from.")],
    adapters: Annotated[
        list[str],
        typer.Argument(help="Adapters of finetune runs; DIR=0.5 weighs one, 1 if not given.", metavar="ADAPTER"),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
) -> None:
    """Fold adapters into their base: a plain checkpoint that needs no adapter any more."""
    from radlet.inference.drafter import processor_options
    from radlet.models.adapters import merge_adapters
    from radlet.models.report_model import save_report_model

    check_folder(out)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"--out {out}: is not empty. Give a folder that is empty or does not exist yet.")
    merged = merge_adapters(checkpoint, [_weighed(given) for given in adapters])
    save_report_model(merged, out, processor_options(merged.card))
    typer.echo(str(out))


def _weighed(given: str) -> tuple[Path, float]:
    path, equals, weight = given.rpartition("=")
    if not equals or Path(given).is_dir():
        return Path(given), 1.0
    try:
        return Path(path), float(weight)
    except ValueError:
        raise ConfigError(f"ADAPTER {given}: '{weight}' is no weight. Give DIR or DIR=NUMBER, like DIR=0.5.") from None
