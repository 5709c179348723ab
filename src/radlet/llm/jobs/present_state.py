"""Job `present_state`: rewrite what a section says of earlier exams as the present state.

Sentence by sentence, and only those that compare: the rest of the section is never in the model's hands.
"""

import re
from typing import Any, Literal

from radlet.data.priors import find_prior_references, remove_prior_references
from radlet.llm.guard import check_present_state
from radlet.llm.jobs.base import Document, Job, Judgement, Task, TextReply

_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b\d\.)\s+(?=[A-Z\d])|\n+")


class PresentStateJob(Job):
    """Rewrite findings and impression so that they speak of the present exam alone."""

    kind: Literal["present_state"] = "present_state"
    scope: Literal["left_by_rules", "all"] = "left_by_rules"
    """Which sentences: those in which the rules leave a reference to an earlier exam, or all that have one."""

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for each sentence that refers to an earlier exam."""
        return [
            Task(name, sentence, TextReply)
            for name in ("findings", "impression")
            for sentence in dict.fromkeys(_SENTENCE_END.split(document.sections.get(name, "")))
            if self._asks(sentence)
        ]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:
        """Compare the rewritten sentence with the one it was, and put it in its place."""
        sentence = reply.text.strip()
        reasons = check_present_state(task.text, sentence)
        return Judgement({} if reasons else _replaced(task, document, sentence), reasons)

    def fallback(self, task: Task, document: Document) -> dict[str, str]:
        """Return the section with what the rules make of the sentence."""
        sentence = remove_prior_references(task.text).text
        return _replaced(task, document, sentence) if sentence != task.text else {}

    def _asks(self, sentence: str) -> bool:
        left = sentence if self.scope == "all" else remove_prior_references(sentence).text
        return bool(find_prior_references(left))


def _replaced(task: Task, document: Document, sentence: str) -> dict[str, str]:
    section = str(task.section)
    text = document.sections[section].replace(task.text, sentence)
    return {section: re.sub(r"[ \t]{2,}", " ", text).strip()}
