"""A text that leaves: a model's draft, which nobody has verified, or a report that a person signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pydicom.dataset import Dataset

from radlet import __version__
from radlet.reading.store.tables import DraftRow, SignatureRow

NOTICE = "AI draft - not verified"
_NOTICE_SIGNED_DRAFT = "Report drafted with AI, signed"
_NOTICE_SIGNED = "Report, signed"


def name_parts(name: str) -> list[str]:
    """Return family name, given name, middle name, prefix and suffix of a DICOM person name (PS3.5 6.2.1).

    Of its groups the Latin one is taken, or else the first that is not empty.
    """
    group = next((group for group in name.split("=") if group.strip("^ ")), "")
    return [*group.split("^"), *[""] * 5][:5]


@dataclass(frozen=True)
class Signing:
    """For whom people sign.

    Attributes:
        organization: That they answer for (Verifying Organization).
        names: Of those who sign, by account, parts in DICOM's order.
    """

    organization: str
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Signed:
    """Who answers for a report.

    Attributes:
        name: As a DICOM person name.
        account: That signed.
        organization: That the person answers for.
        predecessors: Reports whose content it takes over: class and UIDs of each.
        is_amended: Whether an earlier signed report of the study is replaced by it.
    """

    name: str
    account: str
    organization: str
    predecessors: tuple[Dataset, ...] = ()
    is_amended: bool = False

    @property
    def name_parts(self) -> list[str]:
        """The parts of the name, as `name_parts` gives them."""
        return name_parts(self.name)

    @property
    def plain_name(self) -> str:
        """The name as a line of text."""
        family, given, middle, prefix, suffix = self.name_parts
        return " ".join(part for part in (prefix, given, middle, family, suffix) if part)


@dataclass(frozen=True)
class Report:
    """What all outputs say of a text.

    Attributes:
        id: Of the draft or the signature; all UIDs follow from it.
        moment: When it was written or signed.
        text: As it was kept.
        lines: Of the text, in which outputs show it.
        draft: That it is, or that it was written from.
        signed: Who answers for it; None for a draft.
    """

    id: str
    moment: datetime
    text: str
    lines: tuple[str, ...]
    draft: DraftRow | None
    signed: Signed | None = None

    @classmethod
    def of_draft(cls, draft: DraftRow) -> "Report":
        """Return a draft, a line a sentence."""
        lines = tuple(draft.text[start:end] for start, end in draft.sentences)
        return cls(draft.id, draft.created_at, draft.text, lines or ("(The draft is empty.)",), draft)

    @classmethod
    def of_signature(cls, signature: SignatureRow, draft: DraftRow | None, signed: Signed) -> "Report":
        """Return a signed report, in the lines in which it was signed."""
        lines = tuple(line.strip() for line in signature.text.splitlines() if line.strip())
        return cls(signature.id, signature.signed_at, signature.text, lines, draft, signed)

    @property
    def notice(self) -> str:
        """What stands over it."""
        if self.signed is None:
            return NOTICE
        return _NOTICE_SIGNED_DRAFT if self.draft else _NOTICE_SIGNED

    @property
    def status(self) -> Literal["preliminary", "final", "amended"]:
        """How far it is, in the words of FHIR."""
        if self.signed is None:
            return "preliminary"
        return "amended" if self.signed.is_amended else "final"

    @property
    def provenance(self) -> list[str]:
        """Who answers for it and what wrote it, line by line."""
        draft, signed = self.draft, self.signed
        if signed is None:
            lines = [f"{NOTICE}. Written by software; no physician has read it."]
        else:
            moment = self.moment.astimezone(UTC)
            lines = [f"Signed by {signed.plain_name}, {signed.organization}, {moment:%Y-%m-%d %H:%M} UTC."]
            if draft:
                changed = "was" if self.text != draft.text else "was not"
                lines.append(f"Drafted with AI; the draft {changed} changed before it was signed.")
        if draft:
            lines += [
                f"Algorithm: {draft.model}",
                f"Version: {draft.checkpoint_digest}",
                f"Software: radlet {draft.radlet_version}, engine {draft.engine}, image path {draft.image_path_digest}",
            ]
        return lines

    @property
    def software_versions(self) -> tuple[str, ...]:
        """Of what made the object."""
        if self.signed is None and self.draft:
            # The digest fills its value: as the last it could be padded beyond what the value may hold.
            return self.draft.checkpoint_digest, f"radlet {self.draft.radlet_version}"
        return (f"radlet {__version__}",)

    @property
    def equipment(self) -> str:
        """Model name of what made the object: the model that drafted, or the room that a person signed in."""
        return self.draft.model if self.signed is None and self.draft else "radlet reading room"
