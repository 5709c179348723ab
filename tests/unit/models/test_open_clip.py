"""open_clip pairs become a tower and a text tower of transformers: held against a forward pass in plain torch."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import RadletError
from radlet.data.preprocessors import read_preprocessor
from radlet.models.towers import load_tower

WIDTH, DEPTH, HEADS, PATCH, SIZE = 12, 3, 3, 8, 32
BERT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
CONFIG = {
    "model_cfg": {
        "embed_dim": 6,
        "vision_cfg": {"timm_model_name": "vit_tiny_patch8", "timm_proj": "linear", "image_size": SIZE},
        "text_cfg": {"hf_model_name": "a BERT", "proj": "mlp"},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic"},
}


def timm_state(layer_scale: bool) -> dict[str, torch.Tensor]:
    """Random weights under timm's names."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    generator = torch.Generator().manual_seed(0)
    state = {
        "cls_token": draw(1, 1, WIDTH),
        "pos_embed": draw(1, (SIZE // PATCH) ** 2 + 1, WIDTH),
        "patch_embed.proj.weight": draw(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": draw(WIDTH),
        "norm.weight": draw(WIDTH),
        "norm.bias": draw(WIDTH),
    }
    for block in range(DEPTH):
        layers = {"attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH), "mlp.fc1": (4 * WIDTH, WIDTH)}
        for name, (rows, columns) in (layers | {"mlp.fc2": (WIDTH, 4 * WIDTH)}).items():
            state[f"blocks.{block}.{name}.weight"] = draw(rows, columns)
            state[f"blocks.{block}.{name}.bias"] = draw(rows)
        for name in ("norm1", "norm2"):
            state[f"blocks.{block}.{name}.weight"] = 1 + draw(WIDTH)
            state[f"blocks.{block}.{name}.bias"] = draw(WIDTH)
        if layer_scale:
            state |= {f"blocks.{block}.ls{number}.gamma": draw(WIDTH) for number in (1, 2)}
    return state


def forward(state: dict[str, torch.Tensor], films: torch.Tensor) -> list[torch.Tensor]:
    """Return what goes into each block, and what comes out of the last: timm's forward pass, written anew."""
    patches = F.conv2d(films, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    tokens = torch.cat([state["cls_token"].expand(len(films), -1, -1), patches.flatten(2).mT], 1) + state["pos_embed"]
    seen = [tokens]
    for block in range(DEPTH):
        own = {name.removeprefix(f"blocks.{block}."): tensor for name, tensor in state.items()}

        def linear(x: torch.Tensor, name: str, own: dict[str, torch.Tensor] = own) -> torch.Tensor:
            return F.linear(x, own[f"{name}.weight"], own[f"{name}.bias"])

        def norm(x: torch.Tensor, name: str, own: dict[str, torch.Tensor] = own) -> torch.Tensor:
            return F.layer_norm(x, (WIDTH,), own[f"{name}.weight"], own[f"{name}.bias"], 1e-6)

        qkv = linear(norm(tokens, "norm1"), "attn.qkv").reshape(len(films), -1, 3, HEADS, WIDTH // HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.mT / (WIDTH // HEADS) ** 0.5).softmax(-1)
        mixed = linear((weights @ value).transpose(1, 2).flatten(2), "attn.proj")
        tokens = tokens + own.get("ls1.gamma", 1) * mixed
        wide = F.gelu(linear(norm(tokens, "norm2"), "mlp.fc1"))
        tokens = tokens + own.get("ls2.gamma", 1) * linear(wide, "mlp.fc2")
        seen.append(tokens)
    return seen


def publish(folder: Path, layer_scale: bool = False, parallel: bool = False, **more: torch.Tensor) -> BertModel:
    """Write a pair as open_clip does, released or (`parallel`) as it trains; return its text tower."""
    torch.manual_seed(0)
    text = BertModel(BertConfig(**BERT), add_pooling_layer=False).eval()
    state = {f"visual.trunk.{name}": tensor for name, tensor in timm_state(layer_scale).items()}
    state |= {f"text.transformer.{name}": tensor for name, tensor in text.state_dict().items()}
    state |= {"text.transformer.embeddings.position_ids": torch.arange(512)[None]}
    state |= {"visual.head.proj.weight": torch.ones(6, WIDTH), "text.proj.0.weight": torch.ones(7, 8)}
    state |= {"text.proj.2.weight": torch.ones(6, 7), "logit_scale": torch.tensor(4.6)} | more
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    if parallel:
        training = {f"module.{name}": tensor for name, tensor in state.items()}
        content = {"epoch": 3, "state_dict": training, "optimizer": {}}
        torch.save(content, folder / "epoch_3.pt")  # noqa: TID251 - what is imported is a pickle
    else:
        save_file(state, folder / "open_clip_model.safetensors")
    (folder / "bert").mkdir()
    BertConfig(**BERT).save_pretrained(folder / "bert")
    (folder / "bert" / "vocab.txt").write_text("[PAD]\n[CLS]\n")
    return text


def run(*arguments: object) -> object:
    return CliRunner().invoke(app, ["import", "open-clip", *map(str, arguments)], catch_exceptions=True)


@pytest.mark.parametrize(("layer_scale", "parallel"), [(False, False), (True, True)], ids=["vit", "dinov2-training"])
def test_the_towers_compute_what_was_published(layer_scale, parallel, tmp_path):
    text = publish(tmp_path / "published", layer_scale, parallel)
    out = tmp_path / "pair"
    done = run(tmp_path / "published", "--out", out, "--bert", tmp_path / "published" / "bert")
    assert done.exit_code == 0, done.output
    films = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    tower = load_tower(out / "encoder", SIZE).model
    ids = torch.tensor([[1, 5, 7]])
    with torch.no_grad():
        found = tower(films, output_hidden_states=True).hidden_states
        read = BertModel.from_pretrained(out / "text_encoder", add_pooling_layer=False)(ids).last_hidden_state
        assert torch.equal(read, text(ids).last_hidden_state)
    for layer, wanted in enumerate(forward(timm_state(layer_scale), films)):
        assert (found[layer] - wanted).abs().max() < 1e-5
    assert set(load_file(out / "heads.safetensors")) == {
        "image_projection.weight", "text_projection.0.weight", "text_projection.2.weight", "logit_scale",
    }  # fmt: skip
    assert (out / "text_encoder" / "vocab.txt").is_file()
    told = json.loads((out / "import.json").read_text())
    assert told["counts"]["image tower"]["mapped"] == len(timm_state(layer_scale))
    assert told["counts"]["text tower"]["dropped"] == 1
    assert [row["source"] for row in told["keys"] if row["group"] == "training state"] == (
        ["epoch", "optimizer"] if parallel else []
    )
    settings = read_preprocessor(out / "encoder")
    assert (settings.size_px, settings.resize, settings.std[0]) == (SIZE, "crop", 0.25)


def test_the_image_tower_comes_alone_without_a_bert(tmp_path):
    publish(tmp_path / "published")
    assert run(tmp_path / "published", "--out", tmp_path / "tower").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "tower").iterdir()) == ["encoder", "import.json"]
    told = json.loads((tmp_path / "tower" / "import.json").read_text())
    assert told["counts"]["text tower and heads"]["dropped"] > 10


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: publish(f, **{"visual.trunk.norm_pre.weight": torch.ones(WIDTH)}), "norm_pre.weight is unknown"),
        (lambda f: publish(f, **{"decoder.weight": torch.ones(1)}), "decoder.weight is unknown"),
        (lambda f: (publish(f), (f / "open_clip_config.json").unlink()), "holds 0 files that may be the config"),
        (lambda f: (publish(f), (f / "open_clip_config.json").write_text("{}")), "timm_model_name"),
        (lambda f: (publish(f), (f / "bert" / "config.json").unlink()), "holds no config.json"),
    ],
    ids=["trunk", "elsewhere", "no config", "empty config", "no bert"],
)
def test_what_is_not_a_pair_is_refused_and_nothing_is_left(spoil, said, tmp_path):
    spoil(tmp_path / "published")
    done = run(tmp_path / "published", "--out", tmp_path / "pair", "--bert", tmp_path / "published" / "bert")
    assert isinstance(done.exception, RadletError)
    assert said in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
