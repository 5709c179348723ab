"""LLaVA-Rad rebuilt from the facts in plain PyTorch, and held against what the importer makes of the same files.

Nothing of transformers or of radlet computes here: resize and crop, vision transformer, projector, tokenizer, and a
Llama whose updates stay unmerged are written out from the publication's description.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from PIL import Image
from tests.fixtures.llava_rad_release import (
    ALPHA,
    BLOCKS,
    HEADS,
    HIDDEN,
    LAYERS,
    PATCH,
    RANK,
    SIZE,
    WIDTH,
    Release,
    write_release,
)
from transformers import AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

from radlet.cli import app
from radlet.data.images import ImageSettings, load_pixel_values
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling
from radlet.models.encoders import TransformersEncoderConfig, tower_tokens
from radlet.models.prompts import encode_prompt, encode_target

INDICATION = "Cough,\nplease evaluate."
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: "
)
QUESTION = "Provide a description of the findings in the radiology image"
ASKED = f"\n{QUESTION} given the following indication: Cough, please evaluate. ASSISTANT:"
FINDINGS = "The heart is normal. 2 cm é nodule."
NUM_TOKENS = (SIZE // PATCH) ** 2
TOWER_HEADS = 12


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def checkpoint(release: Release) -> Path:
    out = release.folder.parent / "checkpoint"
    told = CliRunner().invoke(
        app, ["import", "llava-rad", str(release.folder), "--language-model", str(release.language_model_dir),
              "--out", str(out)], catch_exceptions=False,
    )  # fmt: skip
    assert told.exit_code == 0
    return out


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.png"
    noise = np.random.default_rng(0).integers(0, 255, (93, 70), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def pixels_of(path: Path) -> torch.Tensor:
    image = Image.open(path).convert("RGB")
    scale = SIZE / min(image.size)
    image = image.resize(tuple(int(side * scale) for side in image.size), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    grey = np.array(image.crop((left, top, left + SIZE, top + SIZE))) / 255
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return torch.from_numpy((grey - mean) / std).permute(2, 0, 1).float()


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, causal: bool) -> torch.Tensor:
    q, k, v = (one.view(len(one), heads, -1).transpose(0, 1) for one in (q, k, v))
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf)
    return (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)


def image_tokens(state: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """Return the output of the last block but one, without the final norm and the class token."""
    t = {name.removeprefix("module.visual.trunk."): tensor for name, tensor in state.items()}
    x = F.conv2d(pixels[None], t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=PATCH)
    x = torch.cat([t["cls_token"][0], x[0].flatten(1).T]) + t["pos_embed"][0]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    for block in range(BLOCKS - 1):
        b = f"blocks.{block}"
        q, k, v = linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv").chunk(3, dim=-1)
        x = x + t[f"{b}.ls1.gamma"] * linear(attention(q, k, v, TOWER_HEADS, False), f"{b}.attn.proj")
        x = x + t[f"{b}.ls2.gamma"] * linear(F.gelu(linear(norm(x, f"{b}.norm2"), f"{b}.mlp.fc1")), f"{b}.mlp.fc2")
    return x[1:]


def projected(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    p = {name.removeprefix("base_model.model.model.mm_projector."): tensor for name, tensor in state.items()}
    return F.gelu(x @ p["0.weight"].T + p["0.bias"]) @ p["2.weight"].T + p["2.bias"]


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions over the halves of each head (T, HIDDEN), base 10,000."""
    size = HIDDEN // HEADS
    angles = torch.outer(torch.arange(len(x)).float(), 10_000.0 ** (-torch.arange(0, size, 2) / size))
    first, second = x.view(len(x), HEADS, size).chunk(2, dim=-1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(1)


def logits_of(release: Release, pixels: torch.Tensor | None, ids: list[int | None]) -> torch.Tensor:
    """Return logits (T, V); None among the ids is the place of one image token."""
    weights, updates = release.language_model, release.updates
    rows = [weights["model.embed_tokens.weight"][number or 0] for number in ids]
    x = torch.stack(rows).clone()
    if pixels is not None:
        places = [place for place, number in enumerate(ids) if number is None]
        x[places] = projected(release.projector, image_tokens(release.encoder, pixels))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * weights[f"{name}.weight"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        down, up = (updates[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
        return x @ weights[f"{name}.weight"].T + (x @ down.T) @ up.T * (ALPHA / RANK)

    for number in range(LAYERS):
        layer = f"model.layers.{number}"
        h = norm(x, f"{layer}.input_layernorm")
        q, k, v = (linear(h, f"{layer}.self_attn.{one}_proj") for one in "qkv")
        x = x + linear(attention(rotate(q), rotate(k), v, HEADS, True), f"{layer}.self_attn.o_proj")
        h = norm(x, f"{layer}.post_attention_layernorm")
        gated = F.silu(linear(h, f"{layer}.mlp.gate_proj")) * linear(h, f"{layer}.mlp.up_proj")
        x = x + linear(gated, f"{layer}.mlp.down_proj")
    return norm(x, "model.norm") @ weights["lm_head.weight"].T


def pieces(release: Release, text: str) -> list[int]:
    """Split a text as sentencepiece does: a space in front, best merges first, bytes for what has no piece."""
    rank = {pair: number for number, pair in enumerate(release.merges)}
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        pairs = [(rank.get(pair, len(rank)), place) for place, pair in enumerate(itertools.pairwise(symbols))]
        best, place = min(pairs, default=(len(rank), 0))
        if best == len(rank):
            break
        symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
    vocabulary = release.vocabulary
    spelled = [[one] if one in vocabulary else [f"<0x{byte:02X}>" for byte in one.encode()] for one in symbols]
    return [vocabulary[piece] for group in spelled for piece in group]


def published_ids(release: Release) -> list[int | None]:
    """Cut the prompt at the film, split each part by itself, one begin token in front."""
    return [1, *pieces(release, SYSTEM), *[None] * NUM_TOKENS, *pieces(release, ASKED)]


def test_the_prompt_has_the_published_token_ids(release: Release, checkpoint: Path, film: Path) -> None:
    drafter = Drafter.load(checkpoint)
    model = drafter.report_model
    prompt = drafter.card.prompt.render(1, INDICATION)
    assert prompt == SYSTEM + "<image>" + ASKED
    ids = encode_prompt(model.tokenizer, prompt, model.num_image_tokens, words=drafter.card.prompt)
    image_id = model.model.config.image_token_id
    assert [None if number == image_id else number for number in ids] == published_ids(release)
    # In training the findings are split together with what stands before them.
    whole = pieces(release, f"{ASKED} {FINDINGS}")
    assert pieces(release, ASKED) + encode_target(model.tokenizer, FINDINGS, drafter.card.prompt) == [*whole, 2]
    assert (
        pieces(release, FINDINGS) == encode_target(model.tokenizer, FINDINGS, drafter.card.prompt)[:-1]
    )  # the form of the alignment
    assert image_id not in model.tokenizer("<unk> ✓ <image >\n")["input_ids"]


def test_no_id_is_added_and_padding_is_no_film(release: Release, checkpoint: Path) -> None:
    model = Drafter.load(checkpoint).report_model
    assert len(model.tokenizer) == len(release.vocabulary) == model.model.lm_head.out_features
    assert model.model.config.image_token_id == release.vocabulary["<unk>"]
    assert model.tokenizer.pad_token_id == release.vocabulary["</s>"]


def test_the_logits_are_those_of_the_description(release: Release, checkpoint: Path, film: Path) -> None:
    drafter = Drafter.load(checkpoint)
    settings = ImageSettings.model_validate(drafter.card.image)
    ours = torch.from_numpy(load_pixel_values(film, settings))
    assert torch.allclose(ours, pixels_of(film), atol=1e-5)
    model = drafter.report_model
    ids = encode_prompt(
        model.tokenizer, drafter.card.prompt.render(1, INDICATION), model.num_image_tokens, words=drafter.card.prompt
    )
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([ids]), pixel_values=ours[None]).logits[0]
    wanted = logits_of(release, pixels_of(film), published_ids(release))
    assert wanted.std() > 0.1
    assert torch.allclose(logits, wanted, atol=1e-4, rtol=0)


def test_the_greedy_draft_is_that_of_the_description(release: Release, checkpoint: Path, film: Path) -> None:
    ids, written, pixels = published_ids(release), [], pixels_of(film)
    while len(written) < 6:
        number = int(logits_of(release, pixels, [*ids, *written])[-1].argmax())
        if number == 2:
            break
        written.append(number)
    drafter = Drafter.load(checkpoint)
    draft = drafter.draft([DraftRequest((film,), INDICATION)], Sampling(max_new_tokens=6))[0]
    assert draft == drafter.report_model.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_plain_transformers_reads_the_same_ids_and_pixels(release: Release, checkpoint: Path, film: Path) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    inputs = processor(images=Image.open(film).convert("RGB"), text=SYSTEM + "<image>" + ASKED, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    assert [None if number == release.vocabulary["<unk>"] else number for number in ids] == published_ids(release)
    assert torch.allclose(inputs["pixel_values"][0], pixels_of(film), atol=1e-5)
    model, loading = AutoModelForImageTextToText.from_pretrained(checkpoint, output_loading_info=True)
    assert not any(loading.values())
    with torch.no_grad():
        logits = model(**inputs).logits[0]
    assert torch.allclose(logits, logits_of(release, pixels_of(film), published_ids(release)), atol=1e-4, rtol=0)


def test_the_encoder_by_itself_sees_what_the_description_sees(release: Release, checkpoint: Path, film: Path) -> None:
    encoder = TransformersEncoderConfig(kind="transformers", path=checkpoint / "encoder").build(SIZE)
    pixels = pixels_of(film)
    with torch.no_grad():
        tokens = tower_tokens(encoder, pixels[None], -2)[0, 1:]
    assert torch.allclose(tokens, image_tokens(release.encoder, pixels), atol=1e-4, rtol=0)
