"""Where reference cards lie: beside a model, and, as the one in force, in the folder of a reading room."""

from pathlib import Path

from radlet.core.errors import DataError
from radlet.inference.exports import is_export
from radlet.models.report_model import checkpoint_folder
from radlet.reading.drift.card import DriftCard

IN_FORCE = "drift.json"


def place_beside(checkpoint: Path) -> Path:
    """Return where the card of a checkpoint, a run of finetune or an export lies: beside its files, not among them."""
    folder = (checkpoint if is_export(checkpoint) else checkpoint_folder(checkpoint)).resolve()
    return folder.with_name(f"{folder.name}.drift.json")


def card_of(data_dir: Path) -> DriftCard | None:
    """Return the card in force in a reading room's folder, if there is one.

    Raises:
        DataError: The file is none.
    """
    path = data_dir / IN_FORCE
    return DriftCard.read(path) if path.is_file() else None


def read_beside(checkpoint: Path) -> DriftCard | None:
    """Return the card beside a checkpoint; None where there is none that can be read: it is to be made anew."""
    path = place_beside(checkpoint)
    try:
        return DriftCard.read(path) if path.is_file() else None
    except DataError:
        return None


def put_in_force(given: Path | None, checkpoint: Path, checkpoint_digest: str, data_dir: Path) -> str:
    """Copy the card of a model into the folder of its reading room; say in a sentence what came of it.

    Args:
        given: The card; None: the one beside the checkpoint.
        checkpoint: The model.
        checkpoint_digest: As its identity tells it.
        data_dir: The folder. It holds no card afterwards where there is none of this model.

    Raises:
        DataError: The given card is missing, none, or of another model.
    """
    path = given or place_beside(checkpoint)
    fits = False
    told = "no reference card beside the model; make one: radlet drift reference"
    card = DriftCard.read(path) if given else read_beside(checkpoint)
    if card is None and path.is_file():
        told = f"{path.name} is of another version of radlet, or damaged; make it anew: radlet drift reference"
    if card:
        fits = card.checkpoint_digest == checkpoint_digest
        told = f"{path.name} is of another model than this; make one: radlet drift reference"
        if given and not fits:
            raise DataError(f"{given}: {told}.")
        if fits:
            card.write(data_dir / IN_FORCE)
            told = f"held against {card.films:,} films and {card.reports:,} drafts"
    if not fits:
        (data_dir / IN_FORCE).unlink(missing_ok=True)
    return told
