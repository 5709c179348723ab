"""Job `labels_to_text`: write the labels of a study that has no report as sentences."""

from typing import Any, Literal

from radlet.llm.jobs.base import Document, Job, Judgement, Task, TextReply
from radlet.llm.labels import check_text_of_labels, finding_of, plain_name

_NOTHING = ("no finding", "no findings", "normal")


class LabelsToTextJob(Job):
    """Write findings from labels, for sets of films without reports."""

    kind: Literal["labels_to_text"] = "labels_to_text"
    absent: bool = True
    """Whether the text also denies what the labels say is absent, where the lexicons know the label."""

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for a study that has labels and no text."""
        present, absent = self._names(document)
        if document.report or any(document.study.sections.values()) or not (present or absent):
            return []
        told = f"present: {', '.join(present) or 'nothing'}\nabsent: {', '.join(absent) or 'nothing told'}"
        return [Task(None, told, TextReply)]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:  # noqa: ARG002
        """Compare the text with the labels."""
        text = reply.text.strip()
        present, absent = self._names(document)
        reasons = check_text_of_labels(present, absent, text)
        return Judgement({} if reasons else {"findings": text}, reasons)

    def _names(self, document: Document) -> tuple[list[str], list[str]]:
        """Return the labels to state and to deny; one that says what another affirms is not denied."""
        labels = {plain_name(name): value for name, value in document.study.labels.items()}
        present = [name for name, value in labels.items() if value == 1 and name not in _NOTHING]
        stated = {finding_of(name) for name in present}
        absent = [
            name
            for name, value in labels.items()
            if self.absent and value == 0 and finding_of(name) is not None and finding_of(name) not in stated
        ]
        return present, absent
