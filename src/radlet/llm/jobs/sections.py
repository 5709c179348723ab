"""Job `sections`: cut a report that carries no headings.

The model does not write the sections: it says of each sentence of the report to which section it belongs, so nothing
can be invented and nothing lost.
"""

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, create_model

from radlet.core.records import State
from radlet.data.observations import find_mentions
from radlet.data.sections import find_spans
from radlet.llm.jobs.base import Document, Job, Judgement, Reply, Task
from radlet.llm.statements import find_statements

SectionName = Literal["indication", "history", "technique", "comparison", "findings", "impression"]
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b\d\.)(?<!\bDr\.)(?<!\bvs\.)\s+|\n+")
_JUDGED = ("findings", "impression")


def split_sentences(report: str) -> list[str]:
    """Return the sentences of a report, without the white space between them."""
    return [part.strip() for part in _SENTENCE_END.split(report) if part.strip()]


class SectionsJob(Job):
    """Say of each sentence of a report to which section it belongs."""

    replaces_report: ClassVar[bool] = True
    kind: Literal["sections"] = "sections"
    scope: Literal["without_headings", "all"] = "without_headings"
    """Which reports: those in which the rules found no heading, or all."""
    max_sentences: int = Field(default=60, ge=2)
    """A report of more sentences is kept aside as ``too_long``."""

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for a report that the rules could not cut."""
        sentences = split_sentences(document.report)
        if len(sentences) < 2 or any(document.study.sections.get(name) for name in _JUDGED):
            return []
        if self.scope == "without_headings" and any(s.kind == "heading" for s in find_spans(document.report)):
            return []
        numbered = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
        if len(sentences) > self.max_sentences:
            numbered += " " * (self.max_input_chars + 1)  # over any limit, so that it is kept aside
        return [Task(None, numbered, _form(len(sentences)))]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:  # noqa: ARG002
        """Join the sentences of each section; refuse what no report looks like."""
        sentences = split_sentences(document.report)
        names: list[str] = [getattr(reply, f"s{number}") for number in range(1, len(sentences) + 1)]
        reasons = _implausible(names, sentences)
        if reasons:
            return Judgement({}, reasons)
        cut: dict[str, str] = {}
        for name, sentence in zip(names, sentences, strict=True):
            cut[name] = f"{cut[name]} {sentence}" if name in cut else sentence
        return Judgement(cut)


def _form(num_sentences: int) -> type[Reply]:
    fields: dict[str, Any] = {f"s{number}": (SectionName, ...) for number in range(1, num_sentences + 1)}
    return create_model("Sections", __base__=Reply, **fields)


def _implausible(names: list[str], sentences: list[str]) -> tuple[str, ...]:
    """Return why a cut cannot be right, as far as the order of reports and what sentences state can tell."""
    reasons = set()
    runs = [name for number, name in enumerate(names) if not number or names[number - 1] != name]
    if len(set(runs)) < len(runs):
        reasons.add("scattered")
    ranks = [_JUDGED.index(name) + 1 if name in _JUDGED else 0 for name in runs]
    if ranks != sorted(ranks):
        reasons.add("out_of_order")
    stated = {name for name, sentence in zip(names, sentences, strict=True) if find_statements(sentence)}
    if not set(runs) & set(_JUDGED) or ("findings" in runs and "findings" not in stated):
        reasons.add("no_findings")
    denied = {name for name, sentence in zip(names, sentences, strict=True) if _denies(sentence)}
    if stated & {"technique", "comparison"} or denied - set(_JUDGED):
        reasons.add("misplaced")
    return tuple(sorted(reasons))


def _denies(sentence: str) -> bool:
    return any(mention.state is State.NEGATIVE for mention in find_mentions(sentence))
