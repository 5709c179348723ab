"""OpenAI's API, as far as a model for chest films serves it: models and chat completions, with films as data URLs."""

import base64
import binascii
import time
import uuid
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from radlet.core.errors import ConfigError, DataError, UnknownNameError
from radlet.core.runs import sha256_file
from radlet.inference.drafter import DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.reading.room import EndedError, ReadingRoom, written_by
from radlet.reading.served_model import ModelIdentity
from radlet.reading.store.films import passing_folder
from radlet.serving.access import Calling
from radlet.serving.telling import EventStream, Hearing, server_sent

router = APIRouter(prefix="/v1", tags=["OpenAI"])
_DONE = "data: [DONE]\n\n"


def room_of(request: Request) -> ReadingRoom:
    """Return the room that the app serves."""
    room: ReadingRoom = request.app.state.room
    return room


Room = Annotated[ReadingRoom, Depends(room_of)]


class _Lenient(BaseModel):
    """Clients send more than a report model can use; what would change the answer is refused by name."""

    model_config = ConfigDict(extra="ignore")


class ImageUrl(_Lenient):
    """Where a picture is."""

    url: str
    """``data:image/png;base64,...``; also of DICOM: ``data:application/dicom;base64,...``."""


Words = Annotated[str, Field(max_length=20_000)]
"""Far beyond any question; what the model can read is counted in tokens."""


class TextPart(_Lenient):
    """Words of a message."""

    type: Literal["text"]
    text: Words


