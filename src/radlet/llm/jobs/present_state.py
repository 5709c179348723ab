"""Job `present_state`: rewrite what a section says of earlier exams as the present state."""

from typing import Any, Literal

from radlet.data.priors import find_prior_references, remove_prior_references
from radlet.llm.guard import check_present_state
from radlet.llm.jobs.base import Document, Job, Judgement, Task, TextReply


class PresentStateJob(Job):
    """Rewrite findings and impression so that they speak of the present exam alone."""

    kind: Literal["present_state"] = "present_state"
    scope: Literal["left_by_rules", "all"] = "left_by_rules"
    """Which sections: those in which the rules leave a reference to an earlier exam, or all that have one."""

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for each section that refers to an earlier exam."""
        return [
            Task(name, text, TextReply)
            for name in ("findings", "impression")
            if (text := document.sections.get(name, "")) and self._asks(text)
        ]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:  # noqa: ARG002
        """Compare the rewritten text with the section."""
        text = reply.text.strip()
        reasons = check_present_state(task.text, text)
        return Judgement({} if reasons else {str(task.section): text}, reasons)

    def fallback(self, task: Task, document: Document) -> dict[str, str]:  # noqa: ARG002
        """Return what the rules make of the section."""
        text = remove_prior_references(task.text).text
        return {str(task.section): text} if text != task.text else {}

    def _asks(self, text: str) -> bool:
        left = text if self.scope == "all" else remove_prior_references(text).text
        return bool(find_prior_references(left))
