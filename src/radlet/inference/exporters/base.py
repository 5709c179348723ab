"""What every exporter offers: options in, an engine's files out."""

from pathlib import Path
from typing import Any, ClassVar, Protocol

from radlet.core.console import Progress
from radlet.models.report_model import ReportModel


class Exporter(Protocol):
    """A configuration whose fields are the options of the export."""

    exact: ClassVar[dict[str, Any] | None]
    """Options with which the engine rounds no more than transformers does, for tests that hold one against the other;
    None: the engine does not compute in this process."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files into a folder; card, tokenizer and ``export.json`` are written by others.

        Raises:
            CheckpointError: The engine cannot serve this model.
        """
        ...

    def max_positions(self, report_model: ReportModel) -> int | None:
        """Return how many tokens prompt and answer may have together; None where the checkpoint does not say."""
        ...
