"""The client of the endpoint: one question in, one answer out, through the openai package.

It sends again what a busy or broken server leaves unanswered, follows no redirection, takes no proxy and no setting
from the environment, and logs nothing of what it carries.
"""

import json
import logging
from typing import Any, Self

import httpx2
import openai
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from radlet.core.errors import RunError
from radlet.llm.answers import Answer, AnswerCache, question_key
from radlet.llm.asking import Message
from radlet.llm.endpoint import BudgetConfig, ModelConfig, OutputMode, ServerConfig, api_key, check_host
from radlet.llm.transport import TOO_LARGE, BoundedTransport, Budget

_MODES: tuple[OutputMode, ...] = ("json_schema", "json_object", "text")
_HEADERS = ("host", "accept", "content-type", "content-length", "authorization", "connection")
_SHARE_COUNTS_FROM = 20

for _name in ("openai", "httpx2", "httpcore2"):  # their debug lines quote what is sent
    logging.getLogger(_name).setLevel(logging.ERROR)


class NoAnswerError(Exception):
    """A question stayed without an answer; `reason` is one word for the counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoppedError(Exception):
    """Nothing more may be asked: the budget is spent, or too many questions stayed without an answer."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason, self.advice = reason, advice


def open_connection(server: ServerConfig, budget: Budget) -> openai.AsyncOpenAI:
    """Return a connection to the server that keeps to its limits and to the budget; it must be closed."""
    inner = httpx2.AsyncHTTPTransport(trust_env=False, limits=httpx2.Limits(max_connections=server.num_concurrent))
    http = httpx2.AsyncClient(
        transport=BoundedTransport(server, budget, inner),
        trust_env=False,
        follow_redirects=False,
        event_hooks={"request": [_keep_headers]},
    )
    return openai.AsyncOpenAI(
        base_url=server.url,
        api_key=api_key(server),
        timeout=server.timeout_s,
        max_retries=server.max_retries,
        http_client=http,
        _strict_response_validation=True,
    )


