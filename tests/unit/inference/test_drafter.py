import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.fixtures.tiny import SETTINGS

from radlet.core.errors import CheckpointError, DataError
from radlet.data.images import ImageSettings, load_pixel_values, read_film
from radlet.inference.attention import find_phrase
from radlet.inference.drafter import Drafter, DraftRequest, processor_options
from radlet.inference.engines.base import Sampling
from radlet.models.prompts import PromptConfig, encode_prompt
from radlet.models.report_model import CARD, ReportModel, save_report_model

SHORT = Sampling(max_new_tokens=24)


def requests_of(films: list[Path]) -> list[DraftRequest]:
    reasons = [None, "Cough.", "Fever and a productive cough for three weeks, evaluate for pneumonia."]
    return [DraftRequest((film,), reasons[number % 3]) for number, film in enumerate(films)]


def test_a_draft_does_not_depend_on_its_batch(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    drafter = Drafter(tiny_report_model)
    requests = requests_of(tiny_films)
    one_by_one = drafter.draft(requests, SHORT, batch_size=1)
    assert drafter.draft(requests, SHORT, batch_size=8) == one_by_one
    assert drafter.draft(requests, SHORT, batch_size=3) == one_by_one
    assert len(set(one_by_one)) > 1


def test_sampling_repeats_with_its_seed_and_differs_from_greedy(
    tiny_report_model: ReportModel, tiny_films: list[Path]
) -> None:
    drafter = Drafter(tiny_report_model)
    requests = requests_of(tiny_films)
    drawn = drafter.draft(requests, Sampling(max_new_tokens=24, temperature=2.0, seed=3))
    assert drawn == drafter.draft(requests, Sampling(max_new_tokens=24, temperature=2.0, seed=3))
    assert drawn != drafter.draft(requests, SHORT)


def test_guidance_moves_away_from_what_is_written_without_the_film(
    tiny_report_model: ReportModel, tiny_films: list[Path]
) -> None:
    """The first token is the one that equation 7 of Sanchez et al. makes likeliest, whatever the batch."""
    model, card = tiny_report_model.model, tiny_report_model.card
    guided = Sampling(max_new_tokens=1, guidance=30.0)
    requests = requests_of(tiny_films)
    expected = []
    for request in requests:
        logits = []
        for paths in (request.image_paths, ()):
            prompt = card.prompt.render(len(paths), request.indication)
            ids = torch.tensor([encode_prompt(tiny_report_model.tokenizer, prompt, tiny_report_model.num_image_tokens)])
            films = [torch.from_numpy(load_pixel_values(path, SETTINGS)) for path in paths]
            with torch.inference_mode():
                seen = model(input_ids=ids, pixel_values=torch.stack(films) if films else None)
            logits.append(seen.logits[0, -1].log_softmax(-1))
        with_film, without = logits
        first = (without + 30.0 * (with_film - without)).argmax()
        expected.append(tiny_report_model.tokenizer.decode(first, skip_special_tokens=True).strip())
    drafter = Drafter(tiny_report_model)
    assert drafter.draft(requests, guided, batch_size=8) == expected
    assert drafter.draft(requests, guided, batch_size=1) == expected
    assert drafter.draft(requests, Sampling(max_new_tokens=1)) != expected


def test_the_checkpoints_own_guidance_holds_unless_asked_otherwise(
    tiny_report_model: ReportModel, tiny_films: list[Path]
) -> None:
    requests = requests_of(tiny_films)
    guided = ReportModel(
        tiny_report_model.model,
        tiny_report_model.tokenizer,
        tiny_report_model.card.model_copy(update={"guidance": 3.0}),
    )
    own = Drafter(guided).draft(requests)
    assert own == Drafter(tiny_report_model).draft(requests, Sampling(guidance=3.0))
    assert own != Drafter(tiny_report_model).draft(requests)
    assert Drafter(guided).draft(requests, Sampling()) == Drafter(tiny_report_model).draft(requests)


def test_a_model_without_films_drafts_from_the_indication(tiny_report_model: ReportModel) -> None:
    drafts = Drafter(tiny_report_model).draft([DraftRequest(()), DraftRequest((), "Cough.")], SHORT)
    assert len(drafts) == 2


def test_two_films_take_twice_the_image_tokens(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    tokenizer, count = tiny_report_model.tokenizer, tiny_report_model.num_image_tokens
    ids = encode_prompt(tokenizer, PromptConfig().render(2, "Cough."), count)
    assert ids.count(tiny_report_model.model.config.image_token_id) == 2 * count
    assert Drafter(tiny_report_model).draft([DraftRequest(tuple(tiny_films[:2]))], SHORT)


def test_plain_transformers_writes_the_same_text_without_radlet(
    tiny_report_model: ReportModel, tiny_films: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    save_report_model(tiny_report_model, folder, processor_options(tiny_report_model.card))
    ours = Drafter.load(folder).draft([DraftRequest((tiny_films[0],), "Cough.")], SHORT)[0]
    script = f"""
import sys
sys.modules["radlet"] = None
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained({str(folder)!r})
processor = AutoProcessor.from_pretrained({str(folder)!r})
prompt = {PromptConfig().render(1, "Cough.")!r}
inputs = processor(images=Image.open({str(tiny_films[0])!r}).convert("RGB"), text=prompt, return_tensors="pt")
answer = model.generate(**inputs, do_sample=False, max_new_tokens=24)[0, inputs["input_ids"].shape[1]:]
print(processor.tokenizer.decode(answer, skip_special_tokens=True).strip())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n") == ours.rstrip("\n")


def test_another_image_path_is_refused(tiny_report_model: ReportModel, tmp_path: Path) -> None:
    save_report_model(tiny_report_model, tmp_path, processor_options(tiny_report_model.card))
    text = (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text(text.replace(SETTINGS.digest, ImageSettings(size_px=64).digest))
    with pytest.raises(CheckpointError, match="image path"):
        Drafter.load(tmp_path)


def test_weights_that_are_missing_are_refused(tiny_report_model: ReportModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_report_model(tiny_report_model, tmp_path, None)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(next(name for name in tensors if "multi_modal_projector" in name))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="do not fit"):
        Drafter.load(tmp_path)


def test_weights_that_are_cut_short_are_refused(tiny_report_model: ReportModel, tmp_path: Path) -> None:
    save_report_model(tiny_report_model, tmp_path, None)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="no report model could be loaded"):
        Drafter.load(tmp_path)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"radlet\.json"):
        Drafter.load(tmp_path)


def test_attention_gives_each_span_its_maps(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    drafter = Drafter(tiny_report_model)
    text = "There is a small left pleural effusion."
    spans = [find_phrase(text, "Pleural effusion"), find_phrase(text, "small")]
    first, second = drafter.attention(DraftRequest((tiny_films[0],)), text, spans)
    side = round(tiny_report_model.num_image_tokens**0.5)
    for weights in (first.weighted, first.raw, first.relative):
        assert weights.shape == (side, side)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(first.weighted - second.weighted).max() > 1e-4
    with pytest.raises(DataError, match="does not occur"):
        find_phrase(text, "pneumothorax")


def test_attention_needs_no_trainable_weight(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    """With every weight frozen the map is still read off gradients, not even, and none is left on a weight."""
    for parameter in tiny_report_model.model.parameters():
        parameter.requires_grad_(False)
    request = DraftRequest((tiny_films[0],))
    (maps,) = Drafter(tiny_report_model).attention(request, "The heart is enlarged.", [(4, 9)])
    assert maps.weighted.std() > 1e-4
    assert all(parameter.grad is None for parameter in tiny_report_model.model.parameters())


def test_attention_leaves_the_model_as_it_was(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    drafter = Drafter(tiny_report_model)
    requests = requests_of(tiny_films[:2])
    before = drafter.draft(requests, SHORT)
    drafter.attention(requests[0], "The heart is enlarged.", [(4, 9)])
    assert drafter.draft(requests, SHORT) == before


def test_a_changed_film_is_drafted_as_if_the_file_held_it(
    tiny_report_model: ReportModel, tiny_films: list[Path], tmp_path: Path
) -> None:
    """The other films of the batch, and the same film asked for again, stay as they are."""
    drafter = Drafter(tiny_report_model)

    def turned(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return 255 - film

    plain = requests_of(tiny_films)
    changed = [replace(request, changes=(turned,)) if n % 2 else request for n, request in enumerate(plain)]
    written = []
    for number, request in enumerate(plain):
        path = tmp_path / f"turned-{number}.png"
        Image.fromarray(turned(read_film(request.image_paths[0]).pixels)).save(path)
        written.append(replace(request, image_paths=(path,)) if number % 2 else request)
    drafts = drafter.draft(changed, SHORT)
    assert drafts == drafter.draft(written, SHORT)
    own = drafter.draft(plain, SHORT)
    assert drafts != own
    assert drafts[::2] == own[::2]


def test_every_film_needs_its_change(tiny_report_model: ReportModel, tiny_films: list[Path]) -> None:
    request = DraftRequest(tuple(tiny_films[:2]), changes=(np.flipud,))
    with pytest.raises(ValueError, match="argument 2"):
        Drafter(tiny_report_model).draft([request], SHORT)


def test_other_words_for_the_question_keep_template_and_indication(
    tiny_report_model: ReportModel, tiny_films: list[Path]
) -> None:
    wording = ("What is seen?", "What is seen, given {indication}?")
    prompt = tiny_report_model.card.prompt.reworded(wording)
    card = tiny_report_model.card.model_copy(update={"prompt": prompt})
    trained = ReportModel(tiny_report_model.model, tiny_report_model.tokenizer, card)
    requests = requests_of(tiny_films)
    asked = [replace(request, wording=wording) for request in requests]
    drafts = Drafter(tiny_report_model).draft(asked, SHORT)
    assert drafts == Drafter(trained).draft(requests, SHORT)
    assert drafts != Drafter(tiny_report_model).draft(requests, SHORT)
