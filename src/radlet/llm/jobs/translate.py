"""Job `translate`: put a report into English."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from radlet.core.records import Study
from radlet.llm.jobs.base import Document, Job, Judgement, Task, TextReply
from radlet.llm.labels import compare_labels
from radlet.llm.numbers import find_numbers
from radlet.llm.spanish import check_translation


class TranslateJob(Job):
    """Translate every section of a report into English."""

    kind: Literal["translate"] = "translate"
    language: str = Field(default="es", pattern=r"^[a-z]{2,3}$")
    """Language of the reports (ISO 639)."""
    unguarded: bool = False
    """Let translations in from a language without a lexicon, with nothing but their figures and labels compared."""

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.language != "es" and not self.unguarded:
            raise ValueError(
                f"translations from '{self.language}' cannot be guarded, only those from 'es'; unguarded = true lets "
                "them in as they come"
            )
        return self

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for each section."""
        return [Task(name, text, TextReply) for name, text in document.sections.items() if text.strip()]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:
        """Compare the translation with the section, and with the labels that came with the study."""
        text = reply.text.strip()
        reasons = set(self._compare(task.text, text))
        if task.section == "findings":
            reasons |= set(_compare_with_labels(document.study, text))
        return Judgement({} if reasons else {str(task.section): text}, tuple(sorted(reasons)))

    def fallback(self, task: Task, document: Document) -> dict[str, str]:  # noqa: ARG002
        """Return an empty section: text of another language has no place among English examples."""
        return {str(task.section): ""}

    def _compare(self, source: str, output: str) -> tuple[str, ...]:
        if not output:
            return ("empty",)
        if self.language == "es":
            return check_translation(source, output)
        figures = find_numbers(source, {}, decimal_comma=True) != find_numbers(output, {})
        return ("number_changed",) if figures else ()


def _compare_with_labels(study: Study, text: str) -> tuple[str, ...]:
    return compare_labels(study.labels, text) if study.labels else ()
