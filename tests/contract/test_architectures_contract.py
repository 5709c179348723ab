"""What every architecture promises: an imported model reads, writes and trains as it does in plain transformers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.fixtures.vision_language import SIZE_PX, WRITERS
from transformers import AutoImageProcessor, AutoTokenizer, PreTrainedModel
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.data.images import load_pixel_values
from radlet.inference.attention import _read
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.models.architectures import ARCHITECTURES
from radlet.models.freezing import part_of
from radlet.models.report_model import encode_films
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmStore
from radlet.training.reports import ReportObjective, ReportRowsConfig

GREEDY = Sampling(max_new_tokens=10)
QUESTIONS = ("Is there an effusion?", "Describe the heart and the lungs.", "Why?")


@dataclass(frozen=True)
class Imported:
    """A published folder, its model as transformers reads it, and what radlet made of it."""

    name: str
    source: Path
    published: PreTrainedModel
    drafter: Drafter
    films: tuple[Path, ...]


def import_tiny(name: str, source: Path, out: Path, *options: object) -> None:
    square = ["--size-px", SIZE_PX] if name.startswith("qwen") else []
    arguments = ["import", "vlm", source, "--out", out, *square, *options]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    published = WRITERS[name](folder / "published")
    import_tiny(name, folder / "published", folder / "imported")
    generator = np.random.default_rng(0)
    films = tuple(folder / f"{number}.png" for number in range(3))
    for film in films:  # of a few dark and light areas, or all would look alike
        Image.fromarray(generator.integers(0, 255, (7, 7), dtype=np.uint8)).resize((80, 80), 2).save(film)
    return Imported(name, folder / "published", published, Drafter.load(folder / "imported"), films)


def own_inputs(imported: Imported, film: Path, question: str) -> dict[str, torch.Tensor]:
    """What the publisher's files make of a film and a question, without radlet."""
    tokenizer = AutoTokenizer.from_pretrained(imported.source)
    shown = AutoImageProcessor.from_pretrained(imported.source)(Image.open(film).convert("RGB"), return_tensors="pt")
    shown.pop("num_crops", None)
    content = [{"type": "image"}, {"type": "text", "text": question}]
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    written = {
        "llava": ("<image>", "<image>" * 16),
        "gemma3": ("<start_of_image>", f"\n\n<start_of_image>{'<image_soft_token>' * 16}<end_of_image>\n\n"),
    }.get(imported.name, ("<|image_pad|>", "<|image_pad|>" * 16))
    begun = bool(tokenizer.bos_token) and chat.startswith(tokenizer.bos_token)
    ids = tokenizer(chat.replace(*written), add_special_tokens=not begun, return_tensors="pt")["input_ids"]
    kinds = (ids == imported.published.config.image_token_id).long()
    name = {"llava": None, "gemma3": "token_type_ids"}.get(imported.name, "mm_token_type_ids")
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **shown, **({name: kinds} if name else {})}


def test_a_film_gives_the_publishers_pixels(imported: Imported) -> None:
    pixels = torch.from_numpy(load_pixel_values(imported.films[0], imported.drafter.image_settings))[None]
    model = imported.drafter.report_model
    ours = model.architecture.film_inputs(model.model, pixels)
    own = own_inputs(imported, imported.films[0], "?")
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, own[name], rtol=0, atol=2e-6)


def test_drafts_are_those_of_the_published_model_alone_and_in_a_batch(imported: Imported) -> None:
    own = []
    for film, question in zip(imported.films, QUESTIONS, strict=True):
        inputs = own_inputs(imported, film, question)
        with torch.inference_mode():
            written = imported.published.generate(**inputs, max_new_tokens=10, do_sample=False)
        answer = written[0, inputs["input_ids"].shape[1] :]
        own.append(imported.drafter.report_model.tokenizer.decode(answer, skip_special_tokens=True).strip())
    assert len(set(own)) > 1
    requests = [DraftRequest((film,), None, question) for film, question in zip(imported.films, QUESTIONS, strict=True)]
    assert [imported.drafter.draft([request], GREEDY)[0] for request in requests] == own
    assert imported.drafter.draft([*requests, DraftRequest((), None, "No film?")], GREEDY)[:3] == own


def test_the_film_counts(imported: Imported) -> None:
    likelihoods = imported.drafter.log_likelihoods(
        [DraftRequest((film,)) for film in imported.films], ["The heart is enlarged."] * 3
    )[:, 0]
    assert len({round(value, 3) for value in likelihoods}) == 3