class ImagePart(_Lenient):
    """A film of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Message(_Lenient):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Words | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class StreamOptions(_Lenient):
    """What a stream tells beside the text."""

    include_usage: bool = False


class ResponseFormat(_Lenient):
    """What form the answer has: text."""

    type: Literal["text"]


def _refuse_unserved(given: object) -> None:
    if given:
        raise ValueError("is not served; leave it out")


Unserved = Annotated[Any, AfterValidator(_refuse_unserved)]
"""Would change the answer, and the model cannot: refused unless empty."""


class ChatRequest(_Lenient):
    """A chat completion. Films of any turn are shown; the words of the last turn are the question.

    Without words the checkpoint's own question is asked: the draft of a report. The model has learnt single questions:
    system messages and earlier turns are not read.
    """

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1, le=4096)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=4096)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: Unserved = None
    functions: Unserved = None
    response_format: ResponseFormat | None = None
    logit_bias: Unserved = None
    stop: Unserved = None
    tool_choice: Unserved = None
    logprobs: Unserved = None
    presence_penalty: Unserved = None
    frequency_penalty: Unserved = None


def note_asked(room: ReadingRoom, actor: str, action: str, films: tuple[Path, ...]) -> None:
    """Note in the audit log who has the model write about a film that is not kept, by the digest of its file."""
    subject = sha256_file(films[0]) if films else "no film"
    room.store.note(actor, action, subject, model=room.identity.name, checkpoint=room.identity.checkpoint_digest)


@router.get("/models")
def list_models(room: Room) -> dict[str, Any]:
    """List the model that is served."""
    return {"object": "list", "data": [_model(room.identity)]}


@router.get("/models/{name}")
def retrieve_model(name: str, room: Room) -> dict[str, Any]:
    """Tell of one model."""
    _check_model(name, room)
    return _model(room.identity)


@router.post("/chat/completions", response_model=None)
async def complete(
    asked: ChatRequest, room: Room, caller: Calling, request: Request
) -> dict[str, Any] | StreamingResponse:
    """Write an answer: whole, or as server-sent events while it is written.

    Who asked which model about which film is in the audit log; what was asked and answered is not.
    """
    _check_model(asked.model, room)
    folder = passing_folder(room.store.data_dir)
    try:
        words = _question(asked)
        # Off the loop: reading and judging a film takes long enough to hold everybody else up.
        paths, films = await to_thread(_films, asked, Path(folder.name), room, report=not words)
        sampling = _sampling(asked, room)
        await to_thread(note_asked, room, caller.name, "model.chat", paths)
        request_ = DraftRequest(paths, None, words or None)
        hearing = Hearing(room.queue, request_, sampling, films, whole=not asked.stream)
        del films
        ticket = await hearing.__aenter__()
    except BaseException:
        folder.cleanup()
        raise
    if asked.stream:
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        events = _events(hearing, room, ticket.num_prompt_tokens if usage else None)

        def end() -> None:
            hearing.leave()
            folder.cleanup()

        return EventStream(events, end, _failed)
    try:
        told = await hearing.end(request.is_disconnected)
    finally:
        await hearing.__aexit__()
        folder.cleanup()
    if told is None or told.ended not in ("stop", "length"):
        raise EndedError((told and told.ended) or "cancelled")
    identity = room.identity_of(written_by(told))
    return {
        **_head(identity),
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": told.text, "refusal": None},
                "logprobs": None,
                "finish_reason": told.ended,
            }
        ],
        "usage": _usage(ticket.num_prompt_tokens, told.num_tokens),
        "notice": identity.notice,
    }


def _head(identity: ModelIdentity) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": identity.name,
        "system_fingerprint": identity.checkpoint_digest[:16],
    }


async def _events(hearing: Hearing, room: ReadingRoom, num_prompt_tokens: int | None) -> AsyncIterator[str]:
    """Yield the chunks: the notice with the first; the tokens at the end, where those of the prompt are given."""
    head: dict[str, Any] = {}

    def event(delta: dict[str, Any], reason: str | None = None, **more: str) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return server_sent({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    async for told in hearing:
        if not head:
            # Who writes is known with the first words: another model may have come while this waited.
            identity = room.identity_of(told.drafter) if told.drafter else room.identity
            head = _head(identity)
            yield event({"role": "assistant", "content": ""}, notice=identity.notice)
        if told.text:
            yield event({"content": told.text})
        if told.ended in ("stop", "length"):
            yield event({}, told.ended)
            if num_prompt_tokens is not None:
                counted = _usage(num_prompt_tokens, told.num_tokens)
                yield server_sent({**head, "object": "chat.completion.chunk", "choices": [], "usage": counted})
        elif told.ended:
            yield _error(str(EndedError(told.ended)), 504)
    yield _DONE


def _error(words: str, code: int) -> str:
    return server_sent({"error": {"message": words, "type": "api_error", "param": None, "code": code}})


def _failed(words: str) -> str:
    return _error(words, 500) + _DONE


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _model(identity: ModelIdentity) -> dict[str, Any]:
    return {
        "id": identity.name,
        "object": "model",
        "created": 0,
        "owned_by": "radlet",
        "checkpoint_digest": identity.checkpoint_digest,
        "image_path_digest": identity.image_path_digest,
        "engine": identity.engine,
        "notice": identity.notice,
    }


def _check_model(name: str, room: ReadingRoom) -> None:
    if name != room.identity.name:
        raise UnknownNameError(f"There is no such model. The one that is served: {room.identity.name}.")


def _sampling(asked: ChatRequest, room: ReadingRoom) -> Sampling:
    own = room.queue.drafter.own_sampling
    longest = asked.max_completion_tokens or asked.max_tokens or own.max_new_tokens
    update = {
        "max_new_tokens": longest,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "seed": asked.seed,
    }
    return own.model_copy(update=update)


def _question(asked: ChatRequest) -> str:
    last = asked.messages[-1]
    if last.role != "user":
        raise ConfigError("The last message must be the user's: it is the question.")
    if isinstance(last.content, str):
        return last.content.strip()
    return " ".join(part.text for part in last.content if isinstance(part, TextPart)).strip()


def _films(
    asked: ChatRequest, folder: Path, room: ReadingRoom, *, report: bool
) -> tuple[tuple[Path, ...], tuple[NDArray[np.uint8], ...]]:
    """Write the films of all turns into a folder, past the input gate; return their files and pixels."""
    urls = [
        part.image_url.url
        for message in asked.messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ImagePart)
    ]
    if report and not urls:
        raise DataError("A report needs a film: give an image_url with a data URL, or ask a question in words.")
    if len(urls) > 1:
        raise DataError(f"This model looks at one film at a time; the messages hold {len(urls)}.")
    paths: list[Path] = []
    films: list[NDArray[np.uint8]] = []
    for number, url in enumerate(urls):
        content = _content(url)
        room.queue.check_room()
        read = room.read(content)
        if not read.verdict.passed:
            said = " ".join(reason.words for reason in read.verdict.reasons if reason.action == "refuse")
            raise DataError(f"The input gate refused the film: {said}")
        path = folder / f"film-{number}"
        path.write_bytes(content)
        paths.append(path)
        films.append(read.film.pixels)
    return tuple(paths), tuple(films)


def _content(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise DataError("Films are taken as data URLs alone (data:image/png;base64,...): nothing is fetched.")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise DataError("The data URL holds no base64.") from None
