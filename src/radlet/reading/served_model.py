"""The model that is served, and who it is."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from radlet import __version__
from radlet.core.runs import sha256_file
from radlet.inference.drafter import Drafter
from radlet.inference.exports import is_export
from radlet.models.report_model import checkpoint_folder


@dataclass(frozen=True)
class ModelIdentity:
    """Which model writes, so that a draft can be traced to it.

    Attributes:
        name: What it is called towards clients.
        checkpoint_digest: SHA-256 over the names and contents of its files.
        image_path_digest: Of the settings that turn films into pixel values.
        engine: What runs it.
        radlet_version: That served it.
        notice: To be shown beside everything it writes.
    """

    name: str
    checkpoint_digest: str
    image_path_digest: str
    engine: str
    radlet_version: str
    notice: str

    @classmethod
    def of(cls, checkpoint: Path, drafter: Drafter, name: str | None = None) -> "ModelIdentity":
        """Read the files of a checkpoint or an export."""
        folder = checkpoint if is_export(checkpoint) else checkpoint_folder(checkpoint)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        lines = [f"{path.relative_to(folder)} {sha256_file(path)}" for path in files]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        own = name or f"radlet-{digest[:12]}"
        card = drafter.card
        return cls(own, digest, card.image_digest, drafter.engine_name, __version__, card.notice)


@dataclass(frozen=True)
class ServedModel:
    """A model and who it is."""

    drafter: Drafter
    identity: ModelIdentity

    @classmethod
    def load(cls, checkpoint: Path, name: str | None = None) -> "ServedModel":
        """Load a checkpoint or an export.

        Raises:
            CheckpointError: It is neither.
        """
        drafter = Drafter.load(checkpoint)
        return cls(drafter, ModelIdentity.of(checkpoint, drafter, name))
