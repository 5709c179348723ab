"""Exports: a report model rewritten for an engine, in a folder with all that drafting needs.

    DIR/  radlet.json (the checkpoint's card)   tokenizer/   export.json   ...the engine's files...

Between `radlet export`, which writes it, and the drafter, which reads it. What an engine cannot tell, attention maps
before all, is computed by transformers from the checkpoint that the export was made from.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from radlet import __version__
from radlet.core.config import Config
from radlet.core.errors import CheckpointError
from radlet.core.runs import sha256_file, write_atomically
from radlet.models.architectures import ARCHITECTURES
from radlet.models.architectures.base import Architecture, FilmText
from radlet.models.prompts import PromptConfig, encode_prompt, encode_target
from radlet.models.report_model import CARD, ModelCard, ReportModel, checkpoint_folder, load_report_model, read_card

EXPORT = "export.json"
TOKENIZER = "tokenizer"


class Source(Config):
    """The checkpoint that an export was made from."""

    path: Path
    """Folder of the checkpoint, or of the run that holds it."""
    digest: str
    """`checkpoint_digest` of it."""


class Gate(Config):
    """How the export did beside the checkpoint, both judged on the same studies."""

    metric: str
    """Name of the clinical score."""
    split: str
    """Patients that were judged."""
    num_studies: int
    """How many studies."""
    exported: float
    """Score of the drafts by the exported engine."""
    checkpoint: float
    """Score of the drafts by transformers from the checkpoint."""
    low: float | None
    """Lower end of the paired 95 % interval of the export's score less the checkpoint's; none: too few cases."""
    high: float | None
    """Upper end of it."""
    limit: float
    """Largest fall that is let through."""
    equal_drafts: int
    """Drafts that are the same text from both."""
    num_drafts: int
    """Drafts that either wrote."""

    @property
    def fall(self) -> float:
        """How much lower the exported engine scores."""
        return self.checkpoint - self.exported

    @property
    def passed(self) -> bool:
        """Whether the score fell by no more than the limit."""
        return self.fall <= self.limit


class Export(Config):
    """``export.json``."""

    engine: str
    """Name of the engine that reads the files."""
    options: dict[str, Any] = {}
    """How they were written."""
    radlet_version: str = __version__
    """Version that wrote them."""
    source: Source
    """What they were made from."""
    num_image_tokens: int
    """Tokens that one film takes in a prompt."""
    max_positions: int | None = None
    """Tokens that prompt and answer may have together; null: the checkpoint does not say, or an older radlet wrote
    this."""
    end_token_ids: tuple[int, ...]
    """Tokens at which an answer is over."""
    files: dict[str, str] = {}
    """sha256 of the engine's files, of the card and of the tokenizer, by name."""
    gate: Gate | Literal["skipped"] = "skipped"
    """What the comparison with the checkpoint gave, or that it was left out."""


@dataclass(frozen=True)
class ExportedModel:
    """An export, read and checked: what an engine is made from.

    Attributes:
        folder: Where the engine's files are.
        export: How they were written.
        card: What the weights alone do not tell.
        tokenizer: Which knows the image token.
    """

    folder: Path
    export: Export
    card: ModelCard
    tokenizer: PreTrainedTokenizerBase

    @property
    def num_image_tokens(self) -> int:
        """Tokens that one film takes in a prompt."""
        return self.export.num_image_tokens

    @property
    def max_positions(self) -> int | None:
        """Tokens that prompt and answer may have together; None where the export does not say."""
        return self.export.max_positions

    @property
    def image_token_id(self) -> int:
        """Id of the token that stands for a part of a film."""
        return int(self.tokenizer.convert_tokens_to_ids(self._film_text.token))

    @property
    def _film_text(self) -> FilmText:
        architecture: Architecture = ARCHITECTURES[self.card.architecture]
        return architecture.film_text

    def encode_prompt(self, prompt: str, words: PromptConfig | None = None) -> list[int]:
        """Return token ids of what `words`, or the card's own, rendered, its films written out."""
        words = words or self.card.prompt
        return encode_prompt(self.tokenizer, prompt, self.num_image_tokens, words, self._film_text)

    def encode_target(self, target: str) -> list[int]:
        """Return token ids of an answer behind what the card's prompt rendered, and of its end."""
        return encode_target(self.tokenizer, target, self.card.prompt, self._film_text)

    def load_source(self) -> ReportModel:
        """Load the checkpoint that the export was made from.

        Raises:
            CheckpointError: It is gone or was changed since.
        """
        source = self.export.source
        folder = checkpoint_folder(source.path)
        needed = f"{self.folder}: attention maps and the like need the checkpoint that this export was made from, and"
        if not (folder / CARD).is_file():
            raise CheckpointError(f"{needed} {source.path} is gone. Put it back there, or ask the checkpoint itself.")
        if checkpoint_digest(folder) != source.digest:
            raise CheckpointError(f"{needed} {source.path} was changed since. Export it again.")
        return load_report_model(folder)


def checkpoint_digest(folder: Path) -> str:
    """Return the digest of the names and contents of all files in a checkpoint folder."""
    return hashlib.sha256(json.dumps(file_digests(folder), sort_keys=True).encode()).hexdigest()


def file_digests(folder: Path, without: Iterable[str] = ()) -> dict[str, str]:
    """Return the sha256 of every file under a folder by its name relative to it, but for those in `without`."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: sha256_file(path) for name, path in files.items() if name not in set(without)}


def is_export(folder: Path) -> bool:
    """Tell whether a folder is an export."""
    return (folder / EXPORT).is_file()


def write_frame(report_model: ReportModel, folder: Path) -> None:
    """Write what is the same in every export: the card and the tokenizer."""
    report_model.tokenizer.save_pretrained(folder / TOKENIZER)
    write_atomically(folder / CARD, report_model.card.model_dump_json(indent=2) + "\n")


def write_export(export: Export, folder: Path) -> None:
    """Write ``export.json``."""
    write_atomically(folder / EXPORT, export.model_dump_json(indent=2) + "\n")


def read_export(folder: Path) -> ExportedModel:
    """Read an export; every file must be the one that was written.

    Raises:
        CheckpointError: The folder is no export, or a file is missing or was changed.
    """
    try:
        export = Export.model_validate_json((folder / EXPORT).read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{folder}: is no export (no {EXPORT} in it). Give the folder of one.") from None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, item["loc"])) for item in error.errors()) or "no JSON"
        raise CheckpointError(f"{folder / EXPORT}: cannot be read ({fields}). Export the checkpoint again.") from None
    for name, digest in export.files.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise CheckpointError(f"{folder}: {name} is missing or was changed. Export the checkpoint again.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / TOKENIZER, local_files_only=True)
    except (OSError, ValueError):
        raise CheckpointError(f"{folder}: its tokenizer cannot be read. Export the checkpoint again.") from None
    return ExportedModel(folder, export, read_card(folder, "report_model"), tokenizer)
