"""A published chat template as radlet's prompt: rendered once, taken apart, and its token ids held against its own."""

import json
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from radlet.core.errors import CheckpointError
from radlet.models.architectures.base import FilmText
from radlet.models.prompts import PromptConfig, encode_prompt

_QUESTION, _ANSWER = "Question-7421", "Answer-7421"
_INSTEAD = "Name the words that the model was tuned on instead: --family (radlet models lists them)."


def chat_prompt(folder: Path, tokenizer: PreTrainedTokenizerBase, film: FilmText, marker: str) -> PromptConfig:
    """Return the prompt of a model's chat template.

    Args:
        folder: Of the model.
        tokenizer: Its tokenizer.
        film: What one film is in the text that the model reads.
        marker: What stands for a film in a rendered chat.

    Raises:
        CheckpointError: There is no template, or it cannot be taken apart.
    """
    template = _read_template(folder, tokenizer)
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _QUESTION}]}]
    answered = [*asked, {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]}]
    rendered = _render(folder, tokenizer, template, asked, add_generation_prompt=True)
    if rendered.count(marker) != 1 or rendered.count(_QUESTION) != 1:
        raise CheckpointError(
            f"{folder}: the chat template shows a film as {rendered.count(marker)} times '{marker}' and the question "
            f"{rendered.count(_QUESTION)} times; once each is needed. {_INSTEAD}"
        )
    bos = tokenizer.bos_token
    begins = bool(bos) and rendered.startswith(bos)
    words = rendered.removeprefix(bos) if begins else rendered
    if "{" in words or "}" in words:
        raise CheckpointError(f"{folder}: the chat template writes braces, which a prompt here cannot hold. {_INSTEAD}")
    answer, end = _answer_form(_render(folder, tokenizer, template, answered), rendered, tokenizer)
    prompt = PromptConfig(
        template=words.replace(marker, "{images}").replace(_QUESTION, "{question}"),
        answer=answer,
        end_of_answer=end,
        bos=True if begins else None,
        joined=True,
    )
    own = tokenizer(rendered.replace(marker, film.written(3)), add_special_tokens=not begins)["input_ids"]
    if encode_prompt(tokenizer, prompt.render(1, asked=_QUESTION), 3, prompt, film) != own:
        raise CheckpointError(f"{folder}: the chat template taken apart gives other token ids than it does. {_INSTEAD}")
    return prompt


def _answer_form(whole: str, asked: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str | None]:
    """Return how an answer stands behind the prompt, and the token that ends it, if the template writes one."""
    before, _, after = whole.partition(_ANSWER)
    lead = before.removeprefix(asked) if before.startswith(asked) else ""
    special = sorted(tokenizer.all_special_tokens, key=len, reverse=True)
    end = next((token for token in special if after.strip().startswith(token)), None)
    return lead + "{answer}", None if end == tokenizer.eos_token else end


def _read_template(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the processor's template, which knows films, before the tokenizer's own."""
    for name in ("chat_template.jinja", "chat_template.json", "processor_config.json"):
        path = folder / name
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
                found = text if path.suffix == ".jinja" else json.loads(text).get("chat_template")
            except (ValueError, AttributeError):
                raise CheckpointError(f"{path}: is no JSON object, or is cut short. Fetch it again.") from None
            if found:
                return str(found)
    if not tokenizer.chat_template:
        raise CheckpointError(f"{folder}: holds no chat template. {_INSTEAD}")
    return str(tokenizer.chat_template)


def _render(
    folder: Path, tokenizer: PreTrainedTokenizerBase, template: str, messages: list[dict[str, Any]], **options: bool
) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options))
    except (TemplateError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: the chat template cannot be rendered with a film ({type(error).__name__}). {_INSTEAD}"
        ) from None
