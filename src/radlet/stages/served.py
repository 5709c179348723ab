"""What a reading room and a DICOM node serve: a model, what is searched beside it, and the reference card of drift."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.console import Progress
from radlet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from radlet.reading.drift.report import DriftSettings
    from radlet.reading.room import ReadingRoom, RoomSettings
    from radlet.reading.store.store import Store


DEMO_MODEL = "radlet-demo"
"""What clients call the model of a demo."""


@dataclass(frozen=True)
class Served:
    """What is served.

    Attributes:
        checkpoint: Checkpoint, run of finetune, or export.
        encoder: Run of pretrain, to search similar studies with.
        examples: Run of build that is searched.
        fill: Films of that run's test split to put on an empty worklist.
        name: What clients call the model.
    """

    checkpoint: Path
    encoder: Path | None = None
    examples: Path | None = None
    fill: int = 0
    name: str | None = None

    @classmethod
    def given(cls, checkpoint: Path, encoder: Path | None, examples: Path | None, name: str | None) -> "Served":
        """Return what a command names; of a demo's folder, what is in it and not named otherwise."""
        found = cls.of_demo(checkpoint) or cls(checkpoint)
        return replace(
            found,
            encoder=encoder or found.encoder,
            examples=examples or found.examples,
            name=name or found.name,
        )

    @classmethod
    def of_demo(cls, folder: Path) -> "Served | None":
        """Return what `radlet demo` left in a folder; None where it is none of its folders."""
        builds = sorted((folder / "runs" / "build").glob("*/DONE"))
        if not ((folder / "checkpoint").is_dir() and (folder / "encoder").is_dir() and builds):
            return None
        return cls(folder / "checkpoint", folder / "encoder", builds[-1].parent, fill=24, name=DEMO_MODEL)


def examples_of(checkpoint: Path) -> Path:
    """Return the build run that the run around a checkpoint names.

    Raises:
        ConfigError: There is no such run, or it names none.
    """
    from radlet.models.report_model import checkpoint_folder

    inputs = checkpoint_folder(checkpoint).resolve().parent / "inputs.json"
    named = json.loads(inputs.read_text(encoding="utf-8")).get("examples") if inputs.is_file() else None
    if named is None:
        raise ConfigError(f"{checkpoint}: names no build run. Give the one it was trained on as --examples.")
    return Path(named["path"])


def open_room(served: Served, store: "Store", settings: "RoomSettings", progress: Progress) -> "ReadingRoom":
    """Load the model, and what is searched, around a store.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: One of encoder and examples is given without the other.
        DataError: The examples cannot be read.
    """
    from radlet.reading.room import ReadingRoom
    from radlet.reading.served_model import ServedModel
    from radlet.reading.store.films import sweep
    from radlet.retrieval.lookup import StudyFinder

    if (served.encoder is None) != (served.examples is None):
        raise ConfigError("--encoder and --examples go together: one searches the other. Give both or neither.")
    model = ServedModel.load(served.checkpoint, served.name)
    finder = None
    if served.encoder and served.examples:
        finder = StudyFinder(served.encoder, served.examples, "train", progress)
        # Made now rather than for the first who asks.
        _ = finder.index
    sweep(store.data_dir)
    return ReadingRoom(store, model, settings, finder)


def put_card_in_force(room: "ReadingRoom", served: Served, settings: "DriftSettings", console: "Console") -> None:
    """Hold what comes in from now on against the reference card of the model, where there is one; say whether.

    Raises:
        DataError: The card that the settings name is missing, none, or of another model.
    """
    from radlet.reading.drift.placing import put_in_force

    told = put_in_force(settings.reference, served.checkpoint, room.identity.checkpoint_digest, room.store.data_dir)
    console.print(f"drift: {told}", markup=False, soft_wrap=True)
