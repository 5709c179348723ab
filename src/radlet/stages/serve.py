"""Stage `serve`: a model, a store and what is searched, behind the reading room's address."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.data.manifests import read_examples
from radlet.serving.settings import ServeConfig

if TYPE_CHECKING:
    from rich.console import Console

    from radlet.reading.room import ReadingRoom

FILLED_BY = "demo"


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
    def of_demo(cls, folder: Path) -> "Served | None":
        """Return what `radlet demo` left in a folder; None where it is none of its folders."""
        builds = sorted((folder / "runs" / "build").glob("*/DONE"))
        if not ((folder / "checkpoint").is_dir() and (folder / "encoder").is_dir() and builds):
            return None
        return cls(folder / "checkpoint", folder / "encoder", builds[-1].parent, fill=24, name="radlet-demo")


def open_room(served: Served, config: ServeConfig, progress: Progress) -> "ReadingRoom":
    """Load the model and open the store.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: One of encoder and examples is given without the other.
        DataError: The store or the examples cannot be read.
    """
    from radlet.reading.room import ReadingRoom, ServedModel
    from radlet.reading.store.store import Store
    from radlet.retrieval.lookup import StudyFinder

    if (served.encoder is None) != (served.examples is None):
        raise ConfigError("--encoder and --examples go together: one searches the other. Give both or neither.")
    model = ServedModel.load(served.checkpoint, served.name)
    finder = None
    if served.encoder and served.examples:
        finder = StudyFinder(served.encoder, served.examples, "train", progress)
        # Made now rather than for the first who asks.
        _ = finder.index
        if config.room.gate.unlike != "ignore":
            _ = finder.familiarity
    room = ReadingRoom(Store(config.data_dir, config.database), model, config.room, finder)
    if served.fill and served.examples and room.store.worklist(limit=1)[1] == 0:
        fill_worklist(room, served.examples, served.fill)
    return room


def check_accounts(config: ServeConfig) -> None:
    """Refuse to begin where everybody must log in and nobody can.

    Raises:
        ConfigError: There is no account.
        DataError: The store cannot be opened.
    """
    from radlet.reading.store.accounts import Accounts
    from radlet.reading.store.store import Store

    if not config.accounts or config.oidc:
        return
    with Store(config.data_dir, config.database) as store:
        if not Accounts(store).all():
            raise ConfigError(
                "accounts = true, and there is none yet. Make the first: "
                f"radlet account add NAME --role reader --data-dir {config.data_dir}"
            )


def fill_worklist(room: "ReadingRoom", examples: Path, count: int) -> None:
    """Put frontal films of a build run's test split on the worklist."""
    rows = [row for row in read_examples(examples) if row.split == "test"]
    for row in rows[:count]:
        for path, view in zip(row.image_paths, row.views, strict=True):
            if view != "LATERAL":
                room.keep(room.read(Path(path).read_bytes()), FILLED_BY, FILLED_BY, row.indication)


def run(served: Served, config: ServeConfig, console: "Console") -> None:
    """Serve until the process is told to stop; what is under way is finished first.

    Raises:
        ConfigError: The port is taken, or nobody could log in.
        DataError: The store cannot be opened.
    """
    from radlet.reading.offline import stay_offline
    from radlet.serving.server import listen, serve

    # Before the model is loaded: what cannot be served should be told at once.
    check_accounts(config)
    listening = listen(config)
    # From here on nothing leaves this machine, whatever a library may try.
    stay_offline(config.peers)
    room = open_room(served, config, Progress())
    try:
        serve(room, config, listening, console)
    finally:
        room.store.close()
