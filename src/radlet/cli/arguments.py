"""Arguments and options that several commands share, and what is made of them."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radlet.core.console import Progress
from radlet.core.errors import ConfigError

if TYPE_CHECKING:
    from radlet.core.labeller import Labeller
    from radlet.evaluation.scorers.loading import Scorers

Recipe = Annotated[Path, typer.Argument(help="TOML recipe of the stage.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Overrides, key=value, dotted: training.loop.epochs=2", show_default=False)
]
Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint folder, or the run that holds one.", show_default=False)]
Files = Annotated[
    list[Path], typer.Argument(help="Films (DICOM, PNG, JPEG), folders, or JSONL manifests.", show_default=False)
]

Executor = Annotated[
    str, typer.Option(help="Who does the work: local (this process), or ray (the processes of a Ray cluster).")
]
NumWorkers = Annotated[
    int | None, typer.Option(min=1, help="How many work at a time on Ray; one per processor when not given.")
]
RayAddress = Annotated[
    str | None, typer.Option(help="host:port of the Ray cluster to join; without it one is started, on loopback.")
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


def actor() -> str:
    """Return who gives a command, for the audit log: as the system knows them, whatever the environment says."""
    try:
        import pwd

        name = pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        name = getpass.getuser()
    except KeyError:
        name = f"user {os.getuid()}"
    return f"command line, {name}"[:64]


def chosen_labeller(settings: list[str] | None) -> "Labeller":
    """Make the labeller that settings on the command line name; the rules when there are none."""
    from radlet.core.config import load_config
    from radlet.data.assembly import ExampleSettings

    return load_config(ExampleSettings, None, [f"labeller.{setting}" for setting in settings or []]).labeller


def chosen_scorers(weights: Path | None, python: list[str] | None) -> "Scorers":
    """Make what runs the metrics that need weights, from the options for them."""
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


def metric_names(given: str | None) -> tuple[str, ...]:
    """Return the names that --metrics lists; none where it was not given."""
    names = tuple(name.strip() for name in (given or "").split(",") if name.strip())
    if given is not None and not names:
        raise ConfigError("--metrics: names no metric. Give names from radlet metrics with commas, or leave it out.")
    return names


def check_file(out: Path, option: str = "--out") -> None:
    """Refuse, before the work starts, a place where no file can be written at its end."""
    if out.is_dir():
        raise ConfigError(f"{option} {out}: is a folder. Give the name of a file.")
    check_folder(out.parent, option)


def check_apart(*files: Path) -> None:
    """Refuse to write over what is read, or over another thing that is written."""
    if len({file.resolve() for file in files}) < len(files):
        raise ConfigError("What is read and what is written must be different files.")


def check_folder(out: Path, option: str = "--out") -> None:
    """Refuse, before the work starts, a place where no folder can be made or written to."""
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"{option}: {existing} is a file. Give a place in a folder, which need not exist yet.")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"{option}: {existing} may not be written to. Give a place where you may write.")
