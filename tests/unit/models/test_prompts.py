from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text(max_size=80))
def test_every_text_can_be_read_back(text: str) -> None:
    ids = TOKENIZER(text.replace("<", ""), add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text.replace("<", "")
