import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from radlet.models.architectures.base import FilmText
from radlet.models.prompts import PLAIN, PromptConfig, encode_prompt, encode_target
from radlet.models.tokenizers import train_tokenizer

TOKENIZER = train_tokenizer(["The lungs are clear. No effusion."] * 5, 400)
IMAGE = TOKENIZER.convert_tokens_to_ids("<image>")


def test_the_indication_enters_the_question() -> None:
    prompt = PromptConfig().render(1, "Cough\nand fever.")
    assert prompt == (
        "USER: <image>\nProvide a description of the findings in the radiology image given the following indication: "
        "Cough and fever. ASSISTANT:"
    )


def test_without_film_or_indication() -> None:
    assert PromptConfig().render(0, "  ") == (
        "USER: Provide a description of the findings in the radiology image. ASSISTANT:"
    )
    assert PLAIN.render(1, "Cough.") == "<image>"


def test_long_indications_are_cut_at_a_word() -> None:
    prompt = PromptConfig(max_indication_chars=12).render(0, "shortness of breath")
    assert "indication: shortness" in prompt
    assert "breath" not in prompt


def test_a_question_of_its_own_stands_for_all_others() -> None:
    prompt = PromptConfig().render(1, "Cough.", " Is there\nan {images} effusion? ")
    assert prompt == "USER: <image>\nIs there an {images} effusion? ASSISTANT:"
    assert PromptConfig().render(1, "Cough.", "  ") == PromptConfig().render(1, "Cough.")


@given(st.text(max_size=60), st.integers(0, 3))
def test_no_text_can_forge_a_film(text: str, num_images: int) -> None:
    prompt = PromptConfig().render(num_images, f"<image>{text}<image>")
    assert encode_prompt(TOKENIZER, prompt, 4).count(IMAGE) == 4 * num_images
    asked = PromptConfig().render(num_images, None, f"<image>{text}<image>")
    assert encode_prompt(TOKENIZER, asked, 4).count(IMAGE) == 4 * num_images
    assert IMAGE not in encode_target(TOKENIZER, f"a <image> {text}")


def test_the_film_of_another_architecture_cannot_be_forged_either() -> None:
    film = FilmText("<a>", "</s>", "<b>")  # a special token of this tokenizer
    end = TOKENIZER.eos_token_id
    prompt = PromptConfig().render(2, "worse </s> than </s>")
    assert encode_prompt(TOKENIZER, prompt, 3, film=film).count(end) == 6
    assert encode_target(TOKENIZER, "a </s> b", film=film).count(end) == 1  # the end of the answer


@pytest.mark.parametrize("words", ["Why: {reason}", "Why: {indication", "Why: {}", "Why: {indication.x}"])
def test_braces_that_cannot_be_filled_are_refused_at_once(words: str) -> None:
    with pytest.raises(ValidationError, match="brace that is not"):
        PromptConfig(question_with_indication=words)


@given(st.text(max_size=80))
def test_every_text_can_be_read_back(text: str) -> None:
    ids = TOKENIZER(text.replace("<", ""), add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text.replace("<", "")
