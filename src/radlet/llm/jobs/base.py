"""What every job has in common: where its texts are, how it judges answers, and what stands when none is let in."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from radlet.core.config import Config
from radlet.core.records import Study
from radlet.data.deidentify import remove_identifiers
from radlet.data.sections import parse_sections


class Reply(BaseModel):
    """Base of the forms of answers: strict, nothing beyond the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TextReply(Reply):
    """The form of an answer that is one text."""

    text: str


@dataclass
class Document:
    """The texts of one study while jobs work on them; identifiers are taken out before any job sees them.

    Attributes:
        study: As `ingest` wrote it.
        report: The whole report.
        sections: Those the source delivered, and those that the rules cut from the report.
        replaces_report: Whether `sections` now hold all of the report.
        done: Job -> section -> who wrote what stands there now: "model", "rule" or "model and rule".
    """

    study: Study
    report: str
    sections: dict[str, str]
    replaces_report: bool = False
    done: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> "Document":
        """Read the texts of a study."""
        report = remove_identifiers(study.report) if study.report else ""
        delivered = {name: remove_identifiers(text) for name, text in study.sections.items()}
        return cls(study, report, {**(parse_sections(report) if report else {}), **delivered})

    def forget_report(self) -> None:
        """Leave only what the source delivered, before sections that hold all of the report are put in."""
        self.sections = {name: text for name, text in self.sections.items() if name in self.study.sections}
        self.replaces_report = True

    def put(self, job: str, sections: dict[str, str], author: str) -> None:
        """Lay texts over the sections."""
        self.sections |= sections
        authors = self.done.setdefault(job, {})
        for name in sections:
            authors[name] = author if authors.get(name, author) == author else "model and rule"


@dataclass(frozen=True)
class Task:
    """One question: a text of a study, and the form of the answer.

    Attributes:
        section: The section that the text is, None for a whole report or for labels.
        text: What the model is given.
        schema: The form of its answer.
    """

    section: str | None
    text: str
    schema: type[BaseModel]


@dataclass(frozen=True)
class Judgement:
    """What came of an answer: the texts to lay over the sections, or the reasons why it is refused."""

    sections: dict[str, str]
    reasons: tuple[str, ...] = ()


class Job(Config):
    """Base of the jobs; each is a table ``[[jobs]]`` with its ``kind`` in a recipe of `structure`."""

    replaces_report: ClassVar[bool] = False
    """Whether the sections of an accepted answer hold all of the report."""

    kind: str
    """Name of the job in the registry."""
    max_input_chars: int = Field(default=6000, ge=1)
    """A longer text is not sent; it is kept aside as ``too_long``."""

    def tasks(self, document: Document) -> list[Task]:
        """Return the questions to ask about a study; none where the job has nothing to do."""
        raise NotImplementedError

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:
        """Let an answer in, or refuse it with reasons."""
        raise NotImplementedError

    def fallback(self, task: Task, document: Document) -> dict[str, str]:  # noqa: ARG002
        """Return what the rules make of a text whose answers were all refused; nothing leaves the text as it is."""
        return {}