class Client:
    """Asks one model of one server; use as an asynchronous context manager."""

    def __init__(self, server: ServerConfig, model: ModelConfig, budget: BudgetConfig, cache: AnswerCache) -> None:
        check_host(server)
        self.model, self.budget = model, Budget(budget)
        self._server, self._cache = server, cache
        self._mode: OutputMode = "json_schema" if model.output == "auto" else model.output
        self._num_asked = self._num_failed = 0
        self._openai = open_connection(server, self.budget)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def find_mode(self, known: OutputMode | None = None) -> OutputMode:
        """Find out how this server can be held to a form of answer, and ask that way from here on.

        Args:
            known: What was found before; it is taken without asking.

        Raises:
            RunError: The server does not answer at all.
            StoppedError: The budget is spent.
        """
        if known or self.model.output != "auto":
            self._mode = known or self._mode
            return self._mode
        reason = "malformed"
        for self._mode in _MODES:
            try:
                answer = await self.ask(_PROBE, _Ready)
            except NoAnswerError as error:
                reason = error.reason
                if reason in ("unreachable", "timeout"):
                    break
                continue
            if self._mode == "text" or _is_ready(answer.text):
                return self._mode
        raise RunError(
            f"{self._server.url}: the server gave no usable answer ({reason}). See that it runs, that server.url and "
            "model.name are right, and that server.api_key_env names a variable with its key, if it asks for one."
        )

    async def ask(self, messages: list[Message], schema: type[BaseModel], seed: int | None = None) -> Answer:
        """Return the answer to a question, from the cache when it was asked before.

        Args:
            messages: The question.
            schema: The form of the answer.
            seed: Told to the server when given; answers of different seeds are kept apart.

        Raises:
            NoAnswerError: The server gave none, however often it was asked.
            StoppedError: Nothing more may be asked.
        """
        question = self._question(messages, schema) | ({} if seed is None else {"seed": seed})
        key = question_key(question)
        if (kept := self._cache.get(key)) is not None:
            return kept
        self._check_may_ask()
        self._num_asked += 1
        try:
            answer = await self._send(question)
        except NoAnswerError:
            self._num_failed += 1
            raise
        self.budget.num_tokens += answer.prompt_tokens + answer.completion_tokens
        self._cache.put(key, answer)
        return answer

    def _check_may_ask(self) -> None:
        limits = self.budget.config
        if self.budget.spent:
            raise StoppedError("the budget is spent", "Raise budget.max_requests or budget.max_tokens")
        share = self._num_failed / max(self._num_asked, 1)
        if self._num_asked >= _SHARE_COUNTS_FROM and share > limits.max_failed_share:
            raise StoppedError(
                f"{self._num_failed} of {self._num_asked} questions stayed without an answer", "See to the server"
            )

    def _question(self, messages: list[Message], schema: type[BaseModel]) -> dict[str, Any]:
        form = schema.model_json_schema()
        if self._mode == "json_schema":
            name = "answer"  # fixed, as some servers take few characters
            wanted: dict[str, Any] = {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": name, "strict": True, "schema": form},
                }
            }
        else:
            told = f"{messages[0]['content']}\nAnswer with one JSON object of this schema, and nothing else:\n"
            messages = [{"role": "system", "content": told + json.dumps(form)}, *messages[1:]]
            wanted = {"response_format": {"type": "json_object"}} if self._mode == "json_object" else {}
        return {
            "model": self.model.name,
            "messages": messages,
            "temperature": self.model.temperature,
            "max_tokens": self.model.max_output_tokens,
            **wanted,
        }

    async def _send(self, question: dict[str, Any]) -> Answer:
        try:
            completion = await self._openai.chat.completions.create(**question)
        except openai.APIStatusError as error:
            if self.budget.spent:
                raise StoppedError("the budget is spent", "Raise budget.max_requests or budget.max_tokens") from None
            raise NoAnswerError(status_reason(error.status_code)) from None
        except openai.APITimeoutError:
            raise NoAnswerError("timeout") from None
        except openai.APIConnectionError:
            raise NoAnswerError("unreachable") from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, RecursionError):
            # A body that is no JSON, no UTF-8 or of another form; the error's own text would quote it.
            raise NoAnswerError("malformed") from None
        return _read(completion, question)


class _Ready(BaseModel, extra="forbid"):
    """What a server is asked for to see whether it keeps to a form."""

    ready: bool


_PROBE = [
    {"role": "system", "content": "You answer in JSON."},
    {"role": "user", "content": "Are you ready? Give a JSON object whose only key is ready, with the value true."},
]


def _is_ready(text: str) -> bool:
    try:
        _Ready.model_validate_json(text, strict=True)
    except ValueError:
        return False
    return True


async def _keep_headers(request: httpx2.Request) -> None:
    """Drop what the client tells of itself and of its environment, and ask for answers without compression."""
    for name in [name for name in request.headers if name.lower() not in _HEADERS]:
        del request.headers[name]
    request.headers["accept-encoding"] = "identity"


def status_reason(status: int) -> str:
    """Return one word for an answer that is none, for messages and counts."""
    if 300 <= status < 400:
        return "redirect"
    if status == TOO_LARGE:
        return "too_large"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "request_refused"


def _read(completion: Any, question: dict[str, Any]) -> Answer:
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        raise NoAnswerError("malformed")
    choice, usage = completion.choices[0], completion.usage
    text = choice.message.content or ""
    if usage:
        tokens = usage.prompt_tokens, usage.completion_tokens
    else:  # four characters a token, for a server that does not count
        tokens = sum(len(message["content"]) for message in question["messages"]) // 4, len(text) // 4
    return Answer(
        text=text,
        refusal=bool(choice.message.refusal) or choice.finish_reason == "content_filter",
        cut=choice.finish_reason == "length",
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
    )
