"""The work of `structure`, study by study: ask, judge, ask again with the reason, and fall back to the rules.

Studies are worked on side by side but leave in the order they came, a bounded number at a time, so that what is made
does not depend on which answer comes first.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel

from radlet.core.records import Study
from radlet.data.structured import StructuredText
from radlet.llm.answers import AnswerCache
from radlet.llm.asking import Unreadable, load_prompt, read_reply
from radlet.llm.client import Client, NoAnswerError
from radlet.llm.endpoint import BudgetConfig, ModelConfig, OutputMode, ServerConfig
from radlet.llm.jobs.base import Document, Job, Task
from radlet.llm.ordering import in_order

_AHEAD = 4
"""Studies taken up at once for each request that may be under way."""


@dataclass(frozen=True)
class Refusal:
    """An answer that was not let in; `text` is for the private file alone."""

    study_id: str
    job: str
    section: str | None
    attempt: int
    reasons: tuple[str, ...]
    num_chars: int
    text: str


@dataclass
class Outcome:
    """What came of one study: its texts, the answers that were refused, and counts by job."""

    text: StructuredText | None
    refusals: list[Refusal] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    num_tokens: int = 0


@dataclass(frozen=True)
class Settings:
    """Who is asked, what, and how often."""

    server: ServerConfig
    model: ModelConfig
    budget: BudgetConfig
    jobs: tuple[Job, ...]
    max_reasks: int


class Structurer:
    """Works on studies through one client; made by `open_structurer`."""

    def __init__(self, settings: Settings, client: Client, runner: asyncio.Runner) -> None:
        self.client = client
        self._settings, self._runner = settings, runner
        self._gate = asyncio.Semaphore(settings.server.num_concurrent)

    def find_mode(self, known: OutputMode | None) -> OutputMode:
        """Find out how the server is held to a form of answer; `known` is taken without asking."""
        return self._runner.run(self.client.find_mode(known))

    def work(self, studies: Iterable[Study]) -> Iterator[Outcome]:
        """Yield what came of each study, in their order.

        Raises:
            StoppedError: Nothing more may be asked; answers so far are kept.
        """
        return in_order(self._runner, studies, self._structure, _AHEAD * self._settings.server.num_concurrent)

    async def _structure(self, study: Study) -> Outcome:
        document, outcome = Document.of(study), Outcome(None)
        for job in self._settings.jobs:
            for task in job.tasks(document):
                await self._do(job, task, document, outcome)
        if document.done:
            changed = {name for sections in document.done.values() for name in sections}
            # A replaced report hands over all of its sections, or those of the rules would stand beside them.
            kept = document.sections if document.replaces_report else {n: document.sections[n] for n in changed}
            outcome.text = StructuredText(
                study_id=study.study_id,
                sections=dict(kept),
                replaces_report=document.replaces_report,
                jobs=document.done,
                model=self._settings.model.name,
                prompts={job.kind: load_prompt(job.kind).digest for job in self._settings.jobs},
            )
        return outcome

    async def _do(self, job: Job, task: Task, document: Document, outcome: Outcome) -> None:
        """Do one task: lay over the study what was let in, else what the rules make of it."""
        if len(task.text) > job.max_input_chars:
            outcome.counts[job.kind, "too_long"] += 1
            outcome.refusals.append(_refusal(document, job, task, 0, ("too_long",), ""))
            accepted = None
        else:
            outcome.counts[job.kind, "asked"] += 1
            accepted = await self._converse(job, task, document, outcome)
        if accepted is not None:
            if job.replaces_report:
                document.forget_report()
            document.put(job.kind, accepted, "model")
            return
        ruled = job.fallback(task, document)
        outcome.counts[job.kind, "by_rule" if ruled else "left"] += 1
        if ruled:
            document.put(job.kind, ruled, "rule")

    async def _converse(self, job: Job, task: Task, document: Document, outcome: Outcome) -> dict[str, str] | None:
        """Ask, and ask again with the reasons; return the texts that were let in, None if none was."""
        prompt, refused = load_prompt(job.kind), None
        reasons: tuple[str, ...] = ()
        for attempt in range(self._settings.max_reasks + 1):
            try:
                async with self._gate:
                    answer = await self.client.ask(prompt.messages(task.text, reasons), task.schema)
            except NoAnswerError as error:
                self._refuse(outcome, _refusal(document, job, task, attempt, (error.reason,), ""))
                if error.reason != "malformed":
                    break
                continue
            outcome.num_tokens += answer.prompt_tokens + answer.completion_tokens
            reply: BaseModel | Unreadable = read_reply(answer, task.schema)
            if isinstance(reply, Unreadable):
                reasons = (reply.reason,)
            else:
                judgement = job.judge(task, document, reply)
                if not judgement.reasons:
                    outcome.counts[job.kind, "accepted" if attempt == 0 else "accepted_when_asked_again"] += 1
                    return judgement.sections
                reasons = judgement.reasons
            self._refuse(outcome, _refusal(document, job, task, attempt, reasons, answer.text))
            if answer.text == refused:  # a model that repeats itself would do so again
                break
            refused = answer.text
        return None

    def _refuse(self, outcome: Outcome, refusal: Refusal) -> None:
        outcome.refusals.append(refusal)
        for reason in refusal.reasons:
            outcome.counts[refusal.job, f"refused: {reason}"] += 1


@contextmanager
def open_structurer(settings: Settings, cache: AnswerCache) -> Iterator[Structurer]:
    """Open the client and an event loop of its own; both are closed, and what is under way is given up, at the end."""
    with asyncio.Runner() as runner:
        client = Client(settings.server, settings.model, settings.budget, cache)
        try:
            yield Structurer(settings, client, runner)
        finally:
            runner.run(client.__aexit__())


def _refusal(document: Document, job: Job, task: Task, attempt: int, reasons: tuple[str, ...], text: str) -> Refusal:
    return Refusal(document.study.study_id, job.kind, task.section, attempt, reasons, len(task.text), text)
