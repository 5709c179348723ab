"""A language model as judge: the six kinds of errors of a draft, each significant or not, listed with quotes.

The model lists errors rather than counting them, so that counts cannot contradict the list, and every quote is looked
for in the report that it must come from. Several answers are asked for and the median of each count is taken. What
stays without a usable answer is missing under its reason, never free of errors.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal, Self

from pydantic import Field, model_validator

from radlet.core.console import Progress
from radlet.core.errors import RunError
from radlet.data.deidentify import remove_identifiers
from radlet.llm.answers import AnswerCache
from radlet.llm.asking import Unreadable, load_prompt, read_reply
from radlet.llm.client import Client, NoAnswerError, StoppedError
from radlet.llm.endpoint import BudgetConfig, ModelConfig, ServerConfig, check_host
from radlet.llm.jobs.base import Reply
from radlet.llm.ordering import in_order
from radlet.metrics.judging import NO_REFERENCE, ErrorCount, Judge, JudgedReport, ReportPair
from radlet.metrics.rule_judge import ERROR_KINDS, ErrorKind

_PROMPT = "judge"
_AHEAD = 4
"""Reports taken up at once for each request that may be under way."""
_WORD = re.compile(r"[^\W_]+")
_LEAST_QUOTED = 0.5
"""Share of the words of a quote that its report must have; models shorten and inflect."""
_SEEDS = 10_007
"""Distance of the seeds of two judges, so that their samples are not the same."""


class ListedError(Reply):
    """One error as the model lists it."""

    kind: ErrorKind
    finding: str
    significant: bool


class ErrorList(Reply):
    """The form of an answer."""

    errors: list[ListedError]


class SampledModelConfig(ModelConfig):
    """The model that is asked, and how it writes."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    """0 is greedy; above it the answers of one question differ, which several samples need."""


class ModelJudge(Judge):
    """A language model behind an OpenAI-compatible endpoint; only this machine is asked unless a host is allowed."""

    kind: Literal["llm"] = "llm"
    model: SampledModelConfig
    """The model that is asked."""
    server: ServerConfig = ServerConfig()
    """The server that is asked."""
    budget: BudgetConfig = BudgetConfig()
    """When to stop asking."""
    samples: int = Field(default=3, ge=1, le=101)
    """Answers to each question. The median of each count is taken; more than half of them must be usable."""
    max_reasks: int = Field(default=1, ge=0, le=10)
    """How often a refused answer is asked for again, with the reason."""
    max_input_chars: int = Field(default=12_000, ge=1)
    """Two reports that are longer together are not sent; they are missing as ``too_long``."""
    max_errors: int = Field(default=40, ge=1)
    """An answer with more errors is refused."""
    quotes: bool = False
    """Whether the file that is written holds the model's errors with their quotes, which are words of the reports."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples, told to the server."""
    runs_dir: Path = Path("runs")
    """Folder under which answers are kept, so that the same command goes on from them."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.model.temperature == 0:
            raise ValueError(
                f"samples = {self.samples} with model.temperature = 0 would ask for one answer many times. "
                "Set samples = 1, or a temperature above 0"
            )
        return self

    def judge(self, pairs: Sequence[ReportPair], progress: Progress) -> Iterator[JudgedReport]:
        """Yield the judgement of each pair, in order.

        Raises:
            PrivacyError: The server is not on this machine and its host is not allowed.
            RunError: The server gives no usable answer, the budget is spent, or too many questions stay without one.
        """
        check_host(self.server)
        with AnswerCache(self.runs_dir / ".cache" / "answers.sqlite") as cache, asyncio.Runner() as runner:
            client = Client(self.server, self.model, self.budget, cache)
            try:
                runner.run(client.find_mode())
                panel = _Panel(self, client)
                judged = in_order(runner, pairs, panel.judge, _AHEAD * self.server.num_concurrent)
                yield from progress.track(judged, "reports", len(pairs))
            except StoppedError as error:
                raise RunError(
                    f"stopped, {error}. {error.advice}; the same command goes on from what was answered."
                ) from None
            finally:
                runner.run(client.__aexit__())
            progress.console.print(f"requests sent by this command: {client.budget.num_requests}")


@dataclass
class _Samples:
    """What came of the questions about one pair."""

    answers: list[ErrorList] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


class _Panel:
    """Asks one model several times about each pair."""

    def __init__(self, config: ModelJudge, client: Client) -> None:
        self._config, self._client = config, client
        self._gate = asyncio.Semaphore(config.server.num_concurrent)
        self._prompt = load_prompt(_PROMPT)

    async def judge(self, pair: ReportPair) -> JudgedReport:
        """Return the median of the usable answers about a pair, or why there are too few."""
        if not pair.reference.strip():
            return _missing(pair, NO_REFERENCE)
        told = _told(pair)
        text = json.dumps(told, ensure_ascii=False)
        if len(text) > self._config.max_input_chars:
            return _missing(pair, "too_long")
        samples = _Samples()
        for number in range(self._config.samples):
            answer = await self._sample(text, told, (self._config.seed * _SEEDS + number) % 2**31)
            if isinstance(answer, Unreadable):
                samples.reasons[answer.reason] += 1
            else:
                samples.answers.append(answer)
        if 2 * len(samples.answers) <= self._config.samples:
            return _missing(pair, samples.reasons.most_common(1)[0][0])
        return _judged(pair, samples.answers, self._config.quotes)

    async def _sample(self, text: str, told: Mapping[str, object], seed: int) -> ErrorList | Unreadable:
        """Ask, and ask again with the reason; return a usable answer, or why the last one was none."""
        reason = ""
        for _ in range(self._config.max_reasks + 1):
            messages = self._prompt.messages(text, (reason,) if reason else ())
            try:
                async with self._gate:
                    answer = await self._client.ask(messages, ErrorList, seed)
            except NoAnswerError as error:
                if error.reason != "malformed":
                    return Unreadable(error.reason)
                reason = error.reason
                continue
            reply = read_reply(answer, ErrorList)
            if isinstance(reply, ErrorList):
                reason = implausible(reply, str(told["reference"]), str(told["draft"]), self._config.max_errors)
                if not reason:
                    return reply
            else:
                reason = reply.reason if isinstance(reply, Unreadable) else "wrong_form"
        return Unreadable(reason)


def implausible(answer: ErrorList, reference: str, draft: str, max_errors: int) -> str:
    """Return why a list cannot be the errors of this draft against this reference; nothing when it may be."""
    if len(answer.errors) > max_errors:
        return "too_many_errors"
    listed = [(error.kind, " ".join(_WORD.findall(error.finding.lower()))) for error in answer.errors]
    if len(set(listed)) < len(listed):
        return "repeated"
    words = {"false": _words(draft), "missing": _words(reference), "wrong": _words(draft) | _words(reference)}
    for kind, quote in listed:
        source = words[kind.partition("_")[0]]
        quoted = quote.split()
        if sum(word in source for word in quoted) < max(_LEAST_QUOTED * len(quoted), 1):
            return "finding_not_quoted"
    return ""


def _told(pair: ReportPair) -> dict[str, object]:
    """Return what the model is told, without identifiers; as JSON, so that no text can end where it does not."""
    told: dict[str, object] = {"age": pair.age} if pair.age is not None else {}
    if pair.indication:
        told["indication"] = remove_identifiers(pair.indication)
    return told | {"reference": remove_identifiers(pair.reference), "draft": remove_identifiers(pair.draft)}


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _missing(pair: ReportPair, reason: str) -> JudgedReport:
    return JudgedReport(id=pair.id, counts=None, missing=reason)


def _judged(pair: ReportPair, answers: Sequence[ErrorList], quotes: bool) -> JudgedReport:
    tables = [Counter((error.kind, error.significant) for error in answer.errors) for answer in answers]
    typical = _nearest(tables) if quotes else None
    return JudgedReport(
        id=pair.id,
        counts={
            kind: ErrorCount(significant=_median(tables, kind, True), insignificant=_median(tables, kind, False))
            for kind in ERROR_KINDS
        },
        errors=()
        if typical is None
        else tuple((error.kind, error.finding, error.significant) for error in answers[typical].errors),
        num_samples=len(answers),
        spread={
            kind: ErrorCount(significant=_spread(tables, kind, True), insignificant=_spread(tables, kind, False))
            for kind in ERROR_KINDS
        },
    )


_Table = Counter[tuple[ErrorKind, bool]]


def _nearest(tables: Sequence[_Table]) -> int:
    """Return which answer is nearest to the median, the first of equals."""
    middle = {(kind, level): _median(tables, kind, level) for kind in ERROR_KINDS for level in (True, False)}
    distances = [sum(abs(table[cell] - value) for cell, value in middle.items()) for table in tables]
    return distances.index(min(distances))


def _median(tables: Sequence[_Table], kind: ErrorKind, significant: bool) -> int | float:
    value = median(table[kind, significant] for table in tables)
    return int(value) if value == int(value) else value


def _spread(tables: Sequence[_Table], kind: ErrorKind, significant: bool) -> int:
    counts = [table[kind, significant] for table in tables]
    return max(counts) - min(counts)
