"""Job `mend`: join, part, complete and respell words that a scan, an export or a line break has broken."""

import re
from typing import Any, Literal

from radlet.llm.guard import check_mended
from radlet.llm.jobs.base import Document, Job, Judgement, Task, TextReply

_BROKEN = re.compile(
    r"[A-Za-z]- +[a-z]{2,}|[a-z]-\n[a-z]|\b(?![aAI]\b)[b-hj-zB-HJ-Z]\s[a-z]{2,}|[A-Za-z][0-9|][a-z]|\ufffd"
    r"|[a-z]{2,}[.,][a-z]{2,}|[a-z]\n+[a-z]{1,3}\b"
)
"""Signs of broken words: a hyphen inside one, a lone letter, a figure among letters, a character that was lost."""


class MendJob(Job):
    """Mend the broken words of a text and leave all others."""

    kind: Literal["mend"] = "mend"
    scope: Literal["broken", "all"] = "broken"
    """Which sections: those with a sign of broken words, or all."""

    def tasks(self, document: Document) -> list[Task]:
        """Return one question for each section to mend."""
        return [
            Task(name, text, TextReply)
            for name, text in document.sections.items()
            if text.strip() and (self.scope == "all" or _BROKEN.search(text))
        ]

    def judge(self, task: Task, document: Document, reply: Any) -> Judgement:  # noqa: ARG002
        """Compare the mended text with the section, word by word."""
        text = reply.text.strip()
        reasons = check_mended(task.text, text)
        return Judgement({} if reasons else {str(task.section): text}, reasons)
