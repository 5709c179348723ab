"""Prompts: how films, an indication and the expected findings become one sequence of token ids."""

from transformers import PreTrainedTokenizerBase

from radlet.core.config import Config
from radlet.models.architectures.base import FilmText
from radlet.models.tokenizers import IMAGE_TOKEN

_FILM = FilmText()

Wording = tuple[str, str]
"""Question without and with an indication, which stands for `{indication}`."""

IGNORED = -100
"""Label of a position that is not supervised (PyTorch's `ignore_index`)."""


class PromptConfig(Config):
    """The words around films, indication and question; the defaults are LLaVA-Rad's form without a system sentence."""

    template: str = "USER: {images}\n{question} ASSISTANT:"
    """What stands before the answer. `{images}` becomes one image token a film; it is dropped when there is none."""
    question: str = "Provide a description of the findings in the radiology image."
    """The question when the study has no indication."""
    question_with_indication: str = (
        "Provide a description of the findings in the radiology image given the following indication: {indication}"
    )
    """The question when the study has an indication."""
    max_indication_chars: int = 200
    """Longer indications are cut here, at a word."""

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


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: str, num_image_tokens: int, film: FilmText = _FILM
) -> list[int]:
    """Return token ids of the prompt, each film's `<image>` written out as `film` with `num_image_tokens` tokens."""
    return list(tokenizer(prompt.replace(IMAGE_TOKEN, film.written(num_image_tokens)))["input_ids"])


def encode_target(tokenizer: PreTrainedTokenizerBase, target: str) -> list[int]:
    """Return token ids of the answer: a space, the text, and the end-of-sequence token."""
    ids = tokenizer(" " + target.replace(IMAGE_TOKEN, " "), add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]
