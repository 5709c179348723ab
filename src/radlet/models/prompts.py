"""Prompts: how films, an indication and the expected findings become one sequence of token ids."""

from typing import Any

from pydantic import field_validator, model_validator
from transformers import PreTrainedTokenizerBase

from radlet.core.config import Config
from radlet.core.errors import ConfigError
from radlet.models.architectures.base import FilmText
from radlet.models.templates import prompt_template
from radlet.models.tokenizers import IMAGE_TOKEN

_FILM = FilmText()

Wording = tuple[str, str]
"""Question without and with an indication, which stands for `{indication}`."""

IGNORED = -100
"""Label of a position that is not supervised (PyTorch's `ignore_index`)."""


class PromptConfig(Config):
    """The words around films, indication and question; the defaults are LLaVA-Rad's form without a system sentence."""

    family: str | None = None
    """A family of language models, such as "vicuna_v1" or "qwen3" (`radlet models` lists them). It fills `template`,
    `answer`, `end_of_answer`, `bos` and `joined` with the words that family was tuned on; own ones beside it are an
    error."""
    template: str = "USER: {images}\n{question} ASSISTANT:"
    """What stands before the answer. `{images}` becomes one image token a film; it is dropped when there is none."""
    answer: str = " {answer}"
    """How the answer stands behind the template."""
    end_of_answer: str | None = None
    """Token that ends an answer; not given: the tokenizer's own end token."""
    bos: bool | None = None
    """Whether the tokenizer's begin token stands first; not given: as the tokenizer does by itself."""
    joined: bool = False
    """The answer is cut into tokens as it stands behind the template, not by itself. That matters to tokenizers that
    put a space before every text, such as LLaMA 2's."""
    question: str = "Provide a description of the findings in the radiology image."
    """The question when the study has no indication."""
    question_with_indication: str = (
        "Provide a description of the findings in the radiology image given the following indication: {indication}"
    )
    """The question when the study has an indication."""
    max_indication_chars: int = 200
    """Longer indications are cut here, at a word."""

    @model_validator(mode="before")
    @classmethod
    def _of_family(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("family") is None:
            return values
        name = values["family"]
        published = prompt_template(name)
        filled = {
            "template": published.full_template,
            "answer": published.answer,
            "end_of_answer": published.end_of_answer,
            "bos": published.bos,
            "joined": True,
        }
        own = [key for key, value in filled.items() if values.get(key, value) != value]
        if own:
            raise ValueError(
                f"family = '{name}' and an own {' and '.join(own)} are given; choose one: the family, or own words"
            )
        return values | filled

    @field_validator("question_with_indication")
    @classmethod
    def _takes_an_indication(cls, text: str) -> str:
        try:
            text.format(indication="")
        except (LookupError, ValueError, AttributeError):
            raise ValueError("holds a brace that is not {indication}; write other braces twice, as {{ and }}") from None
        return text

    def end_token_id(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """Return the id of the token that ends an answer.

        Raises:
            ConfigError: The tokenizer has no such token.
        """
        if self.end_of_answer is None:
            return int(tokenizer.eos_token_id)
        if self.end_of_answer not in tokenizer.get_vocab():
            raise ConfigError(
                f"prompt.end_of_answer = '{self.end_of_answer}' is no token of this language model"
                f"{f': it is none of the family {self.family!r}' if self.family else ''}. Choose the family it was "
                "tuned on (radlet models lists them), or leave both out."
            )
        return int(tokenizer.convert_tokens_to_ids(self.end_of_answer))

    def render(self, num_images: int, indication: str | None = None, asked: str | None = None) -> str:
        """Return the prompt text for `num_images` films; `asked`, a question of its own, stands for all others."""
        question = self.question
        own = " ".join((asked or "").replace(IMAGE_TOKEN, " ").split())
        reason = " ".join((indication or "").replace(IMAGE_TOKEN, " ").split())
        if own:
            question = own
        elif reason:
            if len(reason) > self.max_indication_chars:
                reason = reason[: self.max_indication_chars].rsplit(" ", 1)[0]
            question = self.question_with_indication.format(indication=reason)
        images = IMAGE_TOKEN * num_images
        if not images:
            return self.template.replace("{images}\n", "").replace("{images}", "").replace("{question}", question)
        return self.template.replace("{images}", images).replace("{question}", question)

    def reworded(self, wording: Wording) -> "PromptConfig":
        """Return the same prompt with the question in other words."""
        return self.model_copy(update=dict(zip(("question", "question_with_indication"), wording, strict=True)))


PLAIN = PromptConfig(template="{images}", question="", question_with_indication="")
"""The alignment form of LLaVA-Rad: the film, then the findings, and no question."""


_DEFAULT = PromptConfig()


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    num_image_tokens: int,
    words: PromptConfig = _DEFAULT,
    film: FilmText = _FILM,
) -> list[int]:
    """Return token ids of a rendered prompt, each film written out with `num_image_tokens` image tokens.

    Args:
        tokenizer: Of the language model.
        prompt: What `words` rendered.
        num_image_tokens: Tokens of one film.
        words: Says whether the begin token stands first.
        film: What one film is in the text. Elsewhere in the prompt its image token, which an indication may quote, is
            left out.

    Raises:
        ConfigError: The begin token is wanted and the tokenizer has none.
    """
    text = film.written(num_image_tokens).join(part.replace(film.token, " ") for part in prompt.split(IMAGE_TOKEN))
    if words.bos is None:
        return list(tokenizer(text)["input_ids"])
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if words.bos and tokenizer.bos_token_id is None:
        raise ConfigError(
            "prompt.bos = true, but this tokenizer has no begin token. Choose the language model's family."
        )
    return [int(tokenizer.bos_token_id), *ids] if words.bos else ids


def encode_target(
    tokenizer: PreTrainedTokenizerBase, target: str, words: PromptConfig = _DEFAULT, film: FilmText = _FILM
) -> list[int]:
    """Return token ids of the answer as it stands behind the prompt, with the token that ends it.

    Args:
        tokenizer: Of the language model.
        target: The answer.
        words: How it stands behind the prompt.
        film: Its image token stands for nothing in an answer, and is left out.

    Raises:
        ConfigError: The tokenizer has no such end token.
    """
    text = words.answer.replace("{answer}", target.replace(IMAGE_TOKEN, " ").replace(film.token, " "))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    tail = words.template.rpartition("}")[2]
    if words.joined and tail:
        before = tokenizer(tail, add_special_tokens=False)["input_ids"]
        both = tokenizer(tail + text, add_special_tokens=False)["input_ids"]
        # Where the two fuse into one token, the answer would lose its first letters: there it stands by itself.
        ids = both[len(before) :] if both[: len(before)] == before else ids
    return [*ids, words.end_token_id(tokenizer)]
