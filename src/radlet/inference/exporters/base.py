"""What every exporter offers: options in, an engine's files out."""

from pathlib import Path
from typing import Protocol

from radlet.core.console import Progress
from radlet.models.report_model import ReportModel


class Exporter(Protocol):
    """A configuration whose fields are the options of the export."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files into a folder; card, tokenizer and ``export.json`` are written by others.

        Raises:
            CheckpointError: The engine cannot serve this model.
        """
        ...