def test_likelihoods_are_those_of_the_published_model(imported: Imported) -> None:
    tokenizer = imported.drafter.report_model.tokenizer
    text, expected = "There is a small left pleural effusion.", []
    for film, question in zip(imported.films, QUESTIONS, strict=True):
        inputs = own_inputs(imported, film, question)
        prompt = inputs["input_ids"].shape[1]
        answer = imported.drafter._answer(text, ended=False)
        inputs = whole(inputs, answer)
        with torch.inference_mode():
            shares = imported.published(**inputs).logits[0].log_softmax(-1)
        expected.append(sum(shares[prompt - 1 + at, token].item() for at, token in enumerate(answer)))
    assert tokenizer.decode(answer).strip() == text
    requests = [DraftRequest((film,), None, question) for film, question in zip(imported.films, QUESTIONS, strict=True)]
    found = imported.drafter.log_likelihoods(requests, [text] * 3)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def whole(inputs: dict[str, torch.Tensor], answer: list[int]) -> dict[str, torch.Tensor]:
    """Return the inputs of the prompt with an answer behind it."""
    added = dict(inputs)
    added["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    for name in {"attention_mask", "token_type_ids", "mm_token_type_ids"} & inputs.keys():
        added[name] = torch.nn.functional.pad(inputs[name], (0, len(answer)), value=int(name == "attention_mask"))
    return added


def test_the_loss_is_that_of_the_published_model_from_films_and_from_kept_features(imported: Imported) -> None:
    report_model, settings = imported.drafter.report_model, imported.drafter.image_settings
    targets = ("The lungs are clear.", "The heart is enlarged, and there is more to say.", "Effusion.")
    rows = [
        example(film, *words) for film, words in zip(imported.films, zip(QUESTIONS, targets, strict=True), strict=True)
    ]
    expected = 0.0
    for row in rows:
        inputs = own_inputs(imported, Path(row.image_paths[0]), row.question or "")
        prompt, answer = inputs["input_ids"].shape[1], imported.drafter._answer(row.target or "", ended=True)
        with torch.inference_mode():
            logits = imported.published(**whole(inputs, answer)).logits[0, prompt - 1 : -1]
        expected += torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
    paths = [row.image_paths[0] for row in rows]
    films = FilmStore(paths, settings, Progress(quiet=True))
    objective = objective_over(films, imported, rows)
    with torch.inference_mode():
        batch = objective.batch(np.arange(3), torch.Generator())
        features = encode_films(report_model.model, batch["pixel_values"])
        kept = {name: tensor for name, tensor in batch.items() if name != "pixel_values"} | {"film_features": features}
        losses = [sum(value.item() for value in objective.losses(one).values()) for one in (batch, kept)]
    shape = report_model.architecture.feature_shape(report_model.model.config, SIZE_PX)
    assert features.shape == (3, *shape)
    assert losses == pytest.approx([expected, expected], rel=1e-5)


def objective_over(films: FilmStore, imported: Imported, rows: list[Example]) -> ReportObjective:
    card = imported.drafter.card
    return ReportObjective(
        imported.drafter.report_model, rows, films, card.prompt, ReportRowsConfig(), AugmentationConfig()
    )


def example(film: Path, question: str, target: str) -> Example:
    return Example(
        example_id=film.stem,
        study_id=film.stem,
        patient_id=film.stem,
        split="train",
        image_paths=(str(film),),
        views=("PA",),
        question=question,
        target=target,
        report=target,
        observations={},
        labels={},
    )


def test_attention_is_read_without_changing_the_answer(imported: Imported) -> None:
    drafter = imported.drafter
    request, text = DraftRequest(imported.films[:1], None, QUESTIONS[0]), "The heart is enlarged."
    maps = drafter.attention(request, text, [(4, 9)])
    assert maps[0].weighted.shape == (4, 4)
    assert maps[0].weighted.sum() == pytest.approx(1, abs=1e-5)
    inputs = own_inputs(imported, imported.films[0], QUESTIONS[0])
    pixels = torch.from_numpy(load_pixel_values(imported.films[0], drafter.image_settings))[None]
    attentions, logits = _read(drafter.report_model, inputs["input_ids"], pixels)
    with torch.inference_mode():
        own = imported.published(**inputs).logits
    torch.testing.assert_close(logits.detach(), own, rtol=1e-4, atol=1e-4)
    shown = attentions[0][0].detach().sum(-1)
    torch.testing.assert_close(shown, torch.ones_like(shown))


def test_every_weight_belongs_to_one_part(imported: Imported) -> None:
    model, architecture = imported.drafter.report_model.model, imported.drafter.report_model.architecture
    parts: dict[str, set[str]] = {"encoder": set(), "projector": set(), "language_model": set()}
    for name, _ in model.named_parameters():
        parts[part_of(name)].add(name)

    def under(path: str) -> set[str]:
        return {name for name in dict(model.named_parameters()) if name.startswith(f"{path}.")}

    assert under(architecture.projector_path) <= parts["projector"]
    assert parts["encoder"] == under(architecture.encoder_path) - parts["projector"]
    assert parts["projector"] <= under(architecture.projector_path) | under(architecture.encoder_path)
    assert all(parts.values())


def test_guidance_of_one_is_the_models_own_word(imported: Imported) -> None:
    request: Callable[[Path], DraftRequest] = lambda film: DraftRequest((film,))  # noqa: E731
    plain = imported.drafter.draft([request(film) for film in imported.films], GREEDY)
    guided = Sampling(max_new_tokens=10, guidance=1.0 + 1e-6)
    assert imported.drafter.draft([request(film) for film in imported.films], guided) == plain
