"""The command line: parse, load the recipe, call the stage. Heavy imports happen inside the commands."""

import logging
import os
import sys
from typing import Annotated, NoReturn

import typer

from radlet import __version__
from radlet.cli import (
    catalogue,
    delivering,
    drift,
    exporting,
    feedback,
    importers,
    judging,
    models,
    pipelines,
    planning,
    serving,
    trust,
)
from radlet.cli.launching import check_command, one_of_several, speaks
from radlet.core.console import make_console
from radlet.core.errors import RadletError

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
for _group in (pipelines, planning, models, exporting, serving, delivering, judging, catalogue):
    app.add_typer(_group.commands)
app.add_typer(feedback.commands, rich_help_panel="Use a model")
app.add_typer(importers.commands, rich_help_panel="Use a model")
for _commands in (trust.accounts, trust.keys, trust.log, drift.commands):
    app.add_typer(_commands, rich_help_panel="The reading room")

_EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors"), "models"),
    **dict.fromkeys(("openai", "httpx2"), "llm"),
    **dict.fromkeys(("fastapi", "uvicorn", "sqlalchemy", "alembic", "prometheus_client", "argon2"), "serve"),
    **dict.fromkeys(("pynetdicom", "highdicom", "dicomweb_client", "fhir", "hl7apy", "fpdf"), "pacs"),
    **dict.fromkeys(("xllamacpp", "gguf"), "llama-cpp"),
    **dict.fromkeys(("bert_score", "sentence_transformers"), "scorers"),
}
"""Package -> the extra it comes with, for work that labelling, scoring and reading studies do without."""


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool,
        # Read before a command is asked for.
        typer.Option("--version", help="Print the version and stop.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    if debug:
        os.environ["RADLET_DEBUG"] = "1"
    check_command(context.invoked_subcommand)


def _stop(error: Exception, message: str) -> NoReturn:
    if os.environ.get("RADLET_DEBUG"):
        raise error
    if not speaks():
        sys.exit(2)
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
    if one_of_several():
        # torch warns of its search for weights without gradient where it finds none.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # It tells of a kernel that it would fetch from a hub, and may not.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
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
        if not speaks():
            sys.exit(130)
        make_console().print("stopped; the same command goes on from the last saved state", soft_wrap=True)
        sys.exit(130)
