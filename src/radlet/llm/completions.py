"""Completions of prompts that are given as embeddings, from a vLLM server: token ids out, no text on the way.

The endpoint is vLLM's own extension of the completions API (``prompt_embeds``, ``return_token_ids``), which a server
offers when it was started with ``--enable-prompt-embeds``.
"""

import asyncio
import base64
import io
from collections.abc import Sequence
from typing import Any

import openai
import torch

from radlet.core.errors import RunError
from radlet.llm.client import open_connection, status_reason
from radlet.llm.endpoint import BudgetConfig, ServerConfig, check_host
from radlet.llm.transport import Budget


def complete(
    server: ServerConfig, model: str, prompts: Sequence[torch.Tensor], options: Sequence[dict[str, Any]]
) -> list[list[int]]:
    """Return the new token ids of each prompt, in one burst of requests that the server batches.

    Args:
        server: Where it is; only this machine, unless it allows another.
        model: Name under which the server knows the model.
        prompts: Embeddings (T, D) of each prompt.
        options: Further fields of each request.

    Raises:
        PrivacyError: The server is elsewhere.
        RunError: The server does not answer, or not as vLLM does.
    """
    check_host(server)
    return asyncio.run(_complete_all(server, model, prompts, options))


async def _complete_all(
    server: ServerConfig, model: str, prompts: Sequence[torch.Tensor], options: Sequence[dict[str, Any]]
) -> list[list[int]]:
    turns = asyncio.Semaphore(server.num_concurrent)
    async with open_connection(server, Budget(BudgetConfig())) as connection:

        async def one(prompt: torch.Tensor, wanted: dict[str, Any]) -> list[int]:
            async with turns:
                return await _complete(
                    connection, server.url, {"model": model, "prompt_embeds": _packed(prompt)} | wanted
                )

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*pair)) for pair in zip(prompts, options, strict=True)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _complete(connection: openai.AsyncOpenAI, url: str, request: dict[str, Any]) -> list[int]:
    try:
        found: Any = await connection.post("/completions", body=request, cast_to=object)
        ids = found["choices"][0]["token_ids"]
        if not all(isinstance(token, int) for token in ids):
            raise TypeError
    except openai.APIStatusError as error:
        raise _no_answer(url, status_reason(error.status_code)) from None
    except openai.APITimeoutError:
        raise _no_answer(url, "timeout") from None
    except openai.APIConnectionError:
        raise _no_answer(url, "unreachable") from None
    except (openai.OpenAIError, ValueError, TypeError, LookupError):
        # The error's own text may quote the answer.
        raise _no_answer(url, "malformed") from None
    return list(ids)


def _no_answer(url: str, reason: str) -> RunError:
    return RunError(
        f"{url}: the server gave no drafts ({reason}). Start it with serve.sh of the export and wait until it says that "
        "it is ready; another address goes into options.server.url of the export's export.json."
    )


def _packed(prompt: torch.Tensor) -> str:
    """Return a tensor as vLLM reads it, which it does with ``weights_only``."""
    held = io.BytesIO()
    torch.save(prompt.contiguous().clone(), held)  # noqa: TID251 - the form that the server takes; nothing reads it here
    return base64.b64encode(held.getvalue()).decode("ascii")
